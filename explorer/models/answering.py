"""Checkpoints that answer many questions about many pictures: the mini family, and what transformers loads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPVisionModel, LlamaForCausalLM

from explorer.layers import LayerSet
from explorer.models.catalogue import MINI
from explorer.models.family import FACTS, Checkpoint, layer_states, load_checkpoint, read_encoder, read_facts
from explorer.models.hardware import choose_device, choose_dtype
from explorer.models.packed import answer_greedily
from explorer.records import CheckpointError


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


def fit(pixels: np.ndarray, side: int, images: Any) -> np.ndarray:
    """A picture as the encoder's own rules lay it on its input, uint8 [side, side, 3]."""
    if pixels.shape == (side, side, 3):
        return pixels
    found = images(Image.fromarray(pixels), do_rescale=False, do_normalize=False, return_tensors="np")
    return np.clip(np.round(found["pixel_values"][0]), 0, 255).astype(np.uint8).transpose(1, 2, 0)


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

    def __init__(self, id: str, checkpoint: Checkpoint):
        """Answer with a loaded checkpoint."""
        self.id, self.layers, self._checkpoint = id, checkpoint.layers.layers, checkpoint

    def answer(self, pictures: Pictures, questions: Sequence[Sequence[str]]) -> list[list[str]]:
        """Answer the questions of each picture."""
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
        self._model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(folder)

    def answer(self, pictures: Pictures, questions: Sequence[Sequence[str]]) -> list[list[str]]:
        """Answer the questions; the pictures are not looked at."""
        nothing = torch.zeros(len(questions), 0, self._model.config.hidden_size)
        return _answer_packed(self._model, self._model.model, self._tokenizer, nothing, questions)


def _answer_packed(
    model: Any, language: Any, tokenizer: Any, words: Tensor, questions: Sequence[Sequence[str]]
) -> list[list[str]]:
    """Greedy answers of a model with ``lm_head``; ``words`` are its picture tokens, [N, P, W]."""
    reply = tokenizer.convert_tokens_to_ids("<reply>")
    ids = [[[*tokenizer(text, add_special_tokens=False).input_ids, reply] for text in some] for some in questions]
    start = language.embed_tokens.weight[tokenizer.bos_token_id].expand(len(words), 1, -1)
    prefix = torch.cat([start, words.to(start)], 1).detach()
    found = answer_greedily(language, model.lm_head, prefix, ids, tokenizer.eos_token_id)
    return [[tokenizer.decode(answer, skip_special_tokens=True) for answer in some] for some in found]


class TransformersAnswerer:
    """Any image-and-text model that transformers loads, one question at a time."""

    layers: tuple[int, ...] = ()

    def __init__(self, id: str):
        """Load a folder or a hub id.

        Raises:
            CheckpointError: transformers cannot load it.
        """
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self._model: Any

        self.id, device = id, choose_device()
        try:
            self._processor = AutoProcessor.from_pretrained(id)
            self._model = AutoModelForImageTextToText.from_pretrained(id, dtype=choose_dtype(None, device))
            self._model.to(device)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise CheckpointError(f"{id} cannot be loaded: {str(error).splitlines()[0]}") from None
        chosen = getattr(self._model.config, "vision_feature_layer", ())
        blocks = getattr(getattr(self._model.config, "vision_config", None), "num_hidden_layers", None)
        if chosen != () and blocks:
            self.layers = LayerSet.of(chosen, blocks).layers

    @torch.no_grad()
    def answer(self, pictures: Pictures, questions: Sequence[Sequence[str]]) -> list[list[str]]:
        """Answer the questions of each picture."""
        return [
            [self._ask(Image.fromarray(pixels), text) for text in some]
            for pixels, some in zip(pictures.pixels, questions, strict=True)
        ]

    def _ask(self, image: Image.Image, text: str) -> str:
        content = [{"type": "image"}, {"type": "text", "text": text}]
        prompt = self._processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        given = self._processor(images=image, text=prompt, return_tensors="pt").to(
            self._model.device, self._model.dtype
        )
        out = self._model.generate(**given, do_sample=False, max_new_tokens=24)
        return self._processor.decode(out[0, given["input_ids"].shape[1] :], skip_special_tokens=True).strip()


def open_answerer(id: str, encoders: dict[str, CLIPVisionModel]) -> Answerer:
    """Load a checkpoint by its id.

    Args:
        id: the name of a built-in checkpoint ("mini-l18"), a folder or a hub id; "mini-any@3+18" chooses layers.
        encoders: loaded encoders by id, so that checkpoints share them; added to.

    Raises:
        CheckpointError: it cannot be had.
    """
    name, _, chosen = id.partition("@")
    folder = next((f for f in (Path(name), MINI.parent / name) if (f / FACTS).is_file()), None)
    if folder is None:
        if chosen:
            raise CheckpointError(f"{name} is no checkpoint whose layers can be chosen: write {name} alone.")
        if not Path(name).exists() and (name.startswith((".", "/")) or not re.fullmatch(r"[\w.-]+/[\w.-]+", name)):
            known = ", ".join(sorted(f.parent.name for f in MINI.parent.glob(f"*/{FACTS}"))) or "none"
            raise CheckpointError(f"There is no checkpoint {name!r} here: built in are {known}; or give a folder.")
        return TransformersAnswerer(name)
    facts = read_facts(folder)
    if facts["encoder"] not in encoders:
        encoders[facts["encoder"]] = read_encoder(facts["encoder"])
    encoder = encoders[facts["encoder"]]
    layers = LayerSet.parse(chosen, encoder.config.num_hidden_layers).layers if chosen else None
    return MiniAnswerer(id, load_checkpoint(folder, layers, encoder))


def list_checkpoints() -> list[dict[str, Any]]:
    """The built-in checkpoints.

    Returns:
        For each: ``id``, ``layers``, ``choosable`` (whether any of them can be chosen), ``encoder``, ``size_bytes``,
        ``licence``, ``source`` and ``on_this_machine``, false where its encoder is missing.
    """
    rows = []
    for file in sorted(MINI.parent.glob(f"*/{FACTS}")):
        facts = read_facts(file.parent)
        here = (MINI if facts["encoder"] == "mini" else Path(facts["encoder"])) / "model.safetensors"
        rows.append(
            {
                "id": file.parent.name,
                "layers": facts["layers"],
                "choosable": facts["choosable"],
                "encoder": facts["encoder"],
                "size_bytes": sum(part.stat().st_size for part in file.parent.iterdir() if part.is_file()),
                "licence": facts["licence"],
                "source": "built in",
                "on_this_machine": here.is_file(),
            }
        )
    return rows
