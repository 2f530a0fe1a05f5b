"""What a LLaVA-like checkpoint really reads of its vision tower, and a proof of it by hooks.

A checkpoint's config.json names layers as -2, 23 or a list, and a select strategy; transformers turns these into a
slice of hidden states. Here they are resolved in the one way in which this program counts layers, and then one random
picture goes the checkpoint's own way while hooks look on (``picture_way``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from explorer.layers import LayerSet
from explorer.models.catalogue import MINI
from explorer.models.family import FACTS, load_checkpoint
from explorer.models.hf_loading import find_blocks
from explorer.models.hub import TRANSFORMERS_FILES, brief
from explorer.models.libraries import ONE_MODEL
from explorer.models.loading import find_checkpoint
from explorer.models.picture_way import Check, check_way, final_norm
from explorer.records import CheckpointError, InputError

KINDS = ("llava", "llava_next", "llava_onevision", "vipllava")
READ_THE_END = ("idefics3", "smolvlm")  # their class reads the tower's output, whatever the config says
ALWAYS_DROPS_FIRST = ("vipllava",)  # its config has no select strategy
CLS = ("class_embedding", "cls_token")


@dataclass(frozen=True)
class Reading:
    """What a checkpoint reads.

    Attributes:
        id: how it was asked for.
        architecture: its class ("LlavaForConditionalGeneration").
        tower: class of its vision tower.
        width: D of the tower.
        given: the layers as config.json writes them.
        layers: the true layers, in the order of the projector's channels.
        strategy: "default" (the first token is dropped) or "full".
        drops: "CLS", "a patch" (the strategy is "default" and the tower has no CLS) or "nothing".
        final_norm: name of the tower's norm after the last block, "" if it has none.
        final_norm_applied: whether it is applied to what is read; None where nothing was run.
        image_px, patch_px: sizes of a tile and of a patch.
        tokens_per_tile: tokens of one tile that enter the projector.
        tiles_most: most tiles that a picture can become; 1 where pictures are not tiled.
        grids: (height, width) in pixels of the grids that a picture is tiled by, () where it is not.
        fit: how a picture is laid on the input ("padded", "cropped", "squashed", "tiled"), "" if unknown.
        projector: its kind ("linear", "mlp2x_gelu", "norm + mlp2x_gelu").
        projector_in, projector_out: its widths.
        unused_blocks: blocks that are loaded and run, and of which nothing is read; block k makes layer k.
        unused_parameters: weights of the tower that what is read does not depend on.
        parameters: weights of the tower.
        check: what hooks saw; None if only the config was read.
        notes: sentences on what may surprise.
    """

    id: str
    architecture: str
    tower: str
    width: int
    given: int | tuple[int, ...]
    layers: LayerSet
    strategy: str
    drops: str
    final_norm: str
    final_norm_applied: bool | None
    image_px: int
    patch_px: int
    tokens_per_tile: int
    tiles_most: int
    grids: tuple[tuple[int, int], ...]
    fit: str
    projector: str
    projector_in: int
    projector_out: int
    unused_blocks: tuple[int, ...]
    unused_parameters: int
    parameters: int
    check: Check | None
    notes: tuple[str, ...] = ()


def inspect_checkpoint(id: str, *, config_only: bool = False) -> Reading:
    """Find out what a checkpoint reads.

    Of the language model only the first block is loaded: a picture's way ends at the projector.

    Args:
        id: a folder, a hub id, or a built-in checkpoint ("mini-fused").
        config_only: read config.json and the picture rules alone, run nothing.

    Raises:
        CheckpointError: it cannot be found, loaded or run, or is of a kind whose layers are not known here.
    """
    mini = next((f for f in (Path(id), MINI.parent / id) if (f / FACTS).is_file()), None)
    if mini:
        found = load_checkpoint(mini)
        return read_model(id, found.model, found.processor.image_processor, run=not config_only)
    folder = find_checkpoint(id, config_only=config_only)
    config = _read_config(id, folder)
    images = _read_image_processor(id, folder)
    if images is None and not config_only:
        raise CheckpointError(
            f"{id} holds no image processor (preprocessor_config.json), so no picture can go its own way: add the file, "
            "or ask for the config alone with --config-only."
        )
    model = _blank_model(id, config) if config_only else _load_model(id, folder, config)
    return read_model(id, model, images, run=not config_only)


def read_model(id: str, model: Any, images: Any, *, run: bool = True) -> Reading:
    """Find out what a loaded model reads.

    Args:
        id: how to call it.
        model: of one of the four classes, on the CPU; on "meta" if it is not run.
        images: its image processor, None if it is not run.
        run: whether to let a random picture through and compare.

    Raises:
        CheckpointError: its layers do not exist, or its image path fails.
    """
    config, tower = model.config, model.model.vision_tower
    vision, given = config.vision_config, config.vision_feature_layer
    try:
        layers = LayerSet.of(given, vision.num_hidden_layers)
    except InputError as problem:
        raise CheckpointError(f"config.json of {id} names an impossible layer. {problem}") from None
    first = config.model_type in ALWAYS_DROPS_FIRST or config.vision_feature_select_strategy == "default"
    has_cls = any(name.endswith(CLS) for name, _ in tower.named_parameters())
    drops = ("CLS" if has_cls else "a patch") if first else "nothing"
    norm_name, norm = final_norm(tower)
    check = check_way(id, model, images, layers, norm) if run else None
    applied = any(check.normed) if check else None
    grids = tuple((height, width) for height, width in getattr(config, "image_grid_pinpoints", None) or ())
    projector, widths = _describe_projector(model.model.multi_modal_projector)
    unused, unused_parameters = _unused(tower, layers, None if applied else norm)
    return Reading(
        id=id,
        architecture=type(model).__name__,
        tower=type(tower).__name__,
        width=vision.hidden_size,
        given=given if isinstance(given, int) else tuple(given),
        layers=layers,
        strategy="default" if first else "full",
        drops=drops,
        final_norm=norm_name,
        final_norm_applied=applied,
        image_px=vision.image_size,
        patch_px=vision.patch_size,
        tokens_per_tile=(vision.image_size // vision.patch_size) ** 2 + has_cls - first,
        tiles_most=1
        + max((math.ceil(h / vision.image_size) * math.ceil(w / vision.image_size) for h, w in grids), default=0),
        grids=grids,
        fit="tiled" if grids else _fit(images),
        projector=projector,
        projector_in=widths[0],
        projector_out=widths[1],
        unused_blocks=unused,
        unused_parameters=unused_parameters,
        parameters=sum(weight.numel() for weight in tower.parameters()),
        check=check,
        notes=_notes(tower, layers, drops, norm_name, applied, unused, check),
    )


def _read_config(id: str, folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as problem:  # a file that is missing, broken or strange makes transformers raise nearly anything
        raise CheckpointError(
            f"The config.json of {id} cannot be read ({brief(problem)}): give the folder or hub id of a checkpoint."
        ) from problem
    if config.model_type in READ_THE_END:
        raise CheckpointError(
            f"{id} is a {config.model_type!r} model: it always reads the last layer of its vision tower, after the final "
            "norm, so it names no layers to check."
        )
    if config.model_type not in KINDS:
        raise CheckpointError(
            f"{id} is a {config.model_type!r} model, which does not say here which layers it reads: "
            f"give one of {', '.join(KINDS)} (Granite Vision is llava_next), or import LLaVA's own format first."
        )
    return config


def _read_image_processor(id: str, folder: Path) -> Any:
    from transformers import AutoImageProcessor

    if not any((folder / name).is_file() for name in TRANSFORMERS_FILES.companions):
        return None
    try:
        return AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as problem:
        raise CheckpointError(f"The image processor of {id} cannot be loaded ({brief(problem)}).") from problem


def _blank_model(id: str, config: Any) -> Any:
    from transformers import AutoModelForImageTextToText

    _keep_first_language_block(config)
    try:
        with torch.device("meta"), ONE_MODEL:
            return AutoModelForImageTextToText.from_config(config)
    except Exception as problem:
        raise CheckpointError(
            f"config.json of {id} describes no model that can be built: {brief(problem)}."
        ) from problem


def _load_model(id: str, folder: Path, config: Any) -> Any:
    from transformers import AutoModelForImageTextToText

    _keep_first_language_block(config)
    try:
        with ONE_MODEL:
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                local_files_only=True,
                weights_only=True,
                output_loading_info=True,
            )
    except Exception as problem:
        raise CheckpointError(f"{id} cannot be loaded ({brief(problem)}): fetch or save it again.") from problem
    model, report = loaded
    missing = sorted(name for name in report["missing_keys"] if "language_model" not in name and "lm_head" not in name)
    if missing:
        raise CheckpointError(
            f"{id} lacks {len(missing)} weights of its vision tower or projector, {missing[0]} for one: "
            "what would be measured is random, so it is not used."
        )
    return model.eval()


def _keep_first_language_block(config: Any) -> None:
    text = config.text_config
    text.num_hidden_layers = 1
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:1]


def _describe_projector(projector: nn.Module) -> tuple[str, tuple[int, int]]:
    """Its kind, and how wide it is at both ends. Two linear layers with nothing between them are one linear map."""
    linears = [part for part in projector.children() if isinstance(part, nn.Linear)]
    between = type(getattr(projector, "act", nn.Identity())).__name__
    kind = "linear" if between in ("Identity", "LinearActivation") else f"mlp{len(linears)}x_{_plain(between)}"
    normed = any(isinstance(part, nn.LayerNorm) for part in projector.children())
    return ("norm + " if normed else "") + kind, (linears[0].in_features, linears[-1].out_features)


def _plain(activation: str) -> str:
    return activation.removesuffix("Activation").lower()


def _unused(tower: nn.Module, layers: LayerSet, norm: nn.Module | None) -> tuple[tuple[int, ...], int]:
    """Blocks above the highest layer read, and how many weights they have with the norm and head that follow."""
    highest = max(layers.layers)
    idle: list[nn.Module] = list(find_blocks(tower, layers.blocks))[highest:]
    idle += [part for part in (norm, getattr(tower, "head", None)) if part is not None]
    count = sum(weight.numel() for part in idle for weight in part.parameters())
    return tuple(range(highest + 1, layers.blocks + 1)), count


def _fit(images: Any) -> str:
    if images is None:
        return ""
    if getattr(images, "do_pad", False):
        return "padded"
    return "cropped" if getattr(images, "do_center_crop", False) else "squashed"


def _notes(
    tower: nn.Module,
    layers: LayerSet,
    drops: str,
    norm: str,
    applied: bool | None,
    unused: tuple[int, ...],
    check: Check | None,
) -> tuple[str, ...]:
    said = []
    if check and not check.agrees:
        found = ", ".join(
            f"{layer}{' normed' if n else ''}" for layer, n in zip(check.found, check.normed, strict=True)
        )
        said.append(f"What enters the projector is not what config.json names: it is layer {found}.")
    if drops == "a patch":
        said.append(f"{type(tower).__name__} has no CLS token, so the strategy “default” drops the top left patch.")
    if norm and applied is False and layers.blocks in layers.layers:
        said.append(f"Layer {layers.blocks} is read as the last block returns it: {norm} is not applied.")
    if unused:
        blocks = f"Block {unused[0]} is" if len(unused) == 1 else f"Blocks {unused[0]} to {unused[-1]} are"
        said.append(f"{blocks} loaded and run, and nothing of {'it' if len(unused) == 1 else 'them'} is read.")
    return tuple(said)
