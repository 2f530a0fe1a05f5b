"""A random picture goes a checkpoint's own way, from its image processor to its projector, and hooks look on.

Hooks keep what enters the projector and what every block of the vision tower returns, and the two are compared. An
off-by-one, or a norm that nobody spoke of, cannot hide.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from explorer.layers import LayerSet
from explorer.models.hf_loading import find_blocks
from explorer.models.hub import brief
from explorer.records import CheckpointError

FINAL_NORMS = ("post_layernorm", "layernorm")
EQUAL = 1e-5  # of the largest value; the same numbers in the same format differ by 0


@dataclass(frozen=True)
class Check:
    """What hooks saw while one random picture went the checkpoint's own way.

    Attributes:
        picture_px: (width, height) of the picture.
        tiles: how many inputs of the tower it became.
        tokens: how many picture tokens reached the language model.
        found: of each D channels that entered the projector, the layer they are nearest to, whatever the config says.
        normed: for each of them, whether the tower's final norm had been applied.
        difference: largest absolute difference from the layers that the config names, no norm applied.
        nearest_other: the same from the nearest of all layers that the config does not name, for comparison.
        agrees: whether the config tells the truth: ``difference`` is nothing but rounding.
    """

    picture_px: tuple[int, int]
    tiles: int
    tokens: int
    found: tuple[int, ...]
    normed: tuple[bool, ...]
    difference: float
    nearest_other: float
    agrees: bool


def final_norm(tower: nn.Module) -> tuple[str, nn.Module | None]:
    """The norm after the last block: a part of the tower itself, not of its pooling head."""
    for wanted in FINAL_NORMS:
        for name, part in tower.named_modules():
            if name.rpartition(".")[2] == wanted:
                return wanted, part
    return "", None


@torch.no_grad()
def check_way(id: str, model: Any, images: Any, layers: LayerSet, norm: nn.Module | None) -> Check:
    """Let a random picture through a loaded model and compare.

    Args:
        id: how to call it.
        model: with ``vision_tower``, ``multi_modal_projector`` and ``get_image_features``.
        images: its image processor.
        layers: what its config says that it reads.
        norm: the tower's final norm.

    Raises:
        CheckpointError: the model's own code fails on the picture.
    """
    side = model.config.vision_config.image_size
    size = (side * 3 // 2, side)  # not square, so that a picture is tiled, padded or cropped as it would be
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    try:
        given = images(images=Image.fromarray(noise), return_tensors="pt")
        wanted = {name: given[name] for name in ("pixel_values", "image_sizes") if name in given}
        blocks = find_blocks(model.model.vision_tower, layers.blocks)
        with _watching(blocks, model.model.multi_modal_projector) as (states, entered):
            out = model.get_image_features(**wanted).pooler_output
    except Exception as problem:  # whatever the model's own code raises
        alone = " Layer 0 alone is more than some versions of transformers can read." if layers.layers == (0,) else ""
        raise CheckpointError(
            f"The image path of {id} fails on a picture of its own size: {brief(problem)}.{alone}"
        ) from problem
    parts = entered[0].split(model.config.vision_config.hidden_size, dim=-1)
    return _compare(parts, states, layers, norm, size, len(out[0]))


@contextmanager
def _watching(blocks: nn.ModuleList, projector: nn.Module) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Keep what enters the first block and leaves each, [tiles, T, D], and what enters the projector."""
    states: list[Tensor] = []
    entered: list[Tensor] = []

    def came(_: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        states.append((args[0] if args else named["hidden_states"]).clone())

    def left(_: Any, __: Any, output: Any) -> None:
        states.append((output[0] if isinstance(output, tuple) else output).clone())

    hooks = [blocks[0].register_forward_pre_hook(came, with_kwargs=True)]
    hooks += [block.register_forward_hook(left) for block in blocks]
    hooks += [projector.register_forward_pre_hook(lambda _, args: entered.append(args[0]))]
    try:
        yield states, entered
    finally:
        for hook in hooks:
            hook.remove()


def _compare(
    parts: tuple[Tensor, ...],
    states: list[Tensor],
    layers: LayerSet,
    norm: nn.Module | None,
    size: tuple[int, int],
    tokens: int,
) -> Check:
    """Measure each part that entered the projector against every layer, with and without the final norm."""
    cut = states[0].shape[1] - parts[0].shape[1]
    far = {
        (at, layer, normed): (part - (norm(state) if normed and norm else state)[:, cut:]).abs().max().item()
        for layer, state in enumerate(states)
        for normed in ((False, True) if norm else (False,))
        for at, part in enumerate(parts)
    }
    nearest = [min((key for key in far if key[0] == at), key=far.__getitem__) for at in range(len(parts))]
    difference = max(far[at, layer, False] for at, layer in enumerate(layers.layers))
    others = [far[key] for key in far if key[1] != layers.layers[key[0]]]
    return Check(
        picture_px=size,
        tiles=len(parts[0]),
        tokens=tokens,
        found=tuple(layer for _, layer, _ in nearest),
        normed=tuple(normed for _, _, normed in nearest),
        difference=difference,
        nearest_other=min(others),
        agrees=difference <= EQUAL * max(part.abs().max().item() for part in parts),
    )
