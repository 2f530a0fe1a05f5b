"""The mini language model: a small Llama."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from explorer.models.catalogue import MINI

ROW = 12  # cells of a picture in one row
ROPE_THETA = (
    ROW / (2 * math.pi)
) ** 24  # pair 1 of 24 turns once a row; two thirds turn too slowly to matter in a picture
LANGUAGE = MINI.parent / "mini-language"  # stage 0's model, which also learned to answer without a picture


@dataclass(frozen=True)
class LanguageShape:
    """Size and start of the language model.

    Attributes:
        blocks, width, mlp_width, heads: of the Llama.
        spread: standard deviation of the initial weights; the usual 0.02 is too small for such a width.
        positions: longest text, with its picture.
    """

    blocks: int = 6
    width: int = 192
    mlp_width: int = 256
    heads: int = 4
    spread: float = 0.07
    positions: int = 512


def make_language(shape: LanguageShape, tokenizer: Any, seed: int = 0) -> LlamaForCausalLM:
    """The untrained model for a tokenizer's vocabulary.

    What each block adds starts at nothing, and its heads start as what a question about a picture needs (after the idea
    of Trockman and Kolter, Mimetic Initialization, arXiv 2305.09828): in the first half keys equal queries, so that a
    word attends to the same word elsewhere, a question's noun to its cells of the picture; in one more, words of the
    text attend to the text before them and not to the many cells; the rest is random. For that all embeddings
    share a direction, of which the one that marks cells has the opposite. In each of the first two blocks one head starts
    by telling cells their column (see ``start_column_head``).
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
        for quarter, block in enumerate(model.model.layers[:2]):
            start_column_head(block, shape, text, quarter)
    return model


@torch.no_grad()
def start_column_head(block: Any, shape: LanguageShape, text: torch.Tensor, quarter: int) -> None:
    """Let a head look back at the token before the picture, more or less of it with every turn of a row.

    A cell's column is its place modulo a row, which rotary positions hold only as phases; with one head for the cosine
    and one, in the next block, for the sine, the column was known after 200 steps, without them not after 1,000.

    Args:
        block: of the Llama; its head 1 is replaced, what that adds starts at nothing.
        shape: the model's.
        text: the direction that words of the text have and cells the opposite of, float32 [width].
        quarter: of a turn by which the head's phase is shifted.
    """
    query, key = (
        x.weight.view(shape.heads, 2, -1, shape.width) for x in (block.self_attn.q_proj, block.self_attn.k_proj)
    )
    size, phase, slow = shape.width // shape.heads, quarter * math.pi / 2, query.shape[2] * 5 // 6
    pull = text * (3 * size**0.5) ** 0.5 / 8  # a logit of about 3 for inputs whose share along the text is 8
    query[1], key[1] = 0, 0
    query[1, 0, 1], query[1, 1, 1], key[1, 0, 1] = -math.cos(phase) * pull, -math.sin(phase) * pull, pull
    query[1, 0, slow], key[1, 0, slow] = -pull, pull
    block.self_attn.o_proj.weight.view(shape.width, shape.heads, -1)[:, 1] = 0


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
