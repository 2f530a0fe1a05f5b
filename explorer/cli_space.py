"""``space``: whether this checkout can be a Hugging Face Space; ``export``: a checkpoint for plain transformers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_space(commands: Any) -> None:
    """``space --check``."""
    parser = commands.add_parser(
        "space",
        help="check whether this checkout can be a Hugging Face Space",
        description="Check README's front matter, that versions lie within the ranges of requirements.txt, sizes of files, "
        "and that a copy of what a Space would get starts with the settings for strangers. Status 2 if anything is wrong.",
    )
    parser.add_argument("--check", action="store_true", required=True, help="check (all that it does)")
    parser.add_argument(
        "--install", action="store_true", help="start in a new environment with requirements.txt alone: slow, gigabytes"
    )
    parser.add_argument("--no-start", action="store_true", help="do not start the page")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.set_defaults(run=run_space)


def run_space(args: argparse.Namespace) -> int:
    """Check and say."""
    from explorer.jobs.space import as_json, check_space

    found = check_space(start=not args.no_start, install=args.install)
    lines = [f"{'ok   ' if each.right else 'WRONG'}  {each.what:<18} {each.said}" for each in found]
    print(as_json(found) if args.json else "\n".join(lines))
    return 0 if all(each.right for each in found) else 2


def add_export(commands: Any) -> None:
    """``export``: a mini checkpoint as a folder that transformers loads by itself."""
    parser = commands.add_parser(
        "export",
        help="write a mini checkpoint as a folder that transformers loads by itself",
        description="Write a checkpoint of the mini family with its encoder, processor and chat template, so that "
        "LlavaForConditionalGeneration.from_pretrained loads it without this program and gives the same answers.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="mini-fused, say; mini-any@3+18 chooses its layers")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write, new or empty")
    parser.set_defaults(run=run_export)


def run_export(args: argparse.Namespace) -> int:
    """Write and say where."""
    from explorer.models.checkpoint_ids import CheckpointId, describe, find_mini
    from explorer.models.family import export_checkpoint
    from explorer.records import CheckpointError

    info, asked = describe(args.checkpoint), CheckpointId.parse(args.checkpoint)
    folder = find_mini(asked.name)
    if folder is None:
        raise CheckpointError(f"{asked.name} is no mini checkpoint: what transformers loads needs no export.")
    if info.untrained_swap:
        raise CheckpointError("An untrained swap is an experiment and is not exported: leave out #swap.")
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise CheckpointError(f"{args.out} holds something already: name a new or an empty folder.")
    export_checkpoint(folder, args.out, info.layers)
    print(f"{args.out}: {args.checkpoint} reading {info.reads}; load it with LlavaForConditionalGeneration")
    return 0
