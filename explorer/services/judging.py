"""Whether an answer is right: what people write in many ways, compared word for word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from explorer.scenes.kinds import COLOURS

_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
_SPELLING: dict[str, str] = {word: str(k) for k, word in enumerate(_NUMBERS)} | {
    "grey": "gray", "centre": "center", "colour": "color", "middle": "center", "upper": "top", "lower": "bottom", "none": "0",
}  # fmt: skip
_PLACES = ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")
_EDGE = "top|bottom|left|right"
_SIDES = ("left", "right", "above", "below")
_COLOURS = (*COLOURS, "grey")


def normalise(text: str) -> str:
    """Lower case, no punctuation, no articles, numbers as digits, one word for grey, centre and the like, single spaces."""
    text = unicodedata.normalize("NFKC", text).lower()
    words: list[str] = re.findall(r"\d+(?:[.,]\d+)*|[^\W_]+", text)
    return " ".join(_SPELLING.get(word, word) for word in words if word not in ("a", "an", "the"))


def is_right(answer: str, truth: str, candidates: Sequence[str] = ()) -> bool:
    """Whether an answer is the truth, word for word after ``normalise``, or a sentence that says nothing else.

    A sentence says "yes" or "no" by its first word, or by holding only one of the two; a number by holding only one;
    one of several candidates by naming it alone ("in the top left" names "top left", not "top").

    Args:
        answer: what a checkpoint said.
        truth: what is so.
        candidates: what else could have been; for places and colours they are known.
    """
    said, wanted = normalise(answer), normalise(truth)
    if said == wanted:
        return bool(wanted)
    if wanted in ("yes", "no"):
        return _yes_or_no(said) == wanted
    if wanted.isdigit():
        return {word for word in said.split() if word.isdigit()} == {wanted}
    options = {normalise(option) for option in candidates}
    for known in (_PLACES, _SIDES, _COLOURS):
        if not options and wanted in map(normalise, known):
            options = set(map(normalise, known))
    if wanted in map(normalise, _PLACES):
        said = re.sub(rf"\b({_EDGE}) center\b|\bcenter ({_EDGE})\b", r"\1\2", said)
    return _named(said, options) == {wanted}


def _yes_or_no(said: str) -> str | None:
    words = said.split()
    if words and words[0] in ("yes", "no"):
        return words[0]
    found = {word for word in words if word in ("yes", "no")}
    return found.pop() if len(found) == 1 else None


def _named(said: str, options: Iterable[str]) -> set[str]:
    """The options that a sentence names; one within a longer one that is named there does not count."""
    found = set()
    for option in sorted(options, key=len, reverse=True):
        pattern = rf"\b{re.escape(option)}\b"
        if re.search(pattern, said):
            found.add(option)
            said = re.sub(pattern, "|", said)
    return found


def number_said(answer: str) -> int | None:
    """The one number in an answer; None where there is none or several."""
    found = {word for word in normalise(answer).split() if word.isdigit()}
    return int(found.pop()) if len(found) == 1 else None


def gist(answer: str, candidates: Sequence[str] = ()) -> str:
    """What an answer comes down to, so that two that say the same can be told from two that do not.

    Args:
        answer: what a checkpoint said.
        candidates: the possible answers, where they are known.

    Returns:
        One of the candidates after ``normalise`` where the answer names just one, else the whole answer after it.
    """
    said, options = normalise(answer), {normalise(option) for option in candidates}
    if options == {"yes", "no"}:
        return _yes_or_no(said) or said
    if options and all(option.isdigit() for option in options):
        number = number_said(said)
        return said if number is None else str(number)
    named = _named(said, options)
    return named.pop() if len(named) == 1 else said
