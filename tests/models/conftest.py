"""Tiny random-weight models of the real classes, saved as their libraries save them."""

import functools
import string
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from explorer.records import Picture

SMALL = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4)
TEXT = dict(SMALL, vocab_size=200, max_position_embeddings=12)
LETTERS = string.ascii_lowercase + string.digits + string.punctuation


@dataclass(frozen=True)
class Made:
    """A saved model: its folder, and what is to be expected of the encoder that opens it."""

    folder: Path
    kind: str
    image_px: int
    grid: int
    registers: int
    has_cls: bool
    reads_text: bool


def clip_tokenizer() -> transformers.PreTrainedTokenizerBase:
    vocab = {"<|startoftext|>": 0, "<|endoftext|>": 199}
    for piece in [*LETTERS, *(letter + "</w>" for letter in LETTERS)]:
        vocab[piece] = len(vocab) - 1
    return transformers.CLIPTokenizer(vocab=vocab, merges=[])


def word_tokenizer() -> transformers.PreTrainedTokenizerBase:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<pad>", "</s>", "<unk>", "a", "red", "cat", "dog", "small"]
    model = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    model.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_input_names=["input_ids"]
    )


def letter_tokenizer() -> transformers.PreTrainedTokenizerBase:
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
    return transformers.Siglip2Tokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[])


def clip_config(**vision) -> transformers.CLIPConfig:
    return transformers.CLIPConfig(
        vision_config=dict(SMALL, image_size=56, patch_size=14, **vision),
        text_config=dict(TEXT, eos_token_id=199, bos_token_id=0),
        projection_dim=24,
    )


def shake(model: torch.nn.Module) -> torch.nn.Module:
    """Random numbers in place of what starts as zeros and ones, so that no part can hide."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            base = 1.0 if weight.ndim == 1 and "norm" in name and name.endswith("weight") else 0.0
            weight.copy_(base + 0.15 * torch.randn_like(weight))
    return model.eval()


def save_clip(folder):
    config = clip_config()
    shake(transformers.CLIPModel(config)).save_pretrained(folder)
    clip_tokenizer().save_pretrained(folder)
    transformers.CLIPImageProcessor(size={"shortest_edge": 56}, crop_size=56).save_pretrained(folder)
    return Made(folder, "CLIPModel", 56, 4, 0, True, True)


def save_clip_vision(folder):
    shake(transformers.CLIPVisionModel(clip_config().vision_config)).save_pretrained(folder)
    transformers.CLIPImageProcessor(size={"shortest_edge": 56}, crop_size=56).save_pretrained(folder)
    return Made(folder, "CLIPVisionModel", 56, 4, 0, True, False)


def save_siglip(folder):
    # 60 is no multiple of 14, as 384 is none in the so400m models
    config = transformers.SiglipConfig(
        vision_config=dict(SMALL, image_size=60, patch_size=14), text_config=dict(TEXT, projection_size=32)
    )
    shake(transformers.SiglipModel(config)).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    transformers.SiglipImageProcessor(size={"height": 60, "width": 60}).save_pretrained(folder)
    return Made(folder, "SiglipModel", 56, 4, 0, False, True)


def save_siglip2(folder):
    config = transformers.Siglip2Config(
        vision_config=dict(SMALL, num_patches=16, patch_size=8), text_config=dict(TEXT, projection_size=32)
    )
    shake(transformers.Siglip2Model(config)).save_pretrained(folder)
    letter_tokenizer().save_pretrained(folder)
    transformers.Siglip2ImageProcessor(patch_size=8, max_num_patches=16).save_pretrained(folder)
    return Made(folder, "Siglip2Model", 32, 4, 0, False, True)


def save_dinov2(folder):
    config = transformers.Dinov2Config(**SMALL, image_size=70, patch_size=14)  # trained at 5 × 5, shown 4 × 4
    shake(transformers.Dinov2Model(config)).save_pretrained(folder)
    processor = transformers.BitImageProcessor(size={"shortest_edge": 64}, crop_size=56)
    processor.save_pretrained(folder)
    return Made(folder, "Dinov2Model", 56, 4, 0, True, False)


def save_dinov2_registers(folder):
    config = transformers.Dinov2WithRegistersConfig(**SMALL, image_size=70, patch_size=14, num_register_tokens=3)
    shake(transformers.Dinov2WithRegistersModel(config)).save_pretrained(folder)
    transformers.BitImageProcessor(size={"shortest_edge": 64}, crop_size=56).save_pretrained(folder)
    return Made(folder, "Dinov2WithRegistersModel", 56, 4, 3, True, False)


def save_vit(folder):
    config = transformers.ViTConfig(**SMALL, image_size=48, patch_size=16, num_labels=5)
    shake(transformers.ViTForImageClassification(config)).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 48, "width": 48}).save_pretrained(folder)
    return Made(folder, "ViTModel", 48, 3, 0, True, False)


MAKERS = {
    "clip": save_clip,
    "clip_vision": save_clip_vision,
    "siglip": save_siglip,
    "siglip2": save_siglip2,
    "dinov2": save_dinov2,
    "dinov2_registers": save_dinov2_registers,
    "vit": save_vit,
}


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Folder of a tiny model by name, made once."""
    made = {}

    def get(name: str) -> Made:
        if name not in made:
            made[name] = MAKERS[name](tmp_path_factory.mktemp(name))
        return made[name]

    return get


@pytest.fixture(params=MAKERS)
def model(request, saved) -> Made:
    return saved(request.param)


@pytest.fixture(scope="session")
def opened():
    """The encoder of a made model in float32 on the CPU, opened once."""
    from explorer.models.encoders import open_encoder

    return functools.cache(lambda made: open_encoder(str(made.folder), device="cpu", dtype="float32"))


def draw(width: int, height: int, seed: int = 0) -> Picture:
    """A smooth coloured picture, so that a shift by a pixel shows."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = np.random.default_rng(seed).uniform(2, 9, (3, 2))
    planes = [127.5 + 127 * np.sin(a * x * 6.3 + seed) * np.cos(b * y * 6.3) for a, b in waves]
    return Picture(f"drawn {seed}", np.stack(planes, axis=-1).round().astype(np.uint8))
