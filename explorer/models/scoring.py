"""Answers and their probabilities from one reading: what a small Llama thinks of every candidate, and what it says.

The prompt (picture and question) is read once. The sign to reply and each candidate's tokens follow it in one pack, so
one forward gives the probability of every candidate, its end of turn included, and mostly the greedy answer too: as
long as that runs along a candidate, what comes next is known already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from explorer.models.packed import Past, make_pack, read_pack

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Voice:
    """What answers: a Llama without its head, the head, and the tokens that begin and end a reply.

    Attributes:
        language: the LlamaModel.
        head: from its hidden states to tokens.
        reply: the token after which the answer begins.
        last: the token that ends it.
        lock: held during every forward, since a pack changes how the model attends.
    """

    language: Any
    head: Any
    reply: int
    last: int
    lock: AbstractContextManager[Any]


class Reading:
    """N prompts of one length, read once; every question about their answers is asked here."""

    def __init__(self, voice: Voice, prompts: Tensor, candidates: Sequence[Sequence[Sequence[int]]]):
        """Read the prompts and the candidates.

        Args:
            voice: the model.
            prompts: [N, P, W], embeddings of the first token, the picture and the question.
            candidates: for each prompt its candidates' tokens, none of them empty; a prompt may have none.
        """
        self._voice, self._length = voice, prompts.shape[1]
        self._past: Past = {}
        self._known: list[dict[Tokens, Tensor]] = [{} for _ in candidates]
        self.candidates = [[tuple(tokens) for tokens in some] for some in candidates]
        self._read([some or [()] for some in self.candidates], prompts)

    @torch.inference_mode()
    def _read(self, wanted: Sequence[Sequence[Tokens]], prompts: Tensor | None = None) -> None:
        """Learn what follows each beginning of the answers in ``wanted``."""
        rows = [[([self._voice.reply, *tokens], []) for tokens in some] for some in wanted]
        device = prompts.device if prompts is not None else self._past[0][0].device
        pack = make_pack(rows, self._length).to(device)
        with self._voice.lock:
            hidden, _ = read_pack(self._voice.language, prompts, pack, past=self._past)
            found = self._voice.head(hidden).float().log_softmax(-1).cpu()
        at = 0
        for n, some in enumerate(wanted):
            for tokens in some:
                for length in range(len(tokens) + 1):
                    self._known[n][tokens[:length]] = found[at + length]
                at += len(tokens) + 1

    def following(self, n: int, tokens: Tokens = ()) -> Tensor:
        """Logarithms of the probabilities of what follows a beginning of answer n, float32 [V]."""
        if tokens not in self._known[n]:
            self._read([[tokens] if k == n else [] for k in range(len(self._known))])
        return self._known[n][tokens]

    def scores(self, n: int) -> list[float]:
        """Logarithm of each candidate's probability as the whole answer of prompt n, its end of turn included."""
        return [self._score(n, tokens) for tokens in self.candidates[n]]

    def _score(self, n: int, tokens: Tokens) -> float:
        known, whole = self._known[n], (*tokens, self._voice.last)
        return sum(known[tokens[:k]][token].item() for k, token in enumerate(whole))

    def tokens(self, n: int, choose: Callable[[Tensor], int], most: int) -> Iterator[Tokens]:
        """The answer of prompt n, longer by one token each time, without its end of turn.

        Args:
            n: which prompt.
            choose: the next token, given what ``following`` gives.
            most: tokens at most.
        """
        said: Tokens = ()
        for _ in range(most):
            token = choose(self.following(n, said))
            if token == self._voice.last:
                return
            said = (*said, token)
            yield said

    def greedy(self, most: int) -> list[Tokens]:
        """The greedy answers of all prompts, side by side."""
        said: list[Tokens] = [() for _ in self._known]
        open_ = set(range(len(said)))
        for _ in range(most):
            unknown = [n for n in open_ if said[n] not in self._known[n]]
            if unknown:
                self._read([[said[n]] if n in unknown else [] for n in range(len(said))])
            for n in list(open_):
                token = int(self._known[n][said[n]].argmax())
                if token == self._voice.last:
                    open_.discard(n)
                else:
                    said[n] = (*said[n], token)
            if not open_:
                break
        return said


def share(scores: Sequence[float]) -> list[float]:
    """Probabilities among candidates only, from logarithms; sums to 1."""
    return torch.tensor(list(scores), dtype=torch.float64).softmax(0).tolist()


def chooser(temperature: float, seed: int | None = None) -> Callable[[Tensor], int]:
    """How the next token is chosen: the likeliest at temperature 0, else drawn."""
    if temperature <= 0:
        return lambda scores: int(scores.argmax())
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)

    def draw(scores: Tensor) -> int:
        return int(torch.multinomial((scores.double() / temperature).softmax(0), 1, generator=generator))

    return draw
