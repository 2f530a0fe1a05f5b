"""What is asked, what can be answered, and what is true where the picture is a generated scene."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from explorer.records import AnswerKind, InputError, Truth
from explorer.scenes.asking import Form
from explorer.scenes.facts import Facts
from explorer.scenes.questions import make_questions
from explorer.scenes.scene import Scene
from explorer.scenes.understanding import COUNTS, answer, understand, understandings

YES_NO = ("yes", "no")
MOST_ROWS = 12  # candidates that a person can take in at once; a question with more is left open
_COUNTING = re.compile(r"\bhow many\b|\bnumber of\b|^\s*(?:please )?count\b", re.IGNORECASE)
_HELPING = re.compile(
    r"^\W*(?:(?:please|hey|so|well|ok|now)\W+)?(?:is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|should"
    r"|isn't|aren't|doesn't|don't|any)\b",
    re.IGNORECASE,
)


def as_scene(scene: Scene | dict[str, Any] | str) -> Scene:
    """A scene from itself, its record, or that as JSON.

    Raises:
        InputError: it is none.
    """
    if isinstance(scene, Scene):
        return scene
    if isinstance(scene, str):
        try:
            scene = json.loads(scene)
        except ValueError:
            raise InputError("This is not a scene: it is no JSON.") from None
    if not isinstance(scene, dict):
        raise InputError("This is not a scene: it is no record.")
    return Scene.from_dict(scene)


def truth_of(scene: Scene | dict[str, Any] | str, question: str) -> Truth | None:
    """What is true of a scene, None where the question is not understood or the scene leaves it in doubt.

    Args:
        scene: the scene, its record, or that as JSON.
        question: in the world's wordings or a person's own.

    Raises:
        InputError: that is no scene.
    """
    facts = Facts(as_scene(scene))
    for meaning in understandings(question):
        said = answer(facts, meaning)
        if said is not None and said in meaning.candidates:
            return Truth(meaning.task, said, meaning.candidates, meaning.form.value)
    return None


def scene_questions(scene: Scene | dict[str, Any] | str, n: int = 8) -> list[tuple[str, Truth]]:
    """Questions that fit a scene, with what is true; the same scene gives the same, all tasks in turn.

    Raises:
        InputError: that is no scene.
    """
    scene = as_scene(scene)
    found = make_questions(scene, np.random.default_rng(scene.seed), most=max(1, n))
    return [(q.text, Truth(q.task, q.answer, q.candidates, q.form.value)) for q in found]


def decide(question: str, candidates: Sequence[str] = ()) -> tuple[AnswerKind, tuple[str, ...]]:
    """What sort of answer a question wants, and the candidates whose probabilities are told.

    Args:
        question: the text.
        candidates: answers that a person named; they decide where given.
    """
    if candidates:
        given = tuple(candidates)
        if {text.lower().strip() for text in given} == set(YES_NO):
            return AnswerKind.YES_NO, given
        return (AnswerKind.COUNT if all(text.isdecimal() for text in given) else AnswerKind.CHOICE), given
    meaning = understand(question)
    if meaning:
        if meaning.form is Form.YESNO:
            return AnswerKind.YES_NO, YES_NO
        if meaning.task in ("count", "total"):
            return AnswerKind.COUNT, COUNTS
        if len(meaning.candidates) <= MOST_ROWS:
            return AnswerKind.CHOICE, meaning.candidates
        return AnswerKind.OPEN, ()
    if re.search(r"\byes or no\b", question, re.IGNORECASE):
        return AnswerKind.YES_NO, YES_NO
    if _HELPING.search(question) and not re.search(r"\bor\b", question, re.IGNORECASE):
        return AnswerKind.YES_NO, YES_NO
    if _COUNTING.search(question):
        return AnswerKind.COUNT, COUNTS
    return AnswerKind.OPEN, ()
