"""Held-out questions and what checkpoints answered to them: stored once by a job, shown as counts and as cases."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.layers import PAPER_BLOCKS, LayerSet
from explorer.records import InputError
from explorer.scenes.layout import make_scene
from explorer.scenes.scene import Scene
from explorer.store import Absent, Artefact, Store

if TYPE_CHECKING:
    import pandas as pd

KIND, KEY, VERSION = "failures", "held-out", 1
DEEP, MIDDLE, FUSED = "mini-l23", "mini-l18", "mini-fused"
ALL_TASKS = "all"
FIRST_TASKS = ("count", "position")  # the tasks that the first screen's case is chosen from
FIRST_RULE = (
    "Among the held-out questions about counts and positions that the deep layer answers wrong and the middle layer "
    "right, the one that both are surest of (largest product of the probabilities of their answers)."
)
OUTCOMES = ("second", "first", "neither", "both")  # who of a pair is right
STEPS = 255  # probabilities are kept in so many steps


def case_id(seed: int, task: str, form: str, truth: str) -> str:
    """Name of a question in links: a scene has one open question and one pair, yes and no, of each task."""
    return f"{seed}-{task}-{truth if form == 'yesno' else 'open'}"


def reads_of(checkpoint: str, layers: LayerSet) -> str:
    """What a checkpoint reads, for people; of one whose layers were chosen it says that."""
    return ("any-layer · " if "@" in checkpoint else "") + layers.title()


def fingerprint(scene: Scene) -> int:
    """Says what a scene holds, so that a question is never shown with another picture; 0…2^32 - 1."""
    return zlib.crc32(json.dumps(scene.to_dict(), sort_keys=True).encode())


@dataclass(frozen=True)
class CaseAnswer:
    """What one checkpoint said.

    Attributes:
        checkpoint: its id.
        layers, reads: what it reads, as numbers and for people.
        said: its answer.
        right: whether that is right.
        chance: the probability it gave to exactly this answer, 0…1, kept in steps of 1/255.
    """

    checkpoint: str
    layers: tuple[int, ...]
    reads: str
    said: str
    right: bool
    chance: float


@dataclass(frozen=True)
class Case:
    """A held-out question about a scene, and the answers; ``held_out`` says whether no training scene has its combination."""

    id: str
    seed: int
    task: str
    form: str
    question: str
    truth: str
    candidates: tuple[str, ...]
    held_out: bool
    answers: tuple[CaseAnswer, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class BothWays:
    """Two checkpoints on the same n questions: how many both, only the first, only the second and neither had right.

    ``p`` is that of McNemar's exact test, two-sided.
    """

    n: int
    both: int
    first: int
    second: int
    neither: int
    p: float


@dataclass(frozen=True)
class Wanted:
    """Which cases are looked for.

    Attributes:
        task: one of the tasks, or "all".
        first, second: ids of two checkpoints.
        outcome: who of them is right, one of ``OUTCOMES``.
        sure: smallest probability, 0…1, that whoever is wrong gave to its answer (where both are right, both).
        sort: "sure", "question", "truth", "seed", "task", "first", "first chance", "second" or "second chance".
        descending: whether the largest come first.
    """

    task: str
    first: str
    second: str
    outcome: str = "second"
    sure: float = 0.0
    sort: str = "sure"
    descending: bool = True


class HeldOut:
    """The stored questions and answers."""

    def __init__(self, table: pd.DataFrame, meta: dict[str, Any]) -> None:
        """Take what the job stored: a row a question; for each checkpoint ``said ID``, ``right ID``, ``chance ID``."""
        self.table, self.meta = table, meta

    @classmethod
    def load(cls, store: Store) -> HeldOut | Absent:
        """What is stored, or why there is nothing."""
        found = store.load(KIND, KEY, VERSION)
        return found if isinstance(found, Absent) else cls(found.tables["answers"], found.meta)

    def save(self, store: Store) -> None:
        """Put this in place of what is stored."""
        store.save(KIND, KEY, VERSION, Artefact(self.meta, tables={"answers": self.table}))

    @property
    def checkpoints(self) -> dict[str, LayerSet]:
        """Ids of those asked, and what they read."""
        return {
            row["id"]: LayerSet(tuple(row["layers"]), row.get("blocks", PAPER_BLOCKS))
            for row in self.meta["checkpoints"]
        }

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """In the order of the questions."""
        return tuple(dict.fromkeys(map(str, self.table["task"])))

    @cached_property
    def _rows(self) -> dict[str, int]:
        columns = (self.table[name] for name in ("seed", "task", "form", "truth"))
        return {case_id(*row): k for k, row in enumerate(zip(*columns, strict=True))}

    def usual_pair(self) -> tuple[str, str]:
        """The deep and the middle checkpoint, or the first two where these are not there."""
        ids = list(self.checkpoints)
        return (DEEP, MIDDLE) if {DEEP, MIDDLE} <= set(ids) else (ids[0], ids[-1])

    def right(self, checkpoint: str) -> np.ndarray:
        """Whether a checkpoint is right, bool [Q].

        Raises:
            InputError: it was not asked.
        """
        if checkpoint not in self.checkpoints:
            raise InputError(f"Nothing is stored of that checkpoint: choose one of {', '.join(self.checkpoints)}.")
        return self.table[f"right {checkpoint}"].to_numpy()

    def of_task(self, task: str | Sequence[str]) -> np.ndarray:
        """Which questions are of a task (or of some), bool [Q].

        Raises:
            InputError: there is no such task.
        """
        names = [task] if isinstance(task, str) else list(task)
        if names == [ALL_TASKS]:
            return np.ones(len(self.table), dtype=bool)
        if not set(names) <= set(self.tasks):
            raise InputError(f"There is no such task: choose one of {', '.join(self.tasks)}.")
        return self.table["task"].isin(names).to_numpy()

    def both_ways(self, first: str, second: str, task: str | Sequence[str] = ALL_TASKS) -> BothWays:
        """How often each of two is right where the other is wrong, over all questions of a task."""
        from explorer.analysis.statistics import mcnemar  # late: it needs scipy

        chosen = self.of_task(task)
        a, b = self.right(first)[chosen], self.right(second)[chosen]
        both, only_a, only_b, none = (int(some.sum()) for some in (a & b, a & ~b, ~a & b, ~a & ~b))
        return BothWays(len(a), both, only_a, only_b, none, mcnemar(a, b))

    def find(self, wanted: Wanted) -> np.ndarray:
        """Rows of the cases wanted, int [found], sorted.

        Raises:
            InputError: something in ``wanted`` does not exist.
        """
        a, b = self.right(wanted.first), self.right(wanted.second)
        sure_a, sure_b = self.chance(wanted.first), self.chance(wanted.second)
        chosen = {"second": ~a & b, "first": a & ~b, "neither": ~a & ~b, "both": a & b}.get(wanted.outcome)
        if chosen is None:
            raise InputError(f"Who is right is one of {', '.join(OUTCOMES)}.")
        judged = {"second": sure_a, "first": sure_b}.get(wanted.outcome, np.minimum(sure_a, sure_b))
        rows = np.flatnonzero(chosen & self.of_task(wanted.task) & (judged >= wanted.sure - 0.5 / STEPS))
        return rows[self._order(wanted, rows)]

    def chance(self, checkpoint: str) -> np.ndarray:
        """Probability that a checkpoint gave to its answer, float [Q]."""
        return self.table[f"chance {checkpoint}"].to_numpy() / STEPS

    def _order(self, wanted: Wanted, rows: np.ndarray) -> np.ndarray:
        a, b = wanted.first, wanted.second
        if wanted.sort == "sure":
            values = (self.chance(a) * self.chance(b))[rows]
        elif wanted.sort in ("first chance", "second chance"):
            values = self.chance(a if wanted.sort == "first chance" else b)[rows]
        else:
            columns = {"first": f"said {a}", "second": f"said {b}"} | {
                name: name for name in ("question", "truth", "seed", "task")
            }
            if wanted.sort not in columns:
                raise InputError(f"Cases can be sorted by sure, first chance, second chance, {', '.join(columns)}.")
            column = self.table[columns[wanted.sort]].iloc[rows]
            numeric = wanted.sort == "seed"
            keys = [(0.0, value) for value in column] if not numeric else list(column)
            if not numeric:
                keys = [(float(text), "") if text.isdigit() else (np.inf, text.lower()) for _, text in keys]
            ranks = {key: rank for rank, key in enumerate(sorted(set(keys)))}
            values = np.array([ranks[key] for key in keys])
        return np.argsort(-values if wanted.descending else values, kind="stable")

    def row(self, id: str) -> int:
        """The row of a case.

        Raises:
            InputError: there is no such case.
        """
        if id not in self._rows:
            raise InputError("There is no such case among the stored ones: open one from the tab Failures.")
        return self._rows[id]

    def case(self, row: int) -> Case:
        """The case in a row."""
        said = self.table.iloc[row]
        answers = tuple(
            CaseAnswer(
                id, layers.layers, reads_of(id, layers), str(said[f"said {id}"]), bool(said[f"right {id}"]),
                float(said[f"chance {id}"]) / STEPS,
            )
            for id, layers in self.checkpoints.items()
        )  # fmt: skip
        seed, task, form, truth = int(said["seed"]), str(said["task"]), str(said["form"]), str(said["truth"])
        options = tuple(filter(None, str(said["candidates"]).split("|")))
        name = case_id(seed, task, form, truth)
        return Case(name, seed, task, form, str(said["question"]), truth, options, bool(said["held_out"]), answers)

    def scene(self, row: int) -> Scene:
        """Draw up the scene of a case again from its seed.

        Raises:
            InputError: scenes are invented otherwise by now than when the questions were asked.
        """
        scene = make_scene(int(self.table["seed"].iloc[row]))
        if fingerprint(scene) != int(self.table["drawn"].iloc[row]):
            raise InputError(
                "This scene is invented otherwise by this version than when it was asked about: "
                "run `python -m explorer precompute failures` again."
            )
        return scene


def stored_first_case(store: Store) -> dict[str, Any] | None:
    """What ``first_case`` found when the answers were stored; read without the answers themselves."""
    meta = store.meta(KIND, KEY, VERSION)
    return None if isinstance(meta, Absent) else meta.get("first")


def first_case(found: HeldOut) -> dict[str, Any] | None:
    """The case of the first screen and how often its like happens, both ways, as JSON; None where there is none.

    The rule is ``FIRST_RULE``; checkpoints are the deep and the middle one.
    """
    tasks = [task for task in FIRST_TASKS if task in found.tasks]
    if not {DEEP, MIDDLE} <= set(found.checkpoints) or not tasks:
        return None
    rows = found.find(Wanted(ALL_TASKS, DEEP, MIDDLE))
    rows = rows[np.isin(rows, np.flatnonzero(found.of_task(tasks)))]
    if not len(rows):
        return None
    scene = found.scene(int(rows[0]))
    ways = {task: asdict(found.both_ways(DEEP, MIDDLE, task)) for task in tasks}
    return {
        "case": found.case(int(rows[0])).as_json(),
        "scene": scene.to_dict(),
        "rule": FIRST_RULE,
        "tasks": tasks,
        "together": asdict(found.both_ways(DEEP, MIDDLE, tasks)),
        "by_task": ways,
        "pair": [DEEP, MIDDLE],
    }
