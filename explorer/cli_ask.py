"""``ask``: what checkpoints answer to a question about a picture."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from explorer.cli_checkpoints import add_catalogue_flag

if TYPE_CHECKING:
    from explorer.services.ask import Answers

DONE, BAD_INPUT = 0, 2


def add_ask(commands: Any) -> None:
    """``ask``: the answers of several checkpoints side by side."""
    parser = commands.add_parser(
        "ask",
        help="ask checkpoints a question about a picture",
        description="Ask several checkpoints the same question about a picture: their answers, the probabilities of the "
        "candidate answers, and seconds. A checkpoint that fails is told on stderr and the others answer; status 2 if "
        "none does.",
    )
    parser.add_argument("image", metavar="IMAGE", help="PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF file")
    parser.add_argument("question", metavar="QUESTION", help='such as "How many dogs are there?"')
    parser.add_argument(
        "--checkpoints",
        metavar="A,B",
        help="names (see the command checkpoints), folders, hub ids, openai:BASE_URL#MODEL; mini-any@3+18 chooses layers, "
        "ID#swap=18 makes a checkpoint read a layer it was not trained on (default: all built-in ones)",
    )
    add_catalogue_flag(parser)
    parser.add_argument("--candidates", metavar="A,B", help="answers whose probabilities are wanted")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 (default): always the likeliest word")
    parser.add_argument("--tokens", type=int, default=24, metavar="N", help="longest answer (default 24)")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, … (default: the fastest here)")
    parser.add_argument("--json", action="store_true", help="print a list of one entry a checkpoint")
    parser.set_defaults(run=run_ask)


def run_ask(args: argparse.Namespace) -> int:
    """Ask, and say what was answered."""
    from explorer.services.ask import ask

    found = ask(
        args.image,
        args.question,
        split_ids(args.checkpoints),
        candidates=tuple(part.strip() for part in (args.candidates or "").split(",") if part.strip()),
        temperature=args.temperature,
        most_tokens=args.tokens,
        device=args.device,
    )
    for reply in found.replies:
        if reply.error:
            print(f"{reply.checkpoint}: {reply.error}", file=sys.stderr)
    print(json.dumps(found.as_json(), indent=1, ensure_ascii=False) if args.json else as_text(found))
    return BAD_INPUT if all(reply.error for reply in found.replies) else DONE


def split_ids(text: str | None) -> list[str] | None:
    """The ids in a list with commas; a comma between two digits belongs to the layers of "mini-any@3,18"."""
    import re

    if text is None:
        return None
    return [part.strip() for part in re.split(r"(?<!\d),|,(?!-?\d+(?:[,+#]|$))", text) if part.strip()]


def as_text(found: Answers) -> str:
    """A table, and below it what a reader should know."""
    from explorer.services.ask import likeliest, seconds_as_text
    from explorer.services.pictures import printable

    rows: list[tuple[str, ...]] = [("checkpoint", "reads", "answer", "likeliest", "seconds")]
    for reply in found.replies:
        answer = reply.text if not reply.error else "–"
        cells = (reply.checkpoint, reply.reads, answer, likeliest(reply), seconds_as_text(reply))
        rows.append(tuple(printable(cell, 80) for cell in cells))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    remarks = dict.fromkeys(remark for reply in found.replies for remark in reply.remarks)
    return "\n".join([*lines, *(printable(remark, 300) for remark in remarks)])
