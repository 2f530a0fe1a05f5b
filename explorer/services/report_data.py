"""What the interactive part of a report draws from: small arrays as base64 in one block of JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.records import EncoderError, Exploration
from explorer.services.drawing import CIVIDIS

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.models.encoders import Features, VisionEncoder

MOST_PATCHES_COMPARED = 256  # up to here each patch is compared with each, which takes L·P²/2 bytes
LEVELS = 254  # codes 0…254 stand for cosines from -1 to 1


@dataclass(frozen=True)
class Details:
    """What a report shows of a picture beyond its ``Exploration``.

    Attributes:
        places: float32 [L, P, 2], first two principal components in one basis shared by the layers.
        attention: float32 [blocks, P], the CLS token's attention to each patch, mean of the heads; None without CLS.
        alike: uint8 [L, P(P-1)/2], cosines of all pairs of patches as codes; None for many patches.
        rank, anisotropy: float64 [L].
        locality: float64 [L, R], mean cosine of patches 1…R apart.
        place: float64 [L, 2], R² of row and column.
    """

    places: np.ndarray
    attention: np.ndarray | None
    alike: np.ndarray | None
    rank: np.ndarray
    anisotropy: np.ndarray
    locality: np.ndarray
    place: np.ndarray


def details(model: VisionEncoder, features: Features) -> Details:
    """Compute them from the features of one picture."""
    from explorer.analysis.facts import anisotropy, effective_rank, locality, place_readability
    from explorer.analysis.projection import pca_coordinates

    layout = features.layout
    patches = features.states[:, :, layout.patches].float()  # [L, 1, P, D]
    states = patches[:, 0]
    try:
        attention = model.cls_attention(features)[:, 0].float().mean(1).cpu().numpy()
    except EncoderError:
        attention = None
    return Details(
        places=pca_coordinates(states),
        attention=attention,
        alike=_alike(states) if states.shape[1] <= MOST_PATCHES_COMPARED else None,
        rank=effective_rank(states),
        anisotropy=anisotropy(states),
        locality=locality(states, layout.rows, layout.cols)[1],
        place=place_readability(patches, layout.rows, layout.cols),
    )


def _alike(states: Tensor) -> np.ndarray:
    import torch

    unit = torch.nn.functional.normalize(states, dim=-1)
    cosines = (unit @ unit.mT).cpu().numpy()
    rows, cols = np.triu_indices(states.shape[1], k=1)
    return _codes(cosines[:, rows, cols])


def data_block(explorations: Sequence[Exploration], found: Sequence[Details]) -> str:
    """The JSON of all pictures that have details, safe inside a ``script`` element."""
    looks = [_look(seen, one) for seen, one in zip(explorations, found, strict=False)]
    colours = [[int(channel) for channel in stop] for stop in CIVIDIS]
    return json.dumps({"colours": colours, "looks": looks}, allow_nan=False).replace("<", "\\u003c")


def _look(seen: Exploration, one: Details) -> dict[str, Any]:
    layers = len(seen.norm)
    rows, cols = np.triu_indices(layers, k=1)
    span = float(np.abs(one.places).max()) or 1.0
    return {
        "layers": layers,
        "grid": [seen.layout.rows, seen.layout.cols],
        "change": _base64(_codes(seen.change[rows, cols])),
        "norm": _base64(seen.norm[:, seen.layout.patches].astype("<f4")),
        "joint": _base64(seen.pca_joint),
        "each": _base64(seen.pca_each),
        "places": _base64(np.rint(one.places / span * 32767).astype("<i2")),
        "span": span,
        "attention": None if one.attention is None else _base64(one.attention.astype("<f4")),
        "alike": None if one.alike is None else _base64(one.alike),
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


def _codes(cosines: np.ndarray) -> np.ndarray:
    return np.rint((np.clip(cosines, -1, 1) + 1) / 2 * LEVELS).astype(np.uint8)


def _numbers(values: np.ndarray) -> list[float | None]:
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
