"""Commands for the mini family: train its language model and checkpoints, evaluate, list."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def add_train_family(kinds: Any) -> None:
    """``train language`` and ``train checkpoint``, among the things to train."""
    language = kinds.add_parser(
        "language",
        help="stage 0: the language model, on written pictures",
        description="Teach the small language model on written pictures, captions and questions, before it sees a "
        "picture. Stop it at any time; the same command resumes. The model is written to OUT/model.",
    )
    _add_run_flags(language, "runs/language")
    language.set_defaults(run=run_train_language)
    checkpoint = kinds.add_parser(
        "checkpoint",
        help="stages 1 and 2: checkpoints that read chosen layers, side by side",
        description="Train checkpoints on one order of batches: projectors on captions, then projectors and language "
        "models on questions. Stop it at any time; the same command resumes. Written to OUT/models/NAME.",
    )
    checkpoint.add_argument(
        "--layers",
        nargs="+",
        metavar="SET",
        help='one checkpoint each: 18, or 3,18,23 for a fusion, or "any" (default: 3 12 18 23 24 3,18,23 any)',
    )
    checkpoint.add_argument("--encoder", metavar="ID", help="mini (default) or a folder")
    checkpoint.add_argument("--language", metavar="DIR", help="stage 0's model (default assets/models/mini-language)")
    checkpoint.add_argument(
        "--start", metavar="DIR", help="go on from a finished checkpoint, such as mini-any's folder"
    )
    checkpoint.add_argument("--caption-steps", type=int, metavar="N", help="length of stage 1")
    checkpoint.add_argument("--question-steps", type=int, metavar="N", help="length of stage 2")
    checkpoint.add_argument("--device", help="cpu or cuda (default: cuda where present)")
    _add_run_flags(checkpoint, "runs/checkpoints")
    checkpoint.set_defaults(run=run_train_checkpoint)


def _add_run_flags(parser: argparse.ArgumentParser, out: str) -> None:
    parser.add_argument("--settings", type=Path, metavar="FILE", help="TOML file; ours are in assets/settings")
    parser.add_argument("--out", metavar="DIR", help=f"folder of the run (default {out})")
    parser.add_argument("--seed", type=int, help="of weights and data (default 0)")
    parser.add_argument("--threads", type=int, help="processor threads (default 2)")


def run_train_language(args: argparse.Namespace) -> int:
    """Train, resume or finish; print the model's folder."""
    from explorer.jobs.settings import load_settings
    from explorer.jobs.train_language import LanguageSettings, train_language

    flags = {name: getattr(args, name) for name in ("out", "seed", "threads")}
    print(train_language(load_settings(LanguageSettings, args.settings, **flags)))
    return 0


def run_train_checkpoint(args: argparse.Namespace) -> int:
    """Train, resume or finish; print the folders of the checkpoints."""
    from explorer.jobs.settings import load_settings
    from explorer.jobs.train_checkpoint import CheckpointSettings, train_checkpoints

    names = ("out", "seed", "threads", "encoder", "language", "start", "caption_steps", "question_steps", "device")
    flags = {name: getattr(args, name) for name in names}
    flags["layers"] = tuple(args.layers) if args.layers else None
    for folder in train_checkpoints(load_settings(CheckpointSettings, args.settings, **flags)):
        print(folder)
    return 0


def add_evaluate(commands: Any) -> None:
    """``evaluate``: how often checkpoints are right."""
    parser = commands.add_parser(
        "evaluate",
        help="how often checkpoints are right, task by task",
        description="Ask checkpoints questions whose answers are known: your own, a line of JSON each ({image, question, "
        "answer, task}, as the command scenes writes), or new ones about scenes that no checkpoint was trained on. "
        "Accuracies have Wilson 95 % intervals.",
    )
    parser.add_argument("--checkpoints", required=True, metavar="A,B", help="see the command checkpoints; or folders")
    add_catalogue_flag(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--questions", metavar="FILE.jsonl", help="your own questions; pictures beside the file")
    source.add_argument("--split", choices=("val", "test"), help="scenes that no model was trained on (default test)")
    parser.add_argument("--n", type=int, metavar="N", help="questions a task, of a split (default 2000)")
    parser.add_argument("--seed", type=int, help="of the choice of questions (default 0)")
    parser.add_argument("--answers", metavar="FILE", help="JSONL file for every answer; a stopped evaluation goes on")
    parser.add_argument("--batch", type=int, help="pictures at once (default 16)")
    parser.add_argument("--no-baselines", action="store_true", help="leave out majority and words only")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a row for each checkpoint and task")
    parser.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> int:
    """Ask, count, print."""
    from explorer.cli_ask import split_ids
    from explorer.jobs.evaluate import EvaluateSettings, as_table, evaluate, write_csv
    from explorer.jobs.settings import load_settings

    flags = {name: getattr(args, name) for name in ("questions", "split", "n", "seed", "answers", "batch")}
    flags["checkpoints"] = tuple(split_ids(args.checkpoints) or ())
    found = evaluate(load_settings(EvaluateSettings, None, **flags, baselines=not args.no_baselines))
    if args.csv:
        write_csv(found, args.csv)
    print(json.dumps(found, ensure_ascii=False, allow_nan=False) if args.json else as_table(found))
    return 0


def add_checkpoints(commands: Any) -> None:
    """``checkpoints``: what can answer here."""
    parser = commands.add_parser(
        "checkpoints",
        help="which checkpoints can answer here",
        description="List the checkpoints known by name: built in, in the folder checkpoints, and in the catalogues; with "
        "what they read, size, memory (weights in 16-bit numbers), licence, and whether they are on this machine. Any "
        "other can be given by its hub id or folder, or as openai:BASE_URL#MODEL.",
    )
    add_catalogue_flag(parser)
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.set_defaults(run=run_checkpoints)


def add_catalogue_flag(parser: Any) -> None:
    """``--catalogue``, wherever models are named."""
    parser.add_argument(
        "--catalogue",
        action="append",
        metavar="FILE",
        help="TOML file of models of your own, or a folder of checkpoints; may be given again (also $VLE_CATALOGUE)",
    )


def run_checkpoints(args: argparse.Namespace) -> int:
    """List."""
    from explorer.models.checkpoint_ids import list_checkpoints

    rows = list_checkpoints()
    if args.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1, ensure_ascii=False))
        return 0
    head = ("id", "reads", "size", "memory", "on this machine", "licence", "title")
    print_columns(
        head,
        [
            (row.id, row.reads, megabytes(row.size_bytes), megabytes(row.memory_bytes), ("no", "yes")[row.on_this_machine],
             row.licence or "–", row.title)
            for row in rows
        ],
    )  # fmt: skip
    return 0


def print_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as what stands in them."""
    cells = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print("\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells))


def megabytes(count: int | None) -> str:
    """Bytes for people, – where unknown."""
    return "–" if count is None else f"{count / 1e6:,.0f} MB"
