"""Pictures in a zip, read in memory one at a time: nothing is ever written, so no name can lead out of a folder.

What is refused, and why: entries and bytes beyond ``ZipLimits``, which are told in one line each; zips inside zips,
whose true size no header tells; and methods other than deflate, whose decoders here do not stop at a limit.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from explorer.records import InputError, Picture
from explorer.services.pictures import decode_picture, printable

DIRECTORY_BYTES = 1 << 24  # of the list of entries, which is read at once: about 150,000 entries


@dataclass(frozen=True)
class ZipLimits:
    """How much of a zip is read.

    Attributes:
        entries: files in it, those beyond are left out.
        total_bytes: unpacked, all together; what comes after is left out.
        picture_bytes: unpacked, of one picture.
    """

    entries: int = 100_000
    total_bytes: int = 1 << 36
    picture_bytes: int = 1 << 26


class Zip:
    """The pictures of a zip; folders and hidden files in it are passed over.

    Attributes:
        left_out: (name, reason) of what exceeds the limits.
        identity: what tells this archive from another.
    """

    def __init__(self, path: Path, limits: ZipLimits) -> None:
        """Read the list of entries.

        Raises:
            InputError: the archive is damaged, or its list of entries is too long.
        """
        self._name, self._limits = printable(path.name), limits
        try:
            _check_directory(path, self._name)
            self._archive = zipfile.ZipFile(path)
        except InputError:
            raise
        except Exception as error:  # as in a picture, damage makes the decoder trip over whatever comes
            raise InputError(f"{self._name} is a damaged zip: {printable(str(error))}. Take another copy.") from error
        found = [info for info in self._archive.infolist() if not info.is_dir() and not _is_hidden(info.filename)]
        self.left_out: list[tuple[str, str]] = []
        self._infos = self._within_limits(found)
        stat = path.stat()
        self.identity = [str(path.resolve()), stat.st_size, stat.st_mtime_ns, len(self._infos)]

    def __len__(self) -> int:
        """How many entries are read."""
        return len(self._infos)

    def entries(self, wanted: Sequence[int]) -> Iterator[tuple[str, partial[Picture]]]:
        """Name and reader of each wanted entry; the readers may be called in several threads."""
        for index in wanted:
            info = self._infos[index]
            name = printable(f"{self._name}/{info.filename}")
            yield name, partial(self._read, info, name)

    def _within_limits(self, found: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
        kept, limits, total = found[: self._limits.entries], self._limits, 0
        if len(found) > limits.entries:
            self._leave_out(f"{len(found):,} files, and the first {limits.entries:,} are read", len(found) - len(kept))
        for number, info in enumerate(kept):
            total += info.file_size
            if total > limits.total_bytes:
                said = f"more than {_size(limits.total_bytes)} when unpacked, and no more is read"
                self._leave_out(said, len(kept) - number)
                return kept[:number]
        return kept

    def _leave_out(self, holds: str, count: int) -> None:
        reason = f"{self._name} holds {holds}: {count:,} were left out. Divide it into several zips."
        self.left_out.append((self._name, reason))

    def _read(self, info: zipfile.ZipInfo, name: str) -> Picture:
        limit = self._limits.picture_bytes
        if info.filename.lower().endswith(".zip"):
            raise InputError(_nested(name))
        if info.flag_bits & 1:
            raise InputError(f"{name} is locked with a password: zip the pictures without one.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"{name} is packed by a method that is not read here: zip the pictures with deflate.")
        if info.file_size > limit:
            raise InputError(f"{name} is {_size(info.file_size)} when unpacked, and the limit is {_size(limit)}.")
        try:
            with self._archive.open(info) as file:
                content = file.read()  # ends at file_size, whatever the packed data would unpack to
        except Exception as error:
            raise InputError(f"{name} is damaged inside its zip: {printable(str(error))}. Zip it again.") from error
        if content.startswith(b"PK\3\4"):
            raise InputError(_nested(name))
        return decode_picture(content, name)


def _nested(name: str) -> str:
    return f"{name} is a zip inside a zip, which is not opened: unpack it and give the pictures in it."


def _is_hidden(name: str) -> bool:
    """Whether a file is the system's own: .DS_Store, __MACOSX/…; ``..`` hides nothing."""
    parts = PurePosixPath(name).parts
    return parts[0] == "__MACOSX" or any(part.startswith(".") and part != ".." for part in parts)


def _check_directory(path: Path, name: str) -> None:
    """Refuse a list of entries that would fill the memory before a single one is read."""
    with path.open("rb") as file:
        end = zipfile._EndRecData(file)  # pyright: ignore[reportAttributeAccessIssue]  # what ZipFile itself goes by
    length = end[5] if end else 0
    if length > DIRECTORY_BYTES:
        raise InputError(
            f"{name} holds too many entries: the list of them alone is {_size(length)}, and the limit is "
            f"{_size(DIRECTORY_BYTES)}. Divide it into several zips."
        )


def _size(count: int) -> str:
    return f"{count / 2**30:.3g} GiB" if count >= 2**30 else f"{count / 2**20:.3g} MiB"
