"""Any checkpoint that transformers loads answers by its own ``generate``, with its own chat template and picture rules."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image

from explorer.layers import LayerSet
from explorer.models.first_tokens import Tops, likeliest, share_of_candidates
from explorer.models.hub import brief
from explorer.models.loading import Loaded, load_checkpoint
from explorer.models.speaking import Asked, Said, Stop
from explorer.records import CheckpointError, Looked, Picture

TOP = 200  # first tokens that are compared with the candidates


class TransformersSpeaker:
    """A loaded checkpoint, or the same checkpoint reading other layers; one question at a time, from any thread."""

    def __init__(self, id: str, device: str | None = None, **how: Any) -> None:
        """Load a folder or a hub id.

        Args:
            id: of the checkpoint.
            device: such as "cpu"; None chooses.
            how: more for ``loading.load_checkpoint``.

        Raises:
            CheckpointError: it cannot be had, does not fit, or cannot be asked.
        """
        self._take(load_checkpoint(id, device=device, **how), threading.Lock())

    def _take(self, loaded: Loaded, lock: threading.Lock) -> None:
        self.id, self._loaded, self._lock = loaded.id, loaded, lock
        self._model, self._processor = loaded.model, loaded.processor
        self.layers, self.blocks, self.size_bytes = loaded.layers, loaded.blocks, loaded.size_bytes
        self._swap: int | list[int] | None = None

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
            CheckpointError: its own code fails on the picture or the question.
        """
        spoken: queue.SimpleQueue[Said | Exception | None] = queue.SimpleQueue()
        ending = _Ending(stop)
        thread = threading.Thread(target=self._generate, args=(asked, ending, spoken.put), daemon=True)
        thread.start()
        try:
            while (said := spoken.get()) is not None:
                if isinstance(said, Exception):
                    raise CheckpointError(f"{self.id} failed on this: {brief(said)}.") from None
                yield said
        finally:
            ending.own = True  # closed early: the thread ends with its next token

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
        """Where it looked; only checkpoints of the mini family are looked into.

        Raises:
            CheckpointError: always.
        """
        raise CheckpointError(f"Where {self.id} looked cannot be seen here: only the mini family is looked into.")

    def _generate(self, asked: Asked, stop: _Ending, tell: Any) -> None:
        try:
            with self._lock, self._reading_swapped(), torch.inference_mode():
                given = self._inputs(asked)
                watch = _Watch(self, asked, given["input_ids"].shape[1], stop, tell)
                drawn = {"do_sample": True, "temperature": asked.temperature} if asked.temperature > 0 else {}
                self._model.generate(
                    **given,
                    **({"do_sample": False} | drawn),
                    max_new_tokens=asked.most_tokens,
                    logits_processor=[watch.first],
                    stopping_criteria=[watch.step],
                )
        except Exception as problem:  # whatever the model's own code raises must reach the person
            tell(problem)
        finally:
            tell(None)

    @contextmanager
    def _reading_swapped(self) -> Iterator[None]:
        config = self._model.config
        given = getattr(config, "vision_feature_layer", None)
        if self._swap is not None:
            config.vision_feature_layer = self._swap
        try:
            yield
        finally:
            if self._swap is not None:
                config.vision_feature_layer = given

    def _inputs(self, asked: Asked) -> dict[str, Any]:
        messages: list[dict[str, Any]] = []
        for question, answer in (*asked.turns, (asked.question, None)):
            shown = [] if messages else [{"type": "image"}]
            messages.append({"role": "user", "content": [*shown, {"type": "text", "text": question}]})
            if answer is not None:
                messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        text = self._processor.apply_chat_template(messages, add_generation_prompt=True)
        tokenizer = self._processor.tokenizer
        if tokenizer.bos_token and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]:
            text = text.removeprefix(tokenizer.bos_token)  # the tokenizer writes it too
        given = self._processor(images=[Image.fromarray(asked.picture.pixels)], text=[text], return_tensors="pt")
        return dict(given.to(self._model.device, self._model.dtype))

    def tops(self, scores: Any) -> Tops:
        """What the first token could have been, from logits [V]."""
        logs = scores.float().log_softmax(-1)
        best = logs.topk(min(TOP, len(logs)))
        names = [self._processor.tokenizer.decode([k]) for k in best.indices.tolist()]
        return tuple(zip(names, best.values.tolist(), strict=True))

    def text_of(self, tokens: Any) -> str:
        """Tokens of an answer as text."""
        return str(self._processor.tokenizer.decode(tokens, skip_special_tokens=True)).strip()


class _Ending:
    """Set when the caller's event is, or when the caller went away."""

    def __init__(self, stop: Stop) -> None:
        self._stop, self.own = stop, False

    def is_set(self) -> bool:
        return self.own or self._stop.is_set()


class _Watch:
    """Looks on while ``generate`` works: keeps the first token's chances, tells the text after each token."""

    def __init__(self, speaker: TransformersSpeaker, asked: Asked, prompt: int, stop: _Ending, tell: Any) -> None:
        self._speaker, self._asked, self._prompt = speaker, asked, prompt
        self._stop, self._tell = stop, tell
        self._tops: Tops | None = None
        self._probabilities: tuple[tuple[str, float], ...] = ()
        self._remarks: tuple[str, ...] = ()

    def first(self, _: Any, scores: Any) -> Any:
        """A logits processor that changes nothing."""
        if self._tops is None:
            self._tops = self._speaker.tops(scores[0])
            if self._asked.candidates:
                self._probabilities, remark = share_of_candidates(self._tops, self._asked.candidates)
                self._remarks = (remark,)
            else:
                self._probabilities = likeliest(self._tops)
            self._say("")
        return scores

    def step(self, ids: Any, _: Any, **__: Any) -> Any:
        """A stopping criterion, asked after each token."""
        self._say(self._speaker.text_of(ids[0, self._prompt :]))
        return torch.full((len(ids),), self._stop.is_set(), dtype=torch.bool, device=ids.device)

    def _say(self, text: str) -> None:
        self._tell(Said(text, self._probabilities, self._remarks))
