"""What a question asks, in the world's own wordings and in many of a person's; and what is then true of a scene.

First the wordings that the world uses are tried. Then a reading by its words: everyday names become kinds, and every
word that is left must be one that questions of that task use. What is not understood without doubt is not understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from explorer.scenes.asking import BACKDROP_COLOURS, Form
from explorer.scenes.captions import NUMBERS
from explorer.scenes.facts import CELLS, Facts, apart, cell_of, clearly_larger
from explorer.scenes.kinds import COLOURS, KINDS, WORDS
from explorer.scenes.layout import MOST_THINGS
from explorer.scenes.rewordings import synonyms, wordings_of
from explorer.scenes.scene import SceneObject
from explorer.scenes.wordings import several, single

BACKGROUND = "background"
COUNTS = tuple(str(n) for n in range(MOST_THINGS + 1))
SIDES = (("left", "right"), ("above", "below"))
_CELL_NAMES = {cell: cell for cell in CELLS} | {
    "middle left": "left", "middle right": "right", "top middle": "top", "bottom middle": "bottom", "middle": "center",
    "left middle": "left", "right middle": "right", "middle top": "top", "middle bottom": "bottom", "centre": "center",
    "upper left": "top left", "upper right": "top right", "lower left": "bottom left", "lower right": "bottom right",
}  # fmt: skip


@dataclass(frozen=True)
class Meaning:
    """What a question asks.

    Attributes:
        task: one of ``TASKS``.
        form: yes or no, or open.
        kinds: the kinds it names, in the order in which the answer needs them; "background" may stand for one.
        colour: of the things it names, or the colour it says something has.
        said: what a yes-or-no question says is so: a number, side, cell or word.
        axis: of a question about places: 0 sideways, 1 upright, None for either.
    """

    task: str
    form: Form
    kinds: tuple[str, ...] = ()
    colour: str = ""
    said: str = ""
    axis: int | None = None

    @property
    def candidates(self) -> tuple[str, ...]:
        """All answers that could be given."""
        if self.form is Form.YESNO:
            return ("yes", "no")
        match self.task:
            case "count":
                return COUNTS
            case "total":
                return COUNTS
            case "position":
                return SIDES[self.axis] if self.axis is not None else (*SIDES[0], *SIDES[1])
            case "location":
                return CELLS
            case "colour":
                return BACKDROP_COLOURS if self.kinds == (BACKGROUND,) else tuple(COLOURS)
            case "word":
                return WORDS
            case "larger":
                return tuple(single(kind) for kind in self.kinds)
        return self.kinds


def understand(text: str) -> Meaning | None:
    """What a question asks, None where that is not clear."""
    return next(understandings(text), None)


def understandings(text: str) -> Iterator[Meaning]:
    """All that a question may ask, the likeliest first."""
    from explorer.scenes.reading import read_freely

    plain = " ".join(text.split())
    for candidate in (plain, plain.removesuffix(" Please answer yes or no.")):
        for form, variant, pattern in _patterns():
            match = pattern.fullmatch(candidate)
            found = match and _from_fields(variant, form, match.groupdict())
            if found:
                yield found
    found = read_freely(plain)
    if found:
        yield found


@cache
def nouns() -> dict[str, str]:
    """Every name of a kind, in lower case, singular or plural, everyday ones included."""
    table = {}
    for kind in KINDS.values():
        for pair in (*synonyms().get(kind.name, ()),):
            table.update(dict.fromkeys(pair, kind.name))
    for kind in KINDS.values():  # after the synonyms, so that a kind's own name is never another's
        table.update(dict.fromkeys((kind.name, kind.plural, single(kind.name), several(kind.name)), kind.name))
    return table | {BACKGROUND: BACKGROUND, "backdrop": BACKGROUND}


def name_to_kind(text: str) -> str | None:
    """The kind that a noun names, its article aside; None if there is none."""
    return nouns().get(re.sub(r"^(a|an|the|any|some) ", "", text.strip().lower()))


def number_named(text: str) -> str | None:
    """A number from its digits or its word, None if it is none."""
    text = text.strip().lower()
    if text.isdecimal() and len(text) < 4:
        return str(int(text))
    return str(NUMBERS.index(text)) if text in NUMBERS else None


def cell_named(text: str) -> str | None:
    """The part of the picture that a phrase names, None if it names none."""
    return _CELL_NAMES.get(text.strip().lower())


@cache
def _patterns() -> tuple[tuple[Form, str, re.Pattern[str]], ...]:
    """All wordings, those for training too, without regard to capitals."""
    found = []
    for form in Form:
        for variant, pattern in wordings_of(form.value):
            found.append((form, variant, re.compile(pattern.pattern, re.IGNORECASE)))
    return tuple(found)


def _from_fields(variant: str, form: Form, fields: dict[str, str]) -> Meaning | None:
    """The meaning of a wording with its blanks filled in, None where they hold no names that are known."""
    task = variant.split()[0]
    kinds = []
    for name in ("one", "other", "many", "a", "b"):
        if name in fields:
            kind = name_to_kind(fields[name])
            if kind is None and not (task == "colour" and name == "one"):
                return None
            if kind is not None and kind not in kinds:
                kinds.append(kind)
    wanted = {"existence": 2 if form is Form.OPEN else 1, "count": 1, "position": 2, "location": 1, "larger": 2}
    if task == "colour":
        return _colour(form, kinds, fields)
    if len(kinds) != wanted.get(task, 0) or BACKGROUND in kinds:
        return None
    said, axis = "", {"sideways": 0, "upright": 1}.get(variant.split()[-1])
    if "number" in fields:
        said = number_named(fields["number"]) or ""
    elif "side" in fields:
        said = fields["side"].lower()
        if axis is None or said not in SIDES[axis]:
            return None
    elif "cell" in fields:
        said = cell_named(fields["cell"]) or ""
    elif "word" in fields:
        said = fields["word"].upper()
        if said not in WORDS:
            return None
    elif form is Form.YESNO and task not in ("existence", "larger"):
        return None
    if form is Form.YESNO and task in ("count", "total", "location") and not said:
        return None
    return Meaning(task, form, tuple(kinds), "", said, axis)


def _colour(form: Form, kinds: list[str], fields: dict[str, str]) -> Meaning | None:
    if "one" in fields:  # "Is there a red circle in the image?"
        colour, _, noun = re.sub(r"^an? ", "", fields["one"].lower()).partition(" ")
        kind = name_to_kind(noun)
        kinds, fields = ([kind] if kind else []), {**fields, "colour": colour}
    colour = fields.get("colour", "").lower().replace("gray", "grey")
    if len(kinds) != 1 or (form is Form.YESNO and colour not in BACKDROP_COLOURS):
        return None
    return Meaning("colour", form, tuple(kinds), colour)


def answer(facts: Facts, asked: Meaning) -> str | None:
    """The true answer, None where the scene leaves it in doubt or the question does not apply."""
    if asked.form is Form.OPEN:
        return _open(facts, asked)
    if asked.task == "existence":
        return _yes(_exists(facts, asked.kinds[0], asked.colour))
    if asked.task in ("count", "total", "location", "word"):
        truth = _open(facts, asked)
        return None if truth is None else _yes(truth == asked.said)
    if asked.task == "colour":
        truth = _open(facts, asked)
        if (
            truth is None
            and asked.kinds[0] in KINDS
            and not KINDS[asked.kinds[0]].glyph
            and facts.is_sure(asked.kinds[0])
        ):
            things = [thing for thing in facts.scene.objects if thing.kind == asked.kinds[0]]
            return _yes(any(thing.colour == asked.colour for thing in things)) if not things else None
        return None if truth is None else _yes(truth == asked.colour)
    if asked.task == "position":
        truth = _position(facts, asked.kinds, SIDES.index(next(pair for pair in SIDES if asked.said in pair)))
        return None if truth is None else _yes(truth == asked.said)
    truth = _larger(facts, asked.kinds)
    return None if truth is None else _yes(truth == asked.kinds[0])


def _open(facts: Facts, asked: Meaning) -> str | None:
    match asked.task:
        case "existence":
            there = [_exists(facts, kind, "") for kind in asked.kinds]
            return asked.kinds[there.index(True)] if sorted(map(str, there)) == ["False", "True"] else None
        case "count":
            return _count(facts, asked.kinds[0], asked.colour)
        case "total":
            return None if facts.scene.sign else str(len(facts.scene.objects))
        case "position":
            axes = (0, 1) if asked.axis is None else (asked.axis,)
            found = [side for axis in axes if (side := _position(facts, asked.kinds, axis))]
            return found[0] if len(found) == 1 else _main_side(facts, asked.kinds) if found else None
        case "location":
            thing = _only(facts, asked.kinds[0])
            return cell_of(thing[0]) if thing else None
        case "colour":
            if asked.kinds == (BACKGROUND,):
                backdrop = facts.scene.backdrop
                named = [word for word in backdrop.name.split() if word in BACKDROP_COLOURS]
                return named[0] if backdrop.style == "plain" and len(named) == 1 else None
            thing = _only(facts, asked.kinds[0])
            return (thing[0].colour or None) if thing else None
        case "word":
            sign = facts.scene.sign
            return sign.word if sign and sign.word in WORDS and facts.readable() else None
        case "larger":
            larger = _larger(facts, asked.kinds)
            return single(larger) if larger else None
    return None


def _yes(so: bool | None) -> str | None:
    return None if so is None else "yes" if so else "no"


def _exists(facts: Facts, kind: str, colour: str) -> bool | None:
    count = _count(facts, kind, colour)
    return None if count is None else count != "0"


def _count(facts: Facts, kind: str, colour: str) -> str | None:
    if kind not in KINDS or not facts.is_sure(kind) or (colour and KINDS[kind].glyph):
        return None
    return str(sum(thing.kind == kind and colour in ("", thing.colour) for thing in facts.scene.objects))


def _only(facts: Facts, kind: str) -> tuple[SceneObject, tuple[float, ...]] | None:
    return next((entry for entry in facts.unique if entry[0].kind == kind), None)


def _position(facts: Facts, kinds: Sequence[str], axis: int) -> str | None:
    """Where the first of two is, seen from the second, along an axis; None where they are not clearly apart."""
    a, b = (_only(facts, kind) for kind in kinds)
    if a is None or b is None or not apart(a, b, axis):
        return None
    return SIDES[axis][0 if (a[0].x, a[0].y)[axis] < (b[0].x, b[0].y)[axis] else 1]


def _main_side(facts: Facts, kinds: Sequence[str]) -> str | None:
    """The side of one thing seen from another, where one direction is by far the larger."""
    a, b = (_only(facts, kind) for kind in kinds)
    if a is None or b is None:
        return None
    away = abs(a[0].x - b[0].x), abs(a[0].y - b[0].y)
    for axis in (0, 1):
        if away[1 - axis] <= 0.35 * away[axis]:
            return _position(facts, kinds, axis)
    return None


def _larger(facts: Facts, kinds: Sequence[str]) -> str | None:
    a, b = (_only(facts, kind) for kind in kinds)
    if a is None or b is None:
        return None
    if clearly_larger(a[0], b[0]):
        return kinds[0]
    return kinds[1] if clearly_larger(b[0], a[0]) else None
