"""What is where in a scene whose record is known, patch by patch."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

BACKDROP = "backdrop"
SIGN = "sign"
DRAWN_PX = 336
SAMPLES = 6  # points a side at which a patch is looked at
LEAST_SHARE = 0.25  # of a patch that a thing covers


def things_at(
    boxes: Sequence[tuple[float, float, float, float]],
    sizes: Sequence[tuple[int, int]],
    scenes: Sequence[str],
    rows: int,
    cols: int,
    stride: int = 1,
) -> tuple[list[str], np.ndarray]:
    """What is seen at each patch: what covers most of it, the backdrop aside, if it covers a quarter at least.

    Args:
        boxes: (left, top, right, bottom) of what was seen, in each picture's own pixels, N.
        sizes: (width, height) of the pictures.
        scenes: of each picture the record of its scene as JSON, "" where it is none.
        rows: of the encoder's grid.
        cols: of the encoder's grid.
        stride: 2 where every second row and column is asked for, and so on.

    Returns:
        Names, the first "backdrop" (things of one kind are told apart by a number), and int16 [N · rows · cols of the
        patches asked for], which of them it is; -1 where the scene is unknown or the patch lies outside the picture.
    """
    names, labels = [BACKDROP], []
    down, across = (np.arange(count)[::stride] for count in (rows, cols))
    for (left, top, right, bottom), (width, height), record in zip(boxes, sizes, scenes, strict=True):
        if not record:
            labels.append(np.full(len(down) * len(across), -1, np.int16))
            continue
        mine, drawn = _drawn(record)
        numbers = np.array([_number(names, name) for name in mine], np.int16)
        fine = (np.arange(SAMPLES) + 0.5) / SAMPLES
        y = (top + (down[:, None] + fine).ravel() / rows * (bottom - top)) / height
        x = (left + (across[:, None] + fine).ravel() / cols * (right - left)) / width
        inside = ((y >= 0) & (y < 1))[:, None] & ((x >= 0) & (x < 1))[None]
        at = [np.clip(share * DRAWN_PX, 0, DRAWN_PX - 1).astype(int) for share in (y, x)]
        seen = np.where(inside, numbers[drawn[np.ix_(*at)]], -1)
        seen = seen.reshape(len(down), SAMPLES, len(across), SAMPLES).swapaxes(1, 2).reshape(-1, SAMPLES**2)
        labels.append(np.array([_most(each) for each in seen], np.int16))
    return names, np.concatenate(labels)


def _most(seen: np.ndarray) -> int:
    """The number that stands for a patch, of those seen at its points."""
    if (seen < 0).mean() > 0.5:
        return -1
    counts = np.bincount(seen[seen > 0], minlength=1)
    return int(counts.argmax()) if counts.max() >= LEAST_SHARE * len(seen) else 0


def _number(names: list[str], name: str) -> int:
    if name not in names:
        names.append(name)
    return names.index(name)


def _drawn(record: str) -> tuple[list[str], np.ndarray]:
    """Names of a scene's things, and int [DRAWN_PX, DRAWN_PX] which of them shows where."""
    from PIL import Image

    from explorer.scenes.render import draw_thing
    from explorer.scenes.scene import Scene

    scene = Scene.from_dict(json.loads(record))
    names, drawn = [BACKDROP], np.zeros((DRAWN_PX, DRAWN_PX), int)
    if scene.sign:
        left, top, right, bottom = (round(edge * DRAWN_PX) for edge in scene.sign.box())
        names.append(SIGN)
        drawn[max(0, top) : bottom, max(0, left) : right] = 1
    seen: dict[str, int] = {}
    for thing in sorted(scene.objects, key=lambda thing: thing.y):
        title = f"{thing.colour} {thing.kind}".strip()
        seen[title] = seen.get(title, 0) + 1
        names.append(f"{title} {seen[title]}" if seen[title] > 1 else title)
        canvas = Image.new("RGBA", (DRAWN_PX, DRAWN_PX))
        draw_thing(canvas, thing, DRAWN_PX)
        drawn[np.asarray(canvas)[..., 3] >= 128] = len(names) - 1
    return names, drawn
