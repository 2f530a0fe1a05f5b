"""What each task asks about a scene, so that the words alone do not give the answer away.

A question to be answered with yes or no comes as a pair, one of each, in the same words. A false statement is chosen
so that it is, over all scenes, as often true as the true one is false: the number, kind, cell or relation that it
names says nothing. Where the world itself leans (planes fly above cars, a house is larger than a key, one of a kind
is commoner than nine), what leans is asked about more seldom: see the shares and slopes below. The job
``explorer.jobs.guess`` measures what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, log

import numpy as np

from explorer.scenes.captions import NUMBERS, article
from explorer.scenes.facts import (
    CELLS,
    Facts,
    apart,
    area,
    axis_held_out,
    cell_of,
    clearly_larger,
    is_air,
    usual_log_size,
)
from explorer.scenes.kinds import COLOURS, WORDS
from explorer.scenes.layout import MOST_THINGS
from explorer.scenes.scene import held_out_count
from explorer.scenes.wordings import OPEN, YESNO, one, several, single


class Form(StrEnum):
    """What a question wants: yes or no, or an answer of its own."""

    YESNO = "yesno"
    OPEN = "open"


@dataclass(frozen=True)
class Question:
    """A question about a scene.

    Attributes:
        text: as a person asks it.
        answer: one of the candidates.
        task: one of ``TASKS``.
        form: yes or no, or open.
        candidates: all answers that could be given.
        pair: the same for the two questions of a yes-and-no pair about one scene; "" outside a pair.
        held_out: whether it needs a combination that no training scene or question has.
    """

    text: str
    answer: str
    task: str
    form: Form
    candidates: tuple[str, ...]
    pair: str = ""
    held_out: bool = False


# What a task asks: a cell, by which evaluation is balanced, and one open question or a pair (yes first).
Asked = tuple[Hashable, tuple[Question, ...]]

BACKDROP_COLOURS = (*COLOURS, "grey")
# The world as it is, measured over 12,000 scenes; tests/scenes/test_questions.py measures again.
_COUNT_SHARE = (0.0, 0.498, 0.150, 0.115, 0.081, 0.061, 0.039, 0.028, 0.016, 0.008, 0.0035)  # kind of a random thing
_TOTAL_SHARE = (0.0, 0.110, 0.134, 0.137, 0.121, 0.110, 0.099, 0.083, 0.079, 0.068, 0.058)  # without a sign
_CELL_SHARE = {
    True: (0.186, 0.206, 0.193, 0.064, 0.077, 0.062, 0.066, 0.085, 0.062),  # kinds of the air
    False: (0.084, 0.1, 0.08, 0.124, 0.132, 0.121, 0.113, 0.133, 0.113),
}
_LARGER_SLOPE = 6.4
_ABOVE_SLOPE = 1.0
_USUALLY_LARGER = 0.6  # log of usual areas beyond which words alone decide which is larger


def _pick(rng: np.random.Generator, options: Sequence):
    return options[int(rng.random() * len(options))]


def _open(
    rng: np.random.Generator,
    task: str,
    answer: str,
    candidates: tuple[str, ...],
    held_out: bool = False,
    variant: str = "",
    **fields: str,
) -> tuple[Question, ...]:
    text = _pick(rng, OPEN[f"{task} {variant}".strip()]).format(**fields)
    return (Question(text, answer, task, Form.OPEN, candidates, held_out=held_out),)


def _pair(
    rng: np.random.Generator,
    task: str,
    named: Sequence[dict[str, str]],
    held_out: bool = False,
    variants: tuple[str, str] = ("", ""),
) -> tuple[Question, ...]:
    wordings = [YESNO[f"{task} {variant}".strip()] for variant in variants]
    k = int(rng.random() * len(wordings[0]))
    return tuple(
        Question(wording[k].format(**fields), answer, task, Form.YESNO, ("yes", "no"), held_out=held_out)
        for wording, fields, answer in zip(wordings, named, ("yes", "no"), strict=True)
    )


def _ask_existence(facts: Facts, rng: np.random.Generator, form: Form) -> Asked | None:
    if not facts.counts:
        return None
    kind = _pick(rng, list(facts.counts))
    absent = facts.absent_like(kind, rng)
    if absent is None:
        return None
    if form is Form.YESNO:
        named = [{"one": one(name), "many": several(name)} for name in (kind, absent)]
        return "", _pair(rng, "existence", named)
    names = (kind, absent) if rng.random() < 0.5 else (absent, kind)
    return names.index(kind), _open(rng, "existence", kind, names, one=one(names[0]), other=one(names[1]))


def _another_number(truth: int, share: Sequence[float], rng: np.random.Generator) -> int | None:
    """A number near the truth to name falsely; None as often as makes naming either of two numbers equally telling.

    The rule of Metropolis: from the truth c to the number n with probability min(1, share(n) / share(c)), so that
    "n, where it is c" is asked as often as "c, where it is n" (Metropolis et al., J. Chem. Phys. 21, 1953).
    """
    number = truth + _pick(rng, (-2, -1, 1, 2))
    if not 1 <= number <= MOST_THINGS or rng.random() * share[truth] >= share[number]:
        return None
    return number


def _named_number(number: int, digits: bool, **fields: str) -> dict[str, str]:
    return {"number": str(number) if digits else NUMBERS[number], **fields}


def _ask_count(facts: Facts, rng: np.random.Generator, form: Form) -> Asked | None:
    things = [thing.kind for thing in facts.scene.objects if thing.kind in facts.counts]
    if not things:
        return None
    kind = _pick(rng, things)
    truth = facts.counts[kind]
    if truth > MOST_THINGS:
        return None
    if form is Form.OPEN:
        if rng.random() < 0.08:
            kind, truth = facts.absent_like(kind, rng), 0
        elif rng.random() * _COUNT_SHARE[truth] >= _COUNT_SHARE[3]:
            return None
        if kind is None or (held_out_count(kind, truth) and not facts.test):
            return None
        numbers = tuple(str(n) for n in range(MOST_THINGS + 1))
        return truth, _open(rng, "count", str(truth), numbers, held_out_count(kind, truth), many=several(kind))
    number = _another_number(truth, _COUNT_SHARE, rng)
    held_out = number is not None and (held_out_count(kind, truth) or held_out_count(kind, number))
    if number is None or (held_out and not facts.test):
        return None
    digits = rng.random() < 0.3
    named = [_named_number(n, digits, many=several(kind), a=single(kind)) for n in (truth, number)]
    variants = ("one" if truth == 1 else "", "one" if number == 1 else "")
    return (truth, number), _pair(rng, "count", named, held_out=held_out, variants=variants)


def _ask_total(facts: Facts, rng: np.random.Generator, form: Form) -> Asked | None:
    truth = len(facts.scene.objects)
    if facts.scene.sign or not 1 <= truth <= MOST_THINGS:  # a sign may or may not be counted
        return None
    if form is Form.OPEN:
        numbers = tuple(str(n) for n in range(1, MOST_THINGS + 1))
        return truth, _open(rng, "total", str(truth), numbers)
    number = _another_number(truth, _TOTAL_SHARE, rng)
    if number is None:
        return None
    digits = rng.random() < 0.3
    variants = ("one" if truth == 1 else "", "one" if number == 1 else "")
    named = [_named_number(n, digits) for n in (truth, number)]
    return (truth, number), _pair(rng, "total", named, variants=variants)


_SIDES = (("left", "right"), ("above", "below"))


def _ask_position(facts: Facts, rng: np.random.Generator, form: Form) -> Asked | None:
    if len(facts.unique) < 2:
        return None
    a, b = (facts.unique[int(k)] for k in rng.permutation(len(facts.unique))[:2])
    axis = int(rng.random() * 2)
    if not apart(a, b, axis):
        axis = 1 - axis
    held_out = axis_held_out(a[0].kind, b[0].kind, axis)
    if not apart(a, b, axis) or (held_out and not facts.test):
        return None
    dx, dy = b[0].x - a[0].x, b[0].y - a[0].y
    if axis == 1 and not _keep_above(facts, *((a[0].kind, b[0].kind) if dy > 0 else (b[0].kind, a[0].kind)), rng):
        return None
    side, other = _SIDES[axis] if (dx, dy)[axis] > 0 else _SIDES[axis][::-1]
    names = {"a": single(a[0].kind), "b": single(b[0].kind)}
    variant = ("sideways", "upright")[axis]
    if form is Form.OPEN:
        aligned = abs((dy, dx)[axis]) <= 0.35 * abs((dx, dy)[axis])
        candidates = _SIDES[axis]
        if aligned and rng.random() < 0.5:
            variant, candidates = "where", (*_SIDES[0], *_SIDES[1])
        return (variant == "where", side), _open(rng, "position", side, candidates, held_out, variant, **names)
    false = {**names, "side": other} if rng.random() < 0.5 else {"a": names["b"], "b": names["a"], "side": side}
    return side, _pair(rng, "position", [{**names, "side": side}, false], held_out, (variant, variant))


def _keep_above(facts: Facts, upper: str, lower: str, rng: np.random.Generator) -> bool:
    """Whether to ask about one kind above another, so that over all scenes the reverse is as common.

    With a horizon, what flies is above what stands, and what is tall has its centre higher.
    """
    if facts.scene.backdrop.horizon is None:
        return True
    lean = usual_log_size(upper)[1] - usual_log_size(lower)[1]
    return is_air(upper) == is_air(lower) and rng.random() < exp(-_ABOVE_SLOPE * lean)


def _ask_location(facts: Facts, rng: np.random.Generator, form: Form) -> Asked | None:
    if not facts.unique:
        return None
    thing, _ = _pick(rng, facts.unique)
    cell = cell_of(thing)
    shares = _CELL_SHARE[is_air(thing.kind)]
    if cell is None or rng.random() * shares[CELLS.index(cell)] >= min(shares):
        return None
    name = single(thing.kind)
    if form is Form.OPEN:
        return cell, _open(rng, "location", cell, CELLS, a=name)
    other = _pick(rng, [c for c in CELLS if c != cell])
    return cell, _pair(rng, "location", [{"a": name, "cell": _CELL_NAMES[c]} for c in (cell, other)])


# What is in the top left is "at the top" too, so that statements name the middles in full.
_CELL_NAMES = {cell: cell for cell in CELLS} | {
    "left": "middle left",
    "right": "middle right",
    "top": "top middle",
    "bottom": "bottom middle",
}


def _ask_colour(facts: Facts, rng: np.random.Generator, form: Form) -> Asked | None:
    subjects = [(thing.kind, thing.colour, tuple(COLOURS)) for thing, _ in facts.unique if thing.colour]
    backdrop = facts.scene.backdrop
    if backdrop.style == "plain" and set(backdrop.name.split()[1:2]) & set(BACKDROP_COLOURS):
        subjects.append(("background", backdrop.name.split()[1], BACKDROP_COLOURS))
    if not subjects:
        return None
    name, colour, colours = _pick(rng, subjects)
    cell = (name == "background", colour)
    if form is Form.OPEN:
        return cell, _open(rng, "colour", colour, colours, a=name)
    other = _pick(rng, [c for c in colours if c != colour])
    named = [{"a": name, "colour": c, "one": article(f"{c} {name}")} for c in (colour, other)]
    return cell, _pair(rng, "colour", named)


def _ask_word(facts: Facts, rng: np.random.Generator, form: Form) -> Asked | None:
    sign = facts.scene.sign
    if sign is None or sign.word not in WORDS or not facts.readable():
        return None
    if form is Form.OPEN:
        return sign.word, _open(rng, "word", sign.word, tuple(WORDS))
    others = [word for word in WORDS if word != sign.word]
    alike = [word for word in others if len(word) == len(sign.word)]
    other = _pick(rng, alike if rng.random() < 0.5 else others)
    return sign.word, _pair(rng, "word", [{"word": sign.word}, {"word": other}])


def _ask_larger(facts: Facts, rng: np.random.Generator, form: Form) -> Asked | None:
    if len(facts.unique) < 2:
        return None
    a, b = (facts.unique[int(k)][0] for k in rng.permutation(len(facts.unique))[:2])
    usual = sum(usual_log_size(a.kind)) - sum(usual_log_size(b.kind))
    actual = log(area(a) / area(b))
    if not (clearly_larger(a, b) or clearly_larger(b, a)) or abs(usual) > _USUALLY_LARGER:
        return None
    if rng.random() >= exp(-_LARGER_SLOPE * usual * actual):
        return None
    large, small = (a, b) if actual > 0 else (b, a)
    names = (single(a.kind), single(b.kind))
    if form is Form.OPEN:
        answer = single(large.kind)
        return names.index(answer), _open(rng, "larger", answer, names, a=names[0], b=names[1])
    true = {"a": single(large.kind), "b": single(small.kind)}
    return "", _pair(rng, "larger", [true, {"a": true["b"], "b": true["a"]}])


ASK: dict[str, Callable[[Facts, np.random.Generator, Form], Asked | None]] = {
    "existence": _ask_existence,
    "count": _ask_count,
    "total": _ask_total,
    "position": _ask_position,
    "location": _ask_location,
    "colour": _ask_colour,
    "word": _ask_word,
    "larger": _ask_larger,
}
TASKS = tuple(ASK)
