"""Many questions about one picture in one forward of a Llama: each sees the picture and itself, never another question.

All tokens of a batch stand end to end in one row of ``N * P + R``: the prefixes of N pictures (a first token and the
picture tokens), then the R tokens of all questions, without padding. Linear layers therefore see every token once, and
only attention knows which picture a question belongs to. The result equals that of asking each question by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import exp
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, LlamaModel

IGNORE = -100


@dataclass(frozen=True)
class Pack:
    """Where the tokens of a batch stand.

    Attributes:
        pictures, prefix: N and P.
        most, longest: M, the most questions of one picture, and t, the longest question.
        tokens: int64 [R], the questions' tokens, each question followed by its answer where that is known.
        slots: int64 [R], each token's place in a padded [N, M, t].
        positions: int64 [R], each token's position in its own sequence; the first after the prefix is ``after``.
        targets: int64 [R], the token to be predicted there, IGNORE where none is.
    """

    pictures: int
    prefix: int
    most: int
    longest: int
    tokens: Tensor
    slots: Tensor
    positions: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> Pack:
        """The same on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("tokens", "slots", "positions", "targets")}
        return replace(self, **moved)


def make_pack(texts: Sequence[Sequence[tuple[list[int], list[int]]]], prefix: int, after: int | None = None) -> Pack:
    """Lay out the questions of N pictures.

    Args:
        texts: for each picture its (question tokens, answer tokens); loss is on the answer tokens alone.
        prefix: P, how many tokens stand before each question.
        after: the position of a question's first token; P if not given (larger where picture tokens are left out).
    """
    most = max(len(questions) for questions in texts)
    longest = max(len(question) + len(answer) for questions in texts for question, answer in questions)
    tokens: list[int] = []
    slots: list[int] = []
    positions: list[int] = []
    targets: list[int] = []
    first = prefix if after is None else after
    for n, questions in enumerate(texts):
        for m, (question, answer) in enumerate(questions):
            whole = question + answer
            tokens += whole
            slots += range((n * most + m) * longest, (n * most + m) * longest + len(whole))
            positions += range(first, first + len(whole))
            targets += [IGNORE] * (len(question) - 1) + answer + [IGNORE]
    columns = (torch.tensor(column) for column in (tokens, slots, positions, targets))
    return Pack(len(texts), prefix, most, longest, *columns)


Past = dict[int, tuple[Tensor, Tensor]]  # keys and values of the prefixes by block, [N, H, P, d] each


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: None,
    scaling: float,
    *,
    pack: Pack,
    past: Past,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of a packed row, for transformers' AttentionInterface.

    Args:
        module: the LlamaAttention.
        query: [1, H, N*P + R, d], already rotated to its positions; R alone where ``past`` has the rest.
        key: as query.
        value: as query.
        mask: unused; ``pack`` says who sees whom.
        scaling: of the scores.
        pack: the layout of the row.
        past: keys and values of the prefixes, filled at the first reading.

    Returns:
        tuple: [1, N*P + R, H, d], and None for the weights.
    """
    heads, width = query.shape[1], query.shape[-1]
    split, out = 0, []
    if module.layer_idx not in past:
        split = pack.pictures * pack.prefix
        shape = (heads, pack.pictures, pack.prefix, width)
        q, k, v = (x[0, :, :split].view(shape).transpose(0, 1) for x in (query, key, value))  # (N, H, P, d)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling)
        out.append(seen.transpose(1, 2).reshape(split, heads, width))
        past[module.layer_idx] = (k, v)
    q, k, v = (_pad(x[0, :, split:], pack) for x in (query, key, value))
    out.append(_attend_questions(q, k, v, *past[module.layer_idx], scaling).flatten(0, 2)[pack.slots])
    return torch.cat(out)[None], None


def _pad(x: Tensor, pack: Pack) -> Tensor:
    """[H, R, d] to [N, H, M, t, d], zero where no token stands."""
    padded = x.new_zeros(pack.pictures * pack.most * pack.longest, x.shape[0], x.shape[2])
    padded = padded.index_copy(0, pack.slots, x.transpose(0, 1))
    return padded.view(pack.pictures, pack.most, pack.longest, *padded.shape[1:]).permute(0, 3, 1, 2, 4)


def _attend_questions(q: Tensor, k: Tensor, v: Tensor, prefix_k: Tensor, prefix_v: Tensor, scaling: float) -> Tensor:
    """Questions [N, H, M, t, d] attend to their picture's prefix [N, H, P, d] and to themselves; gives [N, M, t, H, d]."""
    n, heads, most, longest, width = q.shape
    q = q * scaling
    outer = (q.flatten(2, 3) @ prefix_k.mT).view(n, heads, most, longest, -1)  # (N, H, M, t, P)
    later = torch.ones(longest, longest, dtype=torch.bool, device=q.device).triu(1)
    inner = (q @ k.mT).masked_fill(later, float("-inf"))  # (N, H, M, t, t)
    weights = torch.cat([outer, inner], -1).softmax(-1)
    outer, inner = weights.split([outer.shape[-1], longest], -1)
    seen = (outer.flatten(2, 3) @ prefix_v).view(n, heads, most, longest, width) + inner @ v
    return seen.permute(0, 2, 3, 1, 4)


AttentionInterface.register("packed", packed_attention)


@contextmanager
def packed(language: LlamaModel) -> Iterator[None]:
    """Let a Llama attend as packs need while the block runs."""
    before = language.config._attn_implementation
    language.config._attn_implementation = "packed"
    try:
        yield
    finally:
        language.config._attn_implementation = before


def read_pack(
    language: LlamaModel,
    prefix: Tensor | None,
    pack: Pack,
    positions: Tensor | None = None,
    past: Past | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Run a Llama over a pack.

    Args:
        language: the model without its head.
        prefix: [N, P, D], embeddings of the first token and the picture tokens; None where ``past`` has read them.
        pack: the questions.
        positions: int64 [N, P], positions of the prefix; 0…P-1 if not given.
        past: filled with what later questions about the same prefixes need; an empty dictionary at first.

    Returns:
        tuple: final hidden states of the questions' tokens, [R, D], after the last norm; and the hidden states of the
        whole row after each block, [N * P + R, D], without a norm ([R, D] where the prefixes were read before).
    """
    past = {} if past is None else past
    asked, places, split = language.embed_tokens(pack.tokens), pack.positions, 0
    if prefix is not None:
        if positions is None:
            positions = torch.arange(pack.prefix, device=prefix.device).expand(pack.pictures, -1)
        split = pack.pictures * pack.prefix
        asked, places = torch.cat([prefix.flatten(0, 1), asked]), torch.cat([positions.flatten(), places])
    hidden, seen = asked[None], []
    turns = language.rotary_emb(hidden, position_ids=places[None])
    with packed(language):
        for block in language.layers:
            hidden = block(hidden, position_embeddings=turns, pack=pack, past=past)
            seen.append(hidden[0])
    return language.norm(hidden[0, split:]), seen


@dataclass(frozen=True)
class Greedy:
    """An answer made of the likeliest next tokens.

    Attributes:
        tokens: without the end of the turn.
        chance: the probability of exactly this answer, its end included, 0…1.
    """

    tokens: list[int]
    chance: float


@torch.no_grad()
def reply_greedily(
    language: LlamaModel,
    head: nn.Module,
    prefix: Tensor,
    questions: Sequence[Sequence[list[int]]],
    last: int,
    most: int = 24,
) -> list[list[Greedy]]:
    """The likeliest next token, again and again, for many questions about many pictures.

    Args:
        language: the model without its head.
        head: from its hidden states to tokens.
        prefix: [N, P, D], embeddings of the first token and the picture tokens.
        questions: tokens of each question of each of the N pictures, up to the sign to reply.
        last: the token that ends a turn.
        most: tokens of an answer at most.

    Returns:
        list: for each picture and question its answer.
    """
    chances = [[0.0 for _ in some] for some in questions]  # logarithms
    answers: list[list[list[int]]] = [[[] for _ in some] for some in questions]
    open_ = [(n, m) for n, some in enumerate(questions) for m in range(len(some))]
    past: Past = {}
    for turn in range(most):
        if not open_:
            break
        texts: list[list[tuple[list[int], list[int]]]] = [[] for _ in questions]
        for n, m in open_:
            texts[n].append((questions[n][m] + answers[n][m], []))
        pack = make_pack(texts, prefix.shape[1]).to(prefix.device)
        hidden, _ = read_pack(language, None if turn else prefix, pack, past=past)
        ends = torch.tensor([len(tokens) for some in texts for tokens, _ in some]).cumsum(0) - 1
        likely = head(hidden[ends]).float().log_softmax(-1).max(-1)
        for (n, m), token, chance in zip(open_, likely.indices.tolist(), likely.values.tolist(), strict=True):
            answers[n][m].append(token)
            chances[n][m] += chance
        open_ = [(n, m) for n, m in open_ if answers[n][m][-1] != last]
    return [
        [Greedy([t for t in answer if t != last], exp(chance)) for answer, chance in zip(*some, strict=True)]
        for some in zip(answers, chances, strict=True)
    ]
