"""Invent scenes: which things, how many, where, on what ground. Everything follows from the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from explorer.records import InputError
from explorer.scenes.captions import article
from explorer.scenes.kinds import COLOURS, EMOJI, KINDS, SHAPES, WORDS, Habitat
from explorer.scenes.render import FONTS
from explorer.scenes.scene import SPLITS, Backdrop, Scene, SceneObject, Sign, held_out_count, split_of
from explorer.scenes.sprites import box, extent

MOST_THINGS = 10
_COUNT_WEIGHTS = np.array([1.0, 1.2, 1.2, 1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5])
_PALE = {
    "red": (232, 150, 145),
    "orange": (246, 200, 150),
    "yellow": (246, 232, 160),
    "green": (165, 210, 165),
    "blue": (160, 195, 235),
    "purple": (205, 175, 225),
    "grey": (190, 192, 196),
    "white": (245, 245, 243),
    "black": (52, 54, 60),
}
_SKIES = ((120, 180, 235), (165, 200, 225), (245, 185, 140), (40, 50, 95), (175, 180, 190))
_GROUNDS = {
    "grass": (110, 170, 80),
    "sand": (225, 200, 145),
    "snow": (238, 242, 248),
    "a road": (125, 125, 130),
    "water": (70, 130, 185),
    "a field": (190, 170, 90),
}
_PATTERNS = {"stripes": "a striped background", "checks": "a checked background", "dots": "a dotted background"}
_ALIKE = {("circle", "dots"), ("square", "checks")}  # a pattern that could be counted too
_Box = tuple[float, float, float, float]


def make_scene(seed: int, things: int | None = None, alike: int = 1) -> Scene:
    """Invent the scene of a seed.

    Args:
        seed: also says the split (``scene.SPLITS``); scenes of "train" and "val" leave out the held-out counts.
        things: how many things to place, 1 to 10; drawn if not given. Fewer stand there if no room is left.
        alike: so many of them, at least, are of one kind; fewer where room is left for fewer, or their count is held out.

    Raises:
        InputError: the seed is outside all splits.
    """
    split = split_of(seed)
    rng = np.random.default_rng(seed)
    backdrop = _invent_backdrop(rng)
    weights = _COUNT_WEIGHTS * (np.arange(MOST_THINGS) >= alike - 1)
    n = things or 1 + int(rng.choice(MOST_THINGS, p=weights / weights.sum()))
    sign = invent_sign(rng) if rng.random() < 0.3 else None
    taken = [sign.box()] if sign else []
    placed: list[SceneObject] = []
    for kind, colour in _invent_cast(rng, n, split, alike):
        thing = _place(rng, kind, colour, n, backdrop.horizon, taken)
        if thing:
            placed.append(thing)
            taken.append(box(thing))
    if split != "test":
        placed = _drop_held_out(placed)
    return Scene(seed, backdrop, tuple(placed), sign)


def scatter(
    kind: str, count: int, seed: int, *, colour: str = "", backdrop: Backdrop | None = None, crowd: int = MOST_THINGS
) -> Scene:
    """Scatter so many of one kind over a ground, nothing else, no sign.

    Args:
        kind: a name in ``KINDS``.
        count: how many; exactly as many stand there.
        seed: of the scene; says places and, without ``backdrop``, the ground.
        colour: of a plain shape; drawn if not given.
        backdrop: the ground.
        crowd: sizes are drawn as for so many things, so that with one ``crowd`` they say nothing of the number.

    Raises:
        InputError: the seed is outside all splits, the kind is unknown, or there is no room.
    """
    if kind not in KINDS:
        raise InputError(f"No kind {kind!r} is known; the scenes hold {', '.join(KINDS)}.")
    rng = np.random.default_rng([seed, count])
    ground = backdrop or _invent_backdrop(rng)
    while backdrop is None and (kind, ground.style) in _ALIKE:
        ground = _invent_backdrop(rng)
    if not KINDS[kind].glyph:
        colour = colour or str(rng.choice(list(COLOURS)))
    for _ in range(20):
        taken: list[_Box] = []
        placed: list[SceneObject] = []
        while len(placed) < count and (thing := _place(rng, kind, colour, crowd, ground.horizon, taken)):
            placed.append(thing)
            taken.append(box(thing))
        if len(placed) == count:
            return Scene(seed, ground, tuple(placed))
    raise InputError(f"There is no room for {count} {KINDS[kind].plural}: ask for fewer.")


def grounds() -> tuple[Backdrop, ...]:
    """One of each ground that the scenes have: horizons, plain colours, patterns and blurred photographs."""
    found = [Backdrop(name, "horizon", (_SKIES[0], ground), 7, 0.4) for name, ground in _GROUNDS.items()]
    found += [Backdrop(f"{article(name)} background", "plain", (rgb, rgb)) for name, rgb in _PALE.items()]
    blue, pink = _PALE["blue"], _PALE["red"]
    found.append(Backdrop("a blue and red background", "gradient", (blue, pink), 7))
    found.append(Backdrop("a blue and grey background", "clouds", (blue, _PALE["grey"]), 7))
    found += [Backdrop(name, style, (blue, _lighter(blue)), 7) for style, name in _PATTERNS.items()]
    photos = (Backdrop("a blurred photo", "photo", (_PALE["grey"], _PALE["grey"]), seed) for seed in (1, 2, 3))
    return (*found, *photos)


def sign_board(word: str, font: str = FONTS[0]) -> Sign:
    """A sign with this word in the upper middle, as wide as the word needs."""
    height = 0.16
    return Sign(word, font, 0.5, 0.14, round(min(0.9, height * (0.62 * len(word) + 0.5)), 4), height)


def random_seed(split: str, rng: np.random.Generator) -> int:
    """A seed of the split."""
    seeds = SPLITS[split]
    return int(rng.integers(seeds.start, seeds.stop))


def _drop_held_out(placed: list[SceneObject]) -> list[SceneObject]:
    """Take things away until no count is one of the held-out ones (places that failed may have made one)."""
    placed = list(placed)
    for kind in {thing.kind for thing in placed}:
        while held_out_count(kind, sum(thing.kind == kind for thing in placed)):
            placed.remove(next(thing for thing in reversed(placed) if thing.kind == kind))
    return placed


def _invent_cast(rng: np.random.Generator, n: int, split: str, alike: int = 1) -> list[tuple[str, str]]:
    """(kind, colour) of n things: some kinds several times, never a held-out count outside test."""
    cast: list[tuple[str, str]] = []
    used: set[str] = set()
    while len(cast) < n:
        pool = SHAPES if rng.random() < 0.22 else EMOJI
        kind = pool[int(rng.integers(len(pool)))].name
        if kind in used:
            continue
        used.add(kind)
        room = n - len(cast)
        times = room if len(used) >= 5 else 1 + int(rng.integers(room)) if rng.random() < 0.55 else 1
        if not cast:
            times = min(room, max(times, alike))
        while times > 1 and split != "test" and held_out_count(kind, times):
            times -= 1
        colours = rng.choice(list(COLOURS), size=times) if not KINDS[kind].glyph else [""] * times
        if times > 1 and colours[0] and rng.random() < 0.6:
            colours = [colours[0]] * times
        cast += [(kind, str(colour)) for colour in colours]
    order = rng.permutation(n)
    return [cast[k] for k in order]


def _overlap(a: _Box, b: _Box) -> float:
    """Shared area as a fraction of the smaller box."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def _place(
    rng: np.random.Generator, kind: str, colour: str, n: int, horizon: float | None, taken: list[_Box]
) -> SceneObject | None:
    """Find a place with little overlap; smaller after many tries; None if there is none."""
    largest = 0.36 - 0.013 * n
    size = float(rng.uniform(max(0.12, 0.55 * largest), largest)) * KINDS[kind].scale ** 0.6
    for attempt in range(60):
        if attempt % 15 == 14:
            size *= 0.88
        size = max(size, 0.11)
        x, y, scale = float(rng.random()), float(rng.random()), 1.0
        if horizon is not None and rng.random() < 0.93:
            if KINDS[kind].habitat is Habitat.AIR:
                y *= max(horizon, 0.2)
            else:
                y = horizon + (1 - horizon) * y
                scale = 0.72 + 0.5 * (y - horizon) / (1 - horizon)  # farther things are smaller
        thing = SceneObject(
            kind, x, y, max(0.11, size * scale), colour, bool(rng.random() < 0.5), float(rng.uniform(-12, 12))
        )
        width, height = extent(thing)
        margin_x, margin_y = width / 2 + 0.01, height / 2 + 0.01
        feet = y - height / 2 if horizon is not None and KINDS[kind].habitat is Habitat.GROUND else y
        thing = replace(thing, x=margin_x + x * (1 - 2 * margin_x), y=min(max(feet, margin_y), 1 - margin_y))
        if all(_overlap(box(thing), other) < 0.06 for other in taken):
            return replace(
                thing, x=round(thing.x, 4), y=round(thing.y, 4), size=round(thing.size, 4), angle=round(thing.angle, 1)
            )
    return None


def _invent_backdrop(rng: np.random.Generator) -> Backdrop:
    seed = int(rng.integers(1 << 30))
    style = str(
        rng.choice(["horizon", "plain", "gradient", "pattern", "clouds", "photo"], p=[0.4, 0.2, 0.1, 0.1, 0.06, 0.14])
    )
    names = list(_PALE)
    first, second = (str(name) for name in rng.choice(names, 2, replace=False))
    if style == "horizon":
        ground = str(rng.choice(list(_GROUNDS)))
        sky = _SKIES[int(rng.integers(len(_SKIES)))]
        return Backdrop(ground, style, (sky, _GROUNDS[ground]), seed, round(float(rng.uniform(0.25, 0.5)), 3))
    if style == "photo":
        return Backdrop("a blurred photo", style, (_PALE["grey"], _PALE["grey"]), seed)
    if style == "pattern":
        style = str(rng.choice(list(_PATTERNS)))
        return Backdrop(_PATTERNS[style], style, (_PALE[first], _lighter(_PALE[first])), seed)
    if style == "plain":
        return Backdrop(f"{article(first)} background", style, (_PALE[first], _PALE[first]), seed)
    return Backdrop(f"{article(first)} and {second} background", style, (_PALE[first], _PALE[second]), seed)


def _lighter(rgb: tuple[int, int, int]) -> tuple[int, int, int]:
    """Between a colour and white."""
    red, green, blue = (int(c + 0.45 * (255 - c)) for c in rgb)
    return red, green, blue


def invent_sign(rng: np.random.Generator, words: Sequence[str] = WORDS) -> Sign:
    """A sign with one of the words, anywhere in the picture."""
    word = words[int(rng.integers(len(words)))]
    font = FONTS[int(rng.integers(len(FONTS)))]
    height = float(rng.uniform(0.13, 0.2))
    width = min(0.9, height * (0.62 * len(word) + 0.5))
    ink, board = ((20, 20, 20), (250, 250, 245)) if rng.random() < 0.6 else ((250, 250, 245), (30, 90, 160))
    x = float(rng.uniform(width / 2 + 0.01, 0.99 - width / 2))
    y = float(rng.uniform(height / 2 + 0.01, 0.99 - height / 2))
    return Sign(word, font, round(x, 4), round(y, 4), round(width, 4), round(height, 4), ink, board)
