"""What can be asked about a scene without doubt: which kinds, which relations, which parts of the picture."""

from __future__ import annotations

from functools import cache
from math import log

import numpy as np

from explorer.scenes.kinds import EMOJI, KINDS, SHAPES, Habitat
from explorer.scenes.scene import Scene, SceneObject, held_out_relation, split_of
from explorer.scenes.sprites import box, extent

CELLS = ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")
LEAST_GAP = 0.02  # between two things where one is left of, or above, the other; covers their slight rotation
LEAST_DISTANCE = 0.1  # between their centres
CELL_MARGIN = 0.04  # from a centre to the border of the next cell
LARGER_RATIO = 1.35  # of areas

# To ask about the first is ambiguous where one of the others is in the picture: a teddy bear is a bear to some.
_MISTAKABLE = {
    "plant": {"tree", "sunflower", "cactus"},
    "bird": {"penguin", "chicken"},
    "bear": {"teddy bear"},
    "ball": {"tennis racket"},
    "spoon": {"bowl"},
    "keyboard": {"laptop"},
    "sandwich": {"hamburger", "hot dog"},
}

# Kinds that go together, for questions about things that are not there. Every kind is in one family, none with
# those that it can be mistaken for.
FAMILIES = tuple(
    tuple(names.split(", "))
    for names in (
        "bicycle, car, motorcycle, airplane, bus, train, truck, boat, helicopter, rocket",
        "person, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, rabbit, pig, lion, penguin, chicken",
        "bird, butterfly, bee, fish, frog, turtle",
        "banana, apple, orange, broccoli, carrot, hot dog, pizza, donut, cake, lemon, strawberry, hamburger, mushroom",
        "bottle, cup, knife, spoon, vase, sandwich",
        "chair, couch, plant, bed, toilet, television, keyboard, clock, wine glass, bowl",
        "backpack, umbrella, handbag, tie, suitcase, hat, shoe, key, toothbrush, scissors",
        "laptop, computer mouse, phone, book, camera, guitar, tennis racket, teddy bear",
        "kite, frisbee, ball, balloon, skateboard, gift",
        "traffic light, stop sign, tree, sunflower, cactus, house, tent",
        "circle, square, triangle, star, heart, diamond",
    )
)
_FAMILY = {kind: family for family in FAMILIES for kind in family}


class Facts:
    """A scene with what its questions need, worked out once.

    Attributes:
        scene: what is asked about.
        test: whether held-out combinations may be asked.
        counts: kinds that can be asked about without doubt, and how many there are.
        unique: those things of which there is one only, with their boxes.
    """

    def __init__(self, scene: Scene) -> None:
        """Work out the facts.

        Raises:
            InputError: the scene's seed is outside all splits.
        """
        self.scene = scene
        self.test = split_of(scene.seed) == "test"
        self._present = {thing.kind for thing in scene.objects}
        self._doubtful = {kind for kind, others in _MISTAKABLE.items() if others & self._present}
        self._doubtful |= {"dots": {"circle"}, "checks": {"square"}}.get(scene.backdrop.style, set())
        if scene.sign and scene.sign.word == "STOP":
            self._doubtful.add("stop sign")
        self.counts = {kind: scene.count(kind) for kind in scene.kinds() if kind not in self._doubtful}
        self.unique = [(thing, box(thing)) for thing in scene.objects if self.counts.get(thing.kind) == 1]

    def is_sure(self, kind: str) -> bool:
        """Whether it is beyond doubt how many of a kind there are, none included."""
        return kind not in self._doubtful

    def absent_like(self, kind: str, rng: np.random.Generator) -> str | None:
        """A kind that is not there: mostly of the same family, so that it is plausible, else any.

        Over many scenes each kind is named as often as it would be named for being there (all kinds of a family
        are equally likely, and a shape is never exchanged for anything but a shape).
        """
        if rng.random() < 0.7:
            pool = _FAMILY[kind]
        else:
            pool = [other.name for other in (EMOJI if KINDS[kind].glyph else SHAPES)]
        pool = [other for other in pool if other not in self._present and other not in self._doubtful]
        return pool[int(rng.random() * len(pool))] if pool else None

    def readable(self) -> bool:
        """Whether there is one sign, with nothing over it, and no stop sign to take it for."""
        sign = self.scene.sign
        if sign is None or "stop sign" in self._present:
            return False
        board = sign.box()
        return all(max(gap(board, box(thing), 0), gap(board, box(thing), 1)) >= 0 for thing in self.scene.objects)


def gap(first: tuple[float, ...], second: tuple[float, ...], axis: int) -> float:
    """Free space between two boxes along x (0) or y (1); negative where they overlap."""
    return max(second[axis] - first[axis + 2], first[axis] - second[axis + 2])


def apart(a: tuple[SceneObject, tuple[float, ...]], b: tuple[SceneObject, tuple[float, ...]], axis: int) -> bool:
    """Whether one is clearly left of (axis 0) or above (axis 1) the other."""
    distance = abs(a[0].x - b[0].x) if axis == 0 else abs(a[0].y - b[0].y)
    return gap(a[1], b[1], axis) >= LEAST_GAP and distance >= LEAST_DISTANCE


def axis_held_out(first: str, second: str, axis: int) -> bool:
    """Whether the places of two kinds along x (0) or y (1) are asked about in test scenes only.

    The rule is for the unordered pair and for both directions at once, so that a pair's answers stay balanced in
    training: the pair in alphabetical order is looked up as "left of" for x and "above" for y.
    """
    a, b = sorted((first, second))
    return held_out_relation(a, b, "above" if axis else "left of")


def cell_of(thing: SceneObject) -> str | None:
    """Which of the nine parts of the picture the centre lies in; None where it is close to a border."""
    row, col = _third(thing.y), _third(thing.x)
    return None if row is None or col is None else CELLS[3 * row + col]


def _third(v: float) -> int | None:
    for k in range(3):
        if k / 3 + (CELL_MARGIN if k else 0) <= v <= (k + 1) / 3 - (CELL_MARGIN if k < 2 else 0):
            return k
    return None


def area(thing: SceneObject) -> float:
    """Area of a thing's box as a fraction of the picture."""
    width, height = extent(thing)
    return width * height


def clearly_larger(a: SceneObject, b: SceneObject) -> bool:
    """Whether the first has the larger box by ``LARGER_RATIO`` and the longer side too."""
    return area(a) >= LARGER_RATIO * area(b) and a.size > b.size


@cache
def usual_log_size(kind: str) -> tuple[float, float]:
    """What a kind alone says of its size: the logarithms of its usual width and height, up to a constant."""
    width, height = extent(SceneObject(kind, 0.5, 0.5, 1.0, "" if KINDS[kind].glyph else "red"))
    usual = 0.6 * log(KINDS[kind].scale)
    return usual + log(width), usual + log(height)


def is_air(kind: str) -> bool:
    """Whether a kind is mostly seen above the horizon."""
    return KINDS[kind].habitat is Habitat.AIR
