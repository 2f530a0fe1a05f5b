"""The command line: ``python -m explorer COMMAND``.

A command is one function that adds its parser to the others and sets ``run``, a function of the parsed arguments that
returns the exit status; it stands in ``COMMANDS`` below. Results go to stdout, progress and complaints to stderr. What
a person can mend ends with one line on stderr and status 2. Heavy libraries are imported by ``run`` alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from explorer import __version__
from explorer.cli_ask import add_ask
from explorer.cli_checkpoints import add_catalogue_flag, add_checkpoints, add_evaluate, megabytes, print_columns
from explorer.cli_inspect import add_import, add_inspect
from explorer.cli_jobs import add_score, add_train
from explorer.cli_lrs import add_lrs
from explorer.cli_precompute import add_precompute
from explorer.cli_space import add_export, add_space
from explorer.jobs.scenes import add_scenes
from explorer.models.catalogue import use_catalogues
from explorer.records import ExplorerError, Fit

if TYPE_CHECKING:
    from explorer.services.analyze import Analysis

DONE, BAD_INPUT, INTERRUPTED = 0, 2, 130
_ENCODER_HELP = "mini (default), a Hugging Face id, a folder, or open_clip:ARCH/TAG_OR_FILE; see the command encoders"
_FIT_HELP = (
    "how a picture is laid on the input: as the encoder's own processor does (default), cropped, padded, squashed"
)
Commands = Any  # what add_subparsers() returns: argparse has no public name for it


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the usage is one --help away."""

    def error(self, message: str) -> NoReturn:
        """Complain and leave with status 2."""
        self.exit(BAD_INPUT, f"{self.prog}: {_one_line(message)}. See {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: as from a shell, without the program's name; None takes them from it.

    Returns:
        The exit status: 0, 2 for bad input (after one line on stderr), 130 when interrupted.
    """
    parser = make_parser()
    try:
        args = parser.parse_args(arguments)
        _quieten()
        use_catalogues(getattr(args, "catalogue", None))
        status = args.run(args)
        sys.stdout.flush()
        return status
    except ExplorerError as error:
        return _complain(str(error))
    except BrokenPipeError:  # the reader of stdout, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        return _complain(f"{error.filename or 'A file'} cannot be read or written: {error.strerror or error}.")
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as leaving:  # from argparse, which has said what it had to
        return leaving.code if isinstance(leaving.code, int) else BAD_INPUT


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = Parser(
        prog="python -m explorer", description="See what each layer of a vision encoder keeps of a picture."
    )
    parser.add_argument("--version", action="version", version=f"Visual Layer Explorer {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    return parser


def add_analyze(commands: Commands) -> None:
    """``analyze``: layer similarity, groups, tokens and a report of pictures."""
    parser = commands.add_parser(
        "analyze",
        help="how the representation of pictures changes over the layers",
        description="Write the similarity of all layers (similarity.csv: token-wise cosine; similarity_pooled.csv, "
        "similarity_cls.csv, similarity_cka.csv; *_stderr.csv over several pictures), groups.json, tokens.parquet and "
        "report.html. Pictures that cannot be used are told on stderr and left out; status 2 if none is left.",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF file")
    parser.add_argument("--encoder", default="mini", metavar="ID", help=_ENCODER_HELP)
    add_catalogue_flag(parser)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write to, made if missing")
    parser.add_argument("--fit", choices=[fit.value for fit in Fit], default=Fit.ENCODER.value, help=_FIT_HELP)
    parser.add_argument("--groups", type=int, default=3, metavar="K", help="how many groups of layers (default 3)")
    parser.add_argument("--features", action="store_true", help="also write all hidden states, float16: large")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, … (default: the fastest here)")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], help="default: the fastest here")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.set_defaults(run=run_analyze)


def run_analyze(args: argparse.Namespace) -> int:
    """Analyse, write, and say what was found."""
    from tqdm import tqdm

    from explorer.services.analyze import analyze

    with tqdm(total=len(args.images), unit="picture", file=sys.stderr, disable=None, leave=False) as bar:

        def progress(done: int, total: int, message: str) -> None:
            bar.set_description_str(message[:40], refresh=False)
            bar.n = done
            bar.refresh()

        found = analyze(
            args.images,
            args.encoder,
            fit=args.fit,
            groups=args.groups,
            out=args.out,
            features=args.features,
            device=args.device,
            dtype=args.dtype,
            on_progress=progress,
        )
    for _, reason in found.skipped:
        _complain(reason)
    print(_as_json(found, args.out) if args.json else _as_text(found, args.out))
    return DONE


def add_encoders(commands: Commands) -> None:
    """``encoders``: what can be used here."""
    parser = commands.add_parser(
        "encoders",
        help="list the encoders known by name",
        description="List the encoders known by name, with size, source, licence and whether they are on this machine. "
        "Any other CLIP, SigLIP, SigLIP 2, DINOv2 or ViT can be given by its hub id or folder.",
    )
    add_catalogue_flag(parser)
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    parser.set_defaults(run=run_encoders)


def run_encoders(args: argparse.Namespace) -> int:
    """Print the list."""
    from explorer.models.catalogue import list_encoders  # light: neither torch nor transformers

    known = list_encoders()
    if args.json:
        print(json.dumps(known, indent=1, ensure_ascii=False))
        return DONE
    head = ("id", "reads", "size", "memory", "on this machine", "licence", "title", "source")
    sizes = [(megabytes(row["size_bytes"]), megabytes(row["memory_bytes"])) for row in known]
    print_columns(
        head,
        [
            (row["id"], row["reads"], *size, ("no", "yes")[row["on_this_machine"]], row["licence"], row["title"], row["source"])
            for row, size in zip(known, sizes, strict=True)
        ],
    )  # fmt: skip
    return DONE


COMMANDS: tuple[Callable[[Commands], None], ...] = (
    add_analyze,
    add_lrs,
    add_ask,
    add_encoders,
    add_scenes,
    add_train,
    add_score,
    add_precompute,
    add_inspect,
    add_import,
    add_export,
    add_checkpoints,
    add_evaluate,
    add_space,
)


def _as_json(found: Analysis, out: Path) -> str:
    from explorer.services.results import as_json

    return json.dumps(
        as_json(found) | {"pictures": list(found.pictures), "out": str(out)}, indent=1, ensure_ascii=False
    )


def _as_text(found: Analysis, out: Path) -> str:
    from explorer.services.results import groups_as_text

    count = len(found.pictures)
    head = f"{count} picture{'s' if count > 1 else ''} through {found.encoder.title}, layers 0–{found.encoder.blocks}"
    return "\n".join([head, *groups_as_text(found), f"report: {out / 'report.html'}"])


def _quieten() -> None:
    """Keep the libraries' own remarks and bars off stderr, which is for ours."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def _complain(message: str) -> int:
    print(_one_line(message), file=sys.stderr)
    return BAD_INPUT


def _one_line(message: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in message).split())
