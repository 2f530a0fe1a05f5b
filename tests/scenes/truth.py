"""What is true of a scene, worked out anew from the text of a question and the boxes alone."""

import re
from functools import cache

from explorer.scenes.kinds import COLOURS, KINDS, WORDS
from explorer.scenes.sprites import box
from explorer.scenes.wordings import OPEN, YESNO, one, several, single

NAMES = {name(kind): kind for kind in KINDS for name in (single, several, one)}
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}


@cache
def patterns(task, form):
    """What matches the wordings of a task; a number, colour, side or word on a sign is one word."""
    found = []
    for name, texts in (YESNO if form == "yesno" else OPEN).items():
        for text in texts if name.split()[0] == task else ():
            pattern = re.sub(r"\\{(number|colour|side|word)\\}", r"(?P<\1>\\w+)", re.escape(text))
            found.append(re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", pattern)))
    return found


def fields_of(question):
    """The fields of the wording that a question follows."""
    for pattern in patterns(question.task, question.form):
        if (match := pattern.fullmatch(question.text)) and plausible(match.groupdict()):
            return match.groupdict()
    raise AssertionError(f"no wording gives {question.text!r}")


def plausible(fields):
    for name, value in fields.items():
        if name in ("a", "b", "many", "other") and value not in {*NAMES, "background"}:
            return False
        if name == "number" and value not in NUMBERS and not value.isdigit():
            return False
        if name == "colour" and value not in (*COLOURS, "grey"):
            return False
        if name == "word" and value not in WORDS:
            return False
        if name == "side" and value not in OPPOSITE:
            return False
    return True


def boxes_of(scene, name):
    return [box(thing) for thing in scene.objects if thing.kind == NAMES[name]]


def only_box(scene, name):
    found = boxes_of(scene, name)
    assert len(found) == 1, f"{name} is not unique"
    return found[0]


def side_of(a, b, side):
    """Whether box a lies on that side of box b, wholly."""
    return {"left": a[2] < b[0], "right": a[0] > b[2], "above": a[3] < b[1], "below": a[1] > b[3]}[side]


def cell_of(thing_box):
    x, y = (thing_box[0] + thing_box[2]) / 2, (thing_box[1] + thing_box[3]) / 2
    assert all(abs(v - border) > 0.03 for v in (x, y) for border in (1 / 3, 2 / 3)), "too close to a border"
    row, col = ("top", "middle", "bottom")[int(3 * y)], ("left", "middle", "right")[int(3 * x)]
    if row == col == "middle":
        return "center"
    return f"{row} {col}"


def colour_of(scene, name):
    if name == "background":
        assert scene.backdrop.style == "plain"
        return re.fullmatch("an? (.+) background", scene.backdrop.name)[1]
    (thing,) = (thing for thing in scene.objects if thing.kind == NAMES[name])
    return thing.colour


def is_true(scene, task, fields):
    """Whether the statement of a yes-or-no question holds."""
    if task == "existence":
        return bool(boxes_of(scene, fields.get("one") or fields["many"]))
    if task in ("count", "total"):
        number = fields.get("number", "1")
        number = int(number) if number.isdigit() else NUMBERS.index(number)
        name = fields.get("many") or fields.get("a")
        return number == (len(boxes_of(scene, name)) if name else len(scene.objects))
    if task == "position":
        a, b = only_box(scene, fields["a"]), only_box(scene, fields["b"])
        here, there = side_of(a, b, fields["side"]), side_of(a, b, OPPOSITE[fields["side"]])
        assert here != there, "neither side is clear"
        return here
    if task == "location":
        return cell_of(only_box(scene, fields["a"])) == fields["cell"]
    if task == "colour":
        name, colour = (fields["a"], fields["colour"]) if "a" in fields else reversed(fields["one"].split()[1:])
        return colour_of(scene, name) == colour
    if task == "word":
        return scene.sign.word == fields["word"]
    return ratio(scene, fields["a"], fields["b"]) > 1


def ratio(scene, a, b):
    """Of the areas; never close to 1."""
    (left, top, right, bottom), (l2, t2, r2, b2) = only_box(scene, a), only_box(scene, b)
    value = (right - left) * (bottom - top) / ((r2 - l2) * (b2 - t2))
    assert value >= 1.35 - 1e-9 or value <= 1 / 1.35 + 1e-9, "sizes too close"
    return value


def answer_of(scene, question):
    """The true answer."""
    fields, task = fields_of(question), question.task
    if question.form == "yesno":
        return "yes" if is_true(scene, task, fields) else "no"
    if task == "existence":
        (found,) = (name for name in question.candidates if boxes_of(scene, single(name)))
        return found
    if task == "count":
        return str(len(boxes_of(scene, fields["many"])))
    if task == "total":
        assert scene.sign is None
        return str(len(scene.objects))
    if task == "position":
        a, b = only_box(scene, fields["a"]), only_box(scene, fields["b"])
        (side,) = (side for side in question.candidates if side_of(a, b, side) and leads(a, b, side, question))
        return side
    if task == "location":
        cell = cell_of(only_box(scene, fields["a"]))
        return {"middle left": "left", "middle right": "right"}.get(cell, cell.removesuffix(" middle"))
    if task == "colour":
        return colour_of(scene, fields["a"])
    if task == "word":
        return scene.sign.word
    return fields["a"] if ratio(scene, fields["a"], fields["b"]) > 1 else fields["b"]


def leads(a, b, side, question):
    """With four sides to choose from, the larger distance decides, and clearly so."""
    if len(question.candidates) == 2:
        return True
    dx, dy = (abs((a[k] + a[k + 2]) - (b[k] + b[k + 2])) for k in (0, 1))
    assert max(dx, dy) > 2 * min(dx, dy), "a diagonal"
    return (side in ("left", "right")) == (dx > dy)
