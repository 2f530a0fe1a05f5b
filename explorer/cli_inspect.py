"""Commands for other people's checkpoints: what they read, and how to bring them into the standard format."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.cli_checkpoints import add_catalogue_flag

if TYPE_CHECKING:
    from explorer.models.inspect_checkpoint import Reading


def add_inspect(commands: Any) -> None:
    """``inspect``: what a checkpoint really reads."""
    parser = commands.add_parser(
        "inspect",
        help="what a checkpoint really reads of its vision tower",
        description="Resolve the layers that a LLaVA, LLaVA-NeXT, LLaVA-OneVision, ViP-LLaVA or Granite Vision names, and "
        "check them: one random picture goes the checkpoint's own way, and what enters the projector is compared with "
        "what every block of its vision tower returns.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a folder, a hub id or a built-in checkpoint")
    parser.add_argument(
        "--config-only", action="store_true", help="read config.json, not the weights; nothing is checked"
    )
    add_catalogue_flag(parser)
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.set_defaults(run=run_inspect)


def run_inspect(args: argparse.Namespace) -> int:
    """Inspect and print."""
    from explorer.models.inspect_checkpoint import inspect_checkpoint

    found = inspect_checkpoint(args.checkpoint, config_only=args.config_only)
    print(json.dumps(dataclasses.asdict(found), indent=1, ensure_ascii=False) if args.json else _as_text(found))
    return 0


def add_import(commands: Any) -> None:
    """``import``: from LLaVA's training format to the standard one."""
    parser = commands.add_parser(
        "import",
        help="turn what LLaVA's training code writes into a standard folder",
        description="Turn a folder as LLaVA 1.5's training code or the paper's writes it (a Llama, an mm_projector, the "
        "name of a CLIP) into one that transformers, and this program, load by themselves.",
    )
    parser.add_argument("source", metavar="SOURCE", type=Path, help="folder with config.json, weights and tokenizer")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write, new or empty")
    parser.add_argument(
        "--vision-tower", metavar="FOLDER", help="the CLIP it was trained on (default: mm_vision_tower in config.json)"
    )
    parser.add_argument(
        "--layers", metavar="SET", help="what it reads, 3,18,23 say (default: mm_vision_select_layer in config.json)"
    )
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.set_defaults(run=run_import)


def run_import(args: argparse.Namespace) -> int:
    """Import, and say what was done."""
    from explorer.models.import_llava import import_llava

    done = import_llava(args.source, args.out, vision_tower=args.vision_tower, layers=args.layers)
    if args.json:
        print(json.dumps(dataclasses.asdict(done) | {"folder": str(done.folder)}, indent=1, ensure_ascii=False))
        return 0
    print(
        f"{done.folder}: {done.layers.title()} of {done.tower}, {done.projector} projector, {_count(done.parameters)}"
    )
    print("\n".join(done.notes))
    return 0


def _as_text(found: Reading) -> str:
    layers = ", ".join(map(str, found.layers.layers))
    given = found.given if isinstance(found.given, int) else ", ".join(map(str, found.given))
    tower = f"{found.tower}, {found.layers.blocks} blocks of width {found.width}, {_count(found.parameters)}"
    rows = [
        ("checkpoint", f"{found.id} ({found.architecture})"),
        ("vision tower", tower),
        ("layers read", f"{layers} (config.json says {given}), {found.drops} dropped"),
        ("final norm", _norm(found)),
        ("picture", _picture(found)),
        ("projector", f"{found.projector}, {found.projector_in} → {found.projector_out}"),
        ("never used", f"{_count(found.unused_parameters)} of the vision tower"),
        ("checked", _checked(found)),
    ]
    return "\n".join([*(f"{name:<14}{value}" for name, value in rows), *found.notes])


def _norm(found: Reading) -> str:
    if not found.final_norm:
        return "the tower has none"
    said = {
        None: "not checked whether it is applied",
        True: "applied to what is read",
        False: "not applied to what is read",
    }
    return f"{found.final_norm}, {said[found.final_norm_applied]}"


def _picture(found: Reading) -> str:
    tile = f"{found.image_px} × {found.image_px} px, {found.tokens_per_tile} tokens"
    if found.tiles_most == 1:
        return f"{tile}{', ' + found.fit if found.fit else ''}"
    return f"tiled by the best of {len(found.grids)} grids, at most {found.tiles_most} tiles of {tile} each"


def _checked(found: Reading) -> str:
    check = found.check
    if check is None:
        return "no, only the config was read"
    size = "{} × {} px".format(*check.picture_px)
    way = f"a random picture of {size} became {check.tiles} tile{'s' * (check.tiles > 1)} and {check.tokens} tokens"
    said = (
        "what enters the projector is these layers" if check.agrees else "WHAT ENTERS THE PROJECTOR IS NOT THESE LAYERS"
    )
    return f"{way}; {said}: they differ by {check.difference:.1e} at most, the nearest other layer by {check.nearest_other:.1e}"


def _count(parameters: int) -> str:
    return f"{parameters / 1e6:,.1f} M weights" if parameters >= 1e5 else f"{parameters:,} weights"
