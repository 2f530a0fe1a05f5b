"""How models write the same short answers: "3", "three", "Three"; "yes", "Yes"."""

from __future__ import annotations

from collections.abc import Sequence

NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()


def spellings(candidates: Sequence[str]) -> list[tuple[str, ...]]:
    """All ways to write a whole list of candidates, the given one first; each way writes all of them alike."""
    ways = [tuple(candidates), tuple(text[:1].upper() + text[1:] for text in candidates)]
    if all(text.isdecimal() and int(text) < len(NUMBERS) for text in candidates):
        words = tuple(NUMBERS[int(text)] for text in candidates)
        ways += [words, tuple(word.capitalize() for word in words)]
    return list(dict.fromkeys(ways))
