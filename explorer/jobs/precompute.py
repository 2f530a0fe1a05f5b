"""Compute what the app shows before any encoder is loaded: the finished analyses of the example pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

from tqdm import tqdm

from explorer.records import ExplorerError
from explorer.services.explore import Explorer
from explorer.services.pictures import read_picture
from explorer.store import Store, save_exploration

PICTURES = (".png", ".jpg", ".webp")


def precompute_examples(examples: Path, out: Path, encoder: str = "mini") -> int:
    """Analyse every example picture and put the results in place of the former ones; returns how many.

    Raises:
        EncoderError: the encoder cannot be had.
    """
    explorer = Explorer()
    explorer.use(encoder)
    if explorer.wait().phase != "ready":
        raise ExplorerError(explorer.status().message)
    files = sorted(file for file in examples.iterdir() if file.suffix in PICTURES)
    shutil.rmtree(out / "exploration", ignore_errors=True)
    for file in tqdm(files, desc="examples"):
        save_exploration(Store(out), explorer.explore(read_picture(file)))
    return len(files)
