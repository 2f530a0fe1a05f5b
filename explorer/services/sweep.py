"""The measured sweep over layers and fusions: stored by a job, shown as curves, paired tests, findings and tables."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.records import InputError
from explorer.store import Absent, Artefact, Store

if TYPE_CHECKING:
    import pandas as pd

KIND, KEY, VERSION = "results", "sweep", 2
PAPER = "paper_figures.json"
ALL_TASKS = "all"
INDIVIDUAL, ANY, SEED, BASELINE = "individual", "any-layer", "another seed", "baseline"
TABLES = ("accuracy", "shared", "confusion", "agreement", "noise")


@dataclass(frozen=True)
class Paired:
    """Two checkpoints on the same questions of one task, or of all.

    Attributes:
        task: its name, or "all".
        n: questions that both answered.
        first, second: accuracy of each on these.
        only_first, only_second: how often one alone is right.
        difference, low, high: first less second, with its 95 % bootstrap interval.
        p: of McNemar's exact test, two-sided.
    """

    task: str
    n: int
    first: float
    second: float
    only_first: int
    only_second: int
    difference: float
    low: float
    high: float
    p: float


def pair_up(first: np.ndarray, second: np.ndarray, task: str = ALL_TASKS) -> Paired:
    """Compare two checkpoints; bool [Q] each, whether they were right on the same questions."""
    from explorer.analysis.statistics import mcnemar, paired_difference  # late: they need scipy

    n, only_first, only_second = len(first), int((first & ~second).sum()), int((~first & second).sum())
    gap = paired_difference(only_first, only_second, n)
    shares = (float(first.mean()), float(second.mean())) if n else (np.nan, np.nan)
    p = mcnemar(first, second)
    return Paired(task, n, *shares, only_first, only_second, gap.value, gap.low, gap.high, p)


class Sweep:
    """The stored results.

    Attributes:
        meta: how they were made; "columns" (id, layers, kind, reads), "findings".
        tables: "accuracy" on all questions that a checkpoint was asked, "shared" on those that all were asked, for
            charts that compare them, "confusion", "agreement", "noise", and "right" (a row a question, a column a
            checkpoint; -1 where it was not asked).
    """

    def __init__(self, tables: dict[str, pd.DataFrame], meta: dict[str, Any]) -> None:
        """Take what the job made."""
        self.tables, self.meta = tables, meta

    @classmethod
    def load(cls, store: Store) -> Sweep | Absent:
        """What is stored, or why there is nothing."""
        found = store.load(KIND, KEY, VERSION)
        return found if isinstance(found, Absent) else cls(found.tables, found.meta)

    def save(self, store: Store) -> None:
        """Put this in place of what is stored."""
        store.save(KIND, KEY, VERSION, Artefact(self.meta, tables=self.tables))

    @property
    def tasks(self) -> list[str]:
        """In the order of the questions."""
        return list(dict.fromkeys(map(str, self.tables["right"]["task"])))

    def right(self, checkpoint: str) -> np.ndarray:
        """1 where a checkpoint is right, 0 where it is wrong, -1 where it was not asked; int8 [Q].

        Raises:
            InputError: there is no such column.
        """
        if checkpoint not in {column["id"] for column in self.meta["columns"]}:
            raise InputError("Nothing is stored of that checkpoint: choose one of those in the list.")
        return self.tables["right"][checkpoint].to_numpy()

    def paired(self, first: str, second: str) -> list[Paired]:
        """Compare two checkpoints on the questions that both answered: all tasks together, then each.

        Raises:
            InputError: one of them was not asked.
        """
        a, b = self.right(first), self.right(second)
        asked, task = (a >= 0) & (b >= 0), self.tables["right"]["task"].to_numpy()
        chosen = [(name, asked & ((task == name) | (name == ALL_TASKS))) for name in (ALL_TASKS, *self.tasks)]
        return [pair_up(a[rows] == 1, b[rows] == 1, name) for name, rows in chosen]

    def as_json(self, *names: str) -> dict[str, list[dict[str, Any]]]:
        """Tables as rows of plain JSON, None for what is not known."""
        return {name: [dict(row) for row in _plain(self.tables[name])] for name in names or TABLES}


def paired_json(rows: list[Paired]) -> list[dict[str, Any]]:
    """As plain JSON, None for what is not known."""
    return [{k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(r).items()} for r in rows]


def paper_figures(store: Store) -> dict[str, Any] | None:
    """The paper's digitised numbers, kept beside what is measured and never mixed with it; None where absent."""
    file = store.root / PAPER
    try:
        return json.loads(file.read_text("utf-8")) if file.is_file() else None
    except ValueError:
        return None


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(table.to_json(orient="records") or "[]")
