"""Which scenes a training run sees: any of the training split, or those with many things of one kind, or with a sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from explorer.scenes.layout import MOST_THINGS, make_scene, random_seed
from explorer.scenes.scene import Scene

T = TypeVar("T")


def pick(options: Sequence[T], rng: np.random.Generator) -> T:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def draw_crowd(rng: np.random.Generator) -> Scene:
    """A new training scene with four to ten things of one kind, all numbers equally likely."""
    alike = int(rng.integers(4, MOST_THINGS + 1))
    return make_scene(random_seed("train", rng), alike=alike)


def draw_scene(rng: np.random.Generator, crowds: float, signs: float = 0.0) -> Scene:
    """A training scene.

    Args:
        rng: draws it.
        crowds: share of scenes that are crowds.
        signs: share of scenes that are drawn until one has a sign.
    """
    which = rng.random() if crowds or signs else 1.0
    if which < crowds:
        return draw_crowd(rng)
    scene = make_scene(random_seed("train", rng))
    while which < crowds + signs and not scene.sign:
        scene = make_scene(random_seed("train", rng))
    return scene
