"""Where a language model looks in the picture when it begins its answer.

Attention is read as it is, block by block and head by head, and followed through all blocks: each block's mean over its
heads, half of it the token itself for the residual stream, multiplied up (Abnar and Zuidema 2020, arXiv 2005.00928).
The gradient of the likeliest first token's score times the input says what the score depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.records import Looked


def look(language: Any, head: Any, prompt: Tensor, places: Sequence[int], rows: int) -> Looked:
    """Look into a language model that has read picture and question and is about to answer.

    Args:
        language: the model without its head.
        head: from its hidden states to tokens.
        prompt: [1, T, W], the embeddings of all it has read.
        places: positions of the picture tokens, in the order of a grid.
        rows: of the grid.

    Returns:
        What it looked at, without the checkpoint's name.
    """
    with torch.enable_grad(), eager(language.config):
        given = prompt.detach().clone().requires_grad_(True)
        found = language(inputs_embeds=given, output_attentions=True, use_cache=False)
        scores = head(found.last_hidden_state[0, -1]).float()
        (slope,) = torch.autograd.grad(scores.max(), given)
    return summarise(found.attentions, (slope * given)[0].sum(-1), places, rows)


def summarise(attentions: Sequence[Tensor], product: Tensor, places: Sequence[int], rows: int) -> Looked:
    """Normalise what was seen, the same way for every checkpoint.

    Args:
        attentions: of each block, [1, H, T, T].
        product: [T], gradient times input.
        places: positions of the picture tokens.
        rows: of their grid.
    """
    at = torch.as_tensor(list(places), device=product.device)
    maps = torch.stack([block[0].detach().float() for block in attentions])  # (B, H, T, T)
    own = torch.eye(maps.shape[-1], device=maps.device)
    passed = own[-1:]
    for block in maps.mean(1).flip(0):
        passed = passed @ (0.5 * block + 0.5 * own)
    return Looked(
        checkpoint="",
        rows=rows,
        cols=len(at) // rows,
        attention=_shares(maps[:, :, -1, at]),
        rollout=_shares(passed[0, at]),
        gradient=_shares(product.detach().float()[at].abs()),
    )


def _shares(values: Tensor) -> np.ndarray:
    """Values >= 0 that sum to 1 over the last axis; equal where there is nothing to tell them apart."""
    total = values.sum(-1, keepdim=True)
    even = torch.full_like(values, 1 / values.shape[-1])
    return torch.where(total > 0, values / total.clamp_min(1e-30), even).cpu().numpy().astype(np.float32)


@contextmanager
def eager(config: Any):
    """Let a model attend in the plain way, which alone tells its weights."""
    before = config._attn_implementation
    config._attn_implementation = "eager"
    try:
        yield
    finally:
        config._attn_implementation = before


class _EnoughError(Exception):
    """What enters the language model is known."""


@torch.no_grad()
def entering(model: Any, language: Any, inputs: dict[str, Any]) -> Tensor:
    """The embeddings [1, T, W] of text and picture that enter a model's language model.

    Args:
        model: the whole.
        language: its part that reads them.
        inputs: of the whole.
    """
    found: list[Tensor] = []

    def keep(_: Any, __: Any, named: dict[str, Any]) -> None:
        found.append(named["inputs_embeds"])
        raise _EnoughError

    hook = language.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        model(**inputs)
    except _EnoughError:
        pass
    finally:
        hook.remove()
    return found[0]
