"""LRS over thousands of pictures: what ``python -m explorer lrs`` and ``from explorer import lrs`` do.

The pictures are taken in batches of consecutive entries, so that the batches are the same however the work is divided
over processes or interrupted; the sums of the batches are in double precision and tell nothing of their order.
"""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer import __version__
from explorer.records import Fit, InputError, Picture, View
from explorer.services.arguments import as_encoder, as_fit, check_groups, make_folder, none_left
from explorer.services.collections import Collection, Entry, Unreadable
from explorer.services.explore import as_encoder_error, compare_layers, divide
from explorer.services.processes import Processes
from explorer.services.results import LayerSimilarity, as_html, write_tables
from explorer.store import Absent, Artefact, Store, content_key

if TYPE_CHECKING:
    from explorer.analysis.similarity import SimilarityStream
    from explorer.models.encoders import VisionEncoder

BATCH = 8
THREADS = 2  # that read pictures while the encoder works
SAVE_SECONDS = 60.0
SKIPPED = "skipped.csv"
STATE = ".lrs"  # folder of the states in the folder of results, while a run is not complete
STATE_VERSION = 1  # raise when what a state holds changes


@dataclass(frozen=True)
class LrsResult(LayerSimilarity):
    """How alike the layers are over many pictures.

    Attributes:
        pictures: how many were averaged.
    """

    pictures: int

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return as_html(self, "one picture" if self.pictures == 1 else f"{self.pictures:,} pictures")


def lrs(
    given: str | Path | Picture | Iterable[str | Path | Picture],
    encoder: str | VisionEncoder = "mini",
    *,
    fit: str | Fit = Fit.ENCODER,
    groups: int = 3,
    out: str | Path | None = None,
    sample: int | None = None,
    seed: int = 0,
    batch: int = BATCH,
    column: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> LrsResult:
    """Average the similarity of all layers over any number of pictures, in constant memory.

    With ``out`` the state is saved every minute or so, and the same call continues a run that was interrupted. Where
    RANK and WORLD_SIZE say so, several processes each take a part of the pictures; all return the same result and the
    first writes it.

    Args:
        given: folders, patterns, picture files, zips, parquet files, folders of the ``datasets`` library, ``Picture``s.
        encoder: an id that ``open_encoder`` takes, or an encoder it returned.
        fit: "encoder", "crop", "pad" or "squash".
        groups: into how many groups the layers are divided.
        out: folder for similarity.csv and its like, groups.json, skipped.csv and report.html; None writes nothing.
        sample: so many pictures drawn at random without repetition, all if None.
        seed: of the drawing.
        batch: pictures in one forward.
        column: of tables with several columns of bytes.
        device: such as "cpu" or "cuda"; None chooses, for each process its own GPU.
        dtype: such as "float32" or "bfloat16"; None chooses.
        on_progress: told (pictures of this process done, in all, what is being done).

    Raises:
        InputError: something given does not exist or is damaged as a whole, no picture can be used, or ``fit``,
            ``groups``, ``sample`` or ``batch`` is impossible.
        OSError: a file cannot be written.
        EncoderError: the encoder cannot be had, or cannot look at a picture.
    """
    fit = as_fit(fit)
    check_groups(groups)
    for name, value in (("sample", sample), ("batch", batch)):
        if value is not None and value < 1:
            raise InputError(f"The {name} of {value} pictures is too small: write at least 1.")
    tell = on_progress or (lambda done, total, message: None)
    processes = Processes.from_environment()
    collection = Collection(given, column=column, beside=Path(out) if out is not None else None)
    if not len(collection):
        raise InputError(none_left(collection.left_out) if collection.left_out else "There are no pictures in there.")
    folder = make_folder(out)
    wanted = _draw(len(collection), sample, seed)
    share = processes.share(math.ceil(len(wanted) / batch))  # whole batches
    mine = wanted[share.start * batch : share.stop * batch]
    model = as_encoder(encoder, device or processes.device(), dtype, lambda _, said: tell(0, len(mine), said))
    check_groups(groups, model.info)
    run = content_key(collection.key(), _encoder_key(model), fit.value, sample, seed, batch, processes.count)
    memory = _Memory(folder, f"{run}-{processes.rank}")
    tally = _look(model, fit, collection.entries, mine, batch, memory, tell)
    whole = _merge(processes.gather(_pack(tally.artefact(), run)), run)
    whole.skipped[:0] = collection.left_out
    found = _result(whole, model, fit, groups)
    if folder and processes.rank == 0:
        _write(found, folder)
        shutil.rmtree(folder / STATE, ignore_errors=True)
    return found


@dataclass
class _Tally:
    """What adds up while the pictures pass: it is saved, resumed, and sent between processes."""

    stream: SimilarityStream
    skipped: list[tuple[str, str]] = field(default_factory=list)
    batches: int = 0  # done
    forward_seconds: float = 0.0
    analysis_seconds: float = 0.0

    def artefact(self) -> Artefact:
        meta = {name: value for name, value in vars(self).items() if name != "stream"}
        return Artefact(meta, self.stream.state())

    @classmethod
    def of(cls, artefact: Artefact) -> _Tally:
        from explorer.analysis.similarity import SimilarityStream

        stream = SimilarityStream()
        stream.merge(artefact.arrays)
        meta: dict[str, Any] = artefact.meta | {
            "skipped": [(name, reason) for name, reason in artefact.meta["skipped"]]
        }
        return cls(stream, **meta)


_NOTHING = Artefact({"skipped": []})


class _Memory:
    """The state of one process on disk, so that an interrupted run can go on; without a folder, none."""

    def __init__(self, folder: Path | None, key: str) -> None:
        self._store, self._key = Store(folder / STATE) if folder else None, key

    def load(self) -> _Tally:
        """What an earlier run with the same pictures and settings left, or nothing done."""
        saved = self._store.load("state", self._key, STATE_VERSION) if self._store else _NOTHING
        return _Tally.of(_NOTHING if isinstance(saved, Absent) else saved)

    def save(self, tally: _Tally) -> None:
        if self._store:
            self._store.save("state", self._key, STATE_VERSION, tally.artefact())


def _look(
    model: VisionEncoder,
    fit: Fit,
    entries: Callable[[Sequence[int]], Iterator[Entry]],
    mine: Sequence[int],
    batch: int,
    memory: _Memory,
    tell: Callable[[int, int, str], None],
) -> _Tally:
    """Take in the entries of this process, after those that an earlier run has done."""
    tally = memory.load()
    done, saved = min(tally.batches * batch, len(mine)), time.monotonic()
    with closing(_ahead(entries(mine[done:]), partial(_see, model, fit), 2 * batch)) as results:
        while now := list(islice(results, batch)):
            _take_in(model, [view for view in now if isinstance(view, View)], tally)
            tally.skipped += [(each.name, each.reason) for each in now if isinstance(each, Unreadable)]
            tally.batches += 1
            done += len(now)
            if time.monotonic() - saved >= SAVE_SECONDS:
                memory.save(tally)
                saved = time.monotonic()
            tell(done, len(mine), f"{len(tally.skipped)} unreadable" if tally.skipped else "")
    memory.save(tally)  # other processes may have more to do
    return tally


def _take_in(model: VisionEncoder, views: list[View], tally: _Tally) -> None:
    if not views:
        return
    with as_encoder_error(model):
        features = model.forward(views)
        start = time.perf_counter()
        tally.stream.add(compare_layers(features))
    tally.forward_seconds += features.seconds
    tally.analysis_seconds += time.perf_counter() - start


def _see(model: VisionEncoder, fit: Fit, entry: Entry) -> View | Unreadable:
    name, read = entry
    try:
        return model.view(read(), fit)
    except InputError as error:
        return Unreadable(name, str(error))


def _ahead(
    entries: Iterator[Entry], see: Callable[[Entry], View | Unreadable], count: int
) -> Generator[View | Unreadable, None, None]:
    """What ``see`` makes of the entries, in their order, up to ``count`` of them seen before they are asked for."""
    waiting: deque[Future[View | Unreadable]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for entry in entries:
                waiting.append(pool.submit(see, entry))
                if len(waiting) >= count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _draw(total: int, sample: int | None, seed: int) -> Sequence[int]:
    """Which of the entries are taken, ascending."""
    if sample is None or sample >= total:
        return range(total)
    return np.sort(np.random.default_rng(seed).choice(total, sample, replace=False)).tolist()


def _encoder_key(model: VisionEncoder) -> list[object]:
    """What tells an encoder from another; of a folder also the sizes and times of its files."""
    info, folder = model.info, Path(model.info.id).expanduser()
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return [info.id, info.architecture, info.dtype, info.device.partition(":")[0], __version__, stats]


def _pack(artefact: Artefact, run: str) -> bytes:
    meta = np.frombuffer(json.dumps(artefact.meta | {"run": run}).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **(artefact.arrays | {"meta": meta}))  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def _merge(parts: Sequence[bytes], run: str) -> _Tally:
    """The whole from what ``_pack`` made of its parts."""
    whole = _Tally.of(_NOTHING)
    for part in parts:
        with np.load(io.BytesIO(part), allow_pickle=False) as arrays:
            found = dict(arrays)
        meta = json.loads(found.pop("meta").tobytes())
        if meta.pop("run") != run:
            raise InputError("The processes see different pictures, encoders or settings: give all of them the same.")
        tally = _Tally.of(Artefact(meta, found))
        whole.stream.merge(found)
        whole.skipped += tally.skipped
        whole.batches += tally.batches
        whole.forward_seconds += tally.forward_seconds
        whole.analysis_seconds += tally.analysis_seconds
    return whole


def _result(whole: _Tally, model: VisionEncoder, fit: Fit, groups: int) -> LrsResult:
    similarity = whole.stream.result()
    if not similarity:
        raise InputError(none_left(whole.skipped))
    return LrsResult(
        encoder=model.info,
        fit=fit,
        skipped=tuple(whole.skipped),
        similarity=similarity,
        groups=divide(similarity["token"].mean, model.info.blocks, groups),
        forward_seconds=whole.forward_seconds,
        analysis_seconds=whole.analysis_seconds,
        pictures=similarity["token"].pictures,
    )


def _write(found: LrsResult, folder: Path) -> None:
    from explorer.services.report import report_many

    write_tables(found, folder)
    (folder / "report.html").write_text(report_many(found), encoding="utf-8")
    skipped = folder / SKIPPED
    skipped.unlink(missing_ok=True)  # of an earlier run
    if found.skipped:
        with skipped.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("picture", "reason"), *found.skipped])
