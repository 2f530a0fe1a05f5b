"""LRS over many pictures against bare forwards, turn by turn, and the peak of memory: `python benchmarks/many_pictures.py`.

Both sides draw and prepare their pictures. All are drawn once beforehand, so that neither side reads sprites from disk.
"""

import argparse
import json
import resource
import tempfile
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from functools import partial

from all_layers import save_large

from explorer.records import Picture
from explorer.scenes.layout import make_scene
from explorer.scenes.render import picture
from explorer.services.explore import BATCH, KINDS, Explorer

TURN = 5 * BATCH  # pictures


def scenes(numbers: range) -> Iterator[Picture]:
    return (picture(make_scene(1_100_000_000 + k), 336) for k in numbers)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="mini", help="an id, or large: CLIP ViT-L/14-336 with random weights")
    parser.add_argument("--pictures", type=int, default=500)
    args = parser.parse_args()
    explorer = Explorer()
    with tempfile.TemporaryDirectory() as folder:
        explorer.use(save_large(folder) if args.encoder == "large" else args.encoder)
        encoder = explorer.model()

    def bare(numbers: range) -> None:
        batch = []
        for one in scenes(numbers):
            batch.append(encoder.view(one))
            if len(batch) == BATCH:
                encoder._run(encoder._normalised(batch))
                batch = []

    def compared(kinds: Collection[str], numbers: range) -> None:
        explorer.similarity_over(scenes(numbers), kinds=kinds)

    sides: dict[str, Callable[[range], None]] = {"bare": bare}
    sides |= {"+".join(kinds): partial(compared, kinds) for kinds in (("token",), KINDS)}
    turns = [range(start, start + TURN) for start in range(0, args.pictures - TURN + 1, TURN)]
    for _ in scenes(range(args.pictures)):
        pass
    bare(turns[0])
    before = peak_mib()
    order, seconds = deque(sides), dict.fromkeys(sides, 0.0)
    for turn in turns:
        order.rotate()
        for name in order:
            began = time.perf_counter()
            sides[name](turn)
            seconds[name] += time.perf_counter() - began
    pictures = TURN * len(turns)
    found = {"pictures": pictures, "bare_per_second": round(pictures / seconds["bare"], 2)}
    found |= {f"throughput_ratio_{name}": round(seconds["bare"] / seconds[name], 3) for name in sides if name != "bare"}
    print(json.dumps(found | {"peak_mib_bare": round(before), "peak_mib": round(peak_mib())}))


if __name__ == "__main__":
    main()
