"""Which scenes a training run sees: any of the training split, or those with many things of one kind, or with a sign."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from explorer.scenes.layout import MOST_THINGS, make_scene, random_seed

T = TypeVar("T")


def pick(options: Sequence[T], rng: np.random.Generator) -> T:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


@cache
def crowd_seeds(most: int = 200_000) -> tuple[tuple[int, ...], ...]:
    """Seeds of training scenes by how many things of one kind there are, from 4 to 10; among so many scenes (a minute)."""
    rng = np.random.default_rng(11)
    found: list[list[int]] = [[] for _ in range(MOST_THINGS + 1)]
    for _ in range(most):
        scene = make_scene(random_seed("train", rng))
        found[max(Counter(thing.kind for thing in scene.objects).values(), default=0)].append(scene.seed)
    return tuple(tuple(seeds) for seeds in found[4:] if seeds)


def draw_seed(rng: np.random.Generator, crowds: float, signs: float = 0.0) -> int:
    """Seed of a training scene.

    Args:
        rng: draws it.
        crowds: share of scenes among which all sizes of a crowd come equally often, the rare ones too.
        signs: share of scenes that are drawn until one has a sign.
    """
    which = rng.random() if crowds or signs else 1.0
    if which < crowds:
        return pick(pick(crowd_seeds(), rng), rng)
    seed = random_seed("train", rng)
    while which < crowds + signs and not make_scene(seed).sign:
        seed = random_seed("train", rng)
    return seed


@cache
def pool_seed(seed: int, place: int, crowds: float, signs: float) -> int:
    """Seed of the scene at a place of a run's pool, always the same; shares as ``draw_seed`` takes them."""
    return draw_seed(np.random.default_rng((seed, 4, place)), crowds, signs)
