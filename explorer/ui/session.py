"""The pictures of the page and of one visitor; what ``gr.State`` keeps of a visitor is small."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from explorer.records import Fit, InputError, Picture
from explorer.services.archives import Zip, ZipLimits
from explorer.services.pictures import read_picture
from explorer.ui.payload import data_url

MOST_OWN = 300
MOST_ZIP_BYTES = 1 << 30  # unpacked, of one zip
KEPT_PICTURES = 24  # in memory, of all visitors together, at most 12 MiB each
KEPT_THUMBS = 1000
THUMB_PX = 96
Place = tuple[Path, int]  # a file, and the member of a zip
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True)
class Source:
    """Where a picture is, what it is called, who made it, and, of a generated scene, its record as JSON.

    A picture in a zip is its ``member``, counted from 0; -1 is the file itself.
    """

    path: Path
    name: str
    credit: str = ""
    scene: str = ""
    member: int = -1

    @property
    def place(self) -> str:
        """Tells it from every other picture of this machine."""
        return f"{self.path}#{self.member}"


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


def is_zip(path: Path) -> bool:
    """Whether a file is a zip, by its first bytes."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\3\4", b"PK\5\6")


@lru_cache(maxsize=8)
def _zip(path: Path) -> Zip:
    return Zip(path, ZipLimits(entries=MOST_OWN, total_bytes=MOST_ZIP_BYTES))


def unzipped(source: Source) -> tuple[list[Source], list[str]]:
    """The pictures of a zip, not yet opened, and a sentence on what exceeds the limits; nothing is written.

    Raises:
        InputError: the archive is damaged.
    """
    archive = _zip(source.path)
    names = [name for name, _ in archive.entries(range(len(archive)))]
    if not names and not archive.left_out:
        raise InputError(f"{source.name} holds no pictures: zip some and add it again.")
    members = [replace(source, name=name, member=index) for index, name in enumerate(names)]
    return members, [reason for _, reason in archive.left_out]


def _read(source: Source) -> Picture:
    if source.member < 0:
        return read_picture(source.path, source.name)
    _, read = next(_zip(source.path).entries([source.member]))
    return read()


class Shelf:
    """Pictures by their file: read once, the least recently used forgotten; may be used from any thread."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._pictures: OrderedDict[Place, Picture] = OrderedDict()
        self._thumbs: OrderedDict[Place, str] = OrderedDict()

    def picture(self, source: Source) -> Picture:
        """The picture of a source.

        Raises:
            InputError: the file cannot be read, or is no longer kept.
        """
        place = (source.path, source.member)
        with self._lock:
            if place in self._pictures:
                self._pictures.move_to_end(place)
                return self._pictures[place]
        if not source.path.is_file():
            raise InputError(f"{source.name} is no longer kept here: add it again.")
        picture = _read(source)
        thumb = data_url(picture.pixels, THUMB_PX)
        with self._lock:
            _put(self._pictures, place, picture, KEPT_PICTURES)
            _put(self._thumbs, place, thumb, KEPT_THUMBS)
        return picture

    def thumb(self, source: Source) -> str:
        """A small copy as a data URL, "" where the file is no longer kept."""
        place = (source.path, source.member)
        with self._lock:
            if place in self._thumbs:
                self._thumbs.move_to_end(place)
                return self._thumbs[place]
        try:
            return data_url(self.picture(source).pixels, THUMB_PX)
        except InputError:
            return ""


def _put(kept: OrderedDict[Place, Any], place: Place, value: Any, most: int) -> None:
    kept[place] = value
    kept.move_to_end(place)
    while len(kept) > most:
        kept.popitem(last=False)
