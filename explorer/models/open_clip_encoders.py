"""Vision encoders of open_clip: its own vision transformer, and plain transformers of timm (EVA02, SigLIP)."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from explorer.models import hub
from explorer.models.catalogue import OPEN_CLIP, OPEN_CLIP_WEIGHTS, find_entry, open_clip_files
from explorer.models.hf_encoders import layer_note
from explorer.models.libraries import ONE_MODEL
from explorer.models.memory import ENCODER_BYTES, check_encoder, count_file
from explorer.models.views import Preprocessing
from explorer.models.vision import VisionEncoder, make_layout, prepare, split_heads
from explorer.records import EncoderError, EncoderInfo, Fit

READABLE = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
TOKENIZER_FILES = hub.FileChoice(
    weights=(r"tokenizer\.json",), extras=(".json", ".txt", ".model"), probe=("tokenizer.json",)
)
FITS = {"shortest": Fit.CROP, "squash": Fit.SQUASH}


class OpenClipEncoder(VisionEncoder):
    """What both kinds of tower have in common."""

    def __init__(self, model: Any, tokenizer: Any, why_no_text: str, **parts: Any) -> None:
        super().__init__(**parts)
        self._model = model
        self._tower = model.visual
        self._tokenizer = tokenizer
        self._reason = why_no_text

    def _embed_text(self, text: str) -> Tensor:
        return self._model.encode_text(self._tokenizer([text]).to(self._device))[0]

    def _why_no_text(self) -> str:
        return f"{self.info.title} cannot be compared with a text: {self._reason}."


class NativeEncoder(OpenClipEncoder):
    """open_clip's own ``VisionTransformer``."""

    def _run(self, pixels: Tensor) -> None:
        self._tower(pixels)

    def _project(self, tokens: Tensor) -> Tensor:
        return self._tower.ln_post(tokens) @ self._tower.proj

    def _query_and_keys(self, number: int, state: Tensor) -> tuple[Tensor, Tensor]:
        block: Any = self._blocks[number]
        attn, width = block.attn, self.info.width
        if getattr(attn, "logit_scale", None) is not None:
            raise EncoderError(f"{self.info.title} attends by scaled cosine, which is not recomputed here.")
        normed = block.ln_1(state)
        query = linear(normed[:, :1], attn.in_proj_weight[:width], attn.in_proj_bias[:width])
        keys = linear(normed, attn.in_proj_weight[width : 2 * width], attn.in_proj_bias[width : 2 * width])
        query, keys = split_heads(query, self.info.heads), split_heads(keys, self.info.heads)
        return (attn.ln_q(query), attn.ln_k(keys)) if hasattr(attn, "ln_q") else (query, keys)


class TimmEncoder(OpenClipEncoder):
    """A tower of timm that is a plain row of transformer blocks: ``VisionTransformer`` or ``Eva``."""

    def _run(self, pixels: Tensor) -> None:
        spare = self.preprocessing.input_px - self.preprocessing.seen_px  # timm insists on the rim nobody sees
        self._tower(pad(pixels, (0, spare, 0, spare)))

    def _project(self, tokens: Tensor) -> Tensor:
        trunk = self._tower.trunk
        alone = trunk.norm(tokens.flatten(0, -2))  # (B, D): each token pooled alone is itself, or its pooled value
        if trunk.attn_pool is not None:
            alone = trunk.attn_pool(alone[:, None])
        return self._tower.head(trunk.head(trunk.fc_norm(alone))).unflatten(0, tokens.shape[:-1])

    def _query_and_keys(self, number: int, state: Tensor) -> tuple[Tensor, Tensor]:
        block: Any = self._blocks[number]
        attn = block.attn
        normed = state if type(block).__name__ == "EvaBlockPostNorm" else block.norm1(state)
        if getattr(attn, "qkv", None) is not None:
            query, keys, _ = linear(normed, attn.qkv.weight, _timm_bias(attn)).chunk(3, dim=-1)
        else:
            query, keys = attn.q_proj(normed), attn.k_proj(normed)
        query = attn.q_norm(split_heads(query[:, :1], self.info.heads))
        return query, self._rotated(number, attn, attn.k_norm(split_heads(keys, self.info.heads)))

    def _rotated(self, number: int, attn: Any, keys: Tensor) -> Tensor:
        """Keys with the rotary positions that EVA02 gives to patches; the CLS token, and so the query, has none."""
        from timm.layers.pos_embed_sincos import apply_rot_embed_cat

        trunk = self._tower.trunk
        if getattr(trunk, "rope", None) is None:
            return keys
        rope = trunk.rope.get_embed()
        rope = rope[number] if getattr(trunk, "rope_mixed", False) else rope
        prefix = trunk.num_prefix_tokens
        patches = apply_rot_embed_cat(keys[:, :, prefix:], rope, half=getattr(attn, "rotate_half", False))
        return torch.cat([keys[:, :, :prefix], patches], dim=2)


def _timm_bias(attn: Any) -> Tensor | None:
    if getattr(attn, "q_bias", None) is not None:
        return torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])
    return attn.qkv.bias


def load_open_clip(id: str, device: torch.device, dtype: torch.dtype, report: hub.Progress) -> VisionEncoder:
    """Load "open_clip:ARCH/TAG_OR_FILE".

    Raises:
        EncoderError: the architecture or tag is unknown, the file cannot be used, the model does not fit into memory, or
            the tower is no plain vision transformer. Weights are never left random.
    """
    import open_clip

    arch, _, source = id.removeprefix(OPEN_CLIP).partition("/")
    config = open_clip.get_model_config(arch)
    if config is None:
        close = difflib.get_close_matches(arch, open_clip.list_models(), n=3, cutoff=0.5)
        hint = f"perhaps {', '.join(close)}" if close else "open_clip.list_models() names them all"
        raise EncoderError(f"open_clip knows no architecture {arch!r}: {hint}.")
    if "hf_model_name" in config["text_cfg"]:
        raise EncoderError(
            f"{arch} takes its text tower from another model, which is not supported: choose another one."
        )
    entry = find_entry("encoders", id)

    def fits(weights: int) -> None:
        check_encoder(id, weights, dtype, device)

    path, published = _find_weights(
        arch,
        source,
        entry.revision if entry else "main",
        lambda part, said: report(0.8 * part, said),
        lambda size: fits(size // ENCODER_BYTES),
    )
    report(0.8, f"Reading the weights of {arch}")
    if path.suffix == ".safetensors":  # of other files only the bytes are known, and training leaves more than weights
        hub.check_safetensors(path)
        fits(count_file(path))
    model = _load_model(arch, path, published)
    tower = _look_at(arch, model.visual)
    prepare(id, model, device, dtype)
    how = _preprocessing(arch, model.visual.image_size, tower.patch_px, published)
    tokenizer, reason = _load_tokenizer(arch, model.visual, config["text_cfg"])
    layout = make_layout(how.seen_px // tower.patch_px, cls=tower.cls, registers=tower.registers)
    info = EncoderInfo(
        id=id,
        title=entry.title if entry else f"{arch} ({Path(source).name})",
        architecture=type(getattr(model.visual, "trunk", model.visual)).__name__,
        blocks=len(tower.blocks),
        width=tower.width,
        heads=tower.blocks[0].attn.num_heads,
        patch_px=tower.patch_px,
        image_px=how.seen_px,
        parameters=sum(weight.numel() for weight in model.visual.parameters()),
        reads_text=not reason,
        has_cls=tower.cls,
        dtype=str(dtype).removeprefix("torch."),
        device=str(device),
        layer_note=layer_note(len(tower.blocks), pre_norm=not isinstance(tower.pre_norm, nn.Identity)),
    )
    report(1.0, f"{info.title} is ready")
    return tower.kind(model, tokenizer, reason, info=info, layout=layout, preprocessing=how, blocks=tower.blocks)


def _find_weights(
    arch: str, source: str, revision: str, report: hub.Progress, check: Callable[[int], None]
) -> tuple[Path, dict[str, Any]]:
    """The weights file, and how the weights were published: their preprocessing and activation."""
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    tags = list_pretrained_tags_by_model(arch)
    published = get_pretrained_cfg(arch, source)
    path = Path(source).expanduser()
    if published:
        repository, _, name = published.get("hf_hub", "").rpartition("/")
        if not repository:
            raise EncoderError(
                f"The weights {source!r} of {arch} are not on the Hugging Face hub: download the file and give its path."
            )
        names = (f"{name.rpartition('.')[0]}.safetensors", name) if name else OPEN_CLIP_WEIGHTS
        choice = open_clip_files(names)
        folder = hub.fetch(repository, choice, report, revision, check)
        return folder / choice.weight_files(file.name for file in folder.iterdir())[0], published
    if not path.is_file():
        raise EncoderError(
            f"{source!r} is neither a file nor a name of published weights of {arch}: "
            + (f"give a file or one of {', '.join(tags)}." if tags else "give a file.")
        )
    if path.suffix not in READABLE:
        raise EncoderError(f"{path} has the ending {path.suffix!r}: weights are read from {', '.join(READABLE)}.")
    return path, _shared_by([get_pretrained_cfg(arch, tag) for tag in tags])


def _shared_by(known: list[dict[str, Any]]) -> dict[str, Any]:
    """What all published weights of an architecture share: a file does not say how it was trained."""
    keys = ("mean", "std", "interpolation", "resize_mode")
    return {key: known[0][key] for key in keys if known and all(other.get(key) == known[0][key] for other in known)}


def _load_model(arch: str, path: Path, published: dict[str, Any]) -> Any:
    import open_clip

    try:
        with ONE_MODEL:
            return open_clip.create_model(
                arch,
                pretrained=str(path),
                require_pretrained=True,
                weights_only=True,
                pretrained_text=False,
                force_quick_gelu=bool(published.get("quick_gelu")),
            )
    except Exception as problem:  # a broken file makes torch and open_clip raise nearly anything
        raise EncoderError(
            f"{path} could not be loaded as weights of {arch} ({hub.brief(problem)}): check that both belong together."
        ) from problem


@dataclass(frozen=True)
class _Tower:
    """What the encoder's parts are called in this kind of tower."""

    kind: type[OpenClipEncoder]
    blocks: Any
    width: int
    patch_px: int
    cls: bool
    registers: int
    pre_norm: nn.Module


def _look_at(arch: str, visual: Any) -> _Tower:
    if hasattr(visual, "transformer"):
        body = visual.transformer
        return _Tower(NativeEncoder, body.resblocks, body.width, visual.patch_size[0], True, 0, visual.ln_pre)
    trunk: Any = getattr(visual, "trunk", visual)
    if type(trunk).__name__ not in ("VisionTransformer", "Eva"):
        raise EncoderError(
            f"{arch} is no plain vision transformer, so it has no layers of patches to compare: choose a ViT."
        )
    cls = trunk.cls_token is not None
    registers = trunk.num_prefix_tokens - int(cls)
    patch_px = trunk.patch_embed.feat_ratio()
    return _Tower(TimmEncoder, trunk.blocks, trunk.embed_dim, patch_px, cls, registers, trunk.norm_pre)


def _preprocessing(arch: str, image_size: Any, patch_px: int, published: dict[str, Any]) -> Preprocessing:
    from open_clip.transform import PreprocessCfg

    side, *others = image_size if isinstance(image_size, tuple) else (image_size,)
    if any(other != side for other in others):
        raise EncoderError(f"{arch} takes pictures of {image_size} px, which is no square: choose another one.")
    how = PreprocessCfg(**{key: value for key, value in published.items() if key in PreprocessCfg.__dataclass_fields__})
    if how.resize_mode not in FITS:
        raise EncoderError(
            f"{arch} lays pictures out by {how.resize_mode!r}, which is not supported: choose another one."
        )
    resample = Image.Resampling.BILINEAR if how.interpolation == "bilinear" else Image.Resampling.BICUBIC
    colours: dict[str, Any] = {"mean": tuple(how.mean), "std": tuple(how.std)}
    seen = side // patch_px * patch_px
    return Preprocessing(side, seen, FITS[how.resize_mode], side, resample, rounds_offset=True, **colours)


def _load_tokenizer(arch: str, tower: Any, text: dict[str, Any]) -> tuple[Any, str]:
    """The tokenizer and "", or None and the reason why texts cannot be matched."""
    import open_clip
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer

    if isinstance(getattr(tower, "attn_pool", None), nn.Module):
        return None, "its vision tower pools all patches by attention before it projects them"
    name = text.get("hf_tokenizer_name")
    if not name:
        return open_clip.get_tokenizer(arch), ""
    try:
        folder = hub.fetch(name, TOKENIZER_FILES, lambda part, said: None)
        mode, named = text.get("tokenizer_mode"), text.get("tokenizer_kwargs", {})
        length = text.get("context_length", DEFAULT_CONTEXT_LENGTH)
        return HFTokenizer(str(folder), context_length=length, tokenizer_mode=mode, **named), ""
    except Exception as problem:  # what cannot be fetched or read only costs the text match
        return None, f"its tokenizer could not be loaded ({hub.brief(problem)})"
