"""``lrs``: layer similarity over thousands of pictures."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

TOLD = 5  # unreadable pictures told on stderr: all are in skipped.csv


def add_lrs(commands: Any) -> None:
    """``lrs``: the matrices of ``analyze`` averaged over a whole collection."""
    parser = commands.add_parser(
        "lrs",
        help="layer similarity averaged over thousands of pictures",
        description="Write the similarity of all layers averaged over all pictures with its standard errors "
        "(similarity.csv, similarity_stderr.csv and their like for pooled, cls and cka), groups.json, report.html and, "
        "of pictures that cannot be used, skipped.csv. Memory does not grow with the pictures. An interrupted run goes "
        "on where it was when the same command is given again. `accelerate launch --multi_gpu --num_processes 2 -m "
        "explorer lrs …` or torchrun divides the work over processes and GPUs. Limits of a zip: 100,000 files, 64 GiB "
        "unpacked, 64 MiB a picture; what is beyond is told and left out.",
    )
    parser.add_argument(
        "given",
        nargs="+",
        metavar="PICTURES",
        help="folder, pattern such as 'photos/**/*.jpg', picture, zip, parquet file, folder of datasets' save_to_disk",
    )
    parser.add_argument("--encoder", default="mini", metavar="ID", help="as for analyze (default mini)")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write to, made if missing")
    parser.add_argument("--fit", default="encoder", metavar="FIT", help="encoder (default), crop, pad or squash")
    parser.add_argument("--groups", type=int, default=3, metavar="K", help="how many groups of layers (default 3)")
    parser.add_argument("--sample", type=int, metavar="N", help="N pictures drawn at random (default: all)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the drawing (default 0)")
    parser.add_argument("--batch", type=int, default=8, metavar="B", help="pictures at once (default 8)")
    parser.add_argument("--column", metavar="NAME", help="of a table with several columns of bytes")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, … (default: the fastest; a GPU for each process)")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], help="default: the fastest here")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.set_defaults(run=run_lrs)


def run_lrs(args: argparse.Namespace) -> int:
    """Average, write, and say what was found; of several processes the first speaks for all."""
    from tqdm import tqdm

    from explorer.services.lrs import SKIPPED, lrs
    from explorer.services.processes import Processes
    from explorer.services.results import as_json, groups_as_text

    first = Processes.from_environment().rank == 0
    with tqdm(unit="picture", file=sys.stderr, disable=None if first else True, leave=False) as bar:

        def progress(done: int, total: int, message: str) -> None:
            bar.total = total
            bar.set_description_str(message[:40], refresh=False)
            bar.update(done - bar.n)

        options = ("encoder", "out", "fit", "groups", "sample", "seed", "batch", "column", "device", "dtype")
        found = lrs(args.given, **{name: getattr(args, name) for name in options}, on_progress=progress)
    if not first:
        return 0
    for _, reason in found.skipped[:TOLD]:
        print(reason, file=sys.stderr)
    if len(found.skipped) > TOLD:
        print(f"{len(found.skipped)} pictures were left out: see {args.out / SKIPPED}.", file=sys.stderr)
    if args.json:
        said = as_json(found) | {"pictures": found.pictures, "out": str(args.out)}
        print(json.dumps(said, indent=1, ensure_ascii=False))
        return 0
    print(f"{found.pictures} pictures through {found.encoder.title}, layers 0–{found.encoder.blocks}")
    print("\n".join([*groups_as_text(found), f"report: {args.out / 'report.html'}"]))
    return 0
