"""Checkpoints as LLaVA 1.5's training code and the paper's write them, turned into standard folders.

Such a folder is a Llama with a projector of another name and a vision tower that is only named:

- the projector's weights are ``model.mm_projector.…``, among the others or beside them in ``mm_projector.bin`` or
  ``mm_projector.safetensors``; its kind is ``mm_projector_type``;
- ``mm_vision_select_layer`` is what it reads (-7 is layer 18 of 24 blocks), a list where layers are concatenated;
- ``mm_vision_select_feature`` is "patch" (no CLS) or "cls_patch"; ``image_aspect_ratio`` "pad" or "square".

``LlavaForConditionalGeneration`` has two linear layers, so the second of a linear projector becomes the identity.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from explorer.layers import LayerSet
from explorer.models.hf_encoders import tower_of
from explorer.models.hf_loading import load_model, read_model_type
from explorer.models.hub import TRANSFORMERS_FILES, brief, fetch
from explorer.records import CheckpointError, EncoderError, InputError

LANGUAGES = ("llava", "llava_llama", "mobilevlm", "llama")  # as model_type: all are plain Llamas
PROJECTORS = {  # kind: (activation of transformers' projector, names of its two layers)
    "linear": ("linear", ("", "")),
    "mlp2x_gelu": ("gelu", ("0.", "2.")),
}
STRATEGIES: dict[str, Any] = {"patch": "default", "cls_patch": "full"}
PADDING = {"pad": True, "square": False}
ROWS = 64  # the vocabulary is filled up to a multiple of it, as transformers' own conversion does
IMAGE, PAD = "<image>", "<pad>"
CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}"
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. "
    "{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}"
    "{{ eos_token if message['role'] == 'assistant' else ' ' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


@dataclass(frozen=True)
class Imported:
    """A checkpoint in the standard format.

    Attributes:
        folder: where it was written.
        layers: what it reads, in the order of the projector's channels.
        projector: "linear" or "mlp2x_gelu".
        tower: where its vision tower was taken from.
        parameters: how many weights it has.
        notes: sentences on what was decided on the way.
    """

    folder: Path
    layers: LayerSet
    projector: str
    tower: str
    parameters: int
    notes: tuple[str, ...]


def import_llava(
    source: str | Path, out: str | Path, *, vision_tower: str | None = None, layers: str | None = None
) -> Imported:
    """Write a checkpoint of LLaVA's training code as a folder that transformers loads by itself.

    Args:
        source: folder with config.json, a Llama's weights and tokenizer, and the projector.
        out: folder to write, new or empty.
        vision_tower: folder or hub id of the CLIP that it was trained on; None takes ``mm_vision_tower``.
        layers: what it reads ("3,18,23") where config.json does not say so rightly; None takes ``mm_vision_select_layer``.

    Raises:
        CheckpointError: something is missing, damaged, or of a kind that is not read here.
        InputError: ``layers`` cannot be read.
    """
    source, out = Path(source), Path(out)
    config = _read_config(source)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out} holds something already: name a new or an empty folder.")
    weights = _read_weights(source)
    name = vision_tower or config["mm_vision_tower"]
    folder = _find_tower(name)
    tower = _load_tower(folder)
    read = _layers_of(config, layers, tower.config.num_hidden_layers)
    tokenizer = _load_tokenizer(source)
    fine_tuned = any("vision_tower." in key for key in weights)
    model = _assemble(config, weights, tower, read, tokenizer)
    model.save_pretrained(out)
    _make_processor(folder, tower.config, tokenizer, config).save_pretrained(out)
    return Imported(
        folder=out,
        layers=read,
        projector=config["mm_projector_type"],
        tower=str(name),
        parameters=sum(weight.numel() for weight in model.parameters()),
        notes=_notes(config, fine_tuned),
    )


def _read_config(source: Path) -> dict[str, Any]:
    if not source.is_dir():
        raise CheckpointError(f"There is no folder {source}: give the folder that config.json lies in.")
    if (source / "adapter_config.json").is_file():
        raise CheckpointError(
            f"{source} is a LoRA adapter, not a whole checkpoint: merge it into its base model first."
        )
    try:
        config = json.loads((source / "config.json").read_text("utf-8"))
        given = {"mm_projector_type": "linear", "mm_vision_select_feature": "patch", "image_aspect_ratio": "square"}
        config = given | {key: value for key, value in config.items() if value is not None}
    except FileNotFoundError:
        raise CheckpointError(f"{source} holds no config.json: give the folder of a checkpoint.") from None
    except (OSError, ValueError, AttributeError) as problem:
        raise CheckpointError(f"{source / 'config.json'} cannot be read ({brief(problem)}).") from problem
    if "vision_config" in config:
        raise CheckpointError(f"{source} is a standard folder already: use it as it is.")
    for key in ("mm_vision_tower", "mm_vision_select_layer"):
        if key not in config:
            raise CheckpointError(
                f"The config.json of {source} lacks {key!r}, so LLaVA's training code did not write it."
            )
    _one_of(source, config, "model_type", LANGUAGES, "the language model")
    _one_of(source, config, "mm_projector_type", PROJECTORS, "the projector")
    _one_of(source, config, "mm_vision_select_feature", STRATEGIES, "which tokens are read")
    _one_of(source, config, "image_aspect_ratio", PADDING, "how pictures are laid on the input")
    if config.get("mm_use_im_start_end"):
        raise CheckpointError(f"{source} puts tokens before and after a picture (mm_use_im_start_end): not read here.")
    return config


def _one_of(source: Path, config: Mapping[str, Any], key: str, known: Any, meaning: str) -> None:
    if config.get(key) not in known:
        raise CheckpointError(
            f"The config.json of {source} gives {key} as {config.get(key)!r} ({meaning}): read here are {', '.join(known)}."
        )


def _read_weights(source: Path) -> dict[str, Tensor]:
    """All weights of the folder, by the names of LLaVA's training code."""
    names = TRANSFORMERS_FILES.weight_files(path.name for path in source.iterdir())
    if not names:
        raise CheckpointError(
            f"{source} holds no complete weights of a language model (model.safetensors or pytorch_model.bin, with all "
            "parts): a projector alone, as stage 1 writes it, cannot be imported."
        )
    weights: dict[str, Tensor] = {}
    for name in names:
        weights |= _read_file(source / name)
    beside = [source / name for name in ("mm_projector.safetensors", "mm_projector.bin") if (source / name).is_file()]
    if beside and not any("mm_projector." in key for key in weights):
        weights |= {
            f"model.mm_projector.{key.rpartition('mm_projector.')[2]}": v for key, v in _read_file(beside[0]).items()
        }
    if not any("mm_projector." in key for key in weights):
        raise CheckpointError(
            f"{source} holds no projector: neither weights named mm_projector nor mm_projector.bin or .safetensors."
        )
    return weights


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError, KeyError) as problem:
        raise CheckpointError(
            f"{path} is damaged or incomplete ({brief(problem)}): fetch or save it again."
        ) from problem
    except Exception as problem:  # pickle's own error, whose module is not for import here
        raise CheckpointError(
            f"{path} was refused: it is damaged, or holds other things than weights, and reading those could run code. "
            "Get the weights as safetensors from where it was made."
        ) from problem
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(f"{path} is no table of weights by name.")
    return found


def _find_tower(name: str) -> Path:
    if Path(name).is_dir():
        return Path(name)
    try:
        return fetch(name, TRANSFORMERS_FILES, lambda *_: None)
    except EncoderError as problem:
        raise CheckpointError(
            f"The vision tower {name!r} is not on this machine: give its folder with --vision-tower. {problem}"
        ) from problem


def _load_tower(folder: Path) -> Any:
    try:
        kind = read_model_type(str(folder), folder)
        if kind not in ("clip", "clip_vision_model"):
            raise CheckpointError(f"The vision tower {folder} is a {kind!r} model: only CLIP is read here.")
        return tower_of(load_model(str(folder), folder, kind, torch.float32, torch.device("cpu")))
    except EncoderError as problem:
        raise CheckpointError(f"The vision tower cannot be used. {problem}") from problem


def _layers_of(config: Mapping[str, Any], layers: str | None, blocks: int) -> LayerSet:
    if layers is not None:
        return LayerSet.parse(layers, blocks)
    try:
        return LayerSet.of(config["mm_vision_select_layer"], blocks)
    except (InputError, TypeError) as problem:
        raise CheckpointError(f"mm_vision_select_layer in config.json cannot be used. {problem}") from None


def _load_tokenizer(source: Path) -> Any:
    from transformers import AddedToken, LlamaTokenizer, PreTrainedTokenizerFast

    saved = source / "tokenizer_config.json"
    try:
        if (source / "tokenizer.json").is_file():
            tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(source, local_files_only=True)
        else:  # a Llama's text starts with <s> unless its settings say otherwise; transformers 5 would leave it out
            settings = json.loads(saved.read_text("utf-8")) if saved.is_file() else {}
            starts = settings.get("add_bos_token", True)
            tokenizer = LlamaTokenizer.from_pretrained(source, local_files_only=True, add_bos_token=starts)
    except Exception as problem:  # a missing package or a broken file raises nearly anything
        raise CheckpointError(f"The tokenizer of {source} cannot be loaded ({brief(problem)}).") from problem
    tokenizer.add_tokens(AddedToken(IMAGE, special=True, normalized=False), special_tokens=True)
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": PAD})
    tokenizer.padding_side = "left"
    return tokenizer


def _assemble(
    config: Mapping[str, Any], weights: dict[str, Tensor], tower: Any, layers: LayerSet, tokenizer: Any
) -> Any:
    from transformers import GenerationConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    known = {*LlamaConfig().to_dict(), "rope_theta", "rope_scaling"}
    known -= {"model_type", "architectures", "dtype", "transformers_version", "_name_or_path"}
    text = LlamaConfig(**{key: value for key, value in config.items() if key in known})
    kind, vision = config["mm_projector_type"], tower.config
    language = _language(weights, text, tokenizer)
    made = LlavaConfig(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=(vision.image_size // vision.patch_size) ** 2
        + (config["mm_vision_select_feature"] != "patch"),
        projector_hidden_act=PROJECTORS[kind][0],
        vision_feature_select_strategy=STRATEGIES[config["mm_vision_select_feature"]],
        vision_feature_layer=list(layers.layers) if layers.fused else layers.layers[0],
        tie_word_embeddings=text.tie_word_embeddings,
    )
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(made)
    ours = language | _projector(weights, kind, layers, vision.hidden_size, text.hidden_size)
    ours |= _tower(weights, tower, model.model.vision_tower.state_dict())
    dtype = language["model.language_model.embed_tokens.weight"].dtype
    _check(model.state_dict(), ours)
    model.load_state_dict({name: value.to(dtype) for name, value in ours.items()}, assign=True)
    model.tie_weights()
    model.config.dtype = dtype
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    return model


def _language(weights: dict[str, Tensor], text: Any, tokenizer: Any) -> dict[str, Tensor]:
    """The Llama's weights by transformers' names, with rows for the new tokens; ``text`` is told of them.

    New rows are the mean of the others: as a logit it never exceeds the largest of theirs, so none is ever chosen.
    """
    found = {}
    for name, value in weights.items():
        if name == "lm_head.weight":
            found[name] = value
        elif not any(part in name for part in ("mm_projector.", "vision_tower.", "rotary_emb.inv_freq")):
            found[name.replace("model.", "model.language_model.", 1)] = value
    if "model.language_model.embed_tokens.weight" not in found:
        raise CheckpointError("The weights lack model.embed_tokens.weight, so they are no Llama's.")
    text.tie_word_embeddings = text.tie_word_embeddings or "lm_head.weight" not in found
    if text.tie_word_embeddings:
        found["lm_head.weight"] = found["model.language_model.embed_tokens.weight"]
    for name in ("model.language_model.embed_tokens.weight", "lm_head.weight"):
        rows = len(found[name])
        wanted = -(-max(rows, len(tokenizer)) // ROWS) * ROWS
        mean = found[name].float().mean(0, keepdim=True).to(found[name].dtype)
        found[name] = torch.cat([found[name], mean.expand(wanted - rows, -1)])
        text.vocab_size = wanted
    return found


def _projector(weights: dict[str, Tensor], kind: str, layers: LayerSet, features: int, width: int) -> dict[str, Tensor]:
    given = {name.rpartition("mm_projector.")[2]: value for name, value in weights.items() if "mm_projector." in name}
    first, second = PROJECTORS[kind][1]
    wanted = {first + "weight", first + "bias", second + "weight", second + "bias"}
    if set(given) != wanted:
        raise CheckpointError(
            f"A projector of the type {kind!r} has the weights {', '.join(sorted(wanted))}, "
            f"but these are here: {', '.join(sorted(given))}."
        )
    channels, count = given[first + "weight"].shape[1], len(layers.layers)
    if channels != features * count:
        raise CheckpointError(
            f"The projector takes {channels} numbers a token, but {count} layer{'s' * (count > 1)} of this vision tower "
            f"give{'s' * (count == 1)} {features * count}: name the layers with --layers, or the right tower with --vision-tower."
        )
    if first != second:
        last = given[second + "weight"], given[second + "bias"]
    else:
        last = torch.eye(width), torch.zeros(width)
    prefix = "model.multi_modal_projector.linear_"
    return {
        prefix + "1.weight": given[first + "weight"],
        prefix + "1.bias": given[first + "bias"],
        prefix + "2.weight": last[0],
        prefix + "2.bias": last[1],
    }


def _tower(weights: dict[str, Tensor], tower: Any, names: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tower's weights by transformers' names: the checkpoint's own where it holds some."""

    def plain(name: str) -> str:
        return name.rpartition("vision_tower.")[2].removeprefix("vision_model.")

    found = {plain(name): value for name, value in tower.state_dict().items()}
    own = {plain(name): value for name, value in weights.items() if "vision_tower." in name}
    found |= {name: value for name, value in own.items() if name != "embeddings.position_ids"}
    match = {plain(name): name for name in names}
    return {f"model.vision_tower.{match.get(name, name)}": value for name, value in found.items()}


def _check(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    if missing := sorted(set(wanted) - set(given)):
        raise CheckpointError(
            f"{len(missing)} weights are missing, {missing[0]} for one: the files do not hold what config.json says."
        )
    if extra := sorted(set(given) - set(wanted)):
        raise CheckpointError(
            f"{len(extra)} weights have no place in a LLaVA, {extra[0]} for one: this is a checkpoint of another kind."
        )
    for name, value in given.items():
        if value.shape != wanted[name].shape:
            raise CheckpointError(
                f"{name} is {tuple(value.shape)}, but config.json asks for {tuple(wanted[name].shape)}: "
                "the files do not belong together."
            )


def _make_processor(folder: Path, vision: Any, tokenizer: Any, config: Mapping[str, Any]) -> Any:
    from transformers import LlavaImageProcessor, LlavaProcessor

    side = vision.image_size
    rules: dict[str, Any] = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    if (folder / "preprocessor_config.json").is_file():
        saved = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
        rules |= {key: saved[key] for key in ("resample", "image_mean", "image_std") if key in saved}
    return LlavaProcessor(
        LlavaImageProcessor(**rules, do_pad=PADDING[config["image_aspect_ratio"]]),
        tokenizer,
        patch_size=vision.patch_size,
        vision_feature_select_strategy=STRATEGIES[config["mm_vision_select_feature"]],
        chat_template=CHAT_TEMPLATE,
        num_additional_image_tokens=1,
    )


def _notes(config: Mapping[str, Any], fine_tuned: bool) -> tuple[str, ...]:
    padded = PADDING[config["image_aspect_ratio"]]
    way = "padded to a square" if padded else "cropped to a square"
    said = [f"Pictures are {way} before the tower sees them (image_aspect_ratio is {config['image_aspect_ratio']!r})."]
    if config["mm_projector_type"] == "linear":
        said.append("The projector is one linear layer; transformers has two, so the second is the identity.")
    if fine_tuned:
        said.append("The vision tower's weights are the checkpoint's own, not the named tower's.")
    return tuple(said)
