"""Maps of tokens in two dimensions beside PCA (``projection``): UMAP, t-SNE, and how far a map can be trusted.

Several layers are laid out together. One joint fit over all tokens aligns the layers by itself: a token's nearest
neighbours are mostly itself in the layers beside, so that it moves little from layer to layer (docs/experiments.md
compares it with ``umap.AlignedUMAP``). Distances are cosine distances, as everywhere on the page.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

NEIGHBOURS = 15
EPOCHS = 200
SKETCH = 96  # directions in which candidates for neighbours are sought, where tokens are wider and many
FEW = 4096  # tokens whose distances are all computed in full
CANDIDATES = 3  # times the neighbours wanted
CHUNK = 512  # tokens compared with all others at a time

Progress = Callable[[float], None]
_ONE_LAYOUT = threading.Lock()  # numba's threads serve one caller at a time; a second would end the process


class StoppedError(Exception):
    """Nobody waits for the map any more."""


def nearest(unit: Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest tokens of each token by cosine distance, itself first.

    All pairs are compared by matrix products. Where there are many wide tokens, candidates are found in the
    ``SKETCH`` directions of largest variation and then compared in full.

    Args:
        unit: float [S, D], tokens of length 1 (or 0).
        count: how many, at most S.

    Returns:
        int32 [S, count] and float32 [S, count], distances 0…2 in ascending order.
    """
    unit = unit.float()
    wide = len(unit) > FEW and unit.shape[1] > SKETCH
    sought = min(len(unit), count * CANDIDATES if wide else count)
    flat = _sketch(unit) if wide else unit
    indices, distances = [], []
    for start in range(0, len(unit), CHUNK):
        near = flat[start : start + CHUNK] @ flat.T
        own = torch.arange(start, start + len(near), device=unit.device)
        near[own - start, own] = torch.inf
        cosines, found = near.topk(sought, dim=1)
        if wide:
            cosines = torch.bmm(unit[found], unit[start : start + CHUNK, :, None])[..., 0]
            cosines[:, 0] = torch.inf
            cosines, order = cosines.topk(count, dim=1)
            found = found.gather(1, order)
        cosines[:, 0] = 1
        indices.append(found.to("cpu", torch.int32))
        distances.append((1 - cosines).clamp_min(0).cpu())
    return torch.cat(indices).numpy(), torch.cat(distances).numpy()


def _sketch(unit: Tensor) -> Tensor:
    """Tokens in the directions of largest variation, [S, SKETCH], from randomised subspace iteration."""
    basis = torch.randn(unit.shape[1], SKETCH, generator=torch.Generator().manual_seed(0)).to(unit)
    for _ in range(2):
        basis = torch.linalg.qr(unit.T @ (unit @ basis)).Q
    return unit @ basis


def umap_coordinates(
    states: Tensor,
    start: np.ndarray,
    *,
    neighbours: int = NEIGHBOURS,
    epochs: int = EPOCHS,
    on_progress: Progress | None = None,
) -> np.ndarray:
    """Lay all tokens of all layers out together by UMAP (McInnes, Healy and Melville 2018, arXiv 1802.03426).

    The layout runs on all cores; two runs differ slightly. One fit runs at a time, others wait.

    Args:
        states: float [L, S, D], any device and float dtype.
        start: float [L, S, 2], where the tokens are at first, such as ``pca_coordinates``.
        neighbours: how many each token is held to, itself counted.
        epochs: rounds of the layout.
        on_progress: told the share done, 0…1; may raise ``StoppedError``, which ends the fit.

    Returns:
        float32 [L, S, 2], no unit.
    """
    from umap.umap_ import find_ab_params, fuzzy_simplicial_set, simplicial_set_embedding

    layers, tokens, _ = states.shape
    tell = on_progress or (lambda share: None)
    tell(0.0)
    unit = torch.nn.functional.normalize(states.float(), dim=-1).flatten(0, 1)
    indices, distances = nearest(unit, min(neighbours, len(unit)))
    tell(0.2)
    random = np.random.RandomState(0)
    blank = np.zeros((len(unit), 1), np.float32)  # only its length is read
    spread, closest = find_ab_params(1.0, 0.1)
    with _ONE_LAYOUT:
        tell(0.2)
        graph: Any = fuzzy_simplicial_set(
            blank, indices.shape[1], random, "cosine", knn_indices=indices, knn_dists=distances
        )[0]
        tell(0.3)
        told = {"disable": False, "file": _Teller(lambda share: tell(0.3 + 0.7 * share), epochs), "bar_format": "{n}"}
        found, _ = simplicial_set_embedding(
            blank, graph, 2, 1.0, spread, closest, 1.0, 5, epochs, _scaled(start, random), random, "cosine", {},
            False, {}, False, parallel=True, tqdm_kwds=told,
        )  # fmt: skip
    return np.asarray(found, np.float32).reshape(layers, tokens, 2)


def warm_up() -> None:
    """Have UMAP's code compiled, by a fit too small to matter; takes seconds the first time."""
    states = torch.randn(2, 60, 8, generator=torch.Generator().manual_seed(0))
    umap_coordinates(states, states[..., :2].numpy(), epochs=12)


def tsne_coordinates(states: Tensor, start: np.ndarray) -> np.ndarray:
    """Lay all tokens out together by t-SNE (van der Maaten and Hinton 2008, JMLR 9).

    Args:
        states: float [L, S, D], any device and float dtype.
        start: float [L, S, 2], where the tokens are at first.

    Returns:
        float32 [L, S, 2], no unit.
    """
    from sklearn.manifold import TSNE

    unit = torch.nn.functional.normalize(states.float(), dim=-1).flatten(0, 1).cpu().numpy()
    first = start.reshape(-1, 2)
    first = (first / max(float(first[:, 0].std()), 1e-12) * 1e-4).astype(np.float32)
    perplexity = min(30.0, max(2.0, (len(unit) - 1) / 3))
    fitted = TSNE(2, perplexity=perplexity, init=first, metric="cosine", random_state=0, n_jobs=-1)  # type: ignore[arg-type]
    return fitted.fit_transform(unit).reshape(*states.shape[:2], 2).astype(np.float32)


def trustworthiness(states: Tensor, places: np.ndarray, neighbours: int = NEIGHBOURS) -> float:
    """Share of neighbours on the map that are neighbours among the tokens too (Venna and Kaski 2001).

    Args:
        states: float [S, D], compared by cosine distance.
        places: float [S, 2].
        neighbours: how many are looked at, less than S / 2.

    Returns:
        0…1: 1 where no token that is far away lies among the nearest on the map; NaN for too few tokens.
    """
    unit = torch.nn.functional.normalize(states.float(), dim=-1)
    flat = torch.as_tensor(places, device=unit.device).float()
    count, penalty = len(unit), 0
    if count < 2 * neighbours + 2:
        return float("nan")
    for start in range(0, count, CHUNK):
        apart = 1 - unit[start : start + CHUNK] @ unit.T
        own = torch.arange(start, start + len(apart), device=unit.device)
        apart[own - start, own] = -torch.inf  # rank 0
        beside = torch.cdist(flat[start : start + CHUNK], flat)
        beside[own - start, own] = torch.inf
        shown = beside.topk(neighbours, largest=False).indices
        ranks = torch.searchsorted(apart.sort(1).values, apart.gather(1, shown))
        penalty += int((ranks - neighbours).clamp_min(0).sum())
    return 1 - 2 * penalty / (count * neighbours * (2 * count - 3 * neighbours - 1))


def cluster(states: Tensor, clusters: int) -> np.ndarray:
    """Divide each layer's tokens by k-means on their directions, and give alike clusters of other layers one number.

    Args:
        states: float [L, S, D].
        clusters: how many, at most S.

    Returns:
        uint8 [L, S]. Numbers follow from layer to layer, so that as few tokens as possible change theirs; in the last
        layer the largest cluster is 0.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.cluster import KMeans

    found = np.zeros(states.shape[:2], np.uint8)
    for layer in reversed(range(len(states))):
        unit = torch.nn.functional.normalize(states[layer].float(), dim=-1).cpu().numpy()
        labels = KMeans(clusters, n_init=2, random_state=0).fit_predict(unit)  # type: ignore[arg-type]
        if layer == len(states) - 1:
            new_numbers = np.argsort(np.argsort(-np.bincount(labels, minlength=clusters), kind="stable"))
        else:
            shared = np.zeros((clusters, clusters))
            np.add.at(shared, (labels, found[layer + 1]), 1)
            new_numbers = linear_sum_assignment(-shared)[1]
        found[layer] = new_numbers[labels]
    return found


def _scaled(start: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """A start as UMAP likes it: about 10 wide, and no two tokens at one place."""
    flat = start.reshape(-1, 2).astype(np.float32)
    flat = flat * (10 / max(float(np.abs(flat).max()), 1e-12))
    return flat + random.normal(scale=1e-4, size=flat.shape).astype(np.float32)


class _Teller:
    """A file for a progress bar that writes the number of rounds done; tells the share."""

    def __init__(self, tell: Progress, rounds: int) -> None:
        self.tell, self.rounds, self.stopped = tell, rounds, False

    def write(self, text: str) -> None:
        """Read the number in what the bar writes; one that was stopped is told nothing when the bar goes."""
        number = re.search(r"\d+", text)
        if number and not self.stopped:
            try:
                self.tell(min(1.0, int(number[0]) / self.rounds))
            except StoppedError:
                self.stopped = True
                raise

    def flush(self) -> None:
        """Nothing is held back."""
