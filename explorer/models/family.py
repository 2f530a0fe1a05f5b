"""The mini checkpoints: one frozen encoder and one table of words' vectors, stored once; each has its own projector and blocks.

A checkpoint's folder holds what is its own; ``load_checkpoint`` joins it with the encoder into an ordinary
``LlavaForConditionalGeneration``, and ``export_checkpoint`` writes that as the folder which transformers loads by
itself. Raw features of a layer, without the encoder's last norm and without CLS, go through one linear layer
(arXiv 2504.21447); transformers' projector has two, so its second is the identity.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoTokenizer,
    CLIPImageProcessor,
    CLIPVisionModel,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from explorer.layers import PAPER_FUSION, LayerSet
from explorer.models.catalogue import MINI
from explorer.models.language import LANGUAGE
from explorer.models.projections import LayerProjections
from explorer.records import CheckpointError

WEIGHTS = "language.safetensors"  # not model.safetensors: plain from_pretrained must not take it for a whole model
FACTS = "checkpoint.json"
EMBEDDING = "embed_tokens.weight"
LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Checkpoint:
    """A mini checkpoint, ready to answer.

    Attributes:
        name: of its folder.
        layers: what it reads, in the order of the projector's channels.
        model: shares the encoder with others where one was given.
        processor: turns messages and pictures into its input.
        facts: checkpoint.json: encoder, layers, whether they can be chosen, how it was trained.
    """

    name: str
    layers: LayerSet
    model: LlavaForConditionalGeneration
    processor: LlavaProcessor
    facts: dict[str, Any]


def checkpoint_name(layers: Sequence[int] | None) -> str:
    """The name for its layers: mini-l18, mini-fused for the paper's fusion, mini-l3-23 for another, mini-any for None."""
    if layers is None:
        return "mini-any"
    return "mini-fused" if tuple(layers) == PAPER_FUSION else "mini-l" + "-".join(map(str, layers))


def encoder_folder(id: str) -> Path:
    """The folder of an encoder: "mini" or a path.

    Raises:
        CheckpointError: it is not there.
    """
    folder = MINI if id == "mini" else Path(id)
    if not (folder / "model.safetensors").is_file():
        raise CheckpointError(f"The encoder {id!r} is missing: there is no {folder / 'model.safetensors'}.")
    return folder


def read_encoder(id: str) -> CLIPVisionModel:
    """The frozen vision tower of an encoder, in float32 and evaluation mode."""
    folder = encoder_folder(id)
    # Not by from_pretrained or _from_config, which change torch's default number format for other threads too.
    encoder: Any = CLIPVisionModel(AutoConfig.from_pretrained(folder).vision_config)
    own = encoder.state_dict()
    prefix = "" if next(iter(own)).startswith("vision_model.") else "vision_model."  # differs between versions 5.x
    weights = load_file(encoder_file(id))
    encoder.float().load_state_dict({name: weights[prefix + name] for name in own})
    return encoder.eval().requires_grad_(False)


def encoder_file(id: str) -> Path:
    """The weights of an encoder, as ``encoder_folder`` takes it."""
    return encoder_folder(id) / "model.safetensors"


def digest(file: Path) -> str:
    """Says what a file holds, so that a checkpoint is never joined with other weights than those it was trained with."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16]


def weights_digest(folder: Path) -> str:
    """Says which weights of its own a checkpoint has, and those it shares: equal digests give equal answers."""
    facts = read_facts(folder)
    shared = (facts["encoder_digest"], *([facts["words_digest"]] if "words" in facts else ()))
    return "-".join([digest(folder / WEIGHTS), *(part[:8] for part in shared)])


def words_file(id: str) -> Path:
    """The weights of a language model, "mini-language" or a folder, whose words' vectors checkpoints may share."""
    return (LANGUAGE if id == LANGUAGE.name else Path(id)) / "model.safetensors"


def _shared_words(id: str) -> Tensor:
    with safe_open(words_file(id), "pt") as weights:
        return weights.get_tensor(f"model.{EMBEDDING}")


def make_processor(encoder: str, tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """The processor of a checkpoint: the encoder's picture rules, the tokenizer, its chat template."""
    images = CLIPImageProcessor.from_pretrained(encoder_folder(encoder))
    patch = AutoConfig.from_pretrained(encoder_folder(encoder)).vision_config.patch_size
    return LlavaProcessor(
        images,
        tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        chat_template=tokenizer.chat_template,
        num_additional_image_tokens=1,
    )


def assemble(
    encoder: Any,
    language: Any,
    image_token: Any,
    layers: Sequence[int],
    weight: Tensor,
    bias: Tensor,
) -> LlavaForConditionalGeneration:
    """Join an encoder, a linear projector and a language model; nothing is copied.

    Args:
        encoder: the vision tower.
        language: the language model.
        image_token: id of the token whose place a picture token takes.
        layers: what is read, in the order of the weight's columns.
        weight: [W, len(layers) * D].
        bias: [W].
    """
    vision: Any = encoder.config
    make_config: Any = LlavaConfig  # its generated signature leaves out what all configs take
    config = make_config(
        vision_config=vision.to_dict(),
        text_config=language.config.to_dict(),
        image_token_index=image_token,
        image_seq_length=(vision.image_size // vision.patch_size) ** 2,
        projector_hidden_act="linear",
        vision_feature_select_strategy="default",
        vision_feature_layer=layers[0] if len(layers) == 1 else list(layers),
        tie_word_embeddings=True,
        bos_token_id=language.config.bos_token_id,
        eos_token_id=language.config.eos_token_id,
        pad_token_id=language.config.pad_token_id,
    )
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(config)
    projector = model.model.multi_modal_projector.to_empty(device=weight.device).to(weight.dtype)
    with torch.no_grad():
        projector.linear_1.weight.copy_(weight)
        projector.linear_1.bias.copy_(bias)
        projector.linear_2.weight.copy_(torch.eye(len(bias)))
        projector.linear_2.bias.zero_()
    model.model.vision_tower, model.model.language_model = encoder, language.model
    model.lm_head = language.lm_head
    model.generation_config.max_new_tokens = 24
    model.generation_config.pad_token_id = language.config.pad_token_id
    model.generation_config.eos_token_id = language.config.eos_token_id
    model.generation_config.bos_token_id = language.config.bos_token_id
    return model.eval()


def save_checkpoint(
    folder: Path,
    projections: LayerProjections,
    language: LlamaForCausalLM,
    processor: LlavaProcessor,
    encoder: str,
    choosable: bool,
    training: dict[str, Any],
    words: str = "",
) -> None:
    """Write a checkpoint without its encoder.

    Args:
        folder: made if it is not there.
        projections: of the layers it reads, or may read.
        language: its language model, written in bfloat16.
        processor: its processor.
        encoder: id of the encoder, "mini" or a folder.
        choosable: whether any set of its layers can be chosen (then each counts one part in their number).
        training: what the model card says of its training.
        words: a language model, as ``words_file`` takes it; words' vectors that are its own are not written again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    maps = [projections.fold([layer]) for layer in projections.layers]
    weights = {f"language.{k}": v.bfloat16() for k, v in language.model.state_dict().items()}
    weights["projector.weight"] = torch.stack([weight for weight, _ in maps]).bfloat16()
    weights["projector.bias"] = torch.stack([bias for _, bias in maps]).bfloat16()
    shares = bool(words) and torch.equal(weights[f"language.{EMBEDDING}"].cpu(), _shared_words(words).bfloat16())
    if shares:
        del weights[f"language.{EMBEDDING}"]
    save_file({name: value.contiguous().cpu() for name, value in weights.items()}, folder / WEIGHTS)
    language.config.save_pretrained(folder)
    processor.save_pretrained(folder)
    facts = {
        "encoder": encoder,
        "encoder_digest": digest(encoder_file(encoder)),
        **({"words": words, "words_digest": digest(words_file(words))} if shares else {}),
        "layers": list(projections.layers),
        "choosable": choosable,
        "licence": LICENCE,
        "training": training,
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n")


def read_facts(folder: Path) -> dict[str, Any]:
    """What checkpoint.json says.

    Raises:
        CheckpointError: the folder is no mini checkpoint.
    """
    try:
        return json.loads((folder / FACTS).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} is no checkpoint of the mini family: {error}.") from None


@dataclass(frozen=True)
class Parts:
    """What a checkpoint's folder holds.

    Attributes:
        facts: checkpoint.json.
        tokenizer: of the language model.
        language: the language model.
        maps: float32 [L, W, D], the linear maps of the layers in ``facts["layers"]``.
        biases: float32 [L, W].
    """

    facts: dict[str, Any]
    tokenizer: PreTrainedTokenizerFast
    language: Any
    maps: Tensor
    biases: Tensor

    def join(self, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        """One projector of the chosen layers, [W, len(chosen) * D] and [W]."""
        share = 1 / len(chosen) if self.facts["choosable"] else 1.0
        at = [self.facts["layers"].index(layer) for layer in chosen]
        return share * torch.cat([self.maps[k] for k in at], 1), share * self.biases[at].sum(0)


def read_parts(folder: Path, any_encoder: bool = False) -> Parts:
    """Read a checkpoint's own part, in float32.

    Args:
        folder: as ``save_checkpoint`` writes it.
        any_encoder: of whoever wants the language model alone: the encoder may have changed.

    Raises:
        CheckpointError: the folder is none, is damaged, or belongs to other weights of what it shares than those here.
    """
    facts = read_facts(folder)
    encoder, words = facts["encoder"], facts.get("words")
    if not any_encoder:
        _check_shared(folder, f"the encoder {encoder!r}", encoder_file(encoder), facts["encoder_digest"])
    if words:
        _check_shared(folder, f"the language model {words!r}", words_file(words), facts["words_digest"])
    try:
        weights = load_file(folder / WEIGHTS)
        if words:
            weights[f"language.{EMBEDDING}"] = _shared_words(words)
        config: Any = AutoConfig.from_pretrained(folder)
        language: Any = LlamaForCausalLM(config)
        own = {name.removeprefix("language."): v for name, v in weights.items() if name.startswith("language.")}
        language.float().model.load_state_dict(own)
        # Tied here: while another thread is in from_pretrained, transformers' own tying does nothing.
        language.lm_head.weight = language.model.embed_tokens.weight
        maps, biases = weights["projector.weight"].float(), weights["projector.bias"].float()
        return Parts(facts, AutoTokenizer.from_pretrained(folder), language, maps, biases)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{folder.name} is damaged: {error}.") from None


def _check_shared(folder: Path, what: str, file: Path, known: str) -> None:
    """Refuse a checkpoint whose encoder, or table of words, is not the one that it was trained with."""
    if not file.is_file():
        raise CheckpointError(f"{folder.name} needs {what}: there is no {file}.")
    if digest(file) != known:
        raise CheckpointError(
            f"{folder.name} was trained on other weights of {what} than those here: "
            "train it again, or restore those it belongs to."
        )


def load_checkpoint(
    folder: str | Path,
    layers: Sequence[int] | None = None,
    encoder: CLIPVisionModel | None = None,
    device: str | torch.device = "cpu",
) -> Checkpoint:
    """Load a mini checkpoint in float32 and join it with its encoder.

    Args:
        folder: as ``save_checkpoint`` writes it.
        layers: for a checkpoint whose layers can be chosen (mini-any): which; the paper's fusion if not given.
        encoder: the same encoder where it is loaded already; it is then shared, not copied.
        device: where it runs.

    Raises:
        CheckpointError: the folder is none, is damaged, belongs to another encoder, or cannot read these layers.
    """
    folder = Path(folder)
    parts = read_parts(folder)
    known = tuple(parts.facts["layers"])
    usual = known if not parts.facts["choosable"] else tuple(layer for layer in PAPER_FUSION if layer in known)
    chosen = tuple(layers or usual)
    if set(chosen) - set(known) or not chosen or (chosen != known and not parts.facts["choosable"]):
        said = ", ".join(map(str, chosen))
        raise CheckpointError(f"{folder.name} cannot read layers {said}: it knows {', '.join(map(str, known))}.")
    # Rounded as an export is, so that both give the same answers.
    weight, bias = (part.bfloat16().float().to(device) for part in parts.join(chosen))
    vision: Any = encoder if encoder is not None else read_encoder(parts.facts["encoder"])
    vision = vision.to(device)
    model = assemble(vision, parts.language.to(device), parts.tokenizer.image_token_id, chosen, weight, bias)
    processor = LlavaProcessor.from_pretrained(folder)
    return Checkpoint(folder.name, LayerSet(chosen, vision.config.num_hidden_layers), model, processor, parts.facts)


def export_checkpoint(folder: str | Path, out: str | Path, layers: Sequence[int] | None = None) -> None:
    """Write a mini checkpoint with its encoder, in bfloat16, as a folder that transformers loads by itself."""
    found = load_checkpoint(folder, layers)
    model: Any = found.model
    model.to(torch.bfloat16).save_pretrained(out)
    found.processor.save_pretrained(out)


@torch.no_grad()
def layer_states(encoder: CLIPVisionModel, images: CLIPImageProcessor, pixels: Tensor) -> list[Tensor]:
    """What a projector may read: raw patch features of every layer, without CLS.

    Args:
        encoder: the vision tower.
        images: its picture rules, for mean and spread of the colours.
        pixels: uint8 [N, height, width, 3], already of the encoder's size.

    Returns:
        list: layers 0…blocks, [N, P, D] each, as hidden_states.
    """
    mean, std = (torch.tensor(v, device=encoder.device).view(1, 3, 1, 1) for v in (images.image_mean, images.image_std))
    values = (pixels.to(encoder.device).permute(0, 3, 1, 2).float() / 255 - mean) / std
    states = encoder(pixel_values=values.to(encoder.dtype), output_hidden_states=True).hidden_states
    return [state[:, 1:] for state in states]
