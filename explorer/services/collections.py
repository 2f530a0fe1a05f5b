"""Many pictures from folders, patterns, files, zips and tables, in one order and read one at a time."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from explorer.records import InputError, Picture
from explorer.services.archives import Zip, ZipLimits
from explorer.services.picture_tables import PictureTable, is_dataset, splits
from explorer.services.pictures import printable, read_picture

Entry = tuple[str, Callable[[], Picture]]  # its name, and what reads it or raises InputError
Given = str | Path | Picture


class Unreadable(NamedTuple):
    """A picture that cannot be used, and why."""

    name: str
    reason: str


class Source(Protocol):
    """What holds pictures: its ``identity`` tells it from others, ``left_out`` is never read."""

    identity: list[Any]
    left_out: list[tuple[str, str]]

    def __len__(self) -> int:
        """How many entries there are."""
        ...

    def entries(self, wanted: Sequence[int]) -> Iterator[Entry]:
        """The wanted entries, ``wanted`` ascending; each may be read in another thread."""
        ...


class Collection:
    """All pictures of what was given, numbered from 0."""

    def __init__(
        self,
        given: Given | Iterable[Given],
        *,
        limits: ZipLimits | None = None,
        column: str | None = None,
        beside: Path | None = None,
    ) -> None:
        """List the pictures without opening them.

        A folder gives all files in it and below that are not hidden, by name; a pattern all that fits it.

        Args:
            given: a folder, a pattern with ``*``, ``?`` or ``[…]`` (``**``: any depth), a picture file, a zip, a parquet
                file, a folder of the ``datasets`` library, a ``Picture``; or several.
            limits: of each zip.
            column: of tables with several columns of bytes.
            beside: a folder that is passed over, since results are written to it.

        Raises:
            InputError: something does not exist, or is a damaged zip or table.
        """
        self._limits, self._column = limits or ZipLimits(), column
        self._beside = beside.resolve() if beside else None
        self._sources: list[Source] = []
        for each in [given] if isinstance(given, (str, Path, Picture)) else given:
            self._add(each)
        self._ends = [0]
        for source in self._sources:
            self._ends.append(self._ends[-1] + len(source))

    def __len__(self) -> int:
        """How many entries there are, readable or not."""
        return self._ends[-1]

    @property
    def left_out(self) -> list[Unreadable]:
        """What exceeds the limits."""
        return [Unreadable(*each) for source in self._sources for each in source.left_out]

    def key(self) -> str:
        """Hash of what is listed: names, sizes and times of change."""
        digest = hashlib.sha256()
        for source in self._sources:
            for part in source.identity:
                digest.update(json.dumps(part).encode() + b"\n")
            digest.update(b"\n")
        return digest.hexdigest()

    def entries(self, wanted: Sequence[int]) -> Iterator[Entry]:
        """Name and reader of the wanted entries, ``wanted`` ascending."""
        for source, first, stop in zip(self._sources, self._ends, self._ends[1:], strict=False):
            mine = wanted[bisect_left(wanted, first) : bisect_left(wanted, stop)]
            if mine:
                yield from source.entries([index - first for index in mine])

    def _add(self, given: Given) -> None:
        if isinstance(given, Picture):
            self._files().add(given)
            return
        path = Path(given)
        if not os.path.lexists(path) and glob.has_magic(str(given)):
            found = sorted(glob.glob(str(given), recursive=True))
            if not found:
                raise InputError(f"No file fits the pattern {printable(str(given))}: check it.")
            for each in found:
                if not Path(each).is_dir():  # a pattern such as **/* would give a folder and then its files again
                    self._add_file(Path(each))
        elif path.is_dir():
            self._add_folder(path)
        elif path.exists():
            self._add_file(path)
        else:
            raise InputError(f"There is no file or folder {printable(str(given))}: check the path.")

    def _add_folder(self, folder: Path) -> None:
        if is_dataset(folder):
            self._sources += [PictureTable(split, self._column) for split in splits(folder)]
            return
        files = self._files()
        for place, inner, names in os.walk(folder, onerror=files.refuse):
            inner[:] = sorted(each for each in inner if not each.startswith("."))
            if Path(place).resolve() == self._beside:
                inner.clear()
                continue
            for name in sorted(names):
                if not name.startswith("."):
                    files.add(Path(place, name))

    def _add_file(self, path: Path) -> None:
        head = _first_bytes(path)
        if head in (b"PK\3\4", b"PK\5\6"):
            self._sources.append(Zip(path, self._limits))
        elif head == b"PAR1":
            self._sources.append(PictureTable(path, self._column))
        else:
            self._files().add(path)

    def _files(self) -> _Files:
        """The list of files to add to: the last source, or a new one."""
        last = self._sources[-1] if self._sources else None
        if not isinstance(last, _Files):
            self._sources.append(last := _Files())
        return last


class _Files:
    """Picture files, and pictures in memory."""

    def __init__(self) -> None:
        self._given: list[Path | Picture] = []
        self.left_out: list[tuple[str, str]] = []
        self.identity: list[Any] = []

    def __len__(self) -> int:
        return len(self._given)

    def add(self, given: Path | Picture) -> None:
        """Add one at the end."""
        self._given.append(given)
        if isinstance(given, Picture):
            self.identity.append(given.key)
            return
        try:
            stat = given.stat()
            self.identity.append([os.path.abspath(given), stat.st_size, stat.st_mtime_ns])
        except OSError:  # a broken link: told when it is read
            self.identity.append([os.path.abspath(given)])

    def refuse(self, error: OSError) -> None:
        """Tell of a folder that cannot be listed."""
        name = printable(str(error.filename))
        self.left_out.append((name, f"{name} cannot be opened: {error.strerror or error}."))

    def entries(self, wanted: Sequence[int]) -> Iterator[Entry]:
        """Name and reader of each wanted file."""
        for index in wanted:
            given = self._given[index]
            if isinstance(given, Picture):
                yield given.name, partial(_same, given)
            else:
                yield printable(str(given)), partial(read_picture, given)


def read_pictures(
    given: Given | Iterable[Given], *, limits: ZipLimits | None = None, column: str | None = None
) -> Iterator[Picture | Unreadable]:
    """Read one picture after another, each time the next is asked for.

    Args:
        given: as ``Collection`` takes it.
        limits: of each zip.
        column: of tables with several columns of bytes.

    Yields:
        A picture, or the name of one that cannot be used with the reason; first what exceeds the limits.

    Raises:
        InputError: something does not exist, or is a damaged zip or table.
    """
    collection = Collection(given, limits=limits, column=column)
    yield from collection.left_out
    for name, read in collection.entries(range(len(collection))):
        try:
            yield read()
        except InputError as error:
            yield Unreadable(name, str(error))


def _same(picture: Picture) -> Picture:
    return picture


def _first_bytes(path: Path) -> bytes:
    if not path.is_file():  # a pipe would be waited for
        return b""
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError:
        return b""  # told when it is read as a picture
