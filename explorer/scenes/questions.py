"""Questions about scenes: all that one scene has an answer to, or sets in strict balance over many scenes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from explorer.records import InputError
from explorer.scenes.asking import ASK, BACKDROP_COLOURS, TASKS, Form, Question
from explorer.scenes.facts import CELLS, Facts
from explorer.scenes.kinds import COLOURS, WORDS
from explorer.scenes.layout import MOST_THINGS, make_scene, random_seed
from explorer.scenes.scene import SPLITS, Scene

__all__ = ["TASKS", "Form", "Question", "check_tasks", "make_questions", "question_set"]


def check_tasks(tasks: Sequence[str] | None) -> tuple[str, ...]:
    """The tasks named, or all of them.

    Raises:
        InputError: a name is none of ``TASKS``, or none was given.
    """
    names = TASKS if tasks is None else tuple(dict.fromkeys(tasks))
    if not names or set(names) - set(TASKS):
        raise InputError(f"The tasks are {', '.join(TASKS)}; got {', '.join(names) or 'none'}.")
    return names


def make_questions(
    scene: Scene,
    rng: np.random.Generator,
    tasks: Sequence[str] | None = None,
    most: int = 12,
    pairs: bool = False,
) -> list[Question]:
    """Ask about a scene, all tasks in turn as far as the scene has an answer to them.

    Held-out combinations are asked about in scenes of the test split only.

    Args:
        scene: what is asked about.
        rng: the source of what is asked and how.
        tasks: some of ``TASKS``; all by default.
        most: ask no more than this.
        pairs: ask both questions of a yes-and-no pair, not one of them by chance.

    Raises:
        InputError: a task is unknown, or the scene's seed outside all splits.
    """
    names = check_tasks(tasks)
    facts = Facts(scene)
    found: list[tuple[float, tuple[Question, ...]]] = []
    seen: set[str] = set()
    for name in names:
        turn = 0
        for _ in range(ceil(2 * most / len(names))):
            asked = ASK[name](facts, rng, Form.YESNO if rng.random() < 0.5 else Form.OPEN)
            if asked is None or any(question.text in seen for question in asked[1]):
                continue
            # Both texts of a pair count as seen, else what is rarely true would be asked about more often.
            seen.update(question.text for question in asked[1])
            found.append((turn + rng.random(), asked[1] if pairs else (asked[1][int(rng.random() * len(asked[1]))],)))
            turn += 1
    questions: list[Question] = []
    for number, (_, some) in enumerate(sorted(found, key=lambda entry: entry[0])):
        if len(questions) + len(some) <= most:
            pair = f"{scene.seed}-{number}" if len(some) == 2 else ""
            questions += [replace(question, pair=pair) for question in some]
    return questions


def _near_numbers() -> list[tuple[int, int]]:
    """(truth, number named falsely) of all statements about numbers."""
    numbers = range(1, MOST_THINGS + 1)
    return [(truth, named) for truth in numbers for named in numbers if 1 <= abs(truth - named) <= 2]


def _cells(task: str, form: Form) -> list[Hashable]:
    """The cells of a task that are asked about equally often; one named three times has three shares."""
    sides = ("left", "right", "above", "below")
    match task, form:
        case "count", Form.OPEN:
            return list(range(MOST_THINGS + 1))
        case "total", Form.OPEN:
            return list(range(1, MOST_THINGS + 1))
        case "count" | "total", Form.YESNO:
            return list(_near_numbers())
        case "position", Form.OPEN:
            return [(where, side) for where in (False, True) for side in sides]
        case "position", Form.YESNO:
            return list(sides)
        case "location", _:
            return list(CELLS)
        case "colour", _:
            return [*[(False, c) for c in COLOURS] * 3, *[(True, c) for c in BACKDROP_COLOURS]]
        case "word", _:
            return list(WORDS)
        case "existence" | "larger", Form.OPEN:
            return [0, 1]
    return [""]


def _quotas(task: str, form: Form, n: int, rng: np.random.Generator) -> dict[Hashable, int]:
    """How many to ask of each cell, n in all; what does not divide evenly goes to cells by chance."""
    cells = _cells(task, form)
    quotas: dict[Hashable, int] = dict.fromkeys(cells, 0)
    extra = {int(k) for k in rng.permutation(len(cells))[: n % len(cells)]}
    for k, cell in enumerate(cells):
        quotas[cell] += n // len(cells) + (k in extra)
    return quotas


def question_set(
    split: str, n_per_task: int, seed: int, tasks: Sequence[str] | None = None
) -> Iterator[tuple[Scene, Question]]:
    """Ask about scenes of a split until every task has its number of questions, in strict balance.

    Of each task about half are open questions and half are yes-and-no pairs, both about one scene. Within each form
    the numbers, cells, colours, words, sides and (number, number named falsely) come equally often. A scene gives at
    most one question or pair to each task and form; its questions follow one another. Large numbers are rare in the
    world, so this tries some thousand scenes (2 ms each).

    Args:
        split: "train", "val" or "test"; held-out combinations occur in "test" only.
        n_per_task: questions a task, at least 4.
        seed: of the choice of scenes and questions.
        tasks: some of ``TASKS``; all by default.

    Raises:
        InputError: the split or a task is unknown, or n_per_task is too small.
    """
    names = check_tasks(tasks)
    if split not in SPLITS:
        raise InputError(f"There is no split {split!r}: choose one of {', '.join(SPLITS)}.")
    if n_per_task < 4:
        raise InputError(f"A task needs at least 4 questions to be balanced; got {n_per_task}.")
    rng = np.random.default_rng(seed)
    wanted: dict[tuple[str, Form], dict[Hashable, int]] = {}
    for name in names:
        pairs = n_per_task // 4
        wanted[name, Form.YESNO] = _quotas(name, Form.YESNO, pairs, rng)
        wanted[name, Form.OPEN] = _quotas(name, Form.OPEN, n_per_task - 2 * pairs, rng)
    while wanted:
        scene = make_scene(random_seed(split, rng))
        facts = Facts(scene)
        for (name, form), quotas in list(wanted.items()):
            asked = ASK[name](facts, rng, form)
            if asked is None or not quotas.get(asked[0]):
                continue
            quotas[asked[0]] -= 1
            if not any(quotas.values()):
                del wanted[name, form]
            pair = f"{scene.seed}-{name}" if form is Form.YESNO else ""
            yield from ((scene, replace(question, pair=pair)) for question in asked[1])
