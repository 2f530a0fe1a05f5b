"""Tiny random-weight checkpoints of the real classes, each a whole folder with its processor and chat template."""

import functools
from pathlib import Path

import torch
import transformers

from explorer.models.import_llava import CHAT_TEMPLATE

BLOCKS = 4
SMALL = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=BLOCKS, num_attention_heads=2)
VISION = dict(SMALL, image_size=28, patch_size=14)
CLIP, SIGLIP = dict(VISION, model_type="clip_vision_model"), dict(VISION, model_type="siglip_vision_model")
WORDS = "<unk> <s> </s> <pad> <image> <video> USER: ASSISTANT: Is there a cat? How many cats are there? yes no".split()
WORDS = list(dict.fromkeys([*WORDS, *map(str, range(11)), *"the A room. What is it? Yes".split()]))
TEXT = dict(hidden_size=20, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, vocab_size=48)
TEXT |= dict(bos_token_id=1, eos_token_id=2, pad_token_id=3)
LLAMA = dict(TEXT, model_type="llama")
QWEN = dict(TEXT, model_type="qwen2", num_key_value_heads=2)
GRANITE_TEXT = dict(TEXT, model_type="granite", num_key_value_heads=2)
GRIDS = [[28, 56], [56, 28], [56, 56]]
IDS = dict(image_token_index=WORDS.index("<image>"))

KINDS = {  # class, config, its true layers
    "llava": ("Llava", dict(vision_config=CLIP, text_config=LLAMA, vision_feature_layer=-2), (3,)),
    "next": ("LlavaNext", dict(vision_config=CLIP, text_config=LLAMA, image_grid_pinpoints=GRIDS), (3,)),
    "vip": ("VipLlava", dict(vision_config=CLIP, text_config=LLAMA, vision_feature_layer=[-2, -3, 1]), (3, 2, 1)),
    "onevision": (
        "LlavaOnevision",
        dict(
            vision_config=SIGLIP,
            text_config=QWEN,
            image_grid_pinpoints=GRIDS,
            video_token_index=WORDS.index("<video>"),
        ),
        (4,),
    ),
    "granite": (
        "LlavaNext",
        dict(
            vision_config=SIGLIP,
            text_config=GRANITE_TEXT,
            vision_feature_layer=[-4, -3, -1],
            vision_feature_select_strategy="full",
            image_grid_pinpoints=GRIDS,
        ),
        (1, 2, 4),
    ),
}


@functools.cache
def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    model = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    made.add_special_tokens({"additional_special_tokens": ["<image>", "<video>"]})
    made.padding_side = "left"
    return made


def make_processor(kind: str, side: int = 28, grids=GRIDS):
    square = dict(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    shared = dict(tokenizer=tokenizer(), chat_template=CHAT_TEMPLATE, image_token="<image>")
    strategy = "full" if kind in ("granite", "onevision") else "default"
    tokens = dict(patch_size=14, vision_feature_select_strategy=strategy)
    cls = dict(num_additional_image_tokens=0 if kind == "granite" else 1)
    if kind in ("llava", "vip"):
        return transformers.LlavaProcessor(transformers.CLIPImageProcessor(**square), **shared, **tokens, **cls)
    if kind == "onevision":
        whole = {"height": side, "width": side}
        images = transformers.LlavaOnevisionImageProcessor(size=whole, image_grid_pinpoints=grids)
        videos = transformers.LlavaOnevisionVideoProcessor(size=whole)
        return transformers.LlavaOnevisionProcessor(
            images, video_processor=videos, num_image_tokens=(side // 14) ** 2, vision_feature_select_strategy="full",
            video_token="<video>", **shared,
        )  # fmt: skip
    images = transformers.LlavaNextImageProcessor(image_grid_pinpoints=GRIDS, **square)
    return transformers.LlavaNextProcessor(images, **shared, **tokens, **cls)


def save_checkpoint(kind: str, folder: Path, **config) -> Path:
    """Write a checkpoint of a kind as its library writes it."""
    name, settings, _ = KINDS[kind]
    made = getattr(transformers, f"{name}Config")(**{**IDS, **settings, **config})
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForConditionalGeneration")(made)
    for weight in model.parameters():  # what starts as zeros and ones would hide a norm, and all answers would be alike
        weight.data += 0.3 * torch.randn_like(weight)
    model.save_pretrained(folder)
    make_processor(kind).save_pretrained(folder)
    return folder
