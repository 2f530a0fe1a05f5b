"""What the interactive part of a report draws from: small arrays as base64 in one block of JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.records import EncoderError, Exploration
from explorer.services.drawing import CIVIDIS

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.models.encoders import Features, VisionEncoder

SKETCH_BYTES = 2 << 20  # of all pictures of a report together: likeness of all pairs would be L·P²/2 bytes of each
ITERATIONS = 2  # of the search for the directions
MAPPED = 36_000  # tokens that UMAP lays out for a report; what exceeds this has no such map
LEVELS = 254  # codes 0…254 stand for cosines from -1 to 1
# What the interactive part can show, in the order of its list; the script says how.
VIEWS = {
    "pca": "Colours, one basis for all layers",
    "each": "Colours, one basis per layer",
    "similar": "Similar to a patch",
    "change": "Change between layers",
    "text": "Match with a text",
    "attention": "CLS attention",
    "norm": "Token norm",
}


@dataclass(frozen=True)
class Table:
    """Numbers that a visitor had on the page: every cell is text of somebody else's."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Laid:
    """A map of the tokens of some layers of one picture, laid out together.

    Attributes:
        name: of the method, for people.
        layers: M of them.
        places: float32 [M, P, 2], no unit.
    """

    name: str
    layers: tuple[int, ...]
    places: np.ndarray


@dataclass(frozen=True)
class Opened:
    """What a report begins with; None or "" where it chooses.

    Attributes:
        layer, compared, patch: the layer on show, the one it is compared with, the chosen patch.
        mode: one of ``VIEWS``.
        head: of the CLS token's attention, from 0; None is the mean of all.
        tables: answers and X-ray of the page.
        maps: more maps of the tokens of the first picture.
    """

    layer: int | None = None
    compared: int | None = None
    patch: int | None = None
    mode: str = ""
    head: int | None = None
    tables: tuple[Table, ...] = ()
    maps: tuple[Laid, ...] = ()

    def of(self, found: Details) -> Opened:
        """Without what a picture does not have."""
        layers, patches = found.places.shape[:2]
        lacks = {"attention": found.attention is None, "text": found.match is None}
        heads = 0 if found.attention is None else found.attention.shape[1]
        return replace(
            self,
            layer=self.layer if self.layer is not None and self.layer < layers else None,
            compared=self.compared if self.compared is not None and self.compared < layers else None,
            patch=self.patch if self.patch is not None and self.patch < patches else None,
            mode="" if self.mode not in VIEWS or lacks.get(self.mode) else self.mode,
            head=self.head if self.head is not None and self.head < heads else None,
            maps=tuple(one for one in self.maps if one.places.shape[1] == patches),  # not those of every second patch
        )


@dataclass(frozen=True)
class Sketch:
    """Short vectors whose inner products are nearly the cosines of the patches.

    Attributes:
        codes: int8 [L, P, K], coordinates along K directions of each layer, times ``scale``.
        scale: float32 [L, K].
        held: the share of the unit vectors' squared length that the directions hold, 0…1, in the layer with the least.
        off: the largest error of any cosine of two patches, over all pairs and layers.
    """

    codes: np.ndarray
    scale: np.ndarray
    held: float
    off: float


@dataclass(frozen=True)
class Details:
    """What a report shows of a picture beyond its ``Exploration``.

    Attributes:
        places: float32 [L, P, 2], first two principal components in one basis shared by the layers.
        umap: float32 [L, P, 2], all layers laid out together by UMAP; None where that would be too many tokens.
        attention: float32 [blocks, heads, P], the CLS token's attention to each patch; None without CLS.
        sketch: for the cosine of any patch with any other.
        rank, anisotropy: float64 [L].
        locality: float64 [L, R], mean cosine of patches 1…R apart.
        place: float64 [L, 2], R² of row and column.
        text, match: a text, and float32 [L, P], its cosine with each patch; "" and None where none was asked for.
    """

    places: np.ndarray
    umap: np.ndarray | None
    attention: np.ndarray | None
    sketch: Sketch
    rank: np.ndarray
    anisotropy: np.ndarray
    locality: np.ndarray
    place: np.ndarray
    text: str = ""
    match: np.ndarray | None = None


def details(
    model: VisionEncoder, features: Features, room_bytes: int = SKETCH_BYTES, text: str = "", mapped: int = MAPPED
) -> Details:
    """Compute them from the features of one picture.

    Args:
        model: that made the features.
        features: of the picture.
        room_bytes: how large the sketch of likeness may be.
        text: to be matched with every patch, or "".
        mapped: how many tokens UMAP may lay out.

    Raises:
        EncoderError: the encoder reads no text, but there is one.
    """
    from explorer.analysis.embedding import umap_coordinates
    from explorer.analysis.facts import anisotropy, effective_rank, locality, place_readability
    from explorer.analysis.projection import pca_coordinates

    layout = features.layout
    patches = features.patches.float()  # [L, 1, P, D]
    states = patches[:, 0]
    try:
        attention = model.cls_attention(features)[:, 0].float().cpu().numpy()
    except EncoderError:
        attention = None
    places = pca_coordinates(states)
    return Details(
        places=places,
        umap=umap_coordinates(states, places) if states.shape[0] * states.shape[1] <= mapped else None,
        attention=attention,
        sketch=sketch(states, room_bytes),
        rank=effective_rank(states),
        anisotropy=anisotropy(states),
        locality=locality(states, layout.rows, layout.cols)[1],
        place=place_readability(patches, layout.rows, layout.cols),
        text=text,
        match=model.text_match(features, text)[:, 0].float().cpu().numpy() if text else None,
    )


def sketch(states: Tensor, room_bytes: int) -> Sketch:
    """The main directions of each layer's patches of length 1, as many as there is room for.

    By subspace iteration from a fixed start, as in ``analysis.projection``, but without taking the mean away: the
    inner products are to stay.

    Args:
        states: float [L, P, D], the patches of one picture, any device and float dtype.
        room_bytes: of the codes; one direction is kept in any case.
    """
    import torch

    unit = torch.nn.functional.normalize(states.float(), dim=-1)
    layers, patches, width = unit.shape
    count = max(1, min(patches, width, room_bytes // (layers * patches)))
    basis = torch.randn(width, count, generator=torch.Generator().manual_seed(0)).to(unit.device)[None]
    for _ in range(ITERATIONS):
        basis = torch.linalg.qr(unit.mT @ (unit @ basis)).Q
    short = unit @ basis  # [L, P, K]
    scale = short.abs().amax(1, keepdim=True) / 127
    codes = (short / scale.masked_fill(scale == 0, 1)).round()
    kept = codes * scale
    off = max(float((a @ a.mT - b @ b.mT).fill_diagonal_(0).abs().max()) for a, b in zip(kept, unit, strict=True))
    held = (short.square().sum((1, 2)) / unit.square().sum((1, 2)).clamp_min(1e-30)).min()
    return Sketch(codes.to("cpu", torch.int8).numpy(), scale[:, 0].cpu().numpy(), float(held), off)


def data_block(explorations: Sequence[Exploration], found: Sequence[Details], opened: Opened) -> str:
    """The JSON of all pictures that have details, safe inside a ``script`` element."""
    looks = [
        _look(seen, one, () if number else opened.maps)
        for number, (seen, one) in enumerate(zip(explorations, found, strict=False))
    ]
    colours = [[int(channel) for channel in stop] for stop in CIVIDIS]
    chosen = {"layer": opened.layer, "from": opened.compared, "patch": opened.patch, "head": opened.head}
    chosen |= {"mode": opened.mode or None}
    said = {
        "colours": colours,
        "views": VIEWS,
        "opened": {name: value for name, value in chosen.items() if value is not None},
        "looks": looks,
    }
    return json.dumps(said, allow_nan=False).replace("<", "\\u003c")


def _look(seen: Exploration, one: Details, more: Sequence[Laid]) -> dict[str, Any]:
    layers = len(seen.norm)
    every = tuple(range(layers))
    rows, cols = np.triu_indices(layers, k=1)
    maps = [Laid("PCA", every, one.places), *([Laid("UMAP", every, one.umap)] if one.umap is not None else []), *more]
    return {
        "layers": layers,
        "grid": [seen.layout.rows, seen.layout.cols],
        "change": _base64(_codes(seen.change[rows, cols])),
        "norm": _base64(seen.norm[:, seen.layout.patches].astype("<f4")),
        "joint": _base64(seen.pca_joint),
        "each": _base64(seen.pca_each),
        "maps": [_map(one) for one in maps],
        "attention": None if one.attention is None else _attention(one.attention),
        "sketch": _base64(one.sketch.codes),
        "scale": _base64(one.sketch.scale.astype("<f4")),
        "held": one.sketch.held,
        "off": one.sketch.off,
        "text": None if one.match is None else {"said": one.text, "cosines": _base64(one.match.astype("<f4"))},
        "facts": {
            "rank": _numbers(one.rank),
            "anisotropy": _numbers(one.anisotropy),
            "near": _numbers(one.locality[:, 0]),
            "far": _numbers(one.locality[:, one.locality.shape[1] // 2]),
            "apart": one.locality.shape[1] // 2 + 1,
            "row": _numbers(one.place[:, 0]),
            "column": _numbers(one.place[:, 1]),
        },
    }


def _map(laid: Laid) -> dict[str, Any]:
    """A map around its middle, in steps of its longest half side."""
    low, high = laid.places.min((0, 1)), laid.places.max((0, 1))
    middle = np.zeros(2) if laid.name == "PCA" else (low + high) / 2
    span = float(np.abs(laid.places - middle).max()) or 1.0
    codes = np.rint((laid.places - middle) / span * 32767).astype("<i2")
    return {"name": laid.name, "layers": list(laid.layers), "places": _base64(codes), "span": span}


def _attention(shares: np.ndarray) -> dict[str, Any]:
    """The mean of the heads, and each head in steps of 1/255 of its largest share in the block."""
    top = shares.max(-1, keepdims=True)
    codes = np.rint(255 * shares / np.where(top > 0, top, 1)).astype(np.uint8)
    tops = _base64(top.astype("<f4"))
    return {
        "mean": _base64(shares.mean(1).astype("<f4")),
        "heads": shares.shape[1],
        "codes": _base64(codes),
        "tops": tops,
    }


def _codes(cosines: np.ndarray) -> np.ndarray:
    return np.rint((np.clip(cosines, -1, 1) + 1) / 2 * LEVELS).astype(np.uint8)


def _numbers(values: np.ndarray) -> list[float | None]:
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
