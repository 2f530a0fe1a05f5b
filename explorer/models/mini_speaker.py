"""A checkpoint of the mini family answers: its candidates and its greedy answer mostly in one forward of its Llama."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from explorer.models.family import read_parts
from explorer.models.fitting import check_finite
from explorer.models.scoring import Reading, Voice, chooser, share
from explorer.models.shared_encoder import SharedEncoder
from explorer.models.speaking import LIKELIEST, Asked, Said, Stop
from explorer.models.wording import unknown_words
from explorer.records import CheckpointError, Looked, Picture

BATCH = 16
MOST_NAMED = 5
LEAST_ANSWER = 24  # tokens for which there must be room


class MiniParts:
    """A checkpoint's own part, loaded once for every choice of its layers.

    Attributes:
        name: of its folder.
        encoder: shared with other checkpoints.
        voice: its language model.
        tokenizer: of it.
        room: most tokens of prompt and answer together.
        size_bytes: of its weights.
    """

    def __init__(self, folder: Path, encoder: SharedEncoder):
        """Load a folder.

        Raises:
            CheckpointError: it is damaged, its weights are no numbers, or it belongs to another encoder.
        """
        parts = read_parts(folder)
        self.name, self.encoder = folder.name, encoder
        self.tokenizer: Any = parts.tokenizer
        language: Any = parts.language.to(encoder.device).eval().requires_grad_(False)
        check_finite(self.name, language)
        if not torch.isfinite(parts.maps.sum() + parts.biases.sum()):
            raise CheckpointError(f"The weights of {self.name} are broken: its projector holds NaN or infinity.")
        if parts.maps.shape[-1] != encoder.width or parts.maps.shape[1] != language.config.hidden_size:
            raise CheckpointError(
                f"{self.name} was made for another encoder: it reads features of width {parts.maps.shape[-1]}, and those "
                f"of {encoder.id!r} have {encoder.width}."
            )
        self._parts = parts
        tokenizer = self.tokenizer
        self._tokens = lru_cache(1024)(lambda text: tuple(tokenizer(text, add_special_tokens=False).input_ids))
        self._strange = lru_cache(256)(lambda text: tuple(unknown_words(tokenizer, text)))
        self.known, self.choosable = tuple(parts.facts["layers"]), bool(parts.facts["choosable"])
        reply, last = (self.token(text) for text in ("<reply>", tokenizer.eos_token))
        self.language = language.model
        self.voice = Voice(language.model, language.lm_head, reply, last, threading.RLock())
        self.room = int(language.config.max_position_embeddings)
        self.size_bytes = sum(w.nbytes for w in language.parameters()) + parts.maps.nbytes + parts.biases.nbytes

    def token(self, text: str) -> int:
        """The id of a special token."""
        found: Any = self.tokenizer.convert_tokens_to_ids(text)
        return found

    def projector(self, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Weight [W, len(chosen) * D] and bias [W] of layers it knows, rounded as an export is."""
        weight, bias = self._parts.join(chosen)
        device = self.encoder.device
        return weight.bfloat16().to(device, torch.float32), bias.bfloat16().to(device, torch.float32)

    def tokens(self, text: str) -> tuple[int, ...]:
        """The tokens of a text, as training wrote them."""
        return self._tokens(text)

    def candidates(self, asked: Asked) -> list[tuple[int, ...]]:
        """The tokens of each candidate; one that holds nothing to read counts as an unknown word."""
        unknown = self.token(self.tokenizer.unk_token)
        return [self.tokens(text) or (unknown,) for text in asked.candidates]

    def prompts(self, words: Tensor, questions: Sequence[Sequence[int]]) -> Tensor:
        """Embeddings [N, 1 + P + q, W] of pictures [N, P, W] and questions of one length q."""
        embed = self.language.embed_tokens
        start = embed.weight[self.tokenizer.bos_token_id].expand(len(words), 1, -1)
        return torch.cat([start, words, embed(torch.tensor(list(questions), device=words.device))], 1)

    def check_room(self, picture_tokens: int, question: Sequence[int], most_tokens: int) -> None:
        """Refuse what does not fit.

        Raises:
            CheckpointError: the question is empty to this model or too long for it.
        """
        room = self.room - picture_tokens - 2 - min(most_tokens, LEAST_ANSWER)
        if not question:
            raise CheckpointError("This model can read nothing of the question: write it in English words.")
        if len(question) > room:
            raise CheckpointError(
                f"The question is too long for {self.name}: {len(question)} tokens, and there is room for {room}."
            )

    def likeliest(self, following: Tensor) -> tuple[tuple[str, float], ...]:
        """The likeliest first tokens as text, with their probabilities."""
        top = following.exp().topk(LIKELIEST)
        names = ["(end)" if k == self.voice.last else self.name_of(int(k)) for k in top.indices]
        return tuple(zip(names, top.values.tolist(), strict=True))

    def name_of(self, token: int) -> str:
        """One token for people."""
        found: Any = self.tokenizer.convert_ids_to_tokens(token)
        return str(found).removeprefix("##")

    def text_of(self, tokens: Sequence[int]) -> str:
        """Tokens of an answer as text."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def remarks(self, asked: Asked) -> tuple[str, ...]:
        """What a person should know of this question to this model."""
        said = []
        strange = self._strange(asked.question)
        if strange:
            names = ", ".join(f"“{word[:40]}”" for word in strange[:MOST_NAMED])
            more = f" and {len(strange) - MOST_NAMED} more" if len(strange) > MOST_NAMED else ""
            said.append(f"This model has never seen {names}{more}.")
        if not self.encoder.is_scene_like(asked.picture):
            said.append("This picture is not one of my scenes: I was trained on generated scenes alone.")
        if asked.turns:
            said.append("This model reads one question at a time: what was said before is not passed on.")
        return tuple(said)


class MiniSpeaker:
    """A checkpoint of the mini family with its layers chosen."""

    def __init__(self, parts: MiniParts, layers: Sequence[int], swap: Sequence[int] = ()):
        """Read these layers.

        Args:
            parts: what was loaded.
            layers: some that it knows.
            swap: read the features of these instead, as many, through the projections of ``layers``: an experiment.
        """
        self.parts, self.layers = parts, tuple(swap or layers)
        self.blocks, self.size_bytes = parts.encoder.blocks, 0
        self._weight, self._bias = parts.projector(layers)

    def words(self, features: Sequence[Tensor]) -> Tensor:
        """Picture tokens [N, P, W] from features of all layers, [L, P, D] each."""
        chosen = torch.stack([torch.cat([one[layer] for layer in self.layers], -1) for one in features])
        return chosen @ self._weight.T + self._bias

    def speak(self, asked: Asked, stop: Stop) -> Iterator[Said]:
        """Answer token by token."""
        parts = self.parts
        question = parts.tokens(asked.question)
        parts.check_room(parts.encoder.rows**2, question, asked.most_tokens)
        remarks = parts.remarks(asked)
        began = time.perf_counter()
        features, seconds = parts.encoder.features([asked.picture])
        shared = seconds - (time.perf_counter() - began)
        if stop.is_set():
            return
        prompts = parts.prompts(self.words(features), [question])
        reading = Reading(parts.voice, prompts, [parts.candidates(asked)])
        found = _probabilities(parts, reading, 0, asked)
        yield Said("", found, remarks, shared)
        most = min(asked.most_tokens, parts.room - prompts.shape[1] - 1)
        for tokens in reading.tokens(0, chooser(asked.temperature), most):
            yield Said(parts.text_of(tokens), found, remarks, shared)
            if stop.is_set():
                return

    def answer_many(self, many: Sequence[Asked]) -> list[Said]:
        """Answer greedily, in batches of questions of one length."""
        parts, said = self.parts, {}
        texts = [parts.tokens(asked.question) for asked in many]
        for asked, question in zip(many, texts, strict=True):
            parts.check_room(parts.encoder.rows**2, question, asked.most_tokens)
        order = sorted(range(len(many)), key=lambda k: len(texts[k]))
        for batch in _batches(order, lambda k: len(texts[k])):
            features, _ = parts.encoder.features([many[k].picture for k in batch])
            words = self.words(features)
            found = answer_prompts(parts, words, [texts[k] for k in batch], [many[k] for k in batch])
            said.update(zip(batch, found, strict=True))
        return [said[k] for k in range(len(many))]

    def look(self, picture: Picture, question: str) -> Looked:
        """Where it looks for the first token of its answer."""
        from explorer.models.looking import look

        parts, tokens = self.parts, self.parts.tokens(question)
        parts.check_room(parts.encoder.rows**2, tokens, 1)
        features, _ = parts.encoder.features([picture])
        words = self.words(features)
        prompt = parts.prompts(words, [[*tokens, parts.voice.reply]])
        places = range(1, 1 + words.shape[1])
        with parts.voice.lock:
            return look(parts.language, parts.voice.head, prompt, places, parts.encoder.rows)


def answer_prompts(
    parts: MiniParts, words: Tensor, questions: Sequence[Sequence[int]], many: Sequence[Asked]
) -> list[Said]:
    """Answer questions of one length about N pictures given as tokens [N, P, W], greedily, in one batch."""
    prompts = parts.prompts(words, questions)
    reading = Reading(parts.voice, prompts, [parts.candidates(asked) for asked in many])
    most = min(max(asked.most_tokens for asked in many), parts.room - prompts.shape[1] - 1)
    return [
        Said(parts.text_of(tokens), _probabilities(parts, reading, n, asked), parts.remarks(asked))
        for n, (asked, tokens) in enumerate(zip(many, reading.greedy(most), strict=True))
    ]


def _probabilities(parts: MiniParts, reading: Reading, n: int, asked: Asked) -> tuple[tuple[str, float], ...]:
    if asked.candidates:
        return tuple(zip(asked.candidates, share(reading.scores(n)), strict=True))
    return parts.likeliest(reading.following(n))


def _batches(order: Sequence[int], length: Any) -> Iterator[list[int]]:
    batch: list[int] = []
    for k in order:
        if batch and (len(batch) == BATCH or length(k) != length(batch[0])):
            yield batch
            batch = []
        batch.append(k)
    if batch:
        yield batch
