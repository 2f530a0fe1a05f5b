"""Stored failures and results of a made-up family: real scenes and questions, answers drawn by chance, no model."""

import json
from pathlib import Path

import numpy as np

from explorer.jobs.answers import majority
from explorer.jobs.evaluate import AnswerFile, judge, scene_cases
from explorer.jobs.findings import measure
from explorer.jobs.precompute_failures import tabulate
from explorer.jobs.precompute_results import Column, _tables
from explorer.layers import LayerSet
from explorer.services.held_out import HeldOut, first_case, reads_of
from explorer.services.sweep import ANY, BASELINE, INDIVIDUAL, Sweep
from explorer.store import Store

FAMILY = {"mini-l3": (3,), "mini-l18": (18,), "mini-l23": (23,), "mini-l24": (24,), "mini-fused": (3, 18, 23)}
RATES = {"mini-l3": 0.4, "mini-l18": 0.8, "mini-l23": 0.55, "mini-l24": 0.6, "mini-fused": 0.85}
HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} {{value}}"
MADE = {"command": "python -m explorer precompute failures --n 16", "date": "2026-11-27", "versions": {"torch": "2"}}


class Named:
    """Stands for a checkpoint that was asked."""

    def __init__(self, id, layers):
        self.id, self.layers, self.weights = id, layers, "0" * 25


def answers_of(cases, rate, rng):
    """(said, chance) of each question: the truth at a rate, else another candidate, once in a while something hostile."""
    replies = []
    for case in cases:
        others = [option for option in case.candidates if option != case.answer]
        wrong = HOSTILE if rng.random() < 0.1 else others[int(rng.integers(len(others)))]
        replies.append((case.answer if rng.random() < rate else wrong, float(rng.uniform(0.3, 1))))
    return replies


def make_family(n=16, seed=0):
    """(HeldOut, Sweep), n questions a task."""
    cases, rng, kept = scene_cases("test", n, seed), np.random.default_rng(seed), AnswerFile(None)
    answerers = [Named(id, layers) for id, layers in FAMILY.items()]
    for answerer in answerers:
        kept.add(answerer, cases, answers_of(cases, RATES[answerer.id], rng))
    described = [{"id": a.id, "layers": list(a.layers), "blocks": 24, "weights": a.weights} for a in answerers]
    pictures = len({case.picture.seed for case in cases})
    meta = MADE | {"split": "test", "questions_a_task": n, "seed": seed, "questions": len(cases), "pictures": pictures}
    held = HeldOut(tabulate(answerers, cases, kept), meta | {"checkpoints": described})
    held.meta["first"] = first_case(held)
    return held, make_sweep(held, cases, rng)


def make_sweep(held, cases, rng):
    columns = []
    for id, layers in FAMILY.items():
        said = held.table[f"said {id}"].astype(str).tolist()
        columns.append(Column(id, layers, INDIVIDUAL, LayerSet(layers, 24).title(), "0", list(judge(cases, said))))
    half = np.arange(len(cases)) % 2 == 0
    for layers in [*((layer,) for layer in range(1, 25)), (18, 23), (3, 18, 23)]:
        id = f"mini-any@{'+'.join(map(str, layers))}"
        rate = 0.3 + 0.5 * np.exp(-(((max(layers) - 17) / 8) ** 2))
        said = judge(cases, [text for text, _ in answers_of(cases, rate, rng)])
        answers = [one if yes else None for one, yes in zip(said, half, strict=True)]
        columns.append(Column(id, layers, ANY, reads_of(id, LayerSet(layers, 24)), "0", answers))
    columns.append(
        Column("majority", (), BASELINE, "always the commonest answer", "", majority(judge(cases, [""] * len(cases))))
    )
    tables = _tables(columns, cases)
    described = [
        {"id": c.id, "layers": list(c.layers), "kind": c.kind, "reads": c.reads, "weights": c.weights} for c in columns
    ]
    rights = {c.id: tables["right"][c.id].to_numpy() for c in columns}
    meta = MADE | {
        "command": "python -m explorer precompute results",
        "failures": {name: held.meta[name] for name in ("command", "date", "questions_a_task", "seed", "split")},
        "questions": len(cases), "questions_of_the_sweep": int(half.sum()), "pictures_of_the_sweep": 9, "columns": described,
        "findings": measure(described, rights, np.array([case.task for case in cases])), "seconds": 1.0,
    }  # fmt: skip
    return Sweep(tables, meta)


def save_family(folder, n=16, seed=0):
    """Store both, and the paper's numbers, in a folder as the jobs do."""
    held, sweep = make_family(n, seed)
    held.save(Store(folder))
    sweep.save(Store(folder))
    paper = Path(__file__).resolve().parents[1] / "precomputed" / "paper_figures.json"
    (Path(folder) / "paper_figures.json").write_text(json.dumps(json.loads(paper.read_text())))
    return held, sweep
