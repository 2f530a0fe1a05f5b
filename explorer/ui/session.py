"""The pictures of the page and of one visitor; what ``gr.State`` keeps of a visitor is small."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from explorer.records import Fit, InputError, Picture
from explorer.services.pictures import read_picture
from explorer.ui.payload import data_url

MOST_OWN = 32
KEPT_PICTURES = 24  # in memory, of all visitors together, at most 12 MiB each
KEPT_THUMBS = 1000
THUMB_PX = 96
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True)
class Source:
    """Where a picture is, what it is called, who made it, and, of a generated scene, its record as JSON."""

    path: Path
    name: str
    credit: str = ""
    scene: str = ""


@dataclass(frozen=True)
class Session:
    """What is kept of a visitor.

    Attributes:
        own: the visitor's pictures.
        current: index of the picture on show, the examples counted first.
        fit: how it is laid on the input, as asked for.
        shown: id of the analysis on the page, "" for none.
        live: whether it was made by the encoder in use.
        question: the one asked last.
        checkpoints: ids of those that answer; () for the usual ones.
    """

    own: tuple[Source, ...] = ()
    current: int = 0
    fit: Fit = Fit.ENCODER
    shown: str = ""
    live: bool = False
    question: str = ""
    checkpoints: tuple[str, ...] = ()

    def having(self, added: list[Source], examples: int) -> Session:
        """With more pictures, the first of them on show.

        Raises:
            InputError: they are too many.
        """
        if len(self.own) + len(added) > MOST_OWN:
            raise InputError(f"At most {MOST_OWN} pictures can be in use at once: remove some first.")
        return replace(self, own=(*self.own, *added), current=examples + len(self.own))


def read_examples(folder: Path) -> tuple[Source, ...]:
    """The example pictures of a folder, those named in its ``examples.json`` first and in that order.

    Args:
        folder: holds pictures and, at will, ``examples.json``: {file: {"title", "credit", "licence", "scene"}}.
    """
    said_file = folder / "examples.json"
    said = json.loads(said_file.read_text(encoding="utf-8")) if said_file.is_file() else {}
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    order = {name: place for place, name in enumerate(said)}
    files.sort(key=lambda path: order.get(path.name, len(order)))
    return tuple(_example(path, said.get(path.name, {})) for path in files)


def _example(path: Path, said: dict[str, Any]) -> Source:
    credit = ", ".join(part for part in (said.get("credit"), said.get("licence")) if part)
    title = said.get("title") or path.stem.replace("_", " ")
    scene = json.dumps(said["scene"]) if "scene" in said else ""
    return Source(path, title, f"Picture: {credit}." if credit else "", scene)


def thumbnail(path: Path) -> str:
    """A small square-fitting copy of an example's file, as a data URL."""
    import numpy as np

    with Image.open(path) as image:
        image.draft("RGB", (2 * THUMB_PX, 2 * THUMB_PX))
        return data_url(np.asarray(image.convert("RGB")), THUMB_PX)


class Shelf:
    """Pictures by their file: read once, the least recently used forgotten; may be used from any thread."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._pictures: OrderedDict[Path, Picture] = OrderedDict()
        self._thumbs: OrderedDict[Path, str] = OrderedDict()

    def picture(self, source: Source) -> Picture:
        """The picture of a source.

        Raises:
            InputError: the file cannot be read, or is no longer kept.
        """
        with self._lock:
            if source.path in self._pictures:
                self._pictures.move_to_end(source.path)
                return self._pictures[source.path]
        if not source.path.is_file():
            raise InputError(f"{source.name} is no longer kept here: add it again.")
        picture = read_picture(source.path, source.name)
        thumb = data_url(picture.pixels, THUMB_PX)
        with self._lock:
            _put(self._pictures, source.path, picture, KEPT_PICTURES)
            _put(self._thumbs, source.path, thumb, KEPT_THUMBS)
        return picture

    def thumb(self, source: Source) -> str:
        """A small copy as a data URL, "" where the file is no longer kept."""
        with self._lock:
            if source.path in self._thumbs:
                self._thumbs.move_to_end(source.path)
                return self._thumbs[source.path]
        try:
            return data_url(self.picture(source).pixels, THUMB_PX)
        except InputError:
            return ""


def _put(kept: OrderedDict[Path, Any], path: Path, value: Any, most: int) -> None:
    kept[path] = value
    kept.move_to_end(path)
    while len(kept) > most:
        kept.popitem(last=False)
