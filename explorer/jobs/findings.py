"""The paper's findings (arXiv 2504.21447) as sentences, and what the mini family shows of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from explorer.analysis.statistics import holm
from explorer.layers import PAPER_FUSION
from explorer.services.sweep import ANY, INDIVIDUAL, Paired, pair_up

LEVEL = 0.05  # of p after Holm's correction
AS_IN_PAPER, OTHER_WAY, NOT_SHOWN, NOT_MEASURED = (
    "as in the paper",
    "the other way round",
    "no difference shown",
    "not measured",
)


@dataclass(frozen=True)
class Claim:
    """A finding of the paper, as a comparison that can be repeated.

    Attributes:
        id: its name.
        sentence: what the paper finds, in our words.
        paper: the numbers behind it, with their source.
        first: the layers that are said to do better; () for the paper's fusion against the best single layer.
        second: the layers that are said to do worse.
        task: on which of our tasks; "all" for all together.
    """

    id: str
    sentence: str
    paper: str
    first: tuple[int, ...]
    second: tuple[int, ...]
    task: str = "all"


CLAIMS = (
    Claim(
        "penultimate-last", "The penultimate layer (23) serves better than the last one (24).",
        "General tasks 1.00 against 0.93, OCR 1.00 against 0.85 (normalised, digitised from Figure 2); but CVBench 0.56 "
        "against 0.91.", (23,), (24,),
    ),
    Claim(
        "middle-count", "A middle layer (18) counts better than the penultimate one (23).",
        "CVBench, which has counting and spatial questions: 1.00 against 0.56 (normalised, digitised from Figure 2).",
        (18,), (23,), "count",
    ),
    Claim(
        "middle-position", "A middle layer (18) knows better than the penultimate one (23) where things are.",
        "MME position: layer 18 is 20 % ahead (from a summary); CVBench 1.00 against 0.56 (digitised from Figure 2).",
        (18,), (23,), "position",
    ),
    Claim(
        "deep-words", "The deep layer 23 reads written words better than the middle layer 18.",
        "TextVQA 33.7 % against 31.4 %, OCRBench 233 against 200 (digitised from Figure 1b).", (23,), (18,), "word",
    ),
    Claim(
        "fusion", "Reading layers 3, 18 and 23 together beats the best single layer.",
        "The fusion is ahead on nine of ten benchmarks (stated in the paper).", PAPER_FUSION, (),
    ),
    Claim(
        "shallow", "A shallow layer (3) alone serves worse than the penultimate one (23).",
        "General tasks 0.03 against 1.00, CVBench 0.37 against 0.56 (normalised, digitised from Figure 2).", (23,), (3,),
    ),
)  # fmt: skip


def measure(columns: Sequence[dict[str, Any]], right: dict[str, np.ndarray], task: np.ndarray) -> list[dict[str, Any]]:
    """What is measured of each claim.

    Args:
        columns: id, layers, kind of what was asked.
        right: int8 [Q] by id: 1 right, 0 wrong, -1 not asked.
        task: the task of each question, str [Q].

    Returns:
        For each claim its own fields, "verdict", and for "individual" and "any" None or what was found: names of the two,
        a ``Paired`` as a dict, "p_holm" and "ahead" (tasks on which the first has the higher accuracy, of how many).
        The verdict is that of individually trained checkpoints.
    """
    found: list[dict[str, Any]] = [
        asdict(claim)
        | {
            "individual": _compare(claim, _by_layers(columns, INDIVIDUAL), right, task),
            "any": _compare(claim, _by_layers(columns, ANY), right, task),
        }
        for claim in CLAIMS
    ]
    for way in ("individual", "any"):
        said = [entry[way] for entry in found if entry[way]]
        for one, p in zip(said, holm([one["p"] for one in said]), strict=True):
            one["p_holm"] = float(p)
            one["verdict"] = verdict(one["difference"], float(p))
            one["sentence"] = spoken(one)
    for entry in found:
        entry["verdict"] = entry["individual"]["verdict"] if entry["individual"] else NOT_MEASURED
    return found


def verdict(difference: float, p: float) -> str:
    """What a difference, in the direction of the paper's, says."""
    if p >= LEVEL or difference == 0:
        return NOT_SHOWN
    return AS_IN_PAPER if difference > 0 else OTHER_WAY


def _by_layers(columns: Sequence[dict[str, Any]], kind: str) -> dict[tuple[int, ...], str]:
    return {tuple(column["layers"]): column["id"] for column in columns if column["kind"] == kind}


def _compare(
    claim: Claim, known: dict[tuple[int, ...], str], right: dict[str, np.ndarray], task: np.ndarray
) -> dict[str, Any] | None:
    second = claim.second or _best_single(known, right)
    if claim.first not in known or second not in known:
        return None
    a, b = right[known[claim.first]], right[known[second]]
    rows = (a >= 0) & (b >= 0) & ((task == claim.task) | (claim.task == "all"))
    if rows.sum() < 2:
        return None
    tasks = [name for name in dict.fromkeys(task.tolist()) if (rows & (task == name)).any()]
    by_task = [pair_up(a[some] == 1, b[some] == 1, name) for name in tasks for some in [rows & (task == name)]]
    pair: Paired = pair_up(a[rows] == 1, b[rows] == 1, claim.task)
    ahead = sum(one.first > one.second for one in by_task)
    names = {"first_id": known[claim.first], "second_id": known[second], "second_layers": list(second)}
    return names | asdict(pair) | {"ahead": ahead, "of_tasks": len(tasks)}


def _best_single(known: dict[tuple[int, ...], str], right: dict[str, np.ndarray]) -> tuple[int, ...]:
    """The single layer with the highest accuracy over all questions that were asked of it."""
    singles = [layers for layers in known if len(layers) == 1]
    return max(singles, key=lambda layers: (right[known[layers]] == 1).sum(), default=())


def spoken(found: dict[str, Any]) -> str:
    """One comparison as a sentence with its numbers."""
    what = "questions of all tasks" if found["task"] == "all" else f"{found['task']} questions"
    return (
        f"{found['first_id']} {100 * found['first']:.1f} %, {found['second_id']} {100 * found['second']:.1f} % of "
        f"{found['n']:,} {what}: {100 * found['difference']:+.1f} points (95 % interval {100 * found['low']:+.1f} to "
        f"{100 * found['high']:+.1f}); alone right {found['only_first']:,} and {found['only_second']:,} times, exact "
        f"McNemar p {p_text(found['p'])}, corrected for {len(CLAIMS)} tests {p_text(found['p_holm'])}."
    )


def p_text(p: float) -> str:
    """A p-value for people."""
    return "< 0.0001" if p < 0.0001 else f"= {p:.4f}" if p < 0.1 else f"= {p:.2f}"
