"""The real classes of the mini family at tiny sizes, with random weights."""

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, LlamaForCausalLM, PreTrainedTokenizerFast

from explorer.jobs.lm_tokenizer import make_tokenizer
from explorer.models.language import LanguageShape, make_language
from explorer.scenes.kinds import COLOURS, KINDS, WORDS
from explorer.scenes.rewordings import spoken_words

BLOCKS = 4


def tokenizer() -> PreTrainedTokenizerFast:
    names = [name for kind in KINDS.values() for name in (kind.name, kind.plural)]
    parts = [part for name in names for part in name.split()]
    return make_tokenizer([*names, *parts, *COLOURS, *(word.lower() for word in WORDS), *spoken_words()])


def language(words: PreTrainedTokenizerFast, seed: int = 0) -> LlamaForCausalLM:
    """A model whose blocks do something, as after some training."""
    model = make_language(LanguageShape(blocks=2, width=32, mlp_width=48, heads=2), words, seed)
    for block in model.model.layers:
        torch.nn.init.normal_(block.self_attn.o_proj.weight, std=0.3)
        torch.nn.init.normal_(block.mlp.down_proj.weight, std=0.3)
    return model.eval()


def save_encoder(folder: Path, seed: int = 0) -> Path:
    """A CLIPModel in bfloat16 with the mini encoder's input, as its job writes it."""
    torch.manual_seed(seed)
    size = dict(hidden_size=16, intermediate_size=24, num_attention_heads=2)
    vision = dict(size, num_hidden_layers=BLOCKS, image_size=168, patch_size=14)
    text = dict(size, num_hidden_layers=1, vocab_size=64)
    model = CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=8))
    model.to(torch.bfloat16).save_pretrained(folder)
    CLIPImageProcessor(
        size={"shortest_edge": 168},
        crop_size={"height": 168, "width": 168},
        image_mean=(0.5, 0.5, 0.5),
        image_std=(0.25, 0.25, 0.25),
    ).save_pretrained(folder)
    return folder


def save_language(folder: Path, seed: int = 0) -> Path:
    words = tokenizer()
    language(words, seed).to(torch.bfloat16).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
