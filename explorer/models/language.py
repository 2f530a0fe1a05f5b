"""The mini language model: a small Llama."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from explorer.models.catalogue import MINI

LANGUAGE = MINI.parent / "mini-language"  # stage 0's model, which also learned to answer without a picture


@dataclass(frozen=True)
class LanguageShape:
    """Size and start of the language model.

    Attributes:
        blocks, width, mlp_width, heads: of the Llama.
        spread: standard deviation of the initial weights; the usual 0.02 is too small for such a width.
        positions: longest text, with its picture.
    """

    blocks: int = 4
    width: int = 192
    mlp_width: int = 512
    heads: int = 4
    spread: float = 0.07
    positions: int = 512


def make_language(shape: LanguageShape, tokenizer: Any, seed: int = 0) -> LlamaForCausalLM:
    """The untrained model for a tokenizer's vocabulary.

    What each block adds starts at nothing. In half of the heads keys start equal to queries, so that a word attends
    first of all to the same word elsewhere, however far (Trockman and Kolter, Mimetic Initialization, arXiv
    2305.09828, which sets their product near the identity): a question's noun finds its cells of the picture from the
    first step on.
    """
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.width,
            intermediate_size=shape.mlp_width,
            num_hidden_layers=shape.blocks,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            max_position_embeddings=shape.positions,
            initializer_range=shape.spread,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    blocks: Any = model.model.layers
    for block in blocks:
        torch.nn.init.zeros_(block.self_attn.o_proj.weight)
        torch.nn.init.zeros_(block.mlp.down_proj.weight)
        torch.nn.init.orthogonal_(block.self_attn.q_proj.weight)
        with torch.no_grad():
            query, key = (
                x.weight.view(shape.heads, 2, -1, shape.width) for x in (block.self_attn.q_proj, block.self_attn.k_proj)
            )  # (heads, halves of a rotated pair, pairs, width)
            slow = query.shape[2] * 7 // 12  # pairs from here on turn less than a radian over a picture
            query[: shape.heads // 2, :, :slow] = 0
            query[: shape.heads // 2] *= (12 / 5) ** 0.5
            key[: shape.heads // 2] = query[: shape.heads // 2]
    return model
