"""Captions as alt text on the web reads: what is there, on what; seldom how many, seldom where."""

from __future__ import annotations

from collections import Counter

import numpy as np

from explorer.scenes.kinds import KINDS
from explorer.scenes.scene import Scene, SceneObject, held_out_relation
from explorer.scenes.sprites import box

NUMBERS = "zero one two three four five six seven eight nine ten".split()


def article(noun: str) -> str:
    """The noun with "a" or "an"; "scissors" and "broccoli" stand alone."""
    if KINDS.get(noun) and KINDS[noun].plural == noun and noun in ("scissors", "broccoli"):
        return noun
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def noun(thing: SceneObject) -> str:
    """The words for a thing: "red circle" for a shape, "dog" for anything else."""
    return f"{thing.colour} {thing.kind}".strip()


def plural(thing: SceneObject) -> str:
    """The words for several of them: "red circles", "dogs"."""
    return f"{thing.colour} {KINDS[thing.kind].plural}".strip()


def join(parts: list[str]) -> str:
    """Enumerate: "a, b and c"."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _things(objects: list[SceneObject], rng: np.random.Generator, numbers: bool) -> list[str]:
    groups = Counter(noun(thing) for thing in objects)
    by_noun = {noun(thing): thing for thing in objects}
    parts = []
    for name in rng.permutation(list(groups)):
        thing, count = by_noun[str(name)], groups[str(name)]
        if count == 1:
            parts.append(article(noun(thing)) if rng.random() < 0.8 else noun(thing))
        else:
            parts.append(f"{NUMBERS[count]} {plural(thing)}" if numbers else plural(thing))
    return parts


def loose_relation(a: SceneObject, b: SceneObject) -> str:
    """Where a thing is beside another, as people say it without measuring: "on", "above", "under", "next to"."""
    left, top, right, bottom = box(a)
    other = box(b)
    shared = min(right, other[2]) - max(left, other[0])
    if shared > 0 and bottom <= other[1] + 0.05:
        return "on" if other[1] - bottom < 0.08 else "above"
    if shared > 0 and top >= other[3] - 0.05:
        return "under"
    return "next to"


def inside(inner: tuple[float, float, float, float], outer: tuple[float, float, float, float]) -> float:
    """Share of the inner box's area that lies within the outer one."""
    width = min(inner[2], outer[2]) - max(inner[0], outer[0])
    height = min(inner[3], outer[3]) - max(inner[1], outer[1])
    return max(0.0, width) * max(0.0, height) / ((inner[2] - inner[0]) * (inner[3] - inner[1]))


def make_caption(
    scene: Scene, rng: np.random.Generator, cut: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
) -> str:
    """Write a caption; another draw of ``rng`` gives another wording.

    About one caption in six has number words or one loose relation; the rest name kinds only.

    Args:
        scene: what is described.
        rng: the source of the wording.
        cut: (left, top, right, bottom) as fractions; only what is mostly within it is described.
    """
    things = [thing for thing in scene.objects if inside(box(thing), cut) > 0.6]
    style = rng.random()
    parts = _things(things, rng, numbers=style < 0.1) if things else []
    if 0.1 <= style < 0.17 and len({noun(thing) for thing in things}) >= 2:
        first, second = (things[int(k)] for k in rng.choice(len(things), 2, replace=False))
        relation = loose_relation(first, second)
        if noun(first) != noun(second) and not held_out_relation(first.kind, second.kind, relation):
            parts = [f"{article(noun(first))} {relation} {article(noun(second))}"]
    if scene.sign and inside(scene.sign.box(), cut) > 0.9 and rng.random() < 0.9:
        parts.append(f'a sign that says "{scene.sign.word}"' if rng.random() < 0.6 else f'the word "{scene.sign.word}"')
    place = scene.backdrop.name
    if not parts:
        return place
    lead = "a picture of " if rng.random() < 0.12 else ""
    tail = "" if rng.random() < 0.25 else (" in front of " if "photo" in place else " on ") + place
    return lead + join(parts) + tail
