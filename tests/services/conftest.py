"""A tiny CLIP with random weights, saved as a person would have it: a folder that transformers can load."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """Folder of a CLIP with 4 blocks, 4 × 4 patches and a tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-clip"
    words = ["<|startoftext|>", "<|endoftext|>", "a", "red", "car"]
    text = {"vocab_size": len(words), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1}
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 2}
    vision |= {"image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12))
    model.save_pretrained(folder)
    size = {"height": 32, "width": 32}
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder)
    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="a"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<|startoftext|>", 0), ("<|endoftext|>", 1)]
    raw.post_processor = processors.TemplateProcessing(single="<|startoftext|> $A <|endoftext|>", special_tokens=ends)
    names = {"bos_token": words[0], "eos_token": words[1], "pad_token": words[1]}
    PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=8, **names).save_pretrained(folder)
    return folder


@pytest.fixture
def photo(tmp_path):
    """A picture of 60 × 40 px with structure."""
    rng = np.random.default_rng(1)
    path = tmp_path / "photo.png"
    Image.fromarray(rng.integers(0, 256, (5, 8, 3), dtype=np.uint8)).resize((60, 40)).save(path)
    return path
