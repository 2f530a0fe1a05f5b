"""Analyse pictures from start to end: what ``python -m explorer analyze`` and ``from explorer import analyze`` do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.records import Exploration, Fit, InputError, Picture, TokenKind
from explorer.services.arguments import as_encoder, as_fit, check_groups, make_folder, none_left
from explorer.services.explore import as_encoder_error, divide, explore_features
from explorer.services.pictures import printable, read_picture
from explorer.services.report_data import MAPPED, SKETCH_BYTES, Details
from explorer.services.report_data import details as details_of
from explorer.services.results import LayerSimilarity, as_html, write_tables

if TYPE_CHECKING:
    import pandas as pd

    from explorer.models.encoders import Features, VisionEncoder

SHOWN = 24  # pictures kept whole, for the report: the rest is in the tables alone
EXPLORABLE = 6  # of them, with the details that the report's interactive part needs


@dataclass(frozen=True)
class Analysis(LayerSimilarity):
    """What was found in one picture or many.

    Attributes:
        pictures: their names, made different where two files share one.
        tokens: one row a picture, layer and token: ``picture``, ``layer``, ``token``, ``kind``; ``row`` and ``col`` of
            a patch (-1 for other tokens); ``norm``; ``change``, 1 - cosine to the same patch one layer before, 0…2
            (NaN in layer 0 and for other tokens); ``pca_1`` and ``pca_2``, places on a map shared by the layers of a
            picture (NaN for other tokens).
        explorations: the first ``SHOWN`` pictures in full.
        details: of the first ``EXPLORABLE`` of them, for the report's interactive part; none if they were not asked for.
    """

    pictures: tuple[str, ...]
    tokens: pd.DataFrame
    explorations: tuple[Exploration, ...]
    details: tuple[Details, ...] = ()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return as_html(self, self.pictures[0] if len(self.pictures) == 1 else f"{len(self.pictures)} pictures")


def analyze(
    images: str | Path | Picture | Iterable[str | Path | Picture],
    encoder: str | VisionEncoder = "mini",
    *,
    fit: str | Fit = Fit.ENCODER,
    groups: int = 3,
    out: str | Path | None = None,
    features: bool = False,
    details: bool | None = None,
    text: str = "",
    device: str | None = None,
    dtype: str | None = None,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Analysis:
    """See how the representation of pictures changes over all layers of an encoder.

    A picture that cannot be used is left out and told in ``skipped``. Memory grows with the table of tokens only
    (about 30 bytes a row), not with the hidden states.

    Args:
        images: a file, a ``Picture``, or several.
        encoder: an id that ``open_encoder`` takes, or an encoder it returned.
        fit: "encoder", "crop", "pad" or "squash".
        groups: into how many groups the layers are divided.
        out: folder for similarity.csv, groups.json, tokens.parquet and report.html; None writes nothing.
        features: also write every token's hidden state, float16, as column ``features`` of tokens.parquet.
        details: whether to compute what makes the report interactive: facts of each layer, maps of the tokens (PCA and
            UMAP), where the CLS token reads; None: where a report is written.
        text: matched with every patch of the pictures that have details; "" for none.
        device: such as "cpu" or "cuda"; None chooses.
        dtype: such as "float32" or "bfloat16"; None chooses.
        on_progress: told (pictures done, pictures in all, what is being done).

    Raises:
        InputError: no picture can be used, ``fit`` or ``groups`` is impossible, or the folder ``out`` cannot be made.
        OSError: a file cannot be written.
        EncoderError: the encoder cannot be had, cannot look at a picture, or reads no ``text``.
    """
    fit = as_fit(fit)
    check_groups(groups)
    if features and out is None:
        raise InputError("Hidden states are written to a file only: name a folder with out.")
    given = [images] if isinstance(images, (str, Path, Picture)) else list(images)
    tell = on_progress or (lambda done, total, message: None)
    skipped: list[tuple[str, str]] = []
    readable = _read(given, skipped)
    first = next(readable, None)  # before the encoder is loaded: what cannot be read is known at once
    if first is None:
        raise InputError(none_left(skipped))
    folder = make_folder(out)
    model = as_encoder(encoder, device, dtype, lambda _, message: tell(0, len(given), message))
    check_groups(groups, model.info)
    with ExitStack() as stack:
        tokens = stack.enter_context(_Tokens(folder, features))
        explorable = min(EXPLORABLE, len(given)) if details or (details is None and folder) else 0
        looked = _Looked(explorable, text)
        _look(looked, model, itertools.chain([first], readable), fit, tokens, skipped, len(given), tell)
        found = Analysis(
            encoder=model.info,
            fit=fit,
            pictures=tuple(looked.pictures),
            skipped=tuple(skipped),
            similarity=(lrs := looked.stream.result()),
            groups=divide(lrs["token"].mean, model.info.blocks, groups),
            tokens=tokens.frame(),
            explorations=tuple(looked.explorations),
            details=tuple(looked.details),
            forward_seconds=looked.forward_seconds,
            analysis_seconds=looked.analysis_seconds,
        )
    if folder:
        _write(found, folder)
    return found


class _Looked:
    """What adds up while the pictures pass."""

    def __init__(self, explorable: int, text: str) -> None:
        from explorer.analysis.similarity import SimilarityStream

        self.explorable, self.text = explorable, text
        self.details: list[Details] = []
        self.to_map = MAPPED
        self.stream = SimilarityStream()
        self.pictures: list[str] = []
        self.explorations: list[Exploration] = []
        self.forward_seconds = self.analysis_seconds = 0.0


def _look(
    looked: _Looked,
    model: VisionEncoder,
    pictures: Iterable[Picture],
    fit: Fit,
    tokens: _Tokens,
    skipped: list[tuple[str, str]],
    total: int,
    tell: Callable[[int, int, str], None],
) -> None:
    for picture in pictures:
        tell(len(looked.pictures) + len(skipped), total, picture.name)
        with as_encoder_error(model):
            features = model.forward([model.view(picture, fit)])
            exploration, matrices = explore_features(picture, features, device=model.info.device)
        name = _another(picture.name, looked.pictures)
        looked.stream.add(matrices)
        tokens.add(name, exploration, features)
        looked.pictures.append(name)
        looked.forward_seconds += exploration.forward_seconds
        looked.analysis_seconds += exploration.analysis_seconds
        if len(looked.explorations) < SHOWN:
            looked.explorations.append(exploration)
        if len(looked.details) < looked.explorable:
            tell(len(looked.pictures) + len(skipped) - 1, total, f"{picture.name}: maps and facts for the report")
            with as_encoder_error(model):
                room_bytes = SKETCH_BYTES // looked.explorable
                one = details_of(model, features, room_bytes, looked.text, looked.to_map)
                looked.to_map -= 0 if one.umap is None else one.umap.shape[0] * one.umap.shape[1]
                looked.details.append(one)
    tell(total, total, "done")


class _Tokens:
    """The table of tokens: kept in memory, and written picture by picture so that hidden states need no memory."""

    def __init__(self, folder: Path | None, features: bool) -> None:
        self._features = features
        self._path = folder / "tokens.parquet" if folder else None
        self._passing = folder / ".tokens.parquet.part" if folder else None
        self._writer: Any = None
        self._frames: list[pd.DataFrame] = []

    def __enter__(self) -> _Tokens:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Put the file in place if all went well, else leave nothing behind."""
        if self._writer and self._path and self._passing:
            self._writer.close()
            if kind is None:
                self._passing.replace(self._path)
            with suppress(OSError):
                self._passing.unlink(missing_ok=True)

    def add(self, name: str, exploration: Exploration, features: Features) -> None:
        """Take in one picture."""
        frame = token_frame(name, exploration, features)
        self._frames.append(frame)
        if self._passing is None:
            return
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        table = pa.Table.from_pandas(frame, preserve_index=False)
        if self._features:
            states = features.states[:, 0].float().cpu().numpy().astype(np.float16)
            column = pa.FixedSizeListArray.from_arrays(pa.array(states.reshape(-1)), states.shape[-1])
            table = table.append_column("features", column)
        if self._writer is None:
            self._writer = ParquetWriter(self._passing, table.schema)
        self._writer.write_table(table)

    def frame(self) -> pd.DataFrame:
        """All pictures, without hidden states."""
        import pandas as pd

        joined = pd.concat(self._frames, ignore_index=True)
        return joined.astype({"picture": "category"})


def token_frame(name: str, exploration: Exploration, features: Features) -> pd.DataFrame:
    """One row a layer and token of one picture, with the columns that ``Analysis.tokens`` describes."""
    import pandas as pd

    from explorer.analysis.projection import pca_coordinates

    layout, (layers, count) = exploration.layout, exploration.norm.shape
    patches = layout.patches
    row, col = np.full(count, -1, np.int16), np.full(count, -1, np.int16)
    row[patches], col[patches] = np.divmod(np.arange(len(patches)), layout.cols)
    change, pca = np.full((layers, count), np.nan, np.float32), np.full((layers, count, 2), np.nan, np.float32)
    for layer in range(1, layers):
        change[layer, patches] = 1 - exploration.change[layer - 1, layer]
    pca[:, patches] = pca_coordinates(features.patches[:, 0])
    kinds = [kind.value for kind in TokenKind]
    codes = np.array([kinds.index(kind.value) for kind in layout.kinds], np.int8)
    return pd.DataFrame({
        "picture": pd.Categorical.from_codes(np.zeros(layers * count, np.int8), categories=[name]),
        "layer": np.repeat(np.arange(layers, dtype=np.int16), count),
        "token": np.tile(np.arange(count, dtype=np.int32), layers),
        "kind": pd.Categorical.from_codes(np.tile(codes, layers), categories=kinds),
        "row": np.tile(row, layers),
        "col": np.tile(col, layers),
        "norm": exploration.norm.reshape(-1),
        "change": change.reshape(-1),
        "pca_1": pca[..., 0].reshape(-1),
        "pca_2": pca[..., 1].reshape(-1),
    })  # fmt: skip


def _write(found: Analysis, folder: Path) -> None:
    from explorer.services.report import report

    write_tables(found, folder)
    (folder / "report.html").write_text(report(found), encoding="utf-8")


def _read(given: Sequence[str | Path | Picture], skipped: list[tuple[str, str]]) -> Iterator[Picture]:
    for image in given:
        if isinstance(image, Picture):
            yield image
            continue
        try:
            yield read_picture(image)
        except InputError as error:
            skipped.append((printable(str(image)), str(error)))


def _another(name: str, taken: Sequence[str]) -> str:
    numbers = itertools.count(2)
    other = name
    while other in taken:
        other = f"{name} ({next(numbers)})"
    return other
