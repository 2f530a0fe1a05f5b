"""Draw scenes and ask about them: `python -m explorer scenes --n N --seed S --out DIR`."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from explorer.jobs.settings import load_settings, save_settings
from explorer.records import InputError
from explorer.scenes.layout import make_scene, random_seed
from explorer.scenes.questions import TASKS, Question, check_tasks, make_questions
from explorer.scenes.render import PEOPLE_PX, render
from explorer.scenes.scene import SPLITS, Scene


@dataclass(frozen=True)
class ScenesSettings:
    """Settings of the job.

    Attributes:
        n: how many scenes.
        seed: of the choice of scenes and questions; the same seed gives the same files.
        split: "train", "val" or "test".
        tasks: what to ask.
        most: questions a scene at most; yes-and-no questions come in pairs.
        px: side of the pictures.
    """

    n: int = 100
    seed: int = 0
    split: str = "test"
    tasks: tuple[str, ...] = TASKS
    most: int = 12
    px: int = PEOPLE_PX

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            InputError: a number is out of range, or a name unknown.
        """
        check_tasks(self.tasks)
        if self.split not in SPLITS:
            raise InputError(f"There is no split {self.split!r}: choose one of {', '.join(SPLITS)}.")
        for name, value, low, high in (
            ("n", self.n, 1, 1_000_000),
            ("seed", self.seed, 0, 2**63),
            ("most", self.most, 1, 100),
            ("px", self.px, 32, 4096),
        ):
            if not low <= value <= high:
                raise InputError(f"The setting {name} goes from {low} to {high}; got {value}.")


def write_scenes(
    settings: ScenesSettings,
    out: Path,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write ``scene-SEED.png`` of every scene, ``questions.jsonl`` and ``settings.json``.

    Args:
        settings: what to draw and ask.
        out: the folder, made if missing.
        overwrite: write into a folder that is not empty; what else lies there stays.
        on_progress: called with (scenes done, scenes in all).

    Returns:
        {"out", "scenes", "questions", "tasks": {task: questions}, "held_out": questions with a held-out combination}.

    Raises:
        InputError: the folder is not empty, or is none.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: give a folder to write to.")
    if out.exists() and any(out.iterdir()) and not overwrite:
        raise InputError(f"The folder {out} is not empty: choose another, or say --overwrite to write into it.")
    out.mkdir(parents=True, exist_ok=True)
    save_settings(settings, out / "settings.json")
    rng = np.random.default_rng(settings.seed)
    drawn: set[int] = set()
    asked: Counter[str] = Counter()
    held_out = 0
    unfinished = out / "questions.jsonl.part"
    with unfinished.open("w", encoding="utf-8") as file:
        while len(drawn) < settings.n:
            scene = make_scene(random_seed(settings.split, rng))
            if scene.seed in drawn:
                continue
            drawn.add(scene.seed)
            image = f"scene-{scene.seed}.png"
            Image.fromarray(render(scene, settings.px)).save(out / image)
            for question in make_questions(scene, rng, settings.tasks, settings.most, pairs=True):
                file.write(json.dumps(as_line(image, scene, question), ensure_ascii=False) + "\n")
                asked[question.task] += 1
                held_out += question.held_out
            on_progress(len(drawn), settings.n)
    unfinished.replace(out / "questions.jsonl")
    tasks = {task: asked[task] for task in settings.tasks}
    return {
        "out": str(out),
        "scenes": settings.n,
        "questions": sum(asked.values()),
        "tasks": tasks,
        "held_out": held_out,
    }


def as_line(image: str, scene: Scene, question: Question) -> dict[str, Any]:
    """A line of questions.jsonl; ``image`` is the picture's path from the file's folder."""
    return {
        "image": image,
        "question": question.text,
        "answer": question.answer,
        "task": question.task,
        "scene": scene.to_dict(),
        "form": question.form.value,
        "candidates": list(question.candidates),
        "pair": question.pair,
        "held_out": question.held_out,
    }


def add_scenes(commands: Any) -> None:
    """``scenes``: pictures whose truth is known, and questions about them."""
    parser = commands.add_parser(
        "scenes",
        help="draw scenes whose truth is known, with questions and answers",
        description="Write PNG files and questions.jsonl, a line a question: image, question, answer, task, scene, "
        "form, candidates, pair, held_out.",
    )
    default = ScenesSettings()
    parser.add_argument("--n", type=int, metavar="N", help=f"how many scenes (default {default.n})")
    parser.add_argument("--seed", type=int, metavar="S", help="the same seed gives the same files (default 0)")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write to, made if missing")
    parser.add_argument("--split", choices=list(SPLITS), help=f"which part of the world (default {default.split})")
    parser.add_argument("--tasks", metavar="A,B", help=f"what to ask, of {', '.join(TASKS)} (default: all)")
    parser.add_argument("--most", type=int, metavar="Q", help=f"questions a scene at most (default {default.most})")
    parser.add_argument("--px", type=int, help=f"side of the pictures in pixels (default {default.px})")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="TOML file with any of these; flags win")
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that is not empty")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Draw, ask, and say what was written."""
    from tqdm import tqdm

    settings = load_settings(
        ScenesSettings,
        args.settings,
        n=args.n,
        seed=args.seed,
        split=args.split,
        tasks=tuple(args.tasks.split(",")) if args.tasks is not None else None,
        most=args.most,
        px=args.px,
    )
    with tqdm(total=settings.n, unit="scene", file=sys.stderr, disable=None, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.update()

        written = write_scenes(settings, args.out, args.overwrite, progress)
    if args.json:
        print(json.dumps(written, indent=1))
    else:
        tasks = ", ".join(f"{task} {n}" for task, n in written["tasks"].items())
        print(f"{written['scenes']} scenes and {written['questions']} questions in {args.out}\n{tasks}")
    return 0
