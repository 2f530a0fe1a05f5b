"""The command precompute: what the page shows without computing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_precompute(commands: Any) -> None:
    """``precompute examples``, ``failures`` and ``results``."""
    parser = commands.add_parser(
        "precompute",
        help="compute what the page shows without computing",
        description="Compute what the page shows without computing, and put it in place of what is stored.",
    )
    kinds = parser.add_subparsers(title="what to compute", metavar="WHAT", required=True)
    _add_examples(kinds)
    _add_failures(kinds)
    _add_results(kinds)


def _add_examples(kinds: Any) -> None:
    parser = kinds.add_parser(
        "examples",
        help="the analyses of the example pictures",
        description="Analyse the example pictures, so that the first of them is on show before an encoder is loaded.",
    )
    parser.add_argument("--encoder", default="mini", metavar="ID", help="encoder that looks (default mini)")
    parser.add_argument("--examples", type=Path, default=Path("assets/examples"), metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("precomputed"), metavar="DIR")
    parser.set_defaults(run=run_examples)


def run_examples(args: argparse.Namespace) -> int:
    """Compute and say how many."""
    from explorer.jobs.precompute import precompute_examples

    print(f"{precompute_examples(args.examples, args.out, args.encoder)} pictures analysed")
    return 0


def _add_failures(kinds: Any) -> None:
    parser = kinds.add_parser(
        "failures",
        help="what the built-in checkpoints answer to held-out questions",
        description="Ask checkpoints questions about test scenes and keep every answer with its probability, for the tab "
        "Failures and the first screen. Stop it at any time; the same command goes on.",
    )
    parser.add_argument(
        "--checkpoints", metavar="A,B", help="who is asked (default all built in, mini-any with 3+18+23)"
    )
    parser.add_argument("--n", type=int, help="questions a task (default 2000)")
    _add_shared(parser)
    parser.set_defaults(run=run_failures)


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, help="of the choice of questions (default 0)")
    parser.add_argument("--batch", type=int, help="pictures at once (default 16)")
    parser.add_argument("--threads", type=int, help="processor threads (default 2)")
    parser.add_argument("--out", metavar="DIR", help="folder of stored results (default precomputed)")
    parser.add_argument("--work", metavar="DIR", help="folder of answers as they come (default runs/precompute)")
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")


def run_failures(args: argparse.Namespace) -> int:
    """Ask, keep, and say what is kept."""
    from explorer.jobs.precompute_failures import FailuresSettings, precompute_failures
    from explorer.jobs.settings import load_settings

    flags = {name: getattr(args, name) for name in ("n", "seed", "batch", "threads", "out", "work")}
    flags["checkpoints"] = _parts(args.checkpoints)
    found = precompute_failures(load_settings(FailuresSettings, None, **flags))
    if args.json:
        print(json.dumps(found.meta, indent=1, ensure_ascii=False))
        return 0
    first, second = found.usual_pair()
    for task in found.tasks:
        ways = found.both_ways(first, second, task)
        print(
            f"{task:<12}{ways.n} questions: {second} right where {first} fails {ways.second}, other way {ways.first}, "
            f"p {ways.p:.2g}"
        )
    return 0


def _add_results(kinds: Any) -> None:
    parser = kinds.add_parser(
        "results",
        help="the sweep over all layers and fusions, and docs/results.md",
        description="Ask mini-any through every layer and fusion the questions stored by `precompute failures`, compare all, "
        "and write precomputed/results and docs/results.md. Stop it at any time; the same command goes on.",
    )
    parser.add_argument(
        "--any", metavar="ID", help='the checkpoint whose layers can be chosen (default mini-any; "" none)'
    )
    parser.add_argument("--layers", metavar="1,2,…", help="single layers to ask it through (default all)")
    parser.add_argument(
        "--fusions", metavar="3+18,…", help="fusions to ask it through (default 3+18+23,18+23,3+18,3+23)"
    )
    parser.add_argument(
        "--others",
        metavar="DIR,DIR",
        help="further checkpoints, or folders of several: of other layers, or of the same from other seeds",
    )
    parser.add_argument("--n", type=int, help="questions a task asked of all these (default 1000)")
    parser.add_argument("--docs", metavar="DIR", help='folder of results.md (default docs; "" writes none)')
    _add_shared(parser)
    parser.set_defaults(run=run_results)


def run_results(args: argparse.Namespace) -> int:
    """Ask, compare, write, and say what was found."""
    from explorer.jobs.precompute_results import ResultsSettings, precompute_results
    from explorer.jobs.settings import load_settings

    names = ("any", "n", "seed", "batch", "threads", "out", "work", "docs")
    flags: dict[str, Any] = {name: getattr(args, name) for name in names}
    flags |= {name: _parts(getattr(args, name)) for name in ("fusions", "others")}
    flags["layers"] = _numbers(args.layers)
    found = precompute_results(load_settings(ResultsSettings, None, **flags))
    if args.json:
        print(json.dumps(found.meta, indent=1, ensure_ascii=False))
        return 0
    for finding in found.meta["findings"]:
        print(f"{finding['sentence']} Ours: {finding['verdict']}.")
    return 0


def _parts(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str | None) -> tuple[int, ...] | None:
    from explorer.records import SettingsError

    try:
        return None if text is None else tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(f"Cannot read {text!r} as layers: write numbers such as 1,2,3.") from None
