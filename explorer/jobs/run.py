"""What all training runs of language models share: optimisers, rates, state on disk, logs."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from explorer.jobs.muon import Muon


def make_optimizers(
    modules: Iterable[nn.Module], rate: float, matrix_rate: float, weight_decay: float = 0.0
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for all else that learns."""
    named = {id(p): (name, p) for module in modules for name, p in module.named_parameters() if p.requires_grad}
    matrices = [p for name, p in named.values() if ".layers." in name and p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for key, (_, p) in named.items() if key not in chosen]
    found: list[torch.optim.Optimizer] = []
    if matrices:
        found.append(Muon(matrices, lr=matrix_rate, weight_decay=weight_decay))
    if others:
        found.append(torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0))
    return found


def step_optimizers(optimizers: list[torch.optim.Optimizer], parameters: Iterable[Tensor], share: float) -> float:
    """Clip the gradients to norm 1, update at a share of the full rates, and clear; returns the norm before clipping."""
    norm = float(nn.utils.clip_grad_norm_(list(parameters), 1.0))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("full", group["lr"])
            group["lr"] = group["full"] * share
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return norm


def rate_share(step: int, total: int, warmup: float, cooldown: float) -> float:
    """Share of the full rate at a step: rises from 0, stays, falls to 0 in a straight line."""
    done = (step + 0.5) / total
    return min(1.0, done / warmup if warmup else 1.0, (1 - done) / cooldown if cooldown else 1.0)


def save_state(state: dict[str, Any], file: Path) -> None:
    """Write a run's state, all or nothing."""
    torch.save(state, file.with_suffix(".tmp"))
    file.with_suffix(".tmp").rename(file)


class Log:
    """A CSV file, and TensorBoard's events where that is installed; has the run's state saved now and then."""

    def __init__(self, folder: Path, step: int, save: Callable[[], None], minutes: float):
        """Go on after ``step``: rows of later steps, from before a kill, are dropped.

        Args:
            folder: of the run.
            step: how many steps were made already.
            save: writes the run's state; called at the end, and before that when so many minutes are over.
            minutes: between one state and the next.
        """
        self._save, self._seconds, self._saved = save, 60 * minutes, time.monotonic()
        self._file = folder / "log.csv"
        rows = list(csv.DictReader(self._file.open())) if self._file.exists() else []
        self._rows = [row for row in rows if int(row["step"]) <= step]
        self._names = list(dict.fromkeys(name for row in self._rows for name in row))
        self._board = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        except ImportError:
            pass
        self._rewrite()

    def _rewrite(self) -> None:
        with self._file.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._names, restval="")
            writer.writeheader()
            writer.writerows(self._rows)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Add a row; a name not seen before becomes a new column."""
        row = {"step": str(step), **{name: f"{value:.5g}" for name, value in values.items() if math.isfinite(value)}}
        self._rows.append(row)
        if new := [name for name in row if name not in self._names]:
            self._names += new
            self._rewrite()
        else:
            with self._file.open("a", newline="") as file:
                csv.DictWriter(file, self._names, restval="").writerow(row)
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        if time.monotonic() - self._saved > self._seconds:
            self._save()
            self._saved = time.monotonic()

    def close(self) -> None:
        """Write what is left, and the state."""
        if self._board:
            self._board.close()
        self._save()
