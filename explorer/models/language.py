"""The mini language model: a small Llama."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from explorer.models.catalogue import MINI

ROPE_THETA = 1e6  # two thirds of a head then tell words apart at any distance within a picture
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

    What each block adds starts at nothing, and its heads start as what a question about a picture needs (after the idea
    of Trockman and Kolter, Mimetic Initialization, arXiv 2305.09828): in the first half keys equal queries, so that a
    word attends to the same word elsewhere, a question's noun to its cells of the picture; in one more, words of the
    text attend to the text before them and not to the many cells; the rest is random. For that all embeddings
    share a direction, of which the one that marks cells has the opposite.
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
            rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    text = torch.nn.functional.normalize(torch.randn(shape.width), dim=0)
    with torch.no_grad():
        embedding: Any = model.model.embed_tokens.weight
        shared = 0.7 * shape.spread * shape.width**0.5 * text
        cells = tokenizer.convert_tokens_to_ids(["<image>"])
        embedding += shared
        embedding[cells] -= 2 * shared  # a cell that holds a word is then as far from the text as an empty one
        for block in model.model.layers:
            _start_block(block, shape, text)
    return model


def _start_block(block: Any, shape: LanguageShape, text: torch.Tensor) -> None:
    """Set the start of a block's heads; ``text`` is the direction that the words of the text share, float32 [width]."""
    torch.nn.init.zeros_(block.self_attn.o_proj.weight)
    torch.nn.init.zeros_(block.mlp.down_proj.weight)
    torch.nn.init.orthogonal_(block.self_attn.q_proj.weight)
    query, key = (
        x.weight.view(shape.heads, 2, -1, shape.width) for x in (block.self_attn.q_proj, block.self_attn.k_proj)
    )  # (heads, halves of a rotated pair, pairs, width)
    pairs, same = query.shape[2], shape.heads // 2
    slow = pairs * 3 // 8  # pairs from here on turn less than a radian over a picture
    word = query[:same].clone()
    word[:, :, :slow] = 0
    word -= (word @ text)[..., None] * text
    query[:same] = key[:same] = word * (1.6 * pairs / (pairs - slow)) ** 0.5
    if same < shape.heads:
        reading = torch.zeros_like(query[same])
        reading[:, slow:] = text * (24 / shape.width * pairs**0.5 / (pairs - slow)) ** 0.5
        query[same] = key[same] = reading
