"""Scenes built by hand: what can be put in, what a person's record becomes, how it is drawn."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from explorer.records import InputError, Picture
from explorer.scenes.captions import article
from explorer.scenes.kinds import COLOURS, EMOJI, SHAPES, WORDS
from explorer.scenes.layout import grounds, make_scene, random_seed, sign_board
from explorer.scenes.render import PEOPLE_PX, draw_backdrop, render
from explorer.scenes.scene import Scene, SceneObject
from explorer.scenes.sprites import box, sprite

CELL_PX = 96  # of the sheet of drawings
SHEET_COLUMNS = 12
EMPTY_SEED = 1_100_000_000  # of the test split, in which every combination may be asked about
Json = dict[str, Any]


@dataclass(frozen=True)
class Palette:
    """What a scene can hold.

    Attributes:
        sheet: uint8 [height, width, 4], all drawings on one sheet.
        places: kind, or kind and colour ("circle/red"), to (left, top, width, height) on the sheet in pixels.
        kinds: {name, plural, shape, scale} of each.
        colours: name to RGB, of shapes.
        words: that a sign can say.
        grounds: records of backdrops, one of each sort.
        signs: word to the record of a sign.
    """

    sheet: np.ndarray
    places: dict[str, tuple[int, int, int, int]]
    kinds: tuple[Json, ...]
    colours: dict[str, tuple[int, int, int]]
    words: tuple[str, ...]
    grounds: tuple[Json, ...]
    signs: dict[str, Json]


@cache
def palette() -> Palette:
    """All that a scene can hold, drawn once."""
    from PIL import Image

    drawings = {kind.name: sprite(kind.name) for kind in EMOJI}
    drawings |= {f"{shape.name}/{colour}": sprite(shape.name, colour) for shape in SHAPES for colour in COLOURS}
    rows = math.ceil(len(drawings) / SHEET_COLUMNS)
    sheet = Image.new("RGBA", (SHEET_COLUMNS * CELL_PX, rows * CELL_PX))
    places = {}
    for k, (name, image) in enumerate(drawings.items()):
        scale = CELL_PX / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        left, top = k % SHEET_COLUMNS * CELL_PX, k // SHEET_COLUMNS * CELL_PX
        sheet.paste(image.resize(size, Image.Resampling.LANCZOS), (left, top))
        places[name] = (left, top, *size)
    kinds = tuple(
        {"name": kind.name, "plural": kind.plural, "shape": not kind.glyph, "scale": kind.scale}
        for kind in (*EMOJI, *SHAPES)
    )
    return Palette(
        np.asarray(sheet),
        places,
        kinds,
        dict(COLOURS),
        tuple(WORDS),
        tuple(asdict(ground) for ground in grounds()),
        {word: asdict(sign_board(word)) for word in WORDS},
    )


def read_scene(record: object) -> Scene:
    """Read a scene that came from a browser.

    Raises:
        InputError: it is none, or cannot be drawn.
    """
    if not isinstance(record, dict):
        raise InputError("No scene was given: start from an example or an empty one.")
    return Scene.from_dict(record)


def invent_scene(seed: int | None = None) -> Scene:
    """A random scene of the test split, which no model was trained on."""
    return make_scene(random_seed("test", np.random.default_rng(seed)))


def empty_scene() -> Scene:
    """A ground with nothing on it."""
    return Scene(EMPTY_SEED, grounds()[0], ())


def draw_scene(scene: Scene, px: int = PEOPLE_PX) -> Picture:
    """The scene as a picture."""
    return Picture(f"scene {scene.seed}", render(scene, px))


def draw_ground(scene: Scene) -> np.ndarray:
    """What is behind the things and the sign, uint8 [px, px, 3]."""
    return np.asarray(draw_backdrop(scene.backdrop, PEOPLE_PX).convert("RGB"))


@dataclass(frozen=True)
class Change:
    """What differs between two scenes.

    Attributes:
        sentence: for people.
        objects: how many things differ.
        boxes: (left, top, right, bottom) of the places where something differs, as fractions of the picture's side.
        everywhere: whether the ground differs, so that no place is as it was.
    """

    sentence: str
    objects: int
    boxes: tuple[tuple[float, float, float, float], ...]
    everywhere: bool = False


def compare_scenes(before: Scene, after: Scene) -> Change:
    """Find what differs between two scenes.

    Raises:
        InputError: nothing does.
    """
    gone, come = _only_in(before, after), _only_in(after, before)
    said, boxes = [], [box(thing) for thing in (*gone, *come)]
    for old in list(gone):
        new = next((thing for thing in come if _likeness(old, thing)), None)
        if new is not None:
            gone.remove(old)
            come.remove(new)
            said.append(f"{_named(old)} {_likeness(old, new)}")
    while gone and come:
        said.append(f"{_named(gone.pop(0))} became {article(_name(come.pop(0)))}")
    said += [f"{_named(thing)} went away" for thing in gone]
    said += [f"{_named(thing)} came in" for thing in come]
    objects = len(said)
    if before.sign != after.sign:
        said.append("the sign changed")
        boxes += [sign.box() for sign in (before.sign, after.sign) if sign]
    everywhere = before.backdrop != after.backdrop
    if everywhere:
        said.append("the ground changed")
    if not said:
        raise InputError("The two scenes are the same: change something in one of them first.")
    sentence = "; ".join(said)
    return Change(sentence[0].upper() + sentence[1:] + ".", objects, tuple(boxes), everywhere)


def _only_in(first: Scene, second: Scene) -> list[SceneObject]:
    """Things of the first scene that the second has not; of equal things, as many as it has fewer."""
    others = list(second.objects)
    found = []
    for thing in first.objects:
        if thing in others:
            others.remove(thing)
        else:
            found.append(thing)
    return found


def _name(thing: SceneObject) -> str:
    return f"{thing.colour} {thing.kind}".strip()


def _named(thing: SceneObject) -> str:
    return f"the {_name(thing)}"


def _likeness(old: SceneObject, new: SceneObject) -> str:
    """What one thing did to become another of its kind; "" where they are not the same thing."""
    if old.kind != new.kind:
        return ""
    did = []
    if (old.x, old.y) != (new.x, new.y):
        did.append("moved")
    if old.size != new.size:
        did.append("grew" if new.size > old.size else "shrank")
    if old.colour != new.colour:
        did.append(f"turned {new.colour}")
    if old.flip != new.flip:
        did.append("was mirrored")
    if old.angle != new.angle:
        did.append("was tilted")
    return " and ".join(did)


def patches_within(
    boxes: tuple[tuple[float, float, float, float], ...],
    view_px: tuple[float, float, float, float],
    size_px: tuple[int, int],
    grid: tuple[int, int],
) -> np.ndarray:
    """Which patches a place covers by a tenth of their area or more.

    Args:
        boxes: (left, top, right, bottom) as fractions of the picture's sides.
        view_px: the encoder's view in the picture's pixels (``View.box_px``).
        size_px: (width, height) of the picture.
        grid: (rows, cols) of patches.

    Returns:
        bool [P].
    """
    rows, cols = grid
    x = np.linspace(view_px[0], view_px[2], cols + 1) / size_px[0]
    y = np.linspace(view_px[1], view_px[3], rows + 1) / size_px[1]
    covered = np.zeros((rows, cols))
    for left, top, right, bottom in boxes:
        across = np.clip(np.minimum(right, x[1:]) - np.maximum(left, x[:-1]), 0, None) / np.diff(x)
        down = np.clip(np.minimum(bottom, y[1:]) - np.maximum(top, y[:-1]), 0, None) / np.diff(y)
        covered = np.maximum(covered, down[:, None] * across[None])
    return (covered >= 0.1).reshape(-1)
