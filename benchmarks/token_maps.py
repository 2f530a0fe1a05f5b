"""Maps of 25 × 576 tokens against plain `umap.UMAP`: `python benchmarks/token_maps.py [--width 1024] [--runs 3]`.

The tokens are the built-in encoder's of four example pictures (25 × 4 · 144, width 128), turned into a space of another
width without changing any angle; a little noise then fills that space. Both sides are warm: all code is compiled before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
import torch

from explorer.analysis.embedding import EPOCHS, NEIGHBOURS, nearest, trustworthiness, umap_coordinates, warm_up
from explorer.analysis.projection import pca_coordinates
from explorer.models.encoders import open_encoder
from explorer.services.pictures import read_picture

PICTURES = ("astronaut.jpg", "coffee.jpg", "scene-1100000051.png", "scene-1100001481.png")
NOISE = 0.05  # of a token's length


def make_tokens(width: int) -> torch.Tensor:
    encoder = open_encoder("mini", device="cpu", dtype="float32")
    states = []
    for name in PICTURES:
        features = encoder.forward([encoder.view(read_picture(f"assets/examples/{name}"))])
        states.append(features.patches[:, 0].float())
    tokens = torch.cat(states, 1)  # [25, 576, 128]
    random = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(width, tokens.shape[-1], generator=random)).Q.T
    wide = torch.nn.functional.normalize(tokens, dim=-1) @ turn
    return wide + NOISE / width**0.5 * torch.randn(wide.shape, generator=random)


def timed(work, runs: int):
    times, found = [], None
    for _ in range(runs):
        began = time.perf_counter()
        found = work()
        times.append(time.perf_counter() - began)
    return statistics.median(times), found


def judge(tokens: torch.Tensor, places: np.ndarray) -> dict[str, float]:
    layers = [trustworthiness(one, flat) for one, flat in zip(tokens, places, strict=True)]
    steps = np.linalg.norm(np.diff(places, axis=0), axis=-1).mean()
    radius = np.sqrt(((places - places.mean((0, 1))) ** 2).sum(-1).mean())
    return {
        "trust": round(trustworthiness(tokens.flatten(0, 1), places.reshape(-1, 2)), 4),
        "trust_within_layers": round(float(np.mean(layers)), 4),
        "step_to_radius": round(float(steps / radius), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--skip-plain", action="store_true", help="do not run umap.UMAP")
    parser.add_argument(
        "--aligned", action="store_true", help="also run umap.AlignedUMAP, a slice for each layer, once"
    )
    args = parser.parse_args()
    import umap

    tokens = make_tokens(args.width)
    unit = torch.nn.functional.normalize(tokens, dim=-1).flatten(0, 1)
    said = {"tokens": list(tokens.shape), "threads": torch.get_num_threads(), "runs": args.runs}
    pca_coordinates(tokens)
    said["pca_seconds"], start = timed(lambda: pca_coordinates(tokens), max(5, args.runs))
    said["pca"] = judge(tokens, start)

    began = time.perf_counter()
    warm_up()
    said["warm_up_seconds"] = time.perf_counter() - began
    said["nearest_seconds"], (found, _) = timed(lambda: nearest(unit, NEIGHBOURS), args.runs)
    some = torch.randperm(len(unit), generator=torch.Generator().manual_seed(0))[:500]
    cosines = unit[some] @ unit.T
    cosines[torch.arange(500), some] = torch.inf
    exact = cosines.topk(NEIGHBOURS).indices.tolist()
    recall = [len(set(a) & set(b)) / NEIGHBOURS for a, b in zip(found[some].tolist(), exact, strict=True)]
    said["neighbours_found"] = round(float(np.mean(recall)), 5)
    said["umap_seconds"], places = timed(lambda: umap_coordinates(tokens, start), args.runs)
    said["umap"] = judge(tokens, places)
    if not args.skip_plain:
        plain = umap.UMAP(n_neighbors=NEIGHBOURS, metric="cosine")
        plain.fit_transform(unit[:4500].numpy())  # its code is compiled
        said["plain_seconds"], flat = timed(lambda: plain.fit_transform(unit.numpy()), args.runs)
        said["plain"] = judge(tokens, flat.reshape(*tokens.shape[:2], 2))
        said["umap_to_plain"] = round(said["umap_seconds"] / said["plain_seconds"], 3)
        said["trust_minus_plain"] = round(said["umap"]["trust"] - said["plain"]["trust"], 4)
    if args.aligned:
        same = {token: token for token in range(tokens.shape[1])}
        linked = umap.AlignedUMAP(n_neighbors=NEIGHBOURS, metric="cosine", n_epochs=EPOCHS, random_state=0)
        slices = list(torch.nn.functional.normalize(tokens, dim=-1).numpy())
        said["aligned_seconds"], _ = timed(lambda: linked.fit(slices, relations=[same] * (len(slices) - 1)), 1)
        said["aligned"] = judge(tokens, np.stack(linked.embeddings_))
    print(json.dumps({key: round(one, 3) if key.endswith("seconds") else one for key, one in said.items()}, indent=1))


if __name__ == "__main__":
    main()
