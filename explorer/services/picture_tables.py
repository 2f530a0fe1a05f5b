"""Pictures in a column of a parquet file, or of a folder that ``datasets.Dataset.save_to_disk`` wrote.

Both are read by pyarrow a few rows at a time; the folder holds Arrow streams and a JSON file that names them, so the
``datasets`` library is not needed. A picture is a cell of bytes, or of a struct with ``bytes`` as that library writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.records import InputError, Picture
from explorer.services.pictures import decode_picture, printable

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 8  # in memory at a time
SPLITS, FILES = "dataset_dict.json", "state.json"  # written by save_to_disk


@dataclass(frozen=True)
class _Part:
    """A row group of a parquet file, or one Arrow file."""

    rows: int
    batches: Callable[[], Iterable[pa.RecordBatch]]


class PictureTable:
    """The pictures of one column, in the order of the rows.

    Attributes:
        left_out: nothing, as of every source.
        identity: what tells this table from another.
    """

    def __init__(self, path: Path, column: str | None = None) -> None:
        """Find the column; ``column`` chooses one of several.

        Raises:
            InputError: the file is damaged, or has no such column.
        """
        import pyarrow as pa

        self.left_out: list[tuple[str, str]] = []
        self._name = printable(path.name)
        try:
            schema, parts, files = _arrow(path) if path.is_dir() else _parquet(path)
            self._column = _image_column(schema, column, self._name)
            self._parts = parts(self._column)
            stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self._name} cannot be read as a table: {_reason(error)}.") from error
        self.identity: list[Any] = [self._column, *stats]

    def __len__(self) -> int:
        """How many rows there are."""
        return sum(part.rows for part in self._parts)

    def entries(self, wanted: Sequence[int]) -> Iterator[tuple[str, partial[Picture]]]:
        """Name and reader of each wanted row, ``wanted`` ascending; damaged parts are refused row by row."""
        import pyarrow as pa

        at, first = 0, 0
        for part in self._parts:
            mine = []
            while at < len(wanted) and wanted[at] < first + part.rows:
                mine.append(wanted[at] - first)
                at += 1
            passed = 0
            try:
                for content in self._cells(part, mine) if mine else ():
                    name = f"{self._name}, row {first + mine[passed]}"
                    passed += 1
                    yield name, partial(_read, content, name)
            except (pa.ArrowException, OSError) as error:
                for row in mine[passed:]:
                    name = f"{self._name}, row {first + row}"
                    yield name, partial(_refuse, f"{name} is in a damaged part of the table: {_reason(error)}.")
            first += part.rows

    def _cells(self, part: _Part, wanted: Sequence[int]) -> Iterator[bytes | None]:
        at, first = 0, 0
        for batch in part.batches():
            cells = batch.column(batch.schema.get_field_index(self._column))
            while at < len(wanted) and wanted[at] < first + len(cells):
                value = cells[wanted[at] - first].as_py()
                yield value.get("bytes") if isinstance(value, dict) else value
                at += 1
            if at == len(wanted):
                return
            first += len(cells)


def is_dataset(folder: Path) -> bool:
    """Whether a folder was written by ``save_to_disk``."""
    return (folder / SPLITS).is_file() or ((folder / FILES).is_file() and (folder / "dataset_info.json").is_file())


def splits(folder: Path) -> list[Path]:
    """The folders of a dataset's splits, or the folder itself where it is one split.

    Raises:
        InputError: the file that names them is damaged.
    """
    if not (folder / SPLITS).is_file():
        return [folder]
    try:
        return [folder / Path(split).name for split in json.loads((folder / SPLITS).read_bytes())["splits"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{printable(str(folder / SPLITS))} cannot be read: {_reason(error)}.") from error


def _parquet(path: Path) -> tuple[pa.Schema, Callable[[str], list[_Part]], list[Path]]:
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(path, buffer_size=1 << 20)

    def parts(column: str) -> list[_Part]:
        return [
            _Part(
                file.metadata.row_group(group).num_rows,
                partial(file.iter_batches, ROWS, row_groups=[group], columns=[column], use_threads=False),
            )
            for group in range(file.num_row_groups)
        ]

    return file.schema_arrow, parts, [path]


def _arrow(folder: Path) -> tuple[pa.Schema, Callable[[str], list[_Part]], list[Path]]:
    import pyarrow as pa

    said = json.loads((folder / FILES).read_bytes())
    files = [folder / Path(each["filename"]).name for each in said["_data_files"]]
    if not files:
        raise ValueError("it has no rows")

    def batches(file: Path) -> Iterator[pa.RecordBatch]:
        with pa.memory_map(str(file)) as mapped, pa.ipc.open_stream(mapped) as stream:
            yield from stream

    def parts(column: str) -> list[_Part]:
        return [_Part(sum(len(batch) for batch in batches(file)), partial(batches, file)) for file in files]

    with pa.memory_map(str(files[0])) as mapped, pa.ipc.open_stream(mapped) as stream:
        return stream.schema, parts, files


def _image_column(schema: pa.Schema, wanted: str | None, name: str) -> str:
    """The column that was asked for, "image" among several, or the only one of bytes."""
    fitting = [field.name for field in schema if _is_bytes(field.type)]
    if wanted is not None and wanted in fitting:
        return wanted
    if wanted is None and (len(fitting) == 1 or "image" in fitting):
        return "image" if "image" in fitting else fitting[0]
    listed = ", ".join(map(printable, fitting)) or "none"
    if wanted is None and fitting:
        raise InputError(f"{name} has several columns that may hold pictures, {listed}: say which by --column.")
    missing = "no column of pictures" if wanted is None else f"no column of pictures called {wanted!r}"
    raise InputError(f"{name} has {missing} (bytes, or a struct with bytes); columns that fit: {listed}.")


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        return any(field.name == "bytes" and _is_bytes(field.type) for field in kind)
    return types.is_binary(kind) or types.is_large_binary(kind)


def _read(content: bytes | None, name: str) -> Picture:
    if content is None:
        raise InputError(f"{name} holds no picture: the cell is empty, or only names a file.")
    return decode_picture(content, name)


def _refuse(reason: str) -> Picture:
    raise InputError(reason)


def _reason(error: Exception) -> str:
    return printable(str(error)).rstrip(". ") or type(error).__name__
