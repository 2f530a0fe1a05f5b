"""One question to every layer at once: the columns of an X-ray, from one look of the encoder, in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch

from explorer.models.mini_speaker import BATCH, MiniParts, MiniSpeaker, answer_prompts
from explorer.models.speaking import Asked, Said, Stop

MOST_ROWS = 8


def read_columns(
    parts: MiniParts, columns: Sequence[Sequence[int]], asked: Asked, stop: Stop
) -> tuple[tuple[str, ...], list[Said]]:
    """Ask the same question of several sets of layers.

    Args:
        parts: a checkpoint whose layers can be chosen.
        columns: layers that it knows.
        asked: the question; without candidates they are what the columns answered, the commonest first.
        stop: looked at between batches.

    Returns:
        The candidates, and what each column said; fewer where it was stopped.
    """
    question = parts.tokens(asked.question)
    parts.check_room(parts.encoder.rows**2, question, asked.most_tokens)
    features, _ = parts.encoder.features([asked.picture])
    words = torch.cat([MiniSpeaker(parts, column).words(features) for column in columns])
    found = _ask(parts, words, question, asked, stop)
    if asked.candidates or stop.is_set():
        return asked.candidates, found
    common = Counter(said.text for said in found if said.text).most_common(MOST_ROWS)
    rows = tuple(text for text, _ in common) or ("yes", "no")
    return rows, _ask(parts, words, question, replace(asked, candidates=rows), stop)


def _ask(parts: MiniParts, words: torch.Tensor, question: Sequence[int], asked: Asked, stop: Stop) -> list[Said]:
    found: list[Said] = []
    for batch in words.split(BATCH):
        if stop.is_set():
            break
        found += answer_prompts(parts, batch, [question] * len(batch), [asked] * len(batch))
    return found
