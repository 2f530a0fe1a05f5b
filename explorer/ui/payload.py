"""Arrays to compact JSON for the browser: quantised maps, pictures as data URLs, small matrices as float32."""

from __future__ import annotations

import base64
import io
import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image

from explorer.records import EncoderInfo, Exploration, Fit, Groups, Picture, Similarity, TokenKind
from explorer.ui.paper import papers_figure

SHOWN_SIDE_PX = 1024
MISSING = 255  # code of a value that is NaN
STEPS = 254  # codes 0…254 stand for low…high of their row

Json = dict[str, Any]


def as_text(value: Json) -> str:
    """JSON as one string, for a view that parses it.

    Several times in every event Gradio (6.31) copies the properties of components, number by number: with those of the
    results among them, the choice of another picture kept the browser busy for three seconds.
    """
    return json.dumps(value, allow_nan=False)


def packed(values: np.ndarray) -> Json:
    """Quantise a map to 8 bits, each row between its own smallest and largest value.

    Args:
        values: float [rows, columns]; NaN where there is no value.

    Returns:
        ``codes`` (base64 of uint8 [rows, columns], 255 for NaN), ``low`` and ``high`` (base64 of float32 [rows]); a
        value is ``low + code * (high - low) / 254``, off by at most half a step. A row without values has low = high = 0.
    """
    values = np.asarray(values, dtype=np.float32)
    known = np.isfinite(values)
    low = np.where(known, values, np.inf).min(axis=1)
    high = np.where(known, values, -np.inf).max(axis=1)
    low, high = (np.where(known.any(axis=1), edge, 0).astype(np.float32) for edge in (low, high))
    span = np.where(high > low, high - low, 1)[:, None]
    codes = np.where(known, np.rint((np.where(known, values, 0) - low[:, None]) / span * STEPS), MISSING)
    return {"codes": as_base64(codes.astype(np.uint8)), "low": as_base64(low), "high": as_base64(high)}


def packed_pairs(change: np.ndarray) -> Json:
    """Quantise what is symmetric in its first two axes: the pairs i < j in the order (0,1), (0,2), … (1,2), ….

    Args:
        change: float32 [L, L, P].
    """
    first, second = np.triu_indices(change.shape[0], k=1)
    return packed(change[first, second])


def exploration_payload(found: Exploration, picture: Picture, fit: Fit, credit: str = "") -> Json:
    """All that the Layers view draws without asking again.

    Args:
        found: the analysis of ``picture``.
        picture: the whole picture, for what was cut away.
        fit: as it was asked for.
        credit: who made the picture, shown as text.
    """
    patches = found.layout.patches
    special = [i for i, kind in enumerate(found.layout.kinds) if kind is not TokenKind.PATCH]
    return {
        "id": analysis_id(found.picture_key, found.encoder.id, fit),
        "name": found.picture_name,
        "notes": list(found.notes),
        "credit": credit,
        "live": found.live,
        "seconds": [_or_none(found.forward_seconds), _or_none(found.analysis_seconds)],
        "encoder": encoder_payload(found.encoder),
        "grid": [found.layout.rows, found.layout.cols],
        "size": list(found.size_px),
        "picture": data_url(picture.pixels, SHOWN_SIDE_PX),
        "view": data_url(found.view.pixels),
        "view_px": [found.view.pixels.shape[1], found.view.pixels.shape[0]],
        "box": [float(edge) for edge in found.view.box_px],
        "fit": found.view.fit.value,
        "change": packed_pairs(found.change),
        "norm": packed(found.norm[:, patches]),
        "special": [
            {"kind": found.layout.kinds[i].value, "norm": as_base64(found.norm[:, i].astype(np.float32))}
            for i in special
        ],
        "pca": {"joint": as_base64(found.pca_joint), "each": as_base64(found.pca_each)},
        "lrs": {kind: similarity_payload(one) for kind, one in found.similarity.items()},
        "groups": {source: groups_payload(groups) for source, groups in found.groups.items()},
        "paper": papers_figure(found.encoder),
    }


def encoder_payload(info: EncoderInfo) -> Json:
    """What the page tells of an encoder."""
    return asdict(info)


def groups_payload(groups: Groups) -> Json:
    """A division of the layers."""
    return {
        "starts": list(groups.starts),
        "stop": groups.stop,
        "names": list(groups.names),
        "clarity": _or_none(groups.clarity),
    }


def similarity_payload(one: Similarity) -> Json:
    """One matrix: ``mean`` and ``stderr`` are base64 of float32 [L, L], NaN where nothing was compared."""
    return {
        "mean": as_base64(one.mean.astype(np.float32)),
        "stderr": as_base64(one.stderr.astype(np.float32)),
        "pictures": one.pictures,
    }


def analysis_id(picture_key: str, encoder_id: str, fit: Fit) -> str:
    """Names an analysis, so that an answer to an earlier question is never drawn on a later picture."""
    return f"{picture_key}/{fit.value}/{encoder_id}"


def data_url(pixels: np.ndarray, longest_px: int | None = None) -> str:
    """Encode uint8 [height, width, 3]: without loss, or, if ``longest_px`` is given, reduced to it and compressed."""
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    if longest_px is None:
        image.save(buffer, "WEBP", lossless=True, method=2)
    else:
        image.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS, reducing_gap=2)
        image.save(buffer, "WEBP", quality=82, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def as_base64(array: np.ndarray) -> str:
    """The bytes of an array, lowest first."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(np.ascontiguousarray(little).tobytes()).decode()


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
