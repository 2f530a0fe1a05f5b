"""What many answers say together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.analysis.statistics import Estimate, wilson
from explorer.services.judging import normalise, number_said


@dataclass(frozen=True)
class Answered:
    """A question and what one checkpoint said.

    Attributes:
        task, form, pair, held_out: as of ``scenes.Question``; "" and False where unknown.
        truth, said: the right answer and the given one.
        right: whether the one is the other.
    """

    task: str
    form: str
    pair: str
    held_out: bool
    truth: str
    said: str
    right: bool


def _row(estimate: Estimate) -> dict[str, Any]:
    return {"accuracy": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}


def summarise(answers: Sequence[Answered]) -> dict[str, Any]:
    """What the answers of one checkpoint say together.

    Returns:
        ``tasks``: for each task accuracy with its Wilson 95 % interval and n; ``pairs``, where there are any, the
        share of pairs with both right (MME's accuracy+, arXiv 2306.13394); ``held_out``, the same accuracy over
        combinations never trained alone; ``forms``, the accuracy of each form. For questions whose answer is a
        number: ``count_error``, the mean of |said - true| where a number was said, and ``confusion``, how often each
        number (a row) was answered with each other ("other" for no number).
    """
    by_task: dict[str, list[Answered]] = defaultdict(list)
    for answer in answers:
        by_task[answer.task].append(answer)
    return {"tasks": {task: _summarise_task(some) for task, some in by_task.items()}}


def _summarise_task(answers: list[Answered]) -> dict[str, Any]:
    found = _row(wilson(sum(a.right for a in answers), len(answers)))
    forms = sorted({a.form for a in answers if a.form})
    if len(forms) > 1:
        found["forms"] = {form: _share(a for a in answers if a.form == form) for form in forms}
    pairs: dict[str, list[bool]] = defaultdict(list)
    for answer in answers:
        if answer.pair:
            pairs[answer.pair].append(answer.right)
    whole = [all(rights) for rights in pairs.values() if len(rights) == 2]
    if whole:
        found["pairs"] = _row(wilson(sum(whole), len(whole)))
    if any(a.held_out for a in answers):
        found["held_out"] = _share(a for a in answers if a.held_out)
    numbers = [(int(normalise(a.truth)), number_said(a.said)) for a in answers if normalise(a.truth).isdigit()]
    if numbers:
        errors = [abs(said - true) for true, said in numbers if said is not None]
        found["count_error"] = sum(errors) / len(errors) if errors else None
        confusion: dict[str, dict[str, int]] = {}
        for (true, said), times in sorted(Counter(numbers).items(), key=str):
            confusion.setdefault(str(true), {})["other" if said is None else str(said)] = times
        found["confusion"] = confusion
    return found


def _share(answers: Iterable[Answered]) -> dict[str, Any]:
    rights = [answer.right for answer in answers]
    return _row(wilson(sum(rights), len(rights)))


def majority(answers: Sequence[Answered]) -> list[Answered]:
    """Always the commonest truth of the task and form: what can be had without looking and without reading."""
    commonest: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for answer in answers:
        commonest[answer.task, answer.form][answer.truth] += 1
    said = {key: counts.most_common(1)[0][0] for key, counts in commonest.items()}
    return [
        Answered(a.task, a.form, a.pair, a.held_out, a.truth, said[a.task, a.form], said[a.task, a.form] == a.truth)
        for a in answers
    ]
