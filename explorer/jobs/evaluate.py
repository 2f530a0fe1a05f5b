"""Ask checkpoints questions whose answers are known, and count."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm
from transformers import CLIPVisionModel

from explorer.jobs.answers import Answered, majority, summarise
from explorer.jobs.encoder_data import encoder_pixels
from explorer.models.answering import Answerer, Pictures, WordsOnly, open_answerer
from explorer.models.language import LANGUAGE
from explorer.records import InputError, SettingsError
from explorer.scenes.layout import make_scene
from explorer.scenes.questions import question_set
from explorer.scenes.scene import SPLITS, Scene
from explorer.services.judging import is_right
from explorer.services.pictures import read_picture

WORDS_ONLY, MAJORITY = "words only", "majority"


@dataclass(frozen=True)
class EvaluateSettings:
    """Settings of `evaluate`.

    Attributes:
        checkpoints: names, folders or hub ids; "mini-any@3+18" chooses the layers of mini-any.
        questions: a JSONL file of {"image", "question", "answer", "task"}, as `scenes` writes, or with a scene's seed
            {"scene": 1100000000, …} in place of the picture; "" asks about a split.
        split: "val" or "test" of the scenes.
        n: questions a task, of a split.
        seed: of the choice of questions.
        answers: JSONL file that takes every answer as it comes, so that a stopped evaluation goes on; "" for none.
        batch: pictures at once.
        baselines: whether the table also has what always the commonest answer and what words alone would reach.
    """

    checkpoints: tuple[str, ...] = ()
    questions: str = ""
    split: str = "test"
    n: int = 2000
    seed: int = 0
    answers: str = ""
    batch: int = 16
    baselines: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be evaluated."""
        if self.split not in SPLITS or self.n < 4 or self.batch < 1:
            raise SettingsError(
                f"Give a split of {', '.join(SPLITS)}, n of 4 or more and a batch of 1 or more; "
                f"got {self.split!r}, {self.n} and {self.batch}."
            )


@dataclass(frozen=True)
class Case:
    """A question with its picture, a Scene or the Path of a file; ``key`` tells it from all others of the evaluation."""

    key: str
    picture: Any
    question: str
    answer: str
    task: str
    form: str = ""
    candidates: tuple[str, ...] = ()
    pair: str = ""
    held_out: bool = False

    def pixels(self) -> np.ndarray:
        """The picture, uint8 [height, width, 3].

        Raises:
            InputError: the file is no picture.
        """
        return encoder_pixels(self.picture) if isinstance(self.picture, Scene) else read_picture(self.picture).pixels


def read_cases(file: Path) -> tuple[list[Case], list[str]]:
    """Read anybody's questions.

    Returns:
        tuple: the cases, in the order of the file; and a complaint for every line that cannot be used.

    Raises:
        InputError: the file cannot be read, or none of its lines can be used.
    """
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the questions in {file}: {error}.") from None
    cases: list[Case] = []
    complaints: list[str] = []
    readable: set[Path] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            case = _read_case(json.loads(line), number, file.parent)
            if isinstance(case.picture, Path) and case.picture not in readable:
                read_picture(case.picture)
                readable.add(case.picture)
            cases.append(case)
        except (ValueError, InputError) as error:
            complaints.append(f"{file.name}, line {number}: {error}")
    if not cases:
        raise InputError(
            f"{file} holds no question that can be used: {complaints[0] if complaints else 'it is empty.'}"
        )
    return cases, complaints


def _read_case(row: Any, number: int, folder: Path) -> Case:
    if not isinstance(row, dict):
        raise InputError("this is no JSON object.")
    drawn = "image" not in row and type(row.get("scene")) is int  # true and false are numbers too
    for name in ("question", "answer") if drawn else ("image", "question", "answer"):
        if not isinstance(row.get(name), (str, *((int, float) if name == "answer" else ()))) or row[name] == "":
            raise InputError(f'"{name}" is missing or no text.')
    options = row.get("candidates") or ()
    if not isinstance(options, (list, tuple)):
        raise InputError('"candidates" is no list.')
    source = row["scene" if drawn else "image"]
    return Case(
        f"{number}:{source}", make_scene(source) if drawn else folder / source, row["question"], str(row["answer"]),
        str(row.get("task") or "all"), str(row.get("form") or ""), tuple(map(str, options)), str(row.get("pair") or ""), bool(row.get("held_out")),
    )  # fmt: skip


def scene_cases(split: str, n: int, seed: int) -> list[Case]:
    """Balanced questions about scenes of a split, n a task."""
    asked = question_set(split, n, seed)
    return [
        Case(
            f"{split}-{scene.seed}-{k}", scene, q.text, q.answer, q.task, q.form.value, q.candidates, q.pair, q.held_out
        )
        for k, (scene, q) in enumerate(tqdm(asked, total=8 * n, desc="questions", file=sys.stderr, mininterval=1))
    ]


class AnswerFile:
    """Answers by checkpoint and case, kept in a JSONL file as they come."""

    def __init__(self, path: Path | None):
        """Take up what an earlier, stopped evaluation wrote; a last line cut short is dropped."""
        self._path, self._said = path, {}
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        whole = []
        for line in lines:
            try:
                row = json.loads(line)
                name = row["checkpoint"], row.get("weights", ""), row["key"], row["question"]
                self._said[name] = str(row["said"]), float("nan") if row.get("chance") is None else row["chance"]
                whole.append(line)
            except (ValueError, KeyError, TypeError):
                continue
        if len(whole) < len(lines):
            path.write_text("".join(line + "\n" for line in whole), "utf-8")

    def get(self, answerer: Answerer, case: Case) -> tuple[str, float] | None:
        """What was said and its probability (NaN where unknown); None if these weights were not asked yet."""
        return self._said.get(_name(answerer, case))

    def add(self, answerer: Answerer, cases: Sequence[Case], replies: Sequence[tuple[str, float]]) -> None:
        """Keep answers."""
        rows = []
        for case, (said, chance) in zip(cases, replies, strict=True):
            name = _name(answerer, case)
            self._said[name] = said, chance
            row = dict(zip(("checkpoint", "weights", "key", "question"), name, strict=True)) | {"said": said}
            rows.append(row if isnan(chance) else row | {"chance": round(chance, 5)})
        if self._path:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _name(answerer: Answerer, case: Case) -> tuple[str, str, str, str]:
    return answerer.id, getattr(answerer, "weights", ""), case.key, case.question


def _batches(cases: Sequence[Case], size: int) -> Iterator[list[list[Case]]]:
    """Cases by picture, so many pictures at a time."""
    by_picture: dict[Any, list[Case]] = {}
    for case in cases:
        by_picture.setdefault(case.picture, []).append(case)
    for _, some in groupby(enumerate(by_picture.values()), lambda entry: entry[0] // size):
        yield [group for _, group in some]


def collect(answerers: Sequence[Answerer], cases: Sequence[Case], kept: AnswerFile, batch: int) -> None:
    """Ask all checkpoints all that is not answered yet; each picture goes once through each encoder."""
    with tqdm(total=len(cases) * len(answerers), unit="question", file=sys.stderr, mininterval=1) as bar:
        for groups in _batches(cases, batch):
            pictures: Pictures | None = None
            for answerer in answerers:
                if any(kept.get(answerer, case) is None for group in groups for case in group):
                    pictures = pictures or Pictures([group[0].pixels() for group in groups])
                    replies = _replies(answerer, pictures, [[case.question for case in group] for group in groups])
                    flat = [case for group in groups for case in group]
                    kept.add(answerer, flat, [reply for some in replies for reply in some])
                bar.update(sum(map(len, groups)))


def _replies(
    answerer: Answerer, pictures: Pictures, questions: Sequence[Sequence[str]]
) -> list[list[tuple[str, float]]]:
    """Answers with their probabilities, NaN from what gives none."""
    if reply := getattr(answerer, "reply", None):
        return reply(pictures, questions)
    return [[(text, float("nan")) for text in some] for some in answerer.answer(pictures, questions)]


def judge(cases: Sequence[Case], said: Sequence[str]) -> list[Answered]:
    """Which answers are right."""
    return [
        Answered(c.task, c.form, c.pair, c.held_out, c.answer, answer, is_right(answer, c.answer, c.candidates))
        for c, answer in zip(cases, said, strict=True)
    ]


def evaluate(settings: EvaluateSettings) -> dict[str, Any]:
    """Ask and count.

    Returns:
        {"results": one for each checkpoint and baseline: {"checkpoint", "layers", "swapped" (what it
        reads untrained, "" otherwise), "tasks", "answers"}, "complaints": what was wrong with lines of the questions}; ``tasks`` as ``answers.summarise`` has them.

    Raises:
        InputError: the questions cannot be read.
        CheckpointError: a checkpoint cannot be had.
        SettingsError: there is nothing to evaluate.
    """
    if not settings.checkpoints:
        raise SettingsError("Name at least one checkpoint, such as mini-l18; see `python -m explorer checkpoints`.")
    encoders: dict[str, CLIPVisionModel] = {}
    answerers = [open_answerer(id, encoders) for id in dict.fromkeys(settings.checkpoints)]
    if settings.baselines and (LANGUAGE / "config.json").is_file():
        answerers.append(WordsOnly(WORDS_ONLY, LANGUAGE))
    complaints: list[str] = []
    if settings.questions:
        cases, complaints = read_cases(Path(settings.questions))
    else:
        cases = scene_cases(settings.split, settings.n, settings.seed)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    kept = AnswerFile(Path(settings.answers) if settings.answers else None)
    collect(answerers, cases, kept, settings.batch)
    results = []
    for answerer in answerers:
        said = [(kept.get(answerer, case) or ("",))[0] for case in cases]
        swapped = getattr(answerer, "swapped", "")
        results.append(_result(answerer.id, answerer.layers, cases, judge(cases, said), swapped))
    if settings.baselines:
        results.append(_result(MAJORITY, (), cases, majority(judge(cases, [""] * len(cases)))))
    return {"results": results, "complaints": complaints}


def _result(
    name: str, layers: tuple[int, ...], cases: Sequence[Case], answers: list[Answered], swapped: str = ""
) -> dict[str, Any]:
    rows = [
        {"key": c.key, "question": c.question, "truth": a.truth, "said": a.said, "right": a.right, "task": c.task}
        for c, a in zip(cases, answers, strict=True)
    ]
    return {"checkpoint": name, "layers": list(layers), "swapped": swapped, **summarise(answers), "answers": rows}


def write_csv(found: dict[str, Any], file: Path) -> None:
    """Write a row for each checkpoint and task."""
    names = "checkpoint layers swapped task accuracy low high n pairs held_out count_error".split()
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(names)
        for result in found["results"]:
            layers = "+".join(map(str, result["layers"]))
            for task, row in result["tasks"].items():
                more = [row.get(name, {}).get("accuracy", "") for name in ("pairs", "held_out")]
                numbers = [f"{row[name]:.4f}" for name in ("accuracy", "low", "high")]
                error = row.get("count_error")
                last = ["" if value in ("", None) else f"{value:.4f}" for value in (*more, error)]
                writer.writerow([result["checkpoint"], layers, result["swapped"], task, *numbers, row["n"], *last])


def as_table(found: dict[str, Any]) -> str:
    """Accuracy in percent with half the width of its interval, a line a checkpoint, a column a task."""
    tasks = list(dict.fromkeys(task for result in found["results"] for task in result["tasks"]))
    width = max(len(result["checkpoint"]) for result in found["results"])
    lines = [" " * width + "".join(f"{task:>13}" for task in tasks)]
    for result in found["results"]:
        cells = []
        for task in tasks:
            row = result["tasks"][task]
            cells.append(f"{100 * row['accuracy']:.1f} ±{50 * (row['high'] - row['low']):.1f}".rjust(13))
        lines.append(result["checkpoint"].ljust(width) + "".join(cells))
    lines += [f"{r['checkpoint']} is an experiment: {r['swapped']}" for r in found["results"] if r["swapped"]]
    return "\n".join(lines)
