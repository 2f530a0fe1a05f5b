"""A picture laid on an encoder's input, and weights that are numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from explorer.records import CheckpointError


def fit(pixels: np.ndarray, side: int, images: Any) -> np.ndarray:
    """A picture as the encoder's own rules lay it on its input, uint8 [side, side, 3]."""
    if pixels.shape == (side, side, 3):
        return pixels
    found = images(Image.fromarray(pixels), do_rescale=False, do_normalize=False, return_tensors="np")
    return np.clip(np.round(found["pixel_values"][0]), 0, 255).astype(np.uint8).transpose(1, 2, 0)


def check_finite(name: str, model: Any) -> None:
    """Refuse weights that are no numbers.

    Raises:
        CheckpointError: a weight is NaN or infinite.
    """
    for part, weight in model.named_parameters():
        if not torch.isfinite(weight.detach().float().sum()):
            raise CheckpointError(
                f"The weights of {name} are broken: {part} holds NaN or infinity. Fetch or train them again."
            )


def first_line(problem: BaseException) -> str:
    """An error's own text in one line."""
    line = " ".join((str(problem) or type(problem).__name__).split())
    return line if len(line) <= 200 else line[:199] + "…"
