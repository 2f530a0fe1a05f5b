"""Reading Hugging Face folders: which class, its weights, its tokenizer, its way of laying out pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from explorer.models.hub import TRANSFORMERS_FILES, brief, check_safetensors
from explorer.models.libraries import ONE_MODEL
from explorer.models.memory import ENCODER_BYTES, check_encoder, count_weights
from explorer.models.views import Preprocessing
from explorer.records import EncoderError, Fit

MODEL_CLASSES = {
    "clip": "CLIPModel",
    "clip_vision_model": "CLIPVisionModel",
    "siglip": "SiglipModel",
    "siglip_vision_model": "SiglipVisionModel",
    "siglip2": "Siglip2Model",
    "siglip2_vision_model": "Siglip2VisionModel",
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "vit": "ViTModel",
}
SIGLIP = ("siglip", "siglip_vision_model")
# mean and standard deviation of red, green and blue, as OpenAI, ImageNet's users and Google publish them
CLIP_COLOURS = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_COLOURS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALVES = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")


def read_model_type(id: str, folder: Path) -> str:
    """The kind of model in a folder, one of ``MODEL_CLASSES``, before anything heavy is loaded.

    Raises:
        EncoderError: the folder holds no model, or one of another kind.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
        model_type = config["model_type"]
    except FileNotFoundError:
        raise EncoderError(
            f"{id} holds no config.json, so it is no Hugging Face model: give the folder that config.json lies in."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise EncoderError(
            f"{path} cannot be read as a model's settings ({type(problem).__name__}: {brief(problem)}): save or fetch it again."
        ) from problem
    if model_type not in MODEL_CLASSES:
        raise EncoderError(
            f"{id} is a {model_type!r} model, which is no vision encoder read here: "
            "give one of CLIP, SigLIP, SigLIP 2, DINOv2 or ViT."
        )
    return model_type


def load_model(id: str, folder: Path, model_type: str, dtype: torch.dtype, device: torch.device) -> Any:
    """The model with all its weights, still on the CPU, if it fits into the device's memory.

    Raises:
        EncoderError: weights are missing, broken, too large, or do not fit the settings.
    """
    import transformers

    files = TRANSFORMERS_FILES.weight_files(path.name for path in folder.iterdir())
    if not files:
        raise EncoderError(
            f"{id} holds no complete weights (model.safetensors or pytorch_model.bin, with all parts): save or fetch it again."
        )
    for name in files:
        if name.endswith(".safetensors"):
            check_safetensors(folder / name)
    check_encoder(id, count_weights(folder, ENCODER_BYTES), dtype, device)
    kind = getattr(transformers, MODEL_CLASSES[model_type])
    extra = {"add_pooling_layer": False} if model_type == "vit" else {}
    try:
        with ONE_MODEL, quiet():
            model, report = kind.from_pretrained(
                folder, dtype=dtype, local_files_only=True, weights_only=True, output_loading_info=True, **extra
            )
    except Exception as problem:  # a broken file makes transformers raise nearly anything
        raise EncoderError(
            f"{id} could not be loaded as {kind.__name__} ({brief(problem)}): save or fetch it again."
        ) from problem
    if missing := sorted(report["missing_keys"]):
        raise EncoderError(
            f"{id} lacks {len(missing)} weights of {kind.__name__}, {missing[0]} for one: "
            "random numbers would stand in for them, so it is not used."
        )
    return model


def load_tokenizer(folder: Path) -> tuple[Any, str]:
    """The folder's tokenizer and "", or None and the reason why there is none."""
    from transformers import AutoTokenizer

    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return None, "its folder holds no tokenizer"
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True), ""
    except Exception as problem:  # a missing tokenizer package or a broken file raises nearly anything
        return None, f"its tokenizer could not be loaded ({brief(problem)})"


def read_preprocessing(id: str, folder: Path, model_type: str, vision: Any) -> tuple[Preprocessing, str]:
    """What the folder's image processor does, or what the class usually does where the folder holds none.

    Args:
        id: the encoder, for messages.
        folder: the model's folder.
        model_type: one of ``MODEL_CLASSES``.
        vision: the vision tower's settings.

    Returns:
        The preprocessing, and a sentence to tell the user, "" where there is nothing to tell.

    Raises:
        EncoderError: the processor does something that no square view can show.
    """
    if not any((folder / name).is_file() for name in TRANSFORMERS_FILES.companions):
        note = "The folder says nothing of preprocessing, so what this class usually does is assumed."
        return _usual(model_type, vision), note
    from transformers import AutoImageProcessor

    try:
        with quiet():
            processor: Any = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        return _read(processor, model_type, vision)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as problem:
        raise EncoderError(
            f"{id}: the image processor's settings cannot be used ({brief(problem)}): save or fetch them again."
        ) from problem


def _read(processor: Any, model_type: str, vision: Any) -> tuple[Preprocessing, str]:
    resample = Image.Resampling(processor.resample)
    scale = processor.rescale_factor if processor.do_rescale else 1.0
    mean, std = (processor.image_mean, processor.image_std) if processor.do_normalize else ((0.0,) * 3, (1.0,) * 3)
    colours: dict[str, Any] = {"mean": tuple(mean), "std": tuple(std), "scale": scale}
    if model_type.startswith("siglip2"):
        side = math.isqrt(processor.max_num_patches) * vision.patch_size
        note = "This encoder takes any shape; here it runs at its square default, so pictures are squashed unless cropped or padded."
        return Preprocessing(side, side, Fit.SQUASH, side, resample, **colours), note
    shorter = _entry(processor.size, "shortest_edge")
    resized = (_entry(processor.size, "width"), _entry(processor.size, "height"))
    crops = getattr(processor, "do_center_crop", False)
    cropped = (_entry(processor.crop_size, "width"), _entry(processor.crop_size, "height")) if crops else resized
    side = cropped[0] or shorter
    if side is None or cropped[0] != cropped[1] or not (shorter or resized == cropped):
        raise ValueError(f"{cropped[0]} × {cropped[1]} px cut out of {shorter or resized} px are no square")
    if shorter is not None and shorter < side:
        raise ValueError(f"{side} px cannot be cut out of {shorter}")
    fit = Fit.CROP if shorter else Fit.SQUASH
    seen = side // vision.patch_size * vision.patch_size
    return Preprocessing(side, seen, fit, shorter or side, resample, **colours), ""


def _usual(model_type: str, vision: Any) -> Preprocessing:
    side = vision.image_size if hasattr(vision, "image_size") else math.isqrt(vision.num_patches) * vision.patch_size
    seen = side // vision.patch_size * vision.patch_size
    if model_type.startswith("clip"):
        return Preprocessing(side, seen, Fit.CROP, side, Image.Resampling.BICUBIC, *CLIP_COLOURS)
    if model_type.startswith("dinov2"):  # its processor shows 224 px, whatever size it was trained at
        seen = 224 // vision.patch_size * vision.patch_size
        return Preprocessing(224, seen, Fit.CROP, 256, Image.Resampling.BICUBIC, *IMAGENET_COLOURS)
    resample = Image.Resampling.BICUBIC if model_type in SIGLIP else Image.Resampling.BILINEAR
    return Preprocessing(side, seen, Fit.SQUASH, side, resample, *HALVES)


def _entry(size: Any, key: str) -> int | None:
    """One side of a processor's size, which is a dict or a record by version of transformers."""
    return size.get(key) if isinstance(size, dict) else getattr(size, key, None)


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own progress bars and reports, which speak of what is checked here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def find_blocks(tower: nn.Module, count: int) -> nn.ModuleList:
    """The tower's transformer blocks, wherever this version of transformers keeps them."""
    return next(part for part in tower.modules() if isinstance(part, nn.ModuleList) and len(part) == count)
