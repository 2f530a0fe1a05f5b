"""Checkpoints that answer many questions about many pictures: the mini family, and what transformers loads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPVisionModel, LlamaForCausalLM

from explorer.models.checkpoint_ids import SERVED, CheckpointId, describe, find_mini
from explorer.models.family import Checkpoint, layer_states, load_checkpoint, read_encoder, read_facts, weights_digest
from explorer.models.fitting import fit
from explorer.models.libraries import ONE_MODEL
from explorer.models.packed import reply_greedily
from explorer.models.served import Served, trust
from explorer.models.speaking import Asked, Speaker
from explorer.models.transformers_speaker import TransformersSpeaker
from explorer.records import CheckpointError, Picture


class Pictures:
    """A batch of pictures; what an encoder makes of them is worked out once for all checkpoints that share it."""

    def __init__(self, pixels: Sequence[np.ndarray]):
        """Pictures, uint8 [height, width, 3] each."""
        self.pixels = list(pixels)
        self._states: dict[int, list[Tensor]] = {}

    def states(self, encoder: CLIPVisionModel, images: Any) -> list[Tensor]:
        """Features of every layer, as ``family.layer_states``."""
        if id(encoder) not in self._states:
            side: Any = encoder.config.image_size
            ready = np.stack([fit(pixels, side, images) for pixels in self.pixels])
            self._states[id(encoder)] = layer_states(encoder, images, torch.from_numpy(ready))
        return self._states[id(encoder)]


class Answerer(Protocol):
    """Something that answers.

    Attributes:
        id: how it was asked for.
        layers: what it reads; () where that is unknown or nothing.
    """

    id: str
    layers: tuple[int, ...]

    def answer(self, pictures: Pictures, questions: Sequence[Sequence[str]]) -> list[list[str]]:
        """Answer the questions of each picture."""
        ...


class MiniAnswerer:
    """A checkpoint of the mini family: all questions of a batch in one forward, and one more for each further token."""

    def __init__(self, id: str, checkpoint: Checkpoint, weights: str = ""):
        """Answer with a loaded checkpoint; ``weights`` says which weights it has."""
        self.id, self.layers, self._checkpoint, self.weights = id, checkpoint.layers.layers, checkpoint, weights

    def answer(self, pictures: Pictures, questions: Sequence[Sequence[str]]) -> list[list[str]]:
        """Answer the questions of each picture."""
        return _texts(self.reply(pictures, questions))

    def reply(self, pictures: Pictures, questions: Sequence[Sequence[str]]) -> list[list[tuple[str, float]]]:
        """Answer the questions of each picture; with each answer its probability, 0…1."""
        model, processor = self._checkpoint.model, self._checkpoint.processor
        states = pictures.states(model.model.vision_tower, processor.image_processor)
        with torch.no_grad():
            words = model.model.multi_modal_projector(torch.cat([states[layer] for layer in self.layers], -1))
        return _answer_packed(model, model.model.language_model, processor.tokenizer, words, questions)


class WordsOnly:
    """A language model that is not shown the picture: what the questions alone give away."""

    layers: tuple[int, ...] = ()

    def __init__(self, id: str, folder: Path):
        """Answer with the language model in a folder."""
        from transformers import AutoTokenizer

        self.id = id
        with ONE_MODEL:
            self._model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(folder)

    def answer(self, pictures: Pictures, questions: Sequence[Sequence[str]]) -> list[list[str]]:
        """Answer the questions; the pictures are not looked at."""
        return _texts(self.reply(pictures, questions))

    def reply(self, pictures: Pictures, questions: Sequence[Sequence[str]]) -> list[list[tuple[str, float]]]:
        """Answer the questions; with each answer its probability, 0…1."""
        nothing = torch.zeros(len(questions), 0, self._model.config.hidden_size)
        return _answer_packed(self._model, self._model.model, self._tokenizer, nothing, questions)


def _texts(replies: Sequence[Sequence[tuple[str, float]]]) -> list[list[str]]:
    return [[text for text, _ in some] for some in replies]


def _answer_packed(
    model: Any, language: Any, tokenizer: Any, words: Tensor, questions: Sequence[Sequence[str]]
) -> list[list[tuple[str, float]]]:
    """Greedy answers of a model with ``lm_head``, each with its probability; ``words`` are picture tokens, [N, P, W]."""
    reply = tokenizer.convert_tokens_to_ids("<reply>")
    ids = [[[*tokenizer(text, add_special_tokens=False).input_ids, reply] for text in some] for some in questions]
    start = language.embed_tokens.weight[tokenizer.bos_token_id].expand(len(words), 1, -1)
    prefix = torch.cat([start, words.to(start)], 1).detach()
    found = reply_greedily(language, model.lm_head, prefix, ids, tokenizer.eos_token_id)
    return [[(tokenizer.decode(one.tokens, skip_special_tokens=True), one.chance) for one in some] for some in found]


class SpeakerAnswerer:
    """A checkpoint that is asked one question at a time: what transformers loads, or a served one."""

    def __init__(self, id: str, speaker: Speaker, weights: str = "", swapped: str = ""):
        """Answer with a loaded checkpoint; ``weights`` tells its files, ``swapped`` what it reads untrained."""
        self.id, self.layers, self.weights, self.swapped, self._speaker = id, speaker.layers, weights, swapped, speaker

    def answer(self, pictures: Pictures, questions: Sequence[Sequence[str]]) -> list[list[str]]:
        """Answer the questions of each picture."""
        shown = [Picture(f"picture {n}", pixels) for n, pixels in enumerate(pictures.pixels)]
        asked = [Asked(one, text) for one, some in zip(shown, questions, strict=True) for text in some]
        said = iter(self._speaker.answer_many(asked))
        return [[next(said).text for _ in some] for some in questions]


def _files_digest(folder: Path) -> str:
    """Changes when a file of a folder does; "" for what is none."""
    files = sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []
    said = "".join(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}\n" for file in files)
    return hashlib.sha256(said.encode()).hexdigest()[:16] if said else ""


def open_answerer(id: str, encoders: dict[str, CLIPVisionModel]) -> Answerer:
    """Load a checkpoint by its id.

    Args:
        id: the name of a built-in checkpoint ("mini-l18"), a folder, a hub id or a served one, as ``checkpoint_ids`` has
            them; "mini-any@3+18" chooses layers.
        encoders: loaded encoders by id, so that checkpoints share them; added to.

    Raises:
        CheckpointError: it cannot be had.
    """
    info, asked = describe(id), CheckpointId.parse(id)
    if id.startswith(SERVED):
        trust([id])
        return SpeakerAnswerer(id, Served(id))
    folder = find_mini(asked.name)
    if folder is None:
        speaker = TransformersSpeaker(asked.name, bits=asked.bits)
        speaker = speaker.reading(info.layers) if info.untrained_swap else speaker
        return SpeakerAnswerer(id, speaker, _files_digest(Path(asked.name)), info.reads if info.untrained_swap else "")
    if info.untrained_swap:
        raise CheckpointError(f"{id}: a mini checkpoint is evaluated on the layers it was trained on; leave out #swap.")
    facts = read_facts(folder)
    if facts["encoder"] not in encoders:
        encoders[facts["encoder"]] = read_encoder(facts["encoder"])
    encoder = encoders[facts["encoder"]]
    checkpoint = load_checkpoint(folder, info.layers if asked.chosen else None, encoder)
    return MiniAnswerer(id, checkpoint, weights_digest(folder))
