"""Measure what the words of questions give away: `python -m explorer.jobs.guess --n 2000 --json`.

A guesser that never sees a picture (TF-IDF of words, pairs and triples of words, then logistic regression, one for
each task and form) learns from questions about training scenes, asked as a model in training is asked, and answers
balanced questions about test scenes. It knows the candidates of a question and names the likeliest of them. Where
the candidates are two named things it learns which of them, first or second, is the answer. Near chance is good.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from explorer.jobs.settings import load_settings
from explorer.records import ExplorerError
from explorer.scenes.layout import make_scene, random_seed
from explorer.scenes.questions import TASKS, Form, Question, make_questions, question_set


@dataclass(frozen=True)
class GuessSettings:
    """Settings of the measurement.

    Attributes:
        n: test questions a task.
        train: training scenes, each with up to twelve questions.
        seed: of the choice of both.
    """

    n: int = 2000
    train: int = 20_000
    seed: int = 0


@dataclass(frozen=True)
class Guessed:
    """How well the words alone answer a task, as shares of ``n`` questions.

    Attributes:
        task: of the questions.
        form: "yesno", "open", or "both".
        n: questions answered.
        accuracy, low, high: of the guesser, with Wilson's 95 % interval.
        chance: of naming any of the candidates.
        majority: of always naming the commonest answer in training.
    """

    task: str
    form: str
    n: int
    accuracy: float
    low: float
    high: float
    chance: float
    majority: float


def guess(settings: GuessSettings, on_progress: Callable[[str], None] = lambda message: None) -> list[Guessed]:
    """Train the guessers and let them answer.

    Returns:
        A row for each task and form, and one for the task.
    """
    from explorer.analysis.statistics import wilson

    train, test = _questions(settings, on_progress)
    rows = []
    for task in TASKS:
        marks: list[tuple[bool, float, bool]] = []
        for form in (*Form, None):
            if form is not None:
                on_progress(f"guessing {task}, {form.value}")
                some = _marks(train[task, form], test[task, form])
                marks += some
            else:
                some = marks
            right, chance, majority = (np.array(column) for column in zip(*some, strict=True))
            share = wilson(int(right.sum()), len(right))
            numbers = (share.value, share.low, share.high, chance.mean(), majority.mean())
            rows.append(
                Guessed(task, form.value if form else "both", len(some), *(round(float(v), 4) for v in numbers))
            )
    return rows


_Sorted = dict[tuple[str, Form], list[Question]]


def _questions(settings: GuessSettings, on_progress: Callable[[str], None]) -> tuple[_Sorted, _Sorted]:
    train: _Sorted = defaultdict(list)
    test: _Sorted = defaultdict(list)
    rng = np.random.default_rng(settings.seed)
    for k in range(settings.train):
        if k % 1000 == 0:
            on_progress(f"asking about training scenes: {k} of {settings.train}")
        for question in make_questions(make_scene(random_seed("train", rng)), rng):
            train[question.task, question.form].append(question)
    for done, (_, question) in enumerate(question_set("test", settings.n, settings.seed)):
        if done % 1000 == 0:
            on_progress(f"asking about test scenes: {done} of {len(TASKS) * settings.n}")
        test[question.task, question.form].append(question)
    return train, test


def _of_two_things(question: Question) -> bool:
    return question.form is Form.OPEN and len(question.candidates) == 2 and question.task in ("existence", "larger")


def _label(question: Question) -> str:
    """What is learnt: the answer, or which of two named things it is."""
    return str(question.candidates.index(question.answer)) if _of_two_things(question) else question.answer


def _words(question: Question) -> str:
    if not _of_two_things(question):
        return question.text
    places = (f"thing{place}{name.replace(' ', '')}" for place, name in enumerate(question.candidates))
    return f"{question.text} {' '.join(places)}"


def _marks(train: Sequence[Question], test: Sequence[Question]) -> list[tuple[bool, float, bool]]:
    """For each test question: whether the guesser is right, the chance, and whether the commonest answer is right."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    labels = [_label(question) for question in train]
    common = Counter(labels)
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 3), token_pattern=r"\w+", min_df=2, sublinear_tf=True),
        LogisticRegression(class_weight="balanced", max_iter=300),
    )
    model.fit([_words(question) for question in train], labels)
    likely = model.predict_proba([_words(question) for question in test])
    column = {str(label): k for k, label in enumerate(model.classes_)}
    marks = []
    for question, row in zip(test, likely, strict=True):
        options = ["0", "1"] if _of_two_things(question) else question.candidates
        best = max(options, key=lambda label: row[column[label]] if label in column else -1.0)
        most = max(options, key=lambda label: common[label])
        marks.append((best == _label(question), 1 / len(options), most == _label(question)))
    return marks


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m explorer.jobs.guess", description=__doc__)
    parser.add_argument("--n", type=int, help=f"test questions a task (default {GuessSettings.n})")
    parser.add_argument("--train", type=int, metavar="SCENES", help=f"training scenes (default {GuessSettings.train})")
    parser.add_argument("--seed", type=int, help=f"default {GuessSettings.seed}")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    args = parser.parse_args(arguments)
    try:
        settings = load_settings(GuessSettings, n=args.n, train=args.train, seed=args.seed)
        rows = guess(settings, lambda message: print(message, file=sys.stderr))
    except ExplorerError as error:
        print(error, file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps({"settings": asdict(settings), "results": [asdict(row) for row in rows]}, indent=1))
    else:
        print(
            "| task | form | n | guesser | 95 % interval | chance | commonest answer |\n|---|---|---|---|---|---|---|"
        )
        for row in rows:
            print(
                f"| {row.task} | {row.form} | {row.n} | {row.accuracy:.3f} | {row.low:.3f}–{row.high:.3f} "
                f"| {row.chance:.3f} | {row.majority:.3f} |"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
