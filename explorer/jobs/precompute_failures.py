"""What the built-in checkpoints answer to held-out questions, for the tab Failures and the first screen."""

from __future__ import annotations

import platform
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from explorer import __version__
from explorer.jobs.evaluate import AnswerFile, Case, collect, scene_cases
from explorer.layers import PAPER_FUSION
from explorer.models.answering import Answerer, open_answerer
from explorer.models.checkpoint_ids import describe, list_ids
from explorer.records import CheckpointError, SettingsError
from explorer.services.held_out import STEPS, HeldOut, fingerprint, first_case
from explorer.services.judging import is_right
from explorer.store import Store

SPLIT = "test"


@dataclass(frozen=True)
class FailuresSettings:
    """Settings of ``precompute failures``.

    Attributes:
        checkpoints: who is asked; () for all built-in ones, mini-any with the paper's fusion.
        n: questions a task, about scenes of the test split.
        seed: of the choice of questions.
        batch: pictures at once.
        threads: processor threads.
        out: folder of stored results.
        work: folder for answers as they come, so that a stopped run goes on.
    """

    checkpoints: tuple[str, ...] = ()
    n: int = 2000
    seed: int = 0
    batch: int = 16
    threads: int = 2
    out: str = "precomputed"
    work: str = "runs/precompute"

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        if self.n < 4 or self.batch < 1 or self.threads < 1:
            raise SettingsError(
                f"n is 4 or more, batch and threads 1 or more; got {self.n}, {self.batch}, {self.threads}."
            )


def precompute_failures(settings: FailuresSettings) -> HeldOut:
    """Ask, and put the answers in place of those stored.

    Raises:
        CheckpointError: there is no checkpoint, or one cannot be had.
    """
    began = time.monotonic()
    torch.set_num_threads(settings.threads)
    encoders: dict[str, Any] = {}
    answerers = [open_answerer(id, encoders) for id in settings.checkpoints or built_in()]
    cases = scene_cases(SPLIT, settings.n, settings.seed)
    kept = AnswerFile(Path(settings.work) / "failures.jsonl")
    collect(answerers, cases, kept, settings.batch)
    meta = made_by() | {
        "split": SPLIT,
        "questions_a_task": settings.n,
        "seed": settings.seed,
        "questions": len(cases),
        "pictures": len({case.picture.seed for case in cases}),
        "chance": f"probability of exactly the answer given, in steps of 1/{STEPS}",
        "checkpoints": [described(answerer, next(iter(encoders.values()), None)) for answerer in answerers],
        "seconds": round(time.monotonic() - began, 1),
    }
    found = HeldOut(tabulate(answerers, cases, kept), meta)
    found.meta["first"] = first_case(found)
    found.save(Store(settings.out))
    return found


def built_in() -> list[str]:
    """The built-in checkpoints; one whose layers can be chosen reads the paper's fusion.

    Raises:
        CheckpointError: there is none.
    """
    known = [one for one in map(describe, list_ids()) if one.on_this_machine]
    if not known:
        raise CheckpointError("No checkpoint is built in here: train some first, see docs/checkpoints.md.")
    fusion = set(PAPER_FUSION)
    return [
        f"{one.id}@3+18+23" if one.choosable else one.id
        for one in known
        if not one.choosable or fusion <= set(one.layers)
    ]


def made_by() -> dict[str, Any]:
    """With what, when and by which command this is made, for a manifest."""
    import transformers

    versions = {
        "explorer": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
    }
    arguments = [word for word in sys.argv[1:] if word]
    command = shlex.join(["python", "-m", "explorer", *arguments])
    return {"command": command, "date": datetime.now(UTC).date().isoformat(), "versions": versions}


def described(answerer: Answerer, encoder: Any) -> dict[str, Any]:
    """An answerer in a manifest."""
    weights = getattr(answerer, "weights", "")
    blocks = encoder.config.num_hidden_layers if encoder is not None else 0
    return {"id": answerer.id, "layers": list(answerer.layers), "blocks": blocks, "weights": weights}


def tabulate(answerers: Sequence[Answerer], cases: Sequence[Case], kept: AnswerFile) -> Any:
    """A row a question, as ``HeldOut`` reads it; repeated texts are stored once."""
    import pandas as pd

    drawn = {case.picture.seed: fingerprint(case.picture) for case in cases}
    columns: dict[str, Any] = {
        "seed": np.array([case.picture.seed for case in cases], np.int64),
        "drawn": np.array([drawn[case.picture.seed] for case in cases], np.uint32),
        "task": pd.Categorical([case.task for case in cases]),
        "form": pd.Categorical([case.form for case in cases]),
        "question": [case.question for case in cases],
        "truth": pd.Categorical([case.answer for case in cases]),
        "candidates": pd.Categorical(["|".join(case.candidates) for case in cases]),
        "held_out": np.array([case.held_out for case in cases], bool),
    }
    for answerer in answerers:
        replies = [kept.get(answerer, case) or ("", 0.0) for case in cases]
        right = [is_right(said, case.answer, case.candidates) for (said, _), case in zip(replies, cases, strict=True)]
        columns[f"said {answerer.id}"] = pd.Categorical([said for said, _ in replies])
        columns[f"right {answerer.id}"] = np.array(right, bool)
        chances = np.nan_to_num([chance for _, chance in replies])
        columns[f"chance {answerer.id}"] = np.rint(chances * STEPS).astype(np.uint8)
    return pd.DataFrame(columns)


def cases_of(found: HeldOut) -> list[Case]:
    """The stored questions, to be asked of others; scenes are invented again from their seeds."""
    scenes: dict[int, Any] = {}
    cases = []
    for row in range(len(found.table)):
        case = found.case(row)
        if case.seed not in scenes:
            scenes[case.seed] = found.scene(row)
        pair = f"{case.seed}-{case.task}" if case.form == "yesno" else ""
        cases.append(
            Case(
                case.id, scenes[case.seed], case.question, case.truth, case.task, case.form, case.candidates, pair,
                case.held_out,
            )
        )  # fmt: skip
    return cases


def some_scenes(cases: Sequence[Case], n: int, seed: int) -> np.ndarray:
    """Which questions to ask where only about n a task can be: whole scenes, drawn by chance, bool [Q].

    Scenes, not questions, are drawn, since it is pictures that cost time; the balance of the questions is kept on
    average.
    """
    tasks = len({case.task for case in cases})
    share = min(1.0, n * tasks / max(1, len(cases)))
    seeds = sorted({case.picture.seed for case in cases})
    taken = set(np.random.default_rng(seed).permutation(seeds)[: max(1, round(share * len(seeds)))].tolist())
    return np.array([case.picture.seed in taken for case in cases], bool)


def only(cases: Sequence[Case], chosen: np.ndarray) -> list[Case]:
    """The cases chosen."""
    return [case for case, yes in zip(cases, chosen, strict=True) if yes]
