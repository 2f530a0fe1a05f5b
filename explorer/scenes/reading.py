"""A person's own wording, read by its words: kinds, numbers, sides, and nothing that is not understood.

Every word that is no name must be one that questions of that task use ("How many dogs are asleep?" is therefore not
understood), and what is named must be as many things, in an order, as the task wants.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from explorer.scenes.asking import BACKDROP_COLOURS, TASKS, Form
from explorer.scenes.kinds import WORDS
from explorer.scenes.rewordings import words_of
from explorer.scenes.understanding import BACKGROUND, Meaning, cell_named, nouns, number_named

_SIDE = {
    "left": "left", "right": "right", "above": "above", "over": "above", "higher": "above", "below": "below",
    "under": "below", "beneath": "below", "underneath": "below", "lower": "below",
}  # fmt: skip
_OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
_CELLS = (
    r"\b(?:(?:top|upper|bottom|lower) (?:left|right|middle|center|centre)|(?:middle|left|right) (?:left|right|top|bottom|middle)"
    r"|top|bottom|cent(?:er|re)|middle)\b"
)
_HELPERS = "is are am was were do does did can could will would has have any there".split()
_COMMON = frozenset(
    "a an the this that these those it its of in on at to by from with and or you i me we my us for one ones is are am was "
    "were do does did can could will would has have any some there here be been see seen spot find found please just "
    "exactly only tell picture image photo scene pic view drawing many how what which where number count".split()
)
_OWN: dict[str, str] = {
    "existence": "contain contains include includes exist exists visible present somewhere anywhere either two",
    "count": "all altogether total amount",
    "total": "all altogether total amount everything objects object things thing items item many different separate",
    "position": "side located placed relative than seen compared higher lower standing sitting",
    "location": "part corner side half area located placed row column region cell whereabouts",
    "colour": "color colour colored coloured kind",
    "word": "sign board word text says say written write read reads letters",
    "larger": "larger bigger smaller largest biggest smallest size than looks look takes",
}


@dataclass(frozen=True)
class _Words:
    """A question with its names taken out, each replaced by a number in brackets."""

    text: str
    kinds: tuple[str, ...]
    colours: tuple[str, ...]
    left_over: frozenset[str]
    word: str
    yesno: bool


def read_freely(text: str) -> Meaning | None:
    """What a question asks, by its words; None where that is not clear."""
    if len(text) > 300:
        return None
    words = _take_apart(text)
    found = [meaning for task in TASKS if (meaning := _READ[task](words)) and _all_known(words, meaning)]
    return found[0] if len(found) == 1 else None


@cache
def _noun_pattern() -> re.Pattern[str]:
    names = sorted((re.escape(name) for name in nouns()), key=len, reverse=True)
    colours = "|".join((*BACKDROP_COLOURS, "gray"))
    return re.compile(rf"\b(?:({colours}) )?({'|'.join(names)})\b")


def _take_apart(text: str) -> _Words:
    quoted = re.search(r"[\"“'‘]([A-Za-z]{3,7})[\"”'’]|\b([A-Z]{3,7})\b", text)
    word = (quoted.group(1) or quoted.group(2)).upper() if quoted else ""
    if word in WORDS and quoted:
        text = text[: quoted.start()] + " " + text[quoted.end() :]
    else:
        word = ""
    plain = re.sub(r"[^\w<>' ]", " ", text.lower())
    plain, asked = re.subn(r"\b(?:answer|say)?(?: with)? yes or no\b", " ", plain)
    plain = re.sub(r"\bplease\b", " ", plain)
    kinds: list[str] = []
    colours: list[str] = []

    def take(match: re.Match[str]) -> str:
        kinds.append(nouns()[match.group(2)])
        colours.append((match.group(1) or "").replace("gray", "grey"))
        return f"<{len(kinds) - 1}>"

    plain = " ".join(_noun_pattern().sub(take, plain).split())
    left = frozenset(re.findall(r"[^\W\d_']+", re.sub(r"<\d+>", " ", plain)))
    start = re.sub(r"^(please|hey|hello|so|ok|well|now|look) ", "", plain).split(" ")[0]
    return _Words(plain, tuple(kinds), tuple(colours), left, word, bool(asked) or start in _HELPERS)


def _all_known(words: _Words, meaning: Meaning) -> bool:
    """Whether every word left over is one that questions of this task use."""
    known = words_of(meaning.task) | _COMMON | frozenset(_OWN[meaning.task].split()) | {meaning.colour}
    known |= frozenset(_SIDE) if meaning.task == "position" else frozenset()
    known |= (
        frozenset("top bottom left right middle center centre upper lower".split())
        if meaning.task == "location"
        else frozenset()
    )
    return all(word in known or number_named(word) for word in words.left_over)


def _read_existence(words: _Words) -> Meaning | None:
    if BACKGROUND in words.kinds or _number(words):
        return None
    if len(words.kinds) == 2 and re.search(r"<0>,? or (?:an? |the )?<1>", words.text) and not any(words.colours):
        return Meaning("existence", Form.OPEN, words.kinds) if words.kinds[0] != words.kinds[1] else None
    shown = re.fullmatch(
        r"(?:(?:is|are) there|(?:can|do|could) (?:you|i|we) (?:see|spot|find)|(?:does|do) .*(?:show|contain|include|have)"
        r"|is|are|any|has .*|have .*)?(?: any| an?| some| the| at least one)*\s?<0>"
        r"(?: (?:is |are )?(?:there|here|visible|present|anywhere|somewhere|in (?:the|this) \w+|on (?:the|this) \w+))*",
        words.text,
    )
    if len(words.kinds) == 1 and words.yesno and shown:
        colour = words.colours[0]
        return Meaning("colour" if colour else "existence", Form.YESNO, words.kinds, colour)
    return None


def _read_count(words: _Words) -> Meaning | None:
    if len(words.kinds) != 1 or BACKGROUND in words.kinds:
        return None
    if re.search(r"\bhow many\b|\bnumber of\b|\bcount\b|\bamount of\b", words.text) and not words.yesno:
        return Meaning("count", Form.OPEN, words.kinds, words.colours[0]) if not _number(words) else None
    number = _number(words)
    if number and words.yesno and re.search(rf"\b{_spelt(words)} (?:\w+ )?<0>|<0>.*\b{_spelt(words)}$", words.text):
        return Meaning("count", Form.YESNO, words.kinds, words.colours[0], number)
    return None


def _read_total(words: _Words) -> Meaning | None:
    if words.kinds or not re.search(r"\b(objects?|things?|items?|everything)\b", words.text):
        return None
    number = _number(words)
    if re.search(r"\bhow many\b|\bnumber of\b|\bcount\b", words.text) and not words.yesno:
        return Meaning("total", Form.OPEN) if not number else None
    return Meaning("total", Form.YESNO, said=number) if number and words.yesno else None


def _read_position(words: _Words) -> Meaning | None:
    if len(set(words.kinds)) != 2 or len(words.kinds) != 2 or any(words.colours) or BACKGROUND in words.kinds:
        return None
    named = [_SIDE[word] for word in words.text.split() if word in _SIDE]
    sides = list(dict.fromkeys(named))
    if not sides:
        where = re.search(r"^where\b.*<0>.*\b(?:relative|compared|seen|from)\b.*<1>", words.text)
        return Meaning("position", Form.OPEN, words.kinds) if where else None
    if not re.search(r"<0>.*<1>", words.text) or re.search(r"\b(?:of|from) (?:the )?<0>", words.text):
        return None  # "which side of the cat is the dog on" is one of the world's own wordings, read before
    if len(sides) == 2 and _OPPOSITE[sides[0]] == sides[1] and " or " in words.text:
        return Meaning("position", Form.OPEN, words.kinds, axis=0 if "left" in sides else 1)
    between = re.search(r"<0>(.*)<1>", words.text)
    if len(sides) == 1 and words.yesno and between and any(word in _SIDE for word in between.group(1).split()):
        return Meaning("position", Form.YESNO, words.kinds, "", sides[0], 0 if sides[0] in ("left", "right") else 1)
    return None


def _read_location(words: _Words) -> Meaning | None:
    if len(words.kinds) != 1 or words.colours[0] or BACKGROUND in words.kinds:
        return None
    cells = [cell for phrase in re.findall(_CELLS, words.text) if (cell := cell_named(phrase))]
    if words.yesno:  # "left" alone is half of the picture to many, so that it names no cell here
        return (
            Meaning("location", Form.YESNO, words.kinds, "", cells[0]) if len(cells) == 1 and " " in cells[0] else None
        )
    asks = re.search(r"\bwhere\b|\bwhereabouts\b|\b(?:which|what) (?:part|corner|region|area|side|cell)\b", words.text)
    return Meaning("location", Form.OPEN, words.kinds) if asks and not cells else None


def _read_colour(words: _Words) -> Meaning | None:
    if len(words.kinds) != 1 or words.colours[0]:
        return None
    said = [word.replace("gray", "grey") for word in words.text.split() if word in (*BACKDROP_COLOURS, "gray")]
    if words.yesno:
        after = re.search(r"<0>.*\b(?:" + "|".join((*BACKDROP_COLOURS, "gray")) + r")\b", words.text)
        return Meaning("colour", Form.YESNO, words.kinds, said[0]) if len(said) == 1 and after else None
    return Meaning("colour", Form.OPEN, words.kinds) if re.search(r"\bcolou?r", words.text) and not said else None


def _read_word(words: _Words) -> Meaning | None:
    if words.kinds or not (words.left_over & {"sign", "word", "text", "written", "board"}):
        return None
    if words.yesno:
        return Meaning("word", Form.YESNO, said=words.word) if words.word else None
    return Meaning("word", Form.OPEN) if not words.word else None


def _read_larger(words: _Words) -> Meaning | None:
    if len(set(words.kinds)) != 2 or len(words.kinds) != 2 or any(words.colours) or BACKGROUND in words.kinds:
        return None
    more, less = (re.search(rf"\b(?:{names})\b", words.text) for names in ("larger|bigger", "smaller"))
    if re.search(r"<0>,? or (?:the |an? )?<1>", words.text):
        return Meaning("larger", Form.OPEN, words.kinds) if more and not less else None
    if words.yesno and bool(more) != bool(less) and re.search(r"<0>.*\bthan\b.*<1>", words.text):
        return Meaning("larger", Form.YESNO, words.kinds if more else words.kinds[::-1])
    return None


def _spelt(words: _Words) -> str:
    return next(word for word in words.text.split() if number_named(word))


def _number(words: _Words) -> str:
    """The one number named, "" where there is none or several; "one" in "which one" is none."""
    text = re.sub(r"\b(which|this|that|the|at least) one\b", " ", words.text)
    found = [number for word in text.split() if (number := number_named(word))]
    return found[0] if len(found) == 1 else ""


_READ: dict[str, Callable[[_Words], Meaning | None]] = {
    "existence": _read_existence,
    "count": _read_count,
    "total": _read_total,
    "position": _read_position,
    "location": _read_location,
    "colour": _read_colour,
    "word": _read_word,
    "larger": _read_larger,
}
