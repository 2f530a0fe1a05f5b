"""Any checkpoint that transformers loads answers, with its own chat template and picture rules.

The prompt is read once. Candidates are scored as the model's chat template writes an answer, its end of turn included,
each going on from what was read; the answer itself is drawn token by token from the same reading.
"""

from __future__ import annotations

import copy
import inspect
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from explorer.layers import LayerSet
from explorer.models.fitting import check_finite
from explorer.models.hub import brief
from explorer.models.loading import Loaded, load_checkpoint
from explorer.models.looking import entering, look
from explorer.models.scoring import chooser, share
from explorer.models.shared_towers import SharedTowers
from explorer.models.speaking import LIKELIEST, Asked, Said, Stop
from explorer.models.spelling import spellings
from explorer.records import CheckpointError, Looked, Picture

LEAST_ANSWER = 24  # tokens for which there must be room


class TransformersSpeaker:
    """A loaded checkpoint, or the same checkpoint reading other layers; one question at a time, from any thread."""

    def __init__(self, id: str, device: str | None = None, *, towers: SharedTowers | None = None, **how: Any) -> None:
        """Load a folder or a hub id.

        Args:
            id: of the checkpoint.
            device: such as "cpu"; None chooses.
            towers: vision towers in use, so that checkpoints with the same one share it.
            how: more for ``loading.load_checkpoint``.

        Raises:
            CheckpointError: it cannot be had, does not fit, or cannot be asked.
        """
        loaded = load_checkpoint(id, device=device, **how)
        if not how.get("bits"):
            check_finite(id, loaded.model)
        base = getattr(loaded.model, "model", loaded.model)
        if towers is not None and hasattr(base, "vision_tower") and not how.get("bits"):
            base.vision_tower = towers.join(base.vision_tower)
        self._take(loaded, threading.Lock())

    def _take(self, loaded: Loaded, lock: threading.Lock) -> None:
        self.id, self._loaded, self._lock = loaded.id, loaded, lock
        self._model, self._processor = loaded.model, loaded.processor
        self._tokenizer = loaded.processor.tokenizer
        self.layers, self.blocks, self.size_bytes = loaded.layers, loaded.blocks, loaded.size_bytes
        self._swap: int | list[int] | None = None
        given = loaded.model.generation_config.eos_token_id
        ends = [given] if isinstance(given, int) else list(given or [])
        own = self._tokenizer.eos_token_id
        self._ends = list(dict.fromkeys([*ends, *([own] if own is not None else [])]))

    def reading(self, layers: Sequence[int]) -> TransformersSpeaker:
        """The same weights reading other layers, as many as they were trained on: an experiment.

        Raises:
            CheckpointError: it does not say what it reads, or reads another number of layers.
        """
        if not self.layers:
            raise CheckpointError(f"{self.id} does not say which layers it reads, so none can be swapped.")
        wanted = LayerSet.of(list(layers), self.blocks).layers
        if len(wanted) != len(self.layers):
            raise CheckpointError(f"{self.id} reads {len(self.layers)} layers: name as many to swap them for.")
        other = object.__new__(TransformersSpeaker)
        other._take(self._loaded, self._lock)
        other.layers = wanted
        other._swap = wanted[0] if isinstance(self._model.config.vision_feature_layer, int) else list(wanted)
        return other

    def speak(self, asked: Asked, stop: Stop) -> Iterator[Said]:
        """Answer token by token.

        Raises:
            CheckpointError: its own code fails on the picture or the question, or they are too long for it.
        """
        with self._lock, self._guarded():
            reading = _Reading(self, asked)
            found = () if stop.is_set() else reading.probabilities()
            yield Said("", found)
            choose, tokens = chooser(asked.temperature), list[int]()
            while len(tokens) < asked.most_tokens and not stop.is_set():
                token = choose(reading.following(tokens).cpu())
                if token in self._ends:
                    return
                tokens.append(token)
                yield Said(self.text_of(tokens), found)
                if len(tokens) < asked.most_tokens and not stop.is_set():
                    reading.go_on(token)

    def answer_many(self, many: Sequence[Asked]) -> list[Said]:
        """Answer many questions, one after the other.

        Raises:
            CheckpointError: as ``speak``.
        """
        found = []
        for asked in many:
            *_, last = self.speak(asked, threading.Event())
            found.append(last)
        return found

    def look(self, picture: Picture, question: str) -> Looked:
        """Where it looks for the first token of its answer.

        Raises:
            CheckpointError: its picture tokens are no single square grid, or its code fails.
        """
        with self._lock, self._guarded():
            reading = _Reading(self, Asked(picture, question), read=False)
            config = self._model.config
            token = getattr(config, "image_token_id", None) or getattr(config, "image_token_index", None)
            places = (reading.inputs["input_ids"][0] == token).nonzero()[:, 0].tolist()
            rows = round(len(places) ** 0.5)
            language = getattr(getattr(self._model, "model", None), "language_model", None)
            if not places or rows**2 != len(places) or language is None:
                raise CheckpointError(
                    f"Where {self.id} looked cannot be seen: its {len(places)} picture tokens are no square grid."
                )
            given = entering(self._model, language, reading.inputs)
            return look(language, self._model.lm_head, given, places, rows)

    def text_of(self, tokens: Any) -> str:
        """Tokens of an answer as text."""
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True)).strip()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Read the layers asked for, and say in a sentence what the model's own code raises."""
        config = self._model.config
        given = getattr(config, "vision_feature_layer", None)
        if self._swap is not None:
            config.vision_feature_layer = self._swap
        try:
            yield
        except CheckpointError:
            raise
        except Exception as problem:  # whatever the model's own code raises must reach the person
            raise CheckpointError(f"{self.id} failed on this: {brief(problem)}.") from None
        finally:
            if self._swap is not None:
                config.vision_feature_layer = given


class _Reading:
    """What one prompt became; the model reads it once."""

    def __init__(self, speaker: TransformersSpeaker, asked: Asked, read: bool = True) -> None:
        self._speaker, self._asked, self._model = speaker, asked, speaker._model
        self._processor, self._tokenizer = speaker._processor, speaker._tokenizer
        known = inspect.signature(self._model.forward).parameters
        self._cache_name = "cache" if "cache" in known else "past_key_values"  # by version of transformers
        self._text = self._write(_messages(asked), True)
        image = Image.fromarray(asked.picture.pixels)
        given = self._processor(images=[image], text=[self._text], return_tensors="pt")
        self.inputs = dict(given.to(self._model.device, self._model.dtype))
        self._ids = self.inputs["input_ids"][0]
        room = int(getattr(getattr(self._model.config, "text_config", None), "max_position_embeddings", 0) or 0)
        if room and len(self._ids) + min(asked.most_tokens, LEAST_ANSWER) > room:
            raise CheckpointError(
                f"The question is too long for {speaker.id}: {len(self._ids)} tokens with the picture, and it reads {room}."
            )
        if read:
            self._read("mm_encoder_outputs" in known)

    @torch.no_grad()
    def _read(self, takes_features: bool) -> None:
        see = getattr(self._model, "get_image_features", None)
        inputs = self.inputs
        if takes_features and see is not None and "pixel_values" in inputs:
            wanted = {name: inputs[name] for name in inspect.signature(see).parameters if name in inputs}
            inputs = {name: value for name, value in inputs.items() if name not in wanted}
            inputs["mm_encoder_outputs"] = {"image": see(**wanted, return_dict=True)}
        out = self._model(**inputs, use_cache=True)
        self._first = self._last = out.logits[0, -1].float().log_softmax(-1)
        self._cache = out[self._cache_name]
        self._length = len(self._ids)

    @torch.no_grad()
    def go_on(self, token: int) -> None:
        """Read one more token of the answer."""
        self._length += 1
        self._last, self._cache = self._more([token], self._cache, self._length)
        self._last = self._last[-1]

    def following(self, said: list[int]) -> Tensor:
        """Logarithms of the probabilities of the next token [V], under the penalty that the model's settings ask for."""
        penalty = getattr(self._model.generation_config, "repetition_penalty", None) or 1.0
        if penalty == 1.0:
            return self._last
        from transformers import RepetitionPenaltyLogitsProcessor

        read: Any = torch.cat([self._ids, torch.tensor(said, dtype=self._ids.dtype, device=self._ids.device)])
        return RepetitionPenaltyLogitsProcessor(penalty)(read[None], self._last[None].clone())[0]

    def probabilities(self) -> tuple[tuple[str, float], ...]:
        """Of the candidates as whole answers, or of the likeliest first tokens."""
        if not self._asked.candidates:
            top = self._first.exp().topk(LIKELIEST)
            names = [self._tokenizer.decode([int(k)]).strip() or "(blank)" for k in top.indices]
            return tuple(zip(names, top.values.tolist(), strict=True))
        ways = [[self._answer_tokens(text) for text in way] for way in spellings(self._asked.candidates)]
        unknown = self._tokenizer.unk_token_id
        usable = [w for w in ways if len({tuple(t) for t in w}) == len(w) and not any(unknown in t for t in w)]
        best = max(usable or ways[:1], key=lambda way: self._first[list({tokens[0] for tokens in way})].exp().sum())
        return tuple(zip(self._asked.candidates, share([self._score(tokens) for tokens in best]), strict=True))

    def _answer_tokens(self, text: str) -> list[int]:
        """The tokens of an answer as the chat template writes it, up to its end of turn."""
        answered = {"role": "assistant", "content": [{"type": "text", "text": text}]}
        whole = self._write([*_messages(self._asked), answered], False)
        before = self._tokenizer(self._text).input_ids
        after = self._tokenizer(whole).input_ids
        tokens: list[int] = after[len(before) :] if after[: len(before)] == before else []
        if not tokens:
            tokens = self._tokenizer(text, add_special_tokens=False).input_ids
        ends: Any = self._speaker._ends
        end = next((k for k, token in enumerate(tokens) if token in ends), len(tokens))
        return [*tokens[:end], tokens[end] if end < len(tokens) else ends[0]]

    @torch.no_grad()
    def _score(self, tokens: list[int]) -> float:
        """Logarithm of the probability of a whole answer after the prompt."""
        found = self._first[tokens[0]].item()
        if len(tokens) > 1:
            rows, _ = self._more(tokens[:-1], copy.deepcopy(self._cache), len(self._ids) + len(tokens) - 1)
            found += sum(rows[k, token].item() for k, token in enumerate(tokens[1:]))
        return found

    def _more(self, tokens: Sequence[int], cache: Any, length: int) -> tuple[Tensor, Any]:
        """Read tokens after what a cache holds; ``length`` is of all then. Gives log-probabilities [t, V] and the cache."""
        device = self._model.device
        out = self._model(
            input_ids=torch.tensor([list(tokens)], device=device),
            attention_mask=torch.ones(1, length, dtype=torch.long, device=device),
            use_cache=True,
            **{self._cache_name: cache},
        )
        return out.logits[0].float().log_softmax(-1), out[self._cache_name]

    def _write(self, messages: list[dict[str, Any]], begin: bool) -> str:
        """A conversation as the chat template writes it, without the first token where the tokenizer adds it."""
        text = str(self._processor.apply_chat_template(messages, add_generation_prompt=begin))
        first = self._tokenizer.bos_token
        if first and self._tokenizer("a").input_ids[:1] == [self._tokenizer.bos_token_id]:
            return text.removeprefix(first)
        return text


def _messages(asked: Asked) -> list[dict[str, Any]]:
    """The conversation; the picture stands in its first turn."""
    messages: list[dict[str, Any]] = []
    for question, answer in (*asked.turns, (asked.question, None)):
        shown = [] if messages else [{"type": "image"}]
        messages.append({"role": "user", "content": [*shown, {"type": "text", "text": question}]})
        if answer is not None:
            messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    return messages
