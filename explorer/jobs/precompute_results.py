"""The sweep over layers and fusions, its baselines and findings, for the tab Results and docs/results.md."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from explorer.analysis.statistics import Estimate, spearman, wilson
from explorer.jobs.answers import Answered, majority, summarise
from explorer.jobs.evaluate import MAJORITY, WORDS_ONLY, AnswerFile, Case, collect, judge
from explorer.jobs.findings import measure
from explorer.jobs.precompute_failures import cases_of, described, made_by, only, some_scenes
from explorer.jobs.results_document import write_document
from explorer.layers import LayerSet
from explorer.models.answering import Answerer, WordsOnly, open_answerer
from explorer.models.checkpoint_ids import find_mini
from explorer.models.family import FACTS, read_facts
from explorer.models.language import LANGUAGE
from explorer.records import CheckpointError, InputError, SettingsError
from explorer.services.held_out import HeldOut, reads_of
from explorer.services.sweep import ANY, BASELINE, INDIVIDUAL, SEED, Sweep
from explorer.store import Absent, Store

FUSIONS = ("3+18+23", "18+23", "3+18", "3+23")


@dataclass(frozen=True)
class ResultsSettings:
    """Settings of ``precompute results``.

    Attributes:
        any: the checkpoint whose layers can be chosen; "" for none.
        layers: single layers to ask it through; () for all but 0.
        fusions: sets of layers to ask it through, such as "3+18+23".
        others: folders of further mini checkpoints, or of folders of such: of layers that no stored checkpoint reads, or
            trained from other seeds.
        n: questions a task asked of all these, about; those stored by ``precompute failures`` are kept whole.
        seed: of the choice of scenes where n is smaller than what is stored.
        batch: pictures at once.
        threads: processor threads.
        out: folder of stored results.
        work: folder for answers as they come, so that a stopped run goes on.
        docs: folder of results.md and its figure; "" to write none.
    """

    any: str = "mini-any"
    layers: tuple[int, ...] = ()
    fusions: tuple[str, ...] = FUSIONS
    others: tuple[str, ...] = ()
    n: int = 1000
    seed: int = 0
    batch: int = 16
    threads: int = 2
    out: str = "precomputed"
    work: str = "runs/precompute"
    docs: str = "docs"

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        if self.n < 4 or self.batch < 1 or self.threads < 1:
            raise SettingsError(
                f"n is 4 or more, batch and threads 1 or more; got {self.n}, {self.batch}, {self.threads}."
            )


@dataclass(frozen=True)
class Column:
    """One checkpoint, or mini-any through one set of layers: what it said, None where it was not asked."""

    id: str
    layers: tuple[int, ...]
    kind: str
    reads: str
    weights: str
    answers: list[Answered | None]

    def asked(self) -> list[Answered]:
        """The answers that were given."""
        return [answer for answer in self.answers if answer is not None]


def precompute_results(settings: ResultsSettings) -> Sweep:
    """Ask, count, compare, and put the results in place of those stored.

    Raises:
        InputError: nothing was stored by ``precompute failures``.
        CheckpointError: a checkpoint cannot be had.
    """
    began = time.monotonic()
    torch.set_num_threads(settings.threads)
    store = Store(settings.out)
    held = HeldOut.load(store)
    if isinstance(held, Absent):
        raise InputError(f"Run `python -m explorer precompute failures` first: {held.reason}.")
    cases = cases_of(held)
    chosen = some_scenes(cases, settings.n, settings.seed)
    columns = _stored_columns(held, cases)
    columns += _asked_columns(settings, cases, chosen, columns)
    columns.append(_majority(cases))
    meta = made_by() | {
        "failures": {name: held.meta[name] for name in ("command", "date", "questions_a_task", "seed", "split")},
        "questions": len(cases),
        "questions_of_the_sweep": int(chosen.sum()),
        "pictures_of_the_sweep": len({case.picture.seed for case in only(cases, chosen)}),
        "columns": [
            {"id": c.id, "layers": list(c.layers), "kind": c.kind, "reads": c.reads, "weights": c.weights}
            for c in columns
        ],
        "seconds": 0.0,
    }
    tables = _tables(columns, cases)
    rights = {column.id: tables["right"][column.id].to_numpy() for column in columns}
    meta["findings"] = measure(meta["columns"], rights, np.array([case.task for case in cases]))
    meta["seconds"] = round(time.monotonic() - began, 1)
    found = Sweep(tables, meta)
    found.save(store)
    for name, table in tables.items():
        if name != "right":
            table.to_csv(Path(settings.out) / "results" / f"{name}.csv", index=False, float_format="%.5g")
    if settings.docs:
        write_document(found, Path(settings.docs))
    return found


def _stored_columns(held: HeldOut, cases: Sequence[Case]) -> list[Column]:
    """What ``precompute failures`` asked already."""
    digests = {row["id"]: row["weights"] for row in held.meta["checkpoints"]}
    columns = []
    for id, layers in held.checkpoints.items():
        answers = judge(cases, held.table[f"said {id}"].astype(str).tolist())
        kind = ANY if "@" in id else INDIVIDUAL
        columns.append(Column(id, layers.layers, kind, reads_of(id, layers), digests[id], list(answers)))
    return columns


def _asked_columns(
    settings: ResultsSettings, cases: Sequence[Case], chosen: np.ndarray, known: Sequence[Column]
) -> list[Column]:
    """Ask mini-any through every layer and fusion, other checkpoints, and the language model without a picture.

    Raises:
        InputError: ``known``, the stored columns, has answers of weights that are no longer here.
    """
    encoders: dict[str, Any] = {}
    stored = {column.id: column.weights for column in known}
    trained = {column.layers for column in known if column.kind == INDIVIDUAL}
    answerers: list[tuple[Answerer, str]] = [(open_answerer(id, encoders), ANY) for id in _any_ids(settings)]
    for id in _each(settings.others):
        answerer = open_answerer(id, encoders)
        again = answerer.layers in trained
        trained.add(answerer.layers)
        answerer.id = _name_of(id, again)
        answerers.append((answerer, SEED if again else INDIVIDUAL))
    for answerer, _ in answerers:
        if stored.get(answerer.id, weights := getattr(answerer, "weights", "")) != weights:
            raise InputError(
                f"{answerer.id} was trained again since: run `python -m explorer precompute failures` first."
            )
    answerers = [(answerer, kind) for answerer, kind in answerers if answerer.id not in stored]
    if (LANGUAGE / "config.json").is_file():
        answerers.append((WordsOnly(WORDS_ONLY, LANGUAGE), BASELINE))
    kept = AnswerFile(Path(settings.work) / "results.jsonl")
    few = only(cases, chosen)
    collect([answerer for answerer, _ in answerers], few, kept, settings.batch)
    columns = []
    for answerer, kind in answerers:
        said = iter(judge(few, [(kept.get(answerer, case) or ("",))[0] for case in few]))
        answers = [next(said) if yes else None for yes in chosen]
        layers = answerer.layers
        blocks = described(answerer, next(iter(encoders.values()), None))["blocks"]
        reads = reads_of(answerer.id, LayerSet(layers, blocks)) if layers else "the words of the question alone"
        columns.append(Column(answerer.id, layers, kind, reads, getattr(answerer, "weights", ""), answers))
    return columns


def _each(ids: Sequence[str]) -> list[str]:
    """The checkpoints themselves, where a folder of several is named."""
    found = []
    for id in ids:
        inside = [file.parent for file in Path(id).glob(f"*/{FACTS}")]
        inside.sort(key=lambda folder: (len(layers := read_facts(folder)["layers"]), layers))
        found += map(str, inside or [id])
    return found


def _name_of(id: str, again: bool) -> str:
    """How a further checkpoint is called: as its folder, with its seed where there is one of the same layers already."""
    folder = find_mini(id)
    if folder is None:
        return id
    return f"{folder.name} · seed {read_facts(folder)['training'].get('seed', id)}" if again else folder.name


def _any_ids(settings: ResultsSettings) -> list[str]:
    """The any-layer checkpoint through each of its layers, then through the fusions it can read."""
    if not settings.any:
        return []
    folder = find_mini(settings.any)
    if folder is None:
        print(f"There is no {settings.any} here: the sweep is left out.", file=sys.stderr)
        return []
    known = read_facts(folder)["layers"]
    if missing := sorted(set(settings.layers) - set(known)):
        raise CheckpointError(f"{settings.any} cannot read layers {missing}: it knows {known}.")
    singles = settings.layers or tuple(layer for layer in known if layer)
    fusions = [text for text in settings.fusions if {int(part) for part in text.split("+")} <= set(known)]
    return [f"{settings.any}@{text}" for text in (*map(str, singles), *fusions)]


def _majority(cases: Sequence[Case]) -> Column:
    answers = majority(judge(cases, [""] * len(cases)))
    return Column(MAJORITY, (), BASELINE, "always the commonest answer", "", list(answers))


def _tables(columns: Sequence[Column], cases: Sequence[Case]) -> dict[str, Any]:
    """All tables but the findings, as pandas frames."""
    import pandas as pd

    accuracy = [row for column in columns for row in _accuracy(column)]
    by_all = _by_all(columns)
    alike = [replace(column, answers=[column.answers[k] for k in by_all]) for column in columns]
    shared = [row for column in alike for row in _accuracy(column)]
    confusion = [row for column in columns for row in _confusion(column)]
    right: dict[str, Any] = {
        "seed": np.array([case.picture.seed for case in cases], np.int64),
        "task": pd.Categorical([case.task for case in cases]),
    }
    for column in columns:
        right[column.id] = np.array([-1 if a is None else int(a.right) for a in column.answers], np.int8)
    return {
        "accuracy": pd.DataFrame(accuracy),
        "shared": pd.DataFrame(shared),
        "confusion": pd.DataFrame(confusion, columns=["checkpoint", "task", "truth", "said", "times"]),
        "agreement": pd.DataFrame(_agreement(columns)),
        "noise": pd.DataFrame(
            _noise(columns), columns=["layers", "task", "checkpoints", "lowest", "mean", "highest", "deviation"]
        ),
        "right": pd.DataFrame(right),
    }


def _by_all(columns: Sequence[Column]) -> list[int]:
    """The questions that all of them were asked."""
    answers = zip(*(column.answers for column in columns), strict=True)
    return [k for k, each in enumerate(answers) if None not in each]


def _accuracy(column: Column) -> list[dict[str, Any]]:
    asked = column.asked()
    tasks = {"all": _whole(asked)} | summarise(asked)["tasks"]
    rows = []
    for task, found in tasks.items():
        row = {"checkpoint": column.id, "kind": column.kind, "layers": "+".join(map(str, column.layers)), "task": task}
        row |= {name: found[name] for name in ("accuracy", "low", "high", "n")}
        for part in ("pairs", "held_out"):
            some = found.get(part, {})
            row |= {part: some.get("accuracy")} | {f"{part}_{name}": some.get(name) for name in ("low", "high", "n")}
        forms = found.get("forms", {})
        row |= {f"{form}_accuracy": forms.get(form, {}).get("accuracy") for form in ("yesno", "open")}
        rows.append(row | {"count_error": found.get("count_error")})
    return rows


def _whole(asked: Sequence[Answered]) -> dict[str, Any]:
    """All tasks together, as ``summarise`` has one of them."""
    one = [Answered("all", a.form, a.pair, a.held_out, "", a.said, a.right) for a in asked]
    return summarise(one)["tasks"]["all"]


def _confusion(column: Column) -> list[dict[str, Any]]:
    """How often which number was said where another is true."""
    rows = []
    for task, found in summarise(column.asked())["tasks"].items():
        for truth, said in found.get("confusion", {}).items():
            rows += [
                {"checkpoint": column.id, "task": task, "truth": int(truth), "said": number, "times": times}
                for number, times in said.items()
            ]
    return rows


def _agreement(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """How well mini-any, reading given layers, stands in for checkpoints that were trained on them, task by task."""
    alone = {c.layers: c for c in columns if c.kind == INDIVIDUAL}
    chosen = {c.layers: c for c in columns if c.kind == ANY}
    both = [layers for layers in alone if layers in chosen]
    tasks = ["all", *dict.fromkeys(answer.task for column in columns for answer in column.asked())]
    rows = []
    for task in tasks:
        pairs = [_shares(alone[layers], chosen[layers], task) for layers in both]
        x, y = ([float(pair[k].value) for pair in pairs] for k in (0, 1))
        found = spearman(x, y)
        gap = float(np.mean(np.abs(np.subtract(x, y)))) if both else np.nan
        row = {"task": task, "spearman": found.value, "low": found.low, "high": found.high, "checkpoints": len(both)}
        rows.append(row | {"mean_difference": gap})
    return rows


def _shares(first: Column, second: Column, task: str) -> tuple[Estimate, Estimate]:
    """Accuracies on the questions that both were asked."""
    pairs = [
        (a.right, b.right)
        for a, b in zip(first.answers, second.answers, strict=True)
        if a is not None and b is not None and task in ("all", a.task)
    ]
    return wilson(sum(a for a, _ in pairs), len(pairs)), wilson(sum(b for _, b in pairs), len(pairs))


def _noise(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """How far checkpoints of the same layers, trained from different seeds, lie apart."""
    rows = []
    for layers in dict.fromkeys(c.layers for c in columns if c.kind == SEED):
        same = [c for c in columns if c.layers == layers and c.kind in (SEED, INDIVIDUAL)]
        asked = _by_all(same)
        for task in ["all", *dict.fromkeys(c.task for c in same[0].asked())]:
            shares = []
            for column in same:
                some = [a.right for k in asked if (a := column.answers[k]) is not None and task in ("all", a.task)]
                shares.append(float(np.mean(some)) if some else np.nan)
            spread = float(np.std(shares, ddof=1)) if len(shares) > 1 else np.nan
            row = {"layers": "+".join(map(str, layers)), "task": task, "checkpoints": len(same)}
            rows.append(
                row
                | {"lowest": min(shares), "mean": float(np.mean(shares)), "highest": max(shares), "deviation": spread}
            )
    return rows
