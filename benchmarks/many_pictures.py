"""LRS over many pictures against bare forwards, and the peak of memory: `python benchmarks/many_pictures.py`."""

import argparse
import json
import resource
import time
from collections.abc import Iterator

from explorer.records import Picture
from explorer.scenes.layout import make_scene
from explorer.scenes.render import picture
from explorer.services.explore import KINDS, Explorer


def scenes(count: int) -> Iterator[Picture]:
    return (picture(make_scene(1_100_000_000 + k), 336) for k in range(count))


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="mini")
    parser.add_argument("--pictures", type=int, default=500)
    args = parser.parse_args()
    explorer = Explorer()
    explorer.use(args.encoder)
    explorer.wait()
    encoder = explorer._ready()[1]
    began = time.perf_counter()
    batch = []
    for one in scenes(args.pictures):  # drawing and preparing the pictures is part of both sides
        batch.append(encoder.view(one))
        if len(batch) == 4:
            encoder._run(encoder._normalised(batch))
            batch = []
    bare, before = time.perf_counter() - began, peak_mib()
    found = {"pictures": args.pictures, "bare_per_second": round(args.pictures / bare, 2)}
    for kinds in (("token",), KINDS):
        began = time.perf_counter()
        explorer.similarity_over(scenes(args.pictures), kinds=kinds)
        found[f"throughput_ratio_{'+'.join(kinds)}"] = round(bare / (time.perf_counter() - began), 3)
    print(json.dumps(found | {"peak_mib_bare": round(before), "peak_mib": round(peak_mib())}))


if __name__ == "__main__":
    main()
