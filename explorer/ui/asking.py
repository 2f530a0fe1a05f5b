"""What a visitor asks for, read from what the browser sent: untrusted, so that every part is checked."""

from __future__ import annotations

import math
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from explorer.records import CheckpointError, InputError, Picture, Reply

Json = dict[str, Any]
MOST_CHECKPOINTS = 6
MOST_QUESTION = 2000
MOST_CANDIDATES = 40
MOST_TURNS = 4
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Wish:
    """A question, and who shall answer it how.

    Attributes:
        picture: what it is about.
        question: the text.
        checkpoints: ids, at most ``MOST_CHECKPOINTS``.
        candidates: possible answers as the person gave them.
        truth: what the person says is right, or "".
        temperature: 0 for the likeliest words.
        most_tokens: of an answer.
        turns: earlier questions, each with the answer of every checkpoint.
    """

    picture: Picture
    question: str
    checkpoints: tuple[str, ...]
    candidates: tuple[str, ...]
    truth: str
    temperature: float
    most_tokens: int
    turns: tuple[tuple[str, dict[str, str]], ...]

    def stream(self, answerers: Any, candidates: Sequence[str], stop: threading.Event) -> Iterator[list[Reply]]:
        """Ask; every state has one reply for each checkpoint. With turns each reads its own, so they go one by one."""
        how: Json = {
            "candidates": tuple(candidates),
            "temperature": self.temperature,
            "most_tokens": self.most_tokens,
            "stop": stop,
        }
        if not self.turns:
            yield from answerers.stream([self.picture], self.question, self.checkpoints, **how)
            return
        replies = [_waiting(answerers, id) for id in self.checkpoints]
        for at, id in enumerate(self.checkpoints):
            own = tuple((question, answers[id]) for question, answers in self.turns if id in answers)
            for [reply] in answerers.stream([self.picture], self.question, [id], turns=own, **how):
                replies[at] = reply
                yield list(replies)
            if stop.is_set():
                return


def _waiting(answerers: Any, id: str) -> Reply:
    """A checkpoint whose turn has not come; what is wrong with it is told when it has."""
    try:
        info = answerers.info(id)
    except CheckpointError:
        return Reply(id, (), "")
    return Reply(info.id, info.layers, info.reads)


def clean(text: str) -> str:
    """One line without control characters, lone surrogates and marks that turn the direction of other text."""
    kept = (" " if unicodedata.category(char) == "Cc" else char for char in text if char not in TURNING)
    return " ".join("".join(char for char in kept if unicodedata.category(char) != "Cs").split())


def said_of(event: gr.EventData) -> Json:
    """What the browser sent: a dictionary."""
    return event._data if isinstance(event._data, dict) else {}


def read_wish(said: Json, picture: Picture) -> Wish:
    """Check what was sent.

    Raises:
        InputError: the question is missing or too long, or nobody or too many were to answer.
    """
    question = said.get("question")
    if not isinstance(question, str) or not clean(question):
        raise InputError("Type a question first, or choose one of those suggested.")
    if len(question) > MOST_QUESTION:
        raise InputError(f"The question has {len(question):,} letters; at most {MOST_QUESTION:,} can be asked.")
    ids = said.get("checkpoints")
    ids = tuple(dict.fromkeys(ids)) if isinstance(ids, list) and all(isinstance(id, str) for id in ids) else ()
    if not 1 <= len(ids) <= MOST_CHECKPOINTS or any(not 0 < len(id) <= 300 for id in ids):
        raise InputError(f"Choose one to {MOST_CHECKPOINTS} models that answer.")
    return Wish(
        picture,
        clean(question),
        ids,
        _texts(said.get("candidates")),
        clean(str(said.get("truth") or "")[:200]),
        _number(said.get("temperature"), 0.0, 0.0, 2.0),
        round(_number(said.get("most_tokens"), 24, 1, 256)),
        _turns(said.get("turns")),
    )


def _texts(given: Any) -> tuple[str, ...]:
    """Possible answers, each once; fewer than two are none."""
    texts = [clean(text[:100]) for text in given if isinstance(text, str)] if isinstance(given, list) else []
    found = tuple(dict.fromkeys(filter(None, texts)))[:MOST_CANDIDATES]
    return found if len(found) > 1 else ()


def _number(given: Any, default: float, least: float, most: float) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        return default
    return min(most, max(least, given))


def _turns(given: Any) -> tuple[tuple[str, dict[str, str]], ...]:
    turns = []
    for one in given[-MOST_TURNS:] if isinstance(given, list) else []:
        question, answers = (one.get("question"), one.get("answers")) if isinstance(one, dict) else (None, None)
        if isinstance(question, str) and isinstance(answers, dict):
            texts = {str(id)[:300]: str(text)[:2000] for id, text in list(answers.items())[:MOST_CHECKPOINTS]}
            turns.append((question[:MOST_QUESTION], texts))
    return tuple(turns)
