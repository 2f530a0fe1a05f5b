"""The one place where layers are counted.

Layer 0 is the patch embedding and layer k the output of block k, as Hugging Face's ``hidden_states`` and the
paper count them (arXiv 2504.21447). CLIP ViT-L/14 has 24 blocks, so 25 layers: 23 is the usual "-2", 24 the "-1".
"""

from __future__ import annotations

from dataclasses import dataclass

from explorer.records import Groups, InputError

PAPER_BLOCKS = 24
PAPER_FUSION = (3, 18, 23)
PAPER_GROUPS = Groups((1, 13, 21), 25, ("shallow", "middle", "deep"), source="paper")


def resolve_layer(layer: int, blocks: int) -> int:
    """Turn a layer number, possibly negative, into 0…blocks.

    Args:
        layer: 0 is the patch embedding, -1 the last block's output.
        blocks: number of blocks of the encoder.

    Raises:
        InputError: the encoder has no such layer.
    """
    resolved = layer + blocks + 1 if layer < 0 else layer
    if not 0 <= resolved <= blocks:
        raise InputError(
            f"Layer {layer} does not exist: this encoder has layers 0 (patch embedding) to {blocks}, or -{blocks + 1} to -1."
        )
    return resolved


@dataclass(frozen=True)
class LayerSet:
    """The layers a checkpoint reads, resolved, in the order of the projector's channels."""

    layers: tuple[int, ...]
    blocks: int

    @classmethod
    def of(cls, layers: int | list[int] | tuple[int, ...], blocks: int) -> LayerSet:
        """Resolve one layer or several; the order is kept because the projector's channels follow it."""
        given = (layers,) if isinstance(layers, int) else tuple(layers)
        if not given:
            raise InputError("No layer was given: name at least one.")
        return cls(tuple(resolve_layer(layer, blocks) for layer in given), blocks)

    @classmethod
    def parse(cls, text: str, blocks: int) -> LayerSet:
        """Read "18" or "3,18,23" or "3+18+23"."""
        try:
            return cls.of([int(part) for part in text.replace("+", ",").split(",")], blocks)
        except ValueError:
            raise InputError(f"Cannot read {text!r} as layers: write numbers such as 18 or 3,18,23.") from None

    @property
    def fused(self) -> bool:
        """Whether several layers are read."""
        return len(self.layers) > 1

    def title(self) -> str:
        """For people: "layer 18 · middle" or "3 + 18 + 23 · fused"."""
        if self.fused:
            return " + ".join(map(str, self.layers)) + " · fused"
        name = group_of(self.layers[0], self.blocks)
        return f"layer {self.layers[0]}" + (f" · {name}" if name else "")


def group_of(layer: int, blocks: int) -> str:
    """The paper's group of a layer in an encoder of 24 blocks; "" for other depths and for layer 0."""
    if blocks != PAPER_BLOCKS:
        return ""
    return next((name for name, first, last in PAPER_GROUPS.ranges() if first <= layer <= last), "")
