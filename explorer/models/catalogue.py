"""The encoders known by name, and whether they are on this machine. Loads neither torch nor transformers."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from explorer.models.hub import TRANSFORMERS_FILES, FileChoice, cached_folder

CATALOGUE = Path(__file__).resolve().parents[1] / "catalogue.toml"
MINI = Path(__file__).resolve().parents[2] / "assets" / "models" / "mini"
OPEN_CLIP = "open_clip:"
OPEN_CLIP_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)


def open_clip_files(names: tuple[str, ...] = OPEN_CLIP_WEIGHTS) -> FileChoice:
    """Which file of a hub repository open_clip reads: the first of ``names`` that is there."""
    return FileChoice(weights=tuple(name.replace(".", r"\.") for name in names), extras=(), probe=names)


def list_encoders() -> list[dict[str, Any]]:
    """The catalogue's encoders, the built-in one first.

    Returns:
        For each: ``id``, ``title``, ``size_bytes`` of the download (None if unknown), ``licence``, ``source``, and
        ``on_this_machine``. Nothing is asked from the network.
    """
    return [_row(entry) for entry in tomllib.loads(CATALOGUE.read_text("utf-8"))["encoders"]]


def title_of(id: str) -> str | None:
    """The catalogue's title of an encoder, None if it is not in the catalogue."""
    return next(
        (row["title"] for row in tomllib.loads(CATALOGUE.read_text("utf-8"))["encoders"] if row["id"] == id), None
    )


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    id = entry["id"]
    if id == "mini":
        size = sum(file.stat().st_size for file in MINI.iterdir() if file.is_file()) if MINI.is_dir() else None
        here = MINI.is_dir() and TRANSFORMERS_FILES.is_complete(MINI)
    else:
        size = entry["size_mb"] * 1_000_000 if "size_mb" in entry else None
        choice = open_clip_files() if id.startswith(OPEN_CLIP) else TRANSFORMERS_FILES
        here = cached_folder(entry["repository"], choice) is not None
    return {
        "id": id,
        "title": entry["title"],
        "size_bytes": size,
        "licence": entry["licence"],
        "source": entry["source"],
        "on_this_machine": here,
    }
