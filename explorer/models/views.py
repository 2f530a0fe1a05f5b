"""What an encoder sees of a picture: crop, pad or squash, in one place for every encoder.

The pixels of a view are what enters the encoder (before normalisation), and nothing that its patch grid leaves out:
where the input is no multiple of the patch (384 px by patches of 14), the rim right and below is cut off the view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from explorer.records import Fit, Picture, View

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """How an encoder's own processor lays out and normalises a picture.

    Attributes:
        input_px: side of the square input.
        seen_px: side of the part that the patch grid covers, counted from the top left; <= ``input_px``.
        fit: what the processor does: ``Fit.CROP``, ``Fit.PAD`` or ``Fit.SQUASH``.
        resize_px: for ``Fit.CROP``, the shorter side before the centre is cut out; >= ``input_px``.
        resample: filter of ``PIL.Image.Resampling``.
        mean, std: of red, green and blue, after ``scale``.
        scale: factor on the 0…255 values.
        rounds_offset: whether half a pixel beside the centre crop is rounded to even, as torchvision does,
            or down, as transformers does.
    """

    input_px: int
    seen_px: int
    fit: Fit
    resize_px: int
    resample: Image.Resampling
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float = 1 / 255
    rounds_offset: bool = False


def make_view(picture: Picture, fit: Fit, how: Preprocessing) -> View:
    """Lay a picture of any size and shape on an encoder's square input.

    Args:
        picture: uint8 RGB.
        fit: the user's choice; ``Fit.ENCODER`` is resolved to what the processor does.
        how: the encoder's processor.

    Returns:
        The view, with pixels uint8 [seen_px, seen_px, 3].
    """
    image = Image.fromarray(np.ascontiguousarray(picture.pixels))
    resolved = how.fit if fit is Fit.ENCODER else fit
    if resolved is Fit.CROP:
        seen, box = _crop(image, how.resize_px if fit is Fit.ENCODER else how.input_px, how)
    elif resolved is Fit.PAD:
        seen, box = _pad(image, how)
    else:
        seen, box = image.resize((how.input_px, how.input_px), how.resample), (0, 0, image.width, image.height)
    return View(np.asarray(seen)[: how.seen_px, : how.seen_px], _trim(box, how), resolved)


def _crop(image: Image.Image, shorter_px: int, how: Preprocessing) -> tuple[Image.Image, Box]:
    """Resize until the shorter side is ``shorter_px`` and cut out the centre, computing only what is kept."""
    width, height = image.size
    shorter = min(width, height)
    scaled = (int(shorter_px * width / shorter), int(shorter_px * height / shorter))
    spare = [(side - how.input_px) / 2 for side in scaled]
    left, top = (round(s) if how.rounds_offset else int(s) for s in spare)
    x, y = width / scaled[0], height / scaled[1]
    right, bottom = left + how.input_px, top + how.input_px
    box = (left * x, top * y, min(right * x, float(width)), min(bottom * y, float(height)))
    return image.resize((how.input_px, how.input_px), how.resample, box=box), box


def _pad(image: Image.Image, how: Preprocessing) -> tuple[Image.Image, Box]:
    """Pad to a square of the mean colour, then resize (LLaVA's "pad", within one grey level).

    The two passes of the resize are done apart, so that a very long picture never becomes a very large square.
    """
    width, height = image.size
    if height > width:
        turned, box = _pad(image.transpose(Image.Transpose.TRANSPOSE), how)
        return turned.transpose(Image.Transpose.TRANSPOSE), (box[1], box[0], box[3], box[2])
    top = (width - height) // 2
    strip = image.resize((how.input_px, height), how.resample)
    square = Image.new("RGB", (how.input_px, width), mean_colour(how))
    square.paste(strip, (0, top))
    return square.resize((how.input_px, how.input_px), how.resample), (0.0, -top, width, width - top)


def mean_colour(how: Preprocessing) -> tuple[int, int, int]:
    """The colour that normalises to about zero, and that padding is filled with."""
    red, green, blue = (min(255, max(0, int(channel / how.scale))) for channel in how.mean)
    return red, green, blue


def _trim(box: Box, how: Preprocessing) -> Box:
    """The part of the box that the patch grid covers."""
    left, top, right, bottom = map(float, box)
    part = how.seen_px / how.input_px
    return left, top, left + (right - left) * part, top + (bottom - top) * part
