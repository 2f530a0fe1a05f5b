"""The record of a scene: what is where. It can be edited, drawn again, and written as JSON."""

from __future__ import annotations

import math
import zlib
from dataclasses import asdict, dataclass
from typing import Any

from explorer.records import InputError
from explorer.scenes.kinds import COLOURS, KINDS

# Scenes are split by their seed, so that a seed alone says whether a model may have been trained on it.
SPLITS = {
    "train": range(0, 1_000_000_000),
    "val": range(1_000_000_000, 1_100_000_000),
    "test": range(1_100_000_000, 1_200_000_000),
}
STYLES = ("plain", "gradient", "stripes", "checks", "dots", "clouds", "horizon", "photo")
MOST_OBJECTS = 100  # that a scene made by hand may hold


def _check_numbers(owner: str, **numbers: float) -> None:
    """Refuse what is no finite number.

    Raises:
        InputError: says which.
    """
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{owner} has no {name} that can be drawn: it must be a number, got {value!r}.")


def _check_colour(owner: str, colour: tuple[int, int, int]) -> None:
    """Refuse what is no RGB colour.

    Raises:
        InputError: says which.
    """
    if len(colour) != 3 or not all(isinstance(value, int) and 0 <= value <= 255 for value in colour):
        raise InputError(f"{owner} has colours of three whole numbers from 0 to 255; got {colour!r}.")


@dataclass(frozen=True)
class SceneObject:
    """One thing in a scene; places and sizes are fractions of the picture's side.

    Attributes:
        kind: a name in ``KINDS``.
        x, y: the centre.
        size: the longer side.
        colour: a name in ``COLOURS`` for a plain shape, "" for a thing with colours of its own.
        flip: mirrored left to right.
        angle: degrees, counter-clockwise.
    """

    kind: str
    x: float
    y: float
    size: float
    colour: str = ""
    flip: bool = False
    angle: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            InputError: the kind or colour is unknown, or a number is none or off the picture.
        """
        _check_numbers(f"The {self.kind}", x=self.x, y=self.y, size=self.size, angle=self.angle)
        if not isinstance(self.flip, bool):
            raise InputError(f"The flip of the {self.kind} is true or false; got {self.flip!r}.")
        if self.kind not in KINDS:
            raise InputError(f"No kind {self.kind!r} is known; the scenes hold {', '.join(KINDS)}.")
        shape = not KINDS[self.kind].glyph
        if shape and self.colour not in COLOURS:
            raise InputError(f"A {self.kind} needs a colour, one of {', '.join(COLOURS)}; got {self.colour!r}.")
        if not shape and self.colour:
            raise InputError(f"A {self.kind} has colours of its own: leave its colour empty; got {self.colour!r}.")
        if not (0 <= self.x <= 1 and 0 <= self.y <= 1 and 0.02 <= self.size <= 1):
            raise InputError(
                f"The {self.kind} at ({self.x}, {self.y}) of size {self.size} is off the picture: "
                "x and y go from 0 to 1, size from 0.02 to 1."
            )


@dataclass(frozen=True)
class Backdrop:
    """What is behind the things.

    Attributes:
        name: as a caption says it ("grass", "a striped background").
        style: "plain", "gradient", "stripes", "checks", "dots", "clouds", "horizon" or "photo".
        colours: two RGB colours (the two stripes, sky and ground, …).
        seed: of the texture, or of the photograph and its cut.
        horizon: height of the horizon as a fraction from the top; None without one.
    """

    name: str
    style: str
    colours: tuple[tuple[int, int, int], tuple[int, int, int]]
    seed: int = 0
    horizon: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            InputError: the style is unknown, a colour is none, or the horizon is off the picture.
        """
        if self.style not in STYLES:
            raise InputError(f"A backdrop's style is one of {', '.join(STYLES)}; got {self.style!r}.")
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 60:
            raise InputError("A backdrop has a name of 1 to 60 letters.")
        if len(self.colours) != 2:
            raise InputError(f"A backdrop has two colours; got {len(self.colours)}.")
        for colour in self.colours:
            _check_colour("A backdrop", colour)
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or not 0 <= self.seed < 1 << 63:
            raise InputError(f"A backdrop's seed is a whole number from 0; got {self.seed!r}.")
        if self.horizon is not None:
            _check_numbers("The backdrop", horizon=self.horizon)
            if not 0 <= self.horizon <= 1:
                raise InputError(f"The horizon lies between 0 (top) and 1 (bottom); got {self.horizon}.")


@dataclass(frozen=True)
class Sign:
    """A board with a word; ``x``, ``y`` is its centre, ``width`` and ``height`` its sides, as fractions."""

    word: str
    font: str
    x: float
    y: float
    width: float
    height: float
    ink: tuple[int, int, int] = (20, 20, 20)
    board: tuple[int, int, int] = (250, 250, 245)

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            InputError: the word is none, a colour is none, or the board is off the picture.
        """
        if not isinstance(self.word, str) or not 0 < len(self.word) <= 20 or not self.word.isprintable():
            raise InputError("A sign has a word of 1 to 20 letters in one line.")
        if not isinstance(self.font, str):
            raise InputError(f"A sign's font is named in letters; got {self.font!r}.")
        _check_numbers("The sign", x=self.x, y=self.y, width=self.width, height=self.height)
        if not (0 <= self.x <= 1 and 0 <= self.y <= 1 and 0.02 <= self.width <= 1 and 0.02 <= self.height <= 1):
            raise InputError(
                f"The sign at ({self.x}, {self.y}), {self.width} wide and {self.height} high, is off the picture: "
                "x and y go from 0 to 1, its sides from 0.02 to 1."
            )
        for colour in (self.ink, self.board):
            _check_colour("A sign", colour)

    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) as fractions of the picture's side."""
        across, down = self.width / 2, self.height / 2
        return self.x - across, self.y - down, self.x + across, self.y + down


@dataclass(frozen=True)
class Scene:
    """A picture whose truth is known."""

    seed: int
    backdrop: Backdrop
    objects: tuple[SceneObject, ...]
    sign: Sign | None = None

    def __post_init__(self) -> None:
        """Refuse what is too much to draw.

        Raises:
            InputError: there are more than ``MOST_OBJECTS`` things, or the seed is outside all splits.
        """
        if len(self.objects) > MOST_OBJECTS:
            raise InputError(f"A scene holds at most {MOST_OBJECTS} things; got {len(self.objects)}.")
        split_of(self.seed)

    def count(self, kind: str) -> int:
        """How many things of this kind there are."""
        return sum(thing.kind == kind for thing in self.objects)

    def kinds(self) -> list[str]:
        """The kinds present, in the order of the objects, each once."""
        return list(dict.fromkeys(thing.kind for thing in self.objects))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Scene:
        """Read what ``to_dict`` wrote.

        Raises:
            InputError: a field is missing, unknown or impossible.
        """
        try:
            backdrop = dict(data["backdrop"])
            backdrop["colours"] = tuple(tuple(map(int, colour)) for colour in backdrop["colours"])
            sign = data.get("sign")
            if sign is not None:
                sign = Sign(**{**sign, "ink": tuple(sign["ink"]), "board": tuple(sign["board"])})
            objects = tuple(SceneObject(**thing) for thing in data["objects"])
            return cls(int(data["seed"]), Backdrop(**backdrop), objects, sign)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"This is not a scene: {error}. Write it as `python -m explorer scenes` does.") from None


def split_of(seed: int) -> str:
    """The split a seed belongs to: "train", "val" or "test".

    Raises:
        InputError: the seed is outside all splits.
    """
    for name, seeds in SPLITS.items():
        if seed in seeds:
            return name
    raise InputError(f"Seed {seed} is outside all splits: give a number from 0 to {SPLITS['test'].stop - 1}.")


def held_out_count(kind: str, count: int) -> bool:
    """Whether so many of this kind occur in test scenes only (about one combination in twelve, from two things on)."""
    return count >= 2 and zlib.crc32(f"{kind}|{count}".encode()) % 12 == 0


def held_out_relation(first: str, second: str, relation: str) -> bool:
    """Whether this relation between two kinds is asked about and captioned in test scenes only (about one in twelve)."""
    return zlib.crc32(f"{first}|{relation}|{second}".encode()) % 12 == 0
