"""Written pictures: a scene as a grid of words, which stand where a real picture's tokens would stand.

A word's vector is its embedding in the language model; a cell that several things share holds the sum of their words.
At its middle each thing also says "thing", so that things are counted and not the cells they fill.
A language model that has learned to read these knows what "left of" or "how many" mean before it sees a picture; a
linear projector then only has to turn an encoder's patches into such words.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from explorer.jobs.lm_tokenizer import IMAGE
from explorer.scenes.kinds import EMOJI, KINDS, WORDS
from explorer.scenes.layout import MOST_THINGS
from explorer.scenes.scene import Scene, SceneObject
from explorer.scenes.sprites import box

GRID = 12
CELLS = GRID * GRID


@dataclass(frozen=True)
class Notation:
    """How a scene is written.

    Attributes:
        thing: weight of the words of a thing in a cell that it fills.
        ground: weight of the words of the backdrop.
        power: of a cell's share that a thing covers; below 1 the outline is fat, above 1 thin.
        doubt: share of a thing's weight that goes to another kind, and of a sign's word to another word, as in features
            that leave doubt.
        middle: side of the box, in cells, over which "thing" is spread at a thing's middle: 1 spreads it over the four
            cells around, near 0 it stands in one.
        number: weight of the figure that says how many of its kind there are, in the cell of a thing's middle.
    """

    thing: float = 1.0
    ground: float = 0.3
    power: float = 1.0
    doubt: float = 0.0
    middle: float = 1.0
    number: float = 0.0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Notation:
        """Any of the notations."""
        power = float(rng.choice([0.5, 1.0, 2.0]))
        doubt = float(rng.uniform(0, 0.45)) if rng.random() < 0.5 else 0.0
        middle = float(rng.uniform(0.1, 1))
        return cls(float(rng.uniform(0.6, 1.3)), float(rng.uniform(0, 0.5)), power, doubt, middle)


def cover(edges: tuple[float, float, float, float]) -> np.ndarray:
    """Share of each cell that a box (left, top, right, bottom) covers, float64 [CELLS]."""
    starts = np.arange(GRID)
    left, top, right, bottom = (GRID * edge for edge in edges)
    across = np.clip(np.minimum(right, starts + 1) - np.maximum(left, starts), 0, 1)
    down = np.clip(np.minimum(bottom, starts + 1) - np.maximum(top, starts), 0, 1)
    return (down[:, None] * across[None, :]).reshape(-1)


def thing_cells(thing: SceneObject) -> np.ndarray:
    """Share of each cell that a thing covers, rounder than its box, float64 [CELLS]."""
    left, top, right, bottom = box(thing)
    middles = (np.arange(GRID) + 0.5) / GRID
    across = (middles[None, :] - thing.x) / (right - left + 1 / GRID)
    down = (middles[:, None] - thing.y) / (bottom - top + 1 / GRID)
    inside = np.clip(6 * (0.56 - np.hypot(across, down)), 0, 1).reshape(-1)
    return cover((left, top, right, bottom)) * inside


class Writer:
    """Writes scenes with the tokens of one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast):
        """Look up the tokens of all words that a written picture may hold."""
        self.mark: Any = tokenizer.convert_tokens_to_ids(IMAGE)  # the token that every cell holds
        self._ids = {word: tokenizer(word, add_special_tokens=False).input_ids for word in self._words()}

    @staticmethod
    def _words() -> set[str]:
        colours = "red orange yellow green blue purple black white grey"
        grounds = (
            "grass sand snow a road water field sky photo blurred striped checked dotted background and sign thing"
        )
        return {
            *KINDS,
            *map(str, range(MOST_THINGS + 1)),
            *colours.split(),
            *grounds.split(),
            *(word.lower() for word in WORDS),
        }

    def write(
        self, scene: Scene, notation: Notation, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Write a scene.

        Returns:
            tuple: parallel arrays, one entry for each word in each cell: the cell, int64, row by row from the top
            left; the token, int64; its weight, float32.
        """
        shares: list[tuple[list[str], np.ndarray]] = []
        for thing in scene.objects:
            weight = notation.thing * thing_cells(thing) ** notation.power
            if notation.doubt:
                other = EMOJI[int(rng.integers(len(EMOJI)))].name
                shares.append(([other], notation.doubt * weight))
            shares.append(([thing.kind, *([thing.colour] if thing.colour else [])], (1 - notation.doubt) * weight))
        if scene.sign:
            board = notation.thing * cover(scene.sign.box())
            if notation.doubt:
                shares.append(([WORDS[int(rng.integers(len(WORDS)))].lower()], notation.doubt * board))
            shares += [(["sign"], 0.5 * board), ([scene.sign.word.lower()], (1 - notation.doubt) * board)]
        taken = np.clip(sum((share for _, share in shares), np.zeros(CELLS)), 0, 1)
        shares += [(words, notation.ground * (1 - taken) * share) for words, share in _ground(scene)]
        shares += [(["thing"], notation.thing * middle_cells(thing, notation.middle)) for thing in scene.objects]
        if notation.number:
            alike = Counter(thing.kind for thing in scene.objects)
            shares += [
                ([str(min(MOST_THINGS, alike[thing.kind]))], notation.number * middle_cells(thing, 0.1))
                for thing in scene.objects
            ]
        entries = [(share, token) for words, share in shares for word in words for token in self._ids[word]]
        if not entries:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
        weights = np.stack([share for share, _ in entries])
        which, cells = np.nonzero(weights > 0.04)
        tokens = np.array([token for _, token in entries])[which]
        return cells, tokens, weights[which, cells].astype(np.float32)


def _ground(scene: Scene) -> list[tuple[list[str], np.ndarray]]:
    """Words of the backdrop and where they stand."""
    name, horizon = scene.backdrop.name, scene.backdrop.horizon
    words = [word for word in name.split() if word not in ("a", "an", "and")]
    if horizon is None:
        return [(words, np.ones(CELLS))]
    below = cover((0.0, horizon, 1.0, 1.0))
    return [(["sky"], 1 - below), (words, below)]


def middle_cells(thing: SceneObject, side: float = 1.0) -> np.ndarray:
    """Share of a box around a thing's middle that lies in each cell, float64 [CELLS]; the box's side is given in cells."""
    half = side / 2 / GRID
    return cover((thing.x - half, thing.y - half, thing.x + half, thing.y + half)) / side**2


def covered_cells(scene: Scene) -> np.ndarray:
    """Which cells some thing or the sign covers, bool [CELLS]."""
    shares = [thing_cells(thing) + middle_cells(thing) for thing in scene.objects]
    shares += [cover(scene.sign.box())] if scene.sign else []
    return sum(shares, np.zeros(CELLS)) > 0.2
