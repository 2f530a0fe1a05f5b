"""Whether a picture could be one of the generated scenes, told from its pixels alone.

Scenes are drawn: most of their area is flat, a soft gradient or a blurred photograph, so that neighbouring pixels hardly
differ; checks have many edges, but equal pixels between them. Cameras leave texture and noise everywhere. Measured on 250
test scenes at 168 and 672 px, none of which is refused, and on eight photographs, all of which are. A photograph that is
mostly smooth can pass.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE_PX = 256
SMOOTH = 3  # grey levels of the second difference
SMOOTH_SHARE = 0.64
USUAL = 2
EQUAL_SHARE = 0.6


def roughness(pixels: np.ndarray) -> tuple[float, float, float]:
    """Share of smooth places, median second difference in grey levels, share of pixels equal to the one below.

    All of the picture made at most 256 px large; shares are 0…1.

    Args:
        pixels: uint8 [height, width, 3].
    """
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE_PX, SIDE_PX))
    small = np.asarray(image)
    equal = (small[1:] == small[:-1]).all(-1).mean() if len(small) > 1 else 1.0
    grey = np.pad(np.asarray(image.convert("L"), np.float32), 1, mode="edge")
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    bend = np.abs(4 * grey[1:-1, 1:-1] - around)
    return float((bend < SMOOTH).mean()), float(np.median(bend)), float(equal)


def could_be_scene(pixels: np.ndarray) -> bool:
    """Whether a picture is as smooth as the generated scenes are."""
    smooth, bend, equal = roughness(pixels)
    return smooth >= SMOOTH_SHARE or bend < USUAL or equal >= EQUAL_SHARE
