"""What the Tokens view draws, as compact JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from explorer.services.tokens import Board, LayerFacts, TokenMap
from explorer.ui.payload import as_base64, data_url, encoder_payload

STEPS = 65_535  # a place is a share of the map's width in so many steps

Json = dict[str, Any]


def board_payload(board: Board) -> Json:
    """The pictures as the encoder saw them, and the grid of tokens."""
    return {
        "encoder": encoder_payload(board.encoder),
        "grid": [board.rows, board.cols],
        "full_grid": list(board.grid),
        "stride": board.stride,
        "pictures": [
            {"name": name, "view": data_url(view.pixels)} for name, view in zip(board.names, board.views, strict=True)
        ],
    }


def map_payload(found: TokenMap) -> Json:
    """A map: ``places`` is base64 of uint16 [M, S, 2]; a place is ``low + code * step`` on each axis."""
    flat = found.places.reshape(-1, 2)
    low = flat.min(0)
    step = max(float((flat.max(0) - low).max()), 1e-9) / STEPS
    return {
        "method": found.method,
        "layers": list(found.layers),
        "places": as_base64(np.rint((found.places - low) / step).astype(np.uint16)),
        "low": low.tolist(),
        "step": step,
        "shares": [None if np.isnan(share) else share for share in found.shares],
        "trust": as_base64(found.trust.astype(np.float32)),
        "seconds": found.seconds,
    }


def numbers_payload(numbers: np.ndarray) -> str:
    """Cluster numbers, uint8 [L, S], as base64."""
    return as_base64(numbers.astype(np.uint8))


def facts_payload(found: LayerFacts) -> Json:
    """Facts of each layer; arrays are base64 of float32, means before standard errors, NaN where there is none."""
    arrays = {
        "effective_rank": found.effective_rank,
        "anisotropy": found.anisotropy,
        "locality": found.locality,
        "place": found.place,
    }
    return {
        "pictures": found.pictures,
        "patches": found.patches,
        "distances": found.distances.tolist(),
        "by_picture": found.by_picture,
        "seconds": found.seconds,
        **{name: as_base64(array.astype(np.float32)) for name, array in arrays.items()},
    }
