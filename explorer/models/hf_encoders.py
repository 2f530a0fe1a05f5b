"""Vision encoders of the transformers library: CLIP, SigLIP, SigLIP 2, DINOv2 (with and without registers), ViT.

Attribute names differ between classes and between versions of transformers 5, so parts of a block are found by the
names they have anywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from explorer.models.hf_loading import find_blocks, load_model, load_tokenizer, read_model_type, read_preprocessing
from explorer.models.hub import Progress
from explorer.models.vision import VisionEncoder, make_layout, prepare, split_heads
from explorer.records import EncoderError, EncoderInfo

FIRST_NORM = ("layer_norm1", "norm1", "layernorm_before")
QUERY, KEY = ("q_proj", "query"), ("k_proj", "key")


class TransformersEncoder(VisionEncoder):
    """DINOv2 and ViT; and what the encoders with a text tower have in common with them."""

    def __init__(self, model: Any, tokenizer: Any, why_no_text: str, **parts: Any) -> None:
        super().__init__(**parts)
        self._model = model
        self._tower = tower_of(model)
        self._tokenizer = tokenizer
        self._reason = why_no_text

    def _run(self, pixels: Tensor) -> None:
        # DINOv2 fits its positions to the input by itself; the others are asked to, which changes nothing at their
        # own size and allows an input cut to a whole number of patches
        fitting = {} if "dinov2" in self._tower.config.model_type else {"interpolate_pos_encoding": True}
        self._tower(pixel_values=pixels, **fitting)

    def _query_and_keys(self, number: int, state: Tensor) -> tuple[Tensor, Tensor]:
        block = self._blocks[number]
        normed = _part(block, FIRST_NORM)(state)
        cls = self.layout.cls or 0
        query = _part(block, QUERY)(normed[:, cls : cls + 1])
        return split_heads(query, self.info.heads), split_heads(_part(block, KEY)(normed), self.info.heads)

    def _project(self, tokens: Tensor) -> Tensor:
        raise EncoderError(self._why_no_text())

    def _embed_text(self, text: str) -> Tensor:
        raise EncoderError(self._why_no_text())

    def _why_no_text(self) -> str:
        return f"{self.info.title} cannot be compared with a text: {self._reason}."

    def _token_ids(self, text: str, **padding: Any) -> Tensor:
        context = self._model.config.text_config.max_position_embeddings
        found = self._tokenizer(text, truncation=True, max_length=context, return_tensors="pt", **padding)
        ids = found.input_ids.to(self._device)
        if ids.max() >= self._model.config.text_config.vocab_size:
            raise EncoderError(f"The tokenizer of {self.info.title} does not belong to its text tower: fetch it again.")
        return ids


class CLIPEncoder(TransformersEncoder):
    """CLIP: final norm, then one linear projection."""

    def _project(self, tokens: Tensor) -> Tensor:
        return self._model.visual_projection(self._tower.post_layernorm(tokens))

    def _embed_text(self, text: str) -> Tensor:
        pooled = self._model.text_model(input_ids=self._token_ids(text)).pooler_output
        return self._model.text_projection(pooled)[0]


class SiglipEncoder(TransformersEncoder):
    """SigLIP: final norm, then a pooling head in which a probe attends to the patches."""

    def _project(self, tokens: Tensor) -> Tensor:
        # attention over a single token has weight 1 whatever the probe asks, so it is the value projection alone
        head, width = self._tower.head, self.info.width
        values = linear(
            self._tower.post_layernorm(tokens),
            head.attention.in_proj_weight[2 * width :],
            head.attention.in_proj_bias[2 * width :],
        )
        pooled = head.attention.out_proj(values)
        return pooled + head.mlp(head.layernorm(pooled))

    def _embed_text(self, text: str) -> Tensor:
        # trained on lower case, always padded on the right to the full length, without a mask
        ids = self._token_ids(text.lower(), padding="max_length", padding_side="right")
        return self._model.text_model(input_ids=ids).pooler_output[0]


class Siglip2Encoder(SiglipEncoder):
    """SigLIP 2 of variable resolution (NaFlex), at its square default: pixels go in as a list of patches."""

    def _run(self, pixels: Tensor) -> None:
        side, px = self.layout.rows, self.info.patch_px
        cut = pixels.unflatten(2, (side, px)).unflatten(4, (side, px))  # (N, 3, rows, px, cols, px)
        patches = cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)  # (N, P, px * px * 3)
        shapes = torch.full((len(pixels), 2), side, device=pixels.device)
        mask = torch.ones(patches.shape[:2], dtype=torch.long, device=pixels.device)
        self._tower(pixel_values=patches, pixel_attention_mask=mask, spatial_shapes=shapes)


ENCODERS = {
    "clip": CLIPEncoder,
    "siglip": SiglipEncoder,
    "siglip2": Siglip2Encoder,
    "siglip2_vision_model": Siglip2Encoder,
}


def load_folder(
    id: str, title: str, folder: Path, device: torch.device, dtype: torch.dtype, report: Progress
) -> VisionEncoder:
    """Load an encoder from a folder as transformers saves it.

    Raises:
        EncoderError: the folder cannot be used; the sentence says why.
    """
    model_type = read_model_type(id, folder)
    report(0.0, f"Reading the weights of {title}")
    model = load_model(id, folder, model_type, dtype, device)
    config = tower_of(model).config
    preprocessing, note = read_preprocessing(id, folder, model_type, config)
    report(0.7, f"Checking the weights of {title}")
    prepare(id, model, device, dtype)
    tokenizer, reason = _reads_text(model, folder)
    layout = make_layout(
        preprocessing.seen_px // config.patch_size,
        cls=not model_type.startswith("siglip"),
        registers=getattr(config, "num_register_tokens", 0),
    )
    info = EncoderInfo(
        id=id,
        title=title,
        architecture=type(model).__name__,
        blocks=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        patch_px=config.patch_size,
        image_px=preprocessing.seen_px,
        parameters=sum(weight.numel() for weight in tower_of(model).parameters()),
        reads_text=not reason,
        has_cls=layout.cls is not None,
        dtype=str(dtype).removeprefix("torch."),
        device=str(device),
        layer_note=layer_note(config.num_hidden_layers, pre_norm=model_type.startswith("clip"), note=note),
    )
    blocks = find_blocks(tower_of(model), info.blocks)
    report(1.0, f"{title} is ready")
    return ENCODERS.get(model_type, TransformersEncoder)(
        model, tokenizer, reason, info=info, layout=layout, preprocessing=preprocessing, blocks=blocks
    )


def tower_of(model: Any) -> Any:
    """The vision tower of a model that may have two."""
    return getattr(model, "vision_model", model)


def layer_note(blocks: int, *, pre_norm: bool, note: str = "") -> str:
    """Where the first and last layer are taken, for people."""
    first = "the patch embedding with positions" + (", after the norm before the first block" if pre_norm else "")
    said = f"Layer 0 is {first}; layer {blocks} is what the last block returns, before the final norm."
    return f"{said} {note}".rstrip()


def _reads_text(model: Any, folder: Path) -> tuple[Any, str]:
    """The tokenizer and "", or None and the reason why texts cannot be matched."""
    if not hasattr(model, "text_model"):
        return None, "it has no text tower"
    if not hasattr(model, "visual_projection") and not hasattr(tower_of(model), "head"):
        return None, "its vision tower has no pooling head"
    return load_tokenizer(folder)


def _part(block: nn.Module, names: tuple[str, ...]) -> nn.Module:
    return next(part for name, part in block.named_modules() if name.rpartition(".")[2] in names)
