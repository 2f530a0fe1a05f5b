"""Checkpoints of the mini family at tiny sizes, with random weights, in one folder as the built-in ones lie."""

from pathlib import Path

import tiny_family
import torch

from explorer.models.family import make_processor, save_checkpoint
from explorer.models.projections import LayerProjections

WIDTH = 32
SETS = {"mini-l2": [2], "mini-l4": [4], "mini-fused": [1, 3, 4], "mini-any": [1, 2, 3, 4]}


def save_checkpoints(root: Path, sets: dict[str, list[int]] = SETS) -> Path:
    """Write an encoder with four blocks to ``root/encoder`` and a checkpoint for each entry."""
    encoder = tiny_family.save_encoder(root / "encoder")
    words = tiny_family.tokenizer()
    processor = make_processor(str(encoder), words)
    for seed, (name, layers) in enumerate(sets.items()):
        torch.manual_seed(seed)
        maps = LayerProjections(layers, WIDTH, 16)
        torch.nn.init.normal_(maps.weight, std=0.3)
        language = tiny_family.language(words, seed)
        save_checkpoint(root / name, maps, language, processor, str(encoder), name.startswith("mini-any"), {})
    return root
