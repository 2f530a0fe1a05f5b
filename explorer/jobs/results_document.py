"""docs/results.md and its figure, written from the stored results: every number names its command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from explorer.jobs.findings import AS_IN_PAPER, CLAIMS, NOT_MEASURED, NOT_SHOWN, OTHER_WAY
from explorer.jobs.results_figure import draw_figure
from explorer.services.sweep import ANY, BASELINE, INDIVIDUAL, SEED, Sweep

DOCUMENT, FIGURE = "results.md", "results.svg"


def write_document(found: Sweep, folder: Path) -> None:
    """Write the page and the figure."""
    folder.mkdir(parents=True, exist_ok=True)
    accuracy = found.tables["accuracy"]
    shared = found.tables["shared"]
    (folder / FIGURE).write_text(draw_figure(shared, found.tasks), "utf-8")
    asked = f"The figure shows the {shared['n'].max():,} questions that all were asked, the tables all that each was asked.\n"
    parts = [
        _head(found.meta), _findings(found.meta), f"![Accuracy by layer, a panel a task]({FIGURE})\n", asked, _accuracies(found),
        _sweep(found), _more(accuracy), _agreement(found.tables["agreement"]), _noise(found.tables["noise"]), _how(found.meta),
    ]  # fmt: skip
    (folder / DOCUMENT).write_text("\n".join(part for part in parts if part), "utf-8")


def _head(meta: dict[str, Any]) -> str:
    before = meta["failures"]
    return (
        "# Results of the mini family\n\n"
        "Written by the job; do not edit. All questions are about generated scenes of the test split, which no model was "
        f"trained on: {meta['questions']:,} questions, {before['questions_a_task']:,} a task, of which mini-any answered "
        f"{meta['questions_of_the_sweep']:,} (all that were asked about {meta['pictures_of_the_sweep']:,} pictures, drawn by "
        "chance) through every layer. Intervals are Wilson's, 95 %.\n\n"
        "```\n"
        f"{before['command']}    # {before['date']}\n"
        f"{meta['command']}    # {meta['date']}\n"
        "```\n"
    )


def _findings(meta: dict[str, Any]) -> str:
    lines = [
        "## The paper's findings, and ours\n",
        "Differences are in the direction of the paper's claim. p is that of McNemar's exact test on the same questions, "
        f"two-sided; a verdict needs p < 0.05 after Holm's correction for {len(CLAIMS)} tests. Questions about one scene are "
        "treated as independent. The best single layer is chosen on these same questions, which favours it.\n",
    ]
    for claim in meta["findings"]:
        lines.append(f"**{claim['sentence']}** Ours: {claim['verdict']}.\n\n- Paper: {claim['paper']}")
        for way, name in (("individual", "Individually trained"), ("any", "The any-layer checkpoint")):
            if said := claim[way]:
                ahead = f" Ahead on {said['ahead']} of {said['of_tasks']} tasks." if said["of_tasks"] > 1 else ""
                verdict = "" if way == "individual" else f" ({said['verdict']})"
                lines.append(f"- {name}{verdict}: {said['sentence']}{ahead}")
        lines.append("")
    verdicts = [claim["verdict"] for claim in meta["findings"]]
    counts = ", ".join(
        f"{verdicts.count(v)} {v}" for v in (AS_IN_PAPER, OTHER_WAY, NOT_SHOWN, NOT_MEASURED) if v in verdicts
    )
    lines.append(
        f"Of {len(verdicts)} findings: {counts}. What differs from the paper: our encoder is small (24 blocks of width 128) "
        "and was trained on generated scenes by captions that seldom name counts and places, with a loss that asks the patches "
        "of its last layer to name what stands there and whose middle it is, which favours deep layers from the start; our "
        "language model has a few million weights and short training; the questions have short answers and one world. So this shows what these layers hold for "
        "these tasks, and is no evidence about CLIP ViT-L.\n"
    )
    return "\n".join(lines)


def _percent(row: Any) -> str:
    return f"{100 * row['accuracy']:.1f} ({100 * row['low']:.1f}–{100 * row['high']:.1f})"


def _matrix(table: pd.DataFrame, tasks: list[str], first: str) -> list[str]:
    """A line a checkpoint, a column a task."""
    lines = [f"| {first} | " + " | ".join(["all", *tasks]) + " | n |", "|---" * (len(tasks) + 3) + "|"]
    for name, some in table.groupby("checkpoint", sort=False):
        by_task = {row["task"]: row for row in some.to_dict("records")}
        cells = [_percent(by_task[task]) if task in by_task else "–" for task in ("all", *tasks)]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {by_task['all']['n']:,} |")
    return lines


def _accuracies(found: Sweep) -> str:
    table = found.tables["accuracy"]
    alone: Any = table[table["kind"].isin([INDIVIDUAL, SEED, BASELINE])]
    rows = _matrix(alone, found.tasks, "checkpoint")
    return "\n".join(["## Individually trained checkpoints and baselines, accuracy in %\n", *rows, ""])


def _sweep(found: Sweep) -> str:
    table = found.tables["accuracy"]
    swept: Any = table[table["kind"] == ANY]
    if swept.empty:
        return ""
    note = "One checkpoint, trained on layers drawn at random, reads the layers named; accuracy in %.\n"
    return "\n".join(["## mini-any through every layer\n", note, *_matrix(swept, found.tasks, "layers chosen"), ""])


def _more(accuracy: pd.DataFrame) -> str:
    """Accuracy+ of pairs, combinations never trained, and count error."""
    lines = [
        "## Pairs, combinations never trained, count error\n",
        "Pairs: both questions of a yes-and-no pair right (MME's accuracy+). Never trained: questions about combinations of "
        "kind and count, or of two kinds and a relation, that no training scene has. Count error: mean |said − true|.\n",
        "| checkpoint | task | pairs, % | never trained, % | n | count error |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    some: Any = accuracy[accuracy["kind"].isin([INDIVIDUAL, BASELINE])]
    for row in some.to_dict("records"):
        if row["task"] == "all":
            continue
        pairs = "–" if pd.isna(row["pairs"]) else f"{100 * row['pairs']:.1f}"
        never, n = ("–", "–")
        if not pd.isna(row["held_out"]):
            never = f"{100 * row['held_out']:.1f} ({100 * row['held_out_low']:.1f}–{100 * row['held_out_high']:.1f})"
            n = f"{int(row['held_out_n'])}"
        error = "–" if pd.isna(row["count_error"]) else f"{row['count_error']:.2f}"
        lines.append(f"| {row['checkpoint']} | {row['task']} | {pairs} | {never} | {n} | {error} |")
    return "\n".join([*lines, "", "Confusion of numbers: precomputed/results/confusion.csv.\n"])


def _agreement(table: pd.DataFrame) -> str:
    if not any(table["checkpoints"]):
        return ""
    lines = [
        "## Does mini-any stand in for individually trained checkpoints?\n",
        "Spearman's correlation of their accuracies over the layers (and the fusion) that were trained individually, and the "
        "mean absolute difference in points. So few checkpoints leave the correlation uncertain: see its interval.\n",
        "| task | Spearman | 95 % interval | checkpoints | mean difference |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for row in table.to_dict("records"):
        rho, low, high = ("–" if pd.isna(row[name]) else f"{row[name]:.2f}" for name in ("spearman", "low", "high"))
        gap = "–" if pd.isna(row["mean_difference"]) else f"{100 * row['mean_difference']:.1f}"
        lines.append(f"| {row['task']} | {rho} | {low} to {high} | {row['checkpoints']} | {gap} |")
    return "\n".join([*lines, ""])


def _noise(table: pd.DataFrame) -> str:
    if table.empty:
        return "No checkpoint was trained from a second seed: how much of a difference is noise of training is not known.\n"
    lines = [
        "## Noise of training: same layers, other seeds, accuracy in %\n",
        "A seed draws the pictures and questions of a checkpoint's own training; stage 0 and the start that all share "
        "(docs/experiments.md) are the same for every seed, so that what they add to the noise is not in this table.\n",
        "| layers | task | checkpoints | lowest | mean | highest | standard deviation |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in table.to_dict("records"):
        shares = " | ".join(f"{100 * row[name]:.1f}" for name in ("lowest", "mean", "highest", "deviation"))
        lines.append(f"| {row['layers']} | {row['task']} | {row['checkpoints']} | {shares} |")
    return "\n".join([*lines, ""])


def _how(meta: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in meta["versions"].items())
    others = (
        " Folders that `--others` names are not in the repository: assets/settings/checkpoints.toml says how their "
        "checkpoints were trained."
        if "--others" in meta["command"]
        else ""
    )
    return (
        "## How\n\n"
        f"Versions: {versions}. The run took {meta['seconds']:,.0f} s, without asking again what it had asked before. "
        "Digests of the weights are in the manifests (precomputed/failures/held-out.json and precomputed/results/sweep.json); the same tables lie as CSV in "
        "precomputed/results/. The commands at the top, in their order and with the same checkpoints, make all of it again; "
        f"one that was stopped goes on.{others}\n"
    )
