"""Loading what ``AutoModelForImageTextToText`` and ``AutoProcessor`` load: from a folder or the hub, if it fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from explorer.layers import LayerSet
from explorer.models.catalogue import repository_of
from explorer.models.hardware import choose_device, choose_dtype
from explorer.models.hf_loading import quiet
from explorer.models.hub import TRANSFORMERS_FILES, Progress, brief, check_safetensors, fetch, fetch_config
from explorer.models.libraries import ONE_MODEL
from explorer.models.memory import (
    check_quantisation,
    count_weights,
    free_bytes,
    needed_bytes,
    plan,
    quantisation,
    release,
)
from explorer.records import CheckpointError, EncoderError, InputError


@dataclass(frozen=True)
class Loaded:
    """A checkpoint, ready to answer.

    Attributes:
        id: how it was asked for.
        folder: where its files are.
        model: in evaluation mode, on its device.
        processor: with a chat template.
        layers: what it reads, () where its config does not say.
        blocks: of its vision tower, 0 where unknown.
        form: number format of its weights ("bfloat16", "4 bits").
        size_bytes: of its weights in memory.
    """

    id: str
    folder: Path
    model: Any
    processor: Any
    layers: tuple[int, ...]
    blocks: int
    form: str
    size_bytes: int


def find_checkpoint(id: str, report: Progress = lambda *_: None, *, config_only: bool = False) -> Path:
    """The folder of a checkpoint: its own, or of the hub's cache, downloaded where it is not there.

    Args:
        id: a folder or a hub id.
        report: told a fraction 0…1 and a sentence.
        config_only: its small files are enough.

    Raises:
        CheckpointError: it cannot be had.
    """
    path = Path(id).expanduser()
    if path.is_dir():
        return path
    repository, revision = repository_of("checkpoints", id)
    try:
        return (
            fetch_config(repository, revision)
            if config_only
            else fetch(repository, TRANSFORMERS_FILES, report, revision)
        )
    except EncoderError as problem:
        raise CheckpointError(str(problem)) from problem


def load_checkpoint(
    id: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    bits: int = 0,
    report: Progress = lambda *_: None,
    drop_oldest: Callable[[], bool] = lambda: False,
) -> Loaded:
    """Load a checkpoint.

    Args:
        id: a folder or a hub id.
        device: "cpu", "cuda"; None takes CUDA where present.
        dtype: number format; None takes what this hardware is fastest in, or bfloat16 where only that fits.
        bits: 4 or 8 for weights in so many bits, 0 for whole numbers.
        report: told a fraction 0…1 and a sentence; what it raises stops the work.
        drop_oldest: lets another model go and returns whether there was one; called until this one fits.

    Raises:
        CheckpointError: it cannot be had, does not fit, is damaged, or is of a kind that cannot be asked.
        SettingsError: there is no such device or number format.
    """
    where = choose_device(device)
    usual = choose_dtype(dtype, where)
    if bits:
        check_quantisation(bits, where.type == "cuda")
    folder = find_checkpoint(id, lambda part, said: report(0.8 * part, said))
    processor = _load_processor(id, folder)
    form = _choose_form(id, folder, where, usual, dtype, bits, drop_oldest)
    report(0.85, f"Reading the weights of {id}")
    model = _load_model(id, folder, where, form, bits, usual)
    report(1.0, f"{id} is ready")
    layers, blocks = layers_of(id, model.config)
    size = sum(weight.nbytes for weight in model.parameters())
    return Loaded(id, folder, model, processor, layers, blocks, form, size)


def layers_of(id: str, config: Any) -> tuple[tuple[int, ...], int]:
    """The true layers that a config names and the blocks of its vision tower; () and 0 where it does not say.

    Raises:
        CheckpointError: the tower has no such layer.
    """
    given = getattr(config, "vision_feature_layer", None)
    blocks = getattr(getattr(config, "vision_config", None), "num_hidden_layers", None)
    if given is None or not isinstance(blocks, int):
        return (), blocks if isinstance(blocks, int) else 0
    try:
        return LayerSet.of(given, blocks).layers, blocks
    except InputError as problem:
        raise CheckpointError(f"config.json of {id} names an impossible layer. {problem}") from None


def _choose_form(
    id: str,
    folder: Path,
    where: torch.device,
    usual: torch.dtype,
    dtype: str | None,
    bits: int,
    drop_oldest: Callable[[], bool],
) -> str:
    weights = count_weights(folder)
    if not weights:
        raise CheckpointError(
            f"{id} holds no complete weights (model.safetensors, with all parts): fetch or save it again."
        )
    name = str(usual).removeprefix("torch.")
    forms = [f"{bits} bits"] if bits else [name] if dtype or name != "float32" else [name, "bfloat16"]
    release(str(where))
    free = free_bytes(str(where))
    while free is not None and free < needed_bytes(weights, forms[0]) and drop_oldest():
        release(str(where))
        free = free_bytes(str(where))
    return plan(id, weights, forms, free, str(where)).form


def _load_processor(id: str, folder: Path) -> Any:
    from transformers import AutoProcessor

    try:
        processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as problem:  # a file that is missing, broken or strange makes transformers raise nearly anything
        raise CheckpointError(
            f"The processor of {id} cannot be loaded ({brief(problem)}): fetch or save it again."
        ) from problem
    if not hasattr(processor, "image_processor") or not getattr(processor, "tokenizer", None):
        raise CheckpointError(f"{id} does not read pictures and texts together, so it cannot be asked about a picture.")
    if not processor.chat_template:
        raise CheckpointError(
            f"{id} says nothing of how it is to be asked: its folder lacks a chat template (chat_template.jinja)."
        )
    return processor


def _load_model(id: str, folder: Path, where: torch.device, form: str, bits: int, usual: torch.dtype) -> Any:
    from transformers import AutoModelForImageTextToText

    for name in TRANSFORMERS_FILES.weight_files(path.name for path in folder.iterdir()):
        if name.endswith(".safetensors"):
            try:
                check_safetensors(folder / name)
            except EncoderError as problem:
                raise CheckpointError(str(problem)) from None
    dtype = usual if bits else getattr(torch, form)
    straight = bits or (where.type == "cuda" and find_spec("accelerate"))  # to the GPU without a copy on the CPU
    extra: dict[str, Any] = {"device_map": {"": where}} if straight else {}
    if bits:
        extra["quantization_config"] = quantisation(bits, dtype)
    try:
        with ONE_MODEL, quiet():
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                weights_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **extra,
            )
        model, said = loaded
        model = model.eval() if straight else model.to(where).eval()
    except Exception as problem:  # as above; and a GPU that is full
        raise CheckpointError(f"{id} cannot be loaded ({brief(problem)}).") from problem
    if missing := sorted(said["missing_keys"]):
        raise CheckpointError(
            f"{id} lacks {len(missing)} weights, {missing[0]} for one: random numbers would stand in for them, so it is "
            "not used."
        )
    return model
