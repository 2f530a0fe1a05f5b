"""Checkpoints that are not built in: folders, hub ids, served ones, and all that are listed. Loads nothing heavy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.layers import LayerSet
from explorer.models.catalogue import Entry, checkpoint_folders, entries, find_entry
from explorer.models.hub import TRANSFORMERS_FILES, cached_folder
from explorer.models.memory import count_weights
from explorer.records import CheckpointError, CheckpointInfo, ExplorerError, InputError

if TYPE_CHECKING:
    from explorer.models.checkpoint_ids import CheckpointId

LAYERS = {"llava": -2, "llava_next": -2, "vipllava": [-2, -5, -8, -11, 6], "llava_onevision": -1}  # unless config says
BLOCKS = {"llava": 24, "llava_next": 24, "vipllava": 24, "llava_onevision": 26}  # of the tower where config names none
TOWER_BLOCKS = 12  # of CLIP and SigLIP where their config does not say
SERVED = "openai:"


def describe_served(id: str) -> CheckpointInfo:
    """A served checkpoint, as the catalogue has it or by its address; it is not asked."""
    entry = find_entry("checkpoints", id)
    address, _, model = id.removeprefix(SERVED).partition("#")
    if entry:
        reads = _reads(entry.layers, entry.blocks, entry.reads)
        return CheckpointInfo(
            id, entry.title, entry.layers, entry.blocks, reads, False, entry.encoder, None, entry.licence, entry.source,
            True, entry.knows,
        )  # fmt: skip
    return CheckpointInfo(id, model or id, (), 0, "served", False, "", None, "", address, True, "")


def describe_other(id: str, asked: CheckpointId) -> CheckpointInfo:
    """A folder or a hub id; what its config.json says goes before what the catalogue says.

    Raises:
        CheckpointError: it is no checkpoint, or names a layer that does not exist.
    """
    path = Path(asked.name).expanduser()
    is_folder = path.is_dir()
    entry = find_entry("checkpoints", asked.name) or Entry(
        id=asked.name,
        title=path.name if is_folder else asked.name,
        licence="",
        source=str(path) if is_folder else "Hugging Face hub",
    )
    folder = path if is_folder else cached_folder(entry.repository or asked.name, TRANSFORMERS_FILES, entry.revision)
    layers, blocks = layers_of(asked.name, _config(folder)) if folder else (entry.layers, entry.blocks)
    return CheckpointInfo(
        id=id,
        title=entry.title + (f" in {asked.bits} bits" if asked.bits else ""),
        layers=layers or entry.layers,
        blocks=blocks or entry.blocks,
        reads=_reads(layers or entry.layers, blocks or entry.blocks, entry.reads),
        choosable=False,
        encoder=entry.encoder,
        size_bytes=_bytes(folder) if folder else entry.size_bytes,
        licence=entry.licence,
        source=entry.source,
        on_this_machine=folder is not None and bool(TRANSFORMERS_FILES.weight_files(p.name for p in folder.iterdir())),
        knows=entry.knows,
        memory_bytes=_memory(folder) if folder else entry.memory_bytes,
        revision="" if is_folder else entry.revision,
    )


def layers_of(name: str, config: dict[str, Any]) -> tuple[tuple[int, ...], int]:
    """The true layers that a config.json names and the blocks of its tower; () and 0 where it does not say.

    Raises:
        CheckpointError: the tower has no such layer.
    """
    kind = str(config.get("model_type") or "")
    given = config.get("vision_feature_layer", config.get("vision_feature_layers"))
    given = LAYERS.get(kind) if given is None else given
    tower = config.get("vision_config")
    blocks = tower.get("num_hidden_layers", TOWER_BLOCKS) if isinstance(tower, dict) else BLOCKS.get(kind, 0)
    if given is None or not isinstance(blocks, int):
        return (), 0
    try:
        return LayerSet.of(given, blocks).layers, blocks
    except (InputError, TypeError) as problem:
        raise CheckpointError(f"config.json of {name} names an impossible layer. {problem}") from None


def list_others() -> list[CheckpointInfo]:
    """Checkpoints in the folders that are looked into, then those of the catalogues; folders that are none are left out."""
    from explorer.models.checkpoint_ids import describe

    found: dict[str, CheckpointInfo] = {}
    for folder in checkpoint_folders():
        for path in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
            try:
                if is_checkpoint(path):
                    found[str(path)] = describe(str(path))
            except ExplorerError:
                continue
    for entry in entries("checkpoints"):
        try:
            info = describe(entry.id)
        except ExplorerError as problem:  # a folder that the catalogue names and that is gone: said, not hidden
            info = CheckpointInfo(entry.id, entry.title, (), 0, "", False, "", None, entry.licence, str(problem), False)
        found[entry.id] = replace(info, id=entry.id)
    return list(found.values())


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder is a checkpoint of the mini family, or one that reads pictures and texts."""
    if (folder / "checkpoint.json").is_file():
        return True
    try:
        config = _config(folder)
    except CheckpointError:
        return False
    return config.get("model_type") in LAYERS or all(
        isinstance(config.get(f"{kind}_config"), dict) for kind in ("vision", "text")
    )


def _reads(layers: tuple[int, ...], blocks: int, said: str) -> str:
    return LayerSet(layers, blocks).title() if layers else said or "its own layers"


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def _memory(folder: Path) -> int | None:
    try:
        return 2 * count_weights(folder) or None
    except CheckpointError:
        return None


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise CheckpointError(
            f"{folder} holds no config.json that can be read, so it is no checkpoint: give the folder that it lies in."
        ) from None
    return config if isinstance(config, dict) else {}
