"""What can answer, by its id, told from files alone: neither torch nor transformers is loaded here.

An id is a built-in name ("mini-l18"), a folder, a hub id, or a served model ("openai:BASE_URL#MODEL"). "@3+18" behind
the name chooses layers where they can be chosen; "#swap=18" makes a checkpoint read layers it was not trained on;
"#bits=4" loads its weights in 4 bits, "#bits=8" in 8.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from explorer.layers import PAPER_FUSION, LayerSet
from explorer.models.catalogue import MINI
from explorer.models.checkpoint_folders import SERVED, describe_other, describe_served, list_others
from explorer.records import CheckpointError, CheckpointInfo, InputError

FACTS = "checkpoint.json"
WEIGHTS = "language.safetensors"
BUILT_IN = MINI.parent
KNOWS = "Trained on generated scenes alone: it knows their things and words, one question at a time."
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class CheckpointId:
    """An id taken apart.

    Attributes:
        name: the checkpoint.
        chosen: layers to choose, "" if not said.
        swap: layers to read without training, "" if not said.
        bits: 4 or 8 for weights in so many bits, 0 if not said.
    """

    name: str
    chosen: str = ""
    swap: str = ""
    bits: int = 0

    @classmethod
    def parse(cls, id: str) -> CheckpointId:
        """Take an id apart; what is no choice of layers is part of the name."""
        if id.startswith(SERVED):
            return cls(id)
        found = re.fullmatch(r"(.+?)(?:@([\d,+-]+))?(?:#swap=([\d,+-]+))?(?:#bits=(\d{1,2}))?", id, re.DOTALL)
        if not found:
            return cls(id)
        name, chosen, swap, bits = (part or "" for part in found.groups())
        return cls(name, chosen, swap, int(bits or 0))


def find_mini(name: str, root: Path = BUILT_IN) -> Path | None:
    """The folder of a checkpoint of the mini family, by its folder or its name among the built-in ones."""
    places = (root / name, Path(name)) if re.fullmatch(r"[\w.-]+", name) else (Path(name),)
    try:
        return next((folder for folder in places if (folder / FACTS).is_file()), None)
    except (OSError, ValueError):  # no path at all, such as 10,000 letters
        return None


def list_ids(root: Path = BUILT_IN) -> list[str]:
    """Names of the built-in checkpoints: single layers first, then fusions, then those whose layers can be chosen."""

    def order(name: str) -> tuple[int, tuple[int, ...], str]:
        facts = _facts(root / name)
        layers = tuple(facts["layers"])
        return (2 if facts["choosable"] else 1 if len(layers) > 1 else 0), layers, name

    names = [file.parent.name for file in root.glob(f"*/{FACTS}")]
    return sorted((name for name in names if _usable(root / name)), key=order)


def list_checkpoints(root: Path = BUILT_IN) -> list[CheckpointInfo]:
    """All that are known: built in, in the folders that are looked into, in the catalogues; not all are here."""
    return [*(describe(name, root) for name in list_ids(root)), *list_others()]


def describe(id: str, root: Path = BUILT_IN) -> CheckpointInfo:
    """What is known of a checkpoint before it is loaded.

    Raises:
        CheckpointError: there is no such checkpoint, or it cannot read the layers that the id names.
    """
    asked = CheckpointId.parse(id)
    if id.startswith(SERVED):
        return describe_served(id)
    folder = find_mini(asked.name, root)
    if folder and asked.bits:
        raise CheckpointError(f"{asked.name} is small and always read whole: leave out #bits={asked.bits}.")
    return _describe_mini(id, asked, folder) if folder else _describe_other(id, asked, root)


def _describe_mini(id: str, asked: CheckpointId, folder: Path) -> CheckpointInfo:
    facts = _facts(folder)
    known, encoder = tuple(facts["layers"]), str(facts["encoder"])
    home = MINI if encoder == "mini" else Path(encoder)
    blocks = _vision_blocks(home) or max(known)
    usual = known if not facts["choosable"] else tuple(layer for layer in PAPER_FUSION if layer in known) or known[:1]
    layers = _layers(asked.chosen, blocks) if asked.chosen else usual
    if asked.chosen and (not facts["choosable"] or set(layers) - set(known)):
        raise CheckpointError(
            f"{asked.name} cannot read layers {asked.chosen}: it knows {', '.join(map(str, known))}"
            + ("." if facts["choosable"] else ", all of them always.")
        )
    layers, swapped = _swap(asked, layers, blocks)
    whole = LayerSet(layers, blocks).title()
    reads = "any layers" if facts["choosable"] and not asked.chosen and not swapped else whole
    return CheckpointInfo(
        id=id,
        title=folder.name + (f" reading {whole}" if asked.chosen or swapped else ""),
        layers=layers,
        blocks=blocks,
        reads=reads + (" · untrained swap" if swapped else ""),
        choosable=bool(facts["choosable"]),
        encoder=encoder,
        size_bytes=sum(part.stat().st_size for part in folder.iterdir() if part.is_file()),
        memory_bytes=_mini_memory(folder, home),
        licence=str(facts.get("licence", "")),
        source="built in" if folder.parent == BUILT_IN else str(folder),
        on_this_machine=(home / "model.safetensors").is_file() and (folder / WEIGHTS).is_file(),
        knows=KNOWS,
        untrained_swap=swapped,
    )


def _describe_other(id: str, asked: CheckpointId, root: Path) -> CheckpointInfo:
    if asked.chosen:
        raise CheckpointError(f"{asked.name} is no checkpoint whose layers can be chosen: write {asked.name} alone.")
    try:
        is_folder = Path(asked.name).expanduser().is_dir()
    except (OSError, ValueError, RuntimeError):
        is_folder = False
    if not is_folder and (asked.name.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(asked.name)):
        known = ", ".join(list_ids(root)) or "none"
        raise CheckpointError(
            f"There is no checkpoint {asked.name[:120]!r} here: built in are {known}; or give a folder or a hub id."
        )
    found = describe_other(id, asked)
    if not asked.swap:
        return found
    if not found.layers:
        raise CheckpointError(f"{asked.name} does not say which layers it reads, so none can be swapped.")
    layers, swapped = _swap(asked, found.layers, found.blocks)
    if not swapped:
        return found
    reads = LayerSet(layers, found.blocks).title() + " · untrained swap"
    return replace(found, title=f"{found.title} (untrained swap)", layers=layers, reads=reads, untrained_swap=True)


def _swap(asked: CheckpointId, layers: tuple[int, ...], blocks: int) -> tuple[tuple[int, ...], bool]:
    if not asked.swap:
        return layers, False
    swapped = _layers(asked.swap, blocks)
    if len(swapped) != len(layers):
        raise CheckpointError(
            f"{asked.name} reads {len(layers)} layer{'s' if len(layers) > 1 else ''}: swap them for as many, not for {asked.swap}."
        )
    return swapped, swapped != layers


def _layers(text: str, blocks: int) -> tuple[int, ...]:
    try:
        return LayerSet.parse(text, blocks).layers
    except InputError as problem:
        raise CheckpointError(str(problem)) from None


def _usable(folder: Path) -> bool:
    try:
        _facts(folder)
    except CheckpointError:
        return False
    return True


def _facts(folder: Path) -> dict[str, Any]:
    try:
        facts = json.loads((folder / FACTS).read_text("utf-8"))
        if not facts["layers"] or not all(isinstance(layer, int) for layer in facts["layers"]):
            raise ValueError("its layers are no numbers")
        if missing := {"choosable", "encoder"} - set(facts):
            raise ValueError(f"it does not say {' and '.join(sorted(missing))}")
        return facts
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / FACTS} cannot be read: {error}.") from None


def _mini_memory(folder: Path, home: Path) -> int | None:
    """In 16-bit numbers, as they are stored; with the encoder, which checkpoints share."""
    files = [path for path in (folder / WEIGHTS, home / "model.safetensors") if path.is_file()]
    return sum(path.stat().st_size for path in files) if len(files) == 2 else None


def _vision_blocks(folder: Path) -> int | None:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        return int((config.get("vision_config") or config)["num_hidden_layers"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
