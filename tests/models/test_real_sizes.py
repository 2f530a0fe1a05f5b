"""The paper's encoder and a small checkpoint at their real sizes, with random weights."""

import threading

import pytest
import tiny_llavas
import torch
import transformers

from explorer.models.catalogue import find_entry
from explorer.models.encoders import open_encoder
from explorer.models.speaking import Asked
from explorer.models.transformers_speaker import TransformersSpeaker
from explorer.records import AnswerKind, Fit

from .conftest import draw


def save_random(kind, config, folder):
    """Write a model with random weights in bfloat16, without the slow random start of its class."""
    with torch.device("meta"):
        model = kind(config).to(torch.bfloat16)
    model.to_empty(device="cpu")
    model.tie_weights()
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0) if "norm" in name and name.endswith("weight") else weight.uniform_(-0.035, 0.035)
    model.save_pretrained(folder)


@pytest.mark.slow
def test_clip_large_336(tmp_path):
    """24 blocks of width 1024 over 577 tokens: about 2.5 GB of memory, 0.6 GB of disk and some 20 s of one core."""
    config = transformers.CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
    )
    save_random(transformers.CLIPVisionModel, config, tmp_path)
    transformers.CLIPImageProcessor(size={"shortest_edge": 336}, crop_size=336).save_pretrained(tmp_path)

    encoder = open_encoder(str(tmp_path), device="cpu", dtype="float32")
    assert (encoder.info.parameters, encoder.info.blocks, encoder.info.width) == (303_507_456, 24, 1024)
    returned = []
    hooks = [block.register_forward_hook(lambda _, args, output: returned.append(output)) for block in encoder._blocks]
    features = encoder.forward([encoder.view(draw(500, 375), Fit.ENCODER)])
    for hook in hooks:
        hook.remove()
    assert features.states.shape == (25, 1, 577, 1024)
    for layer in range(1, 25):
        assert torch.equal(features.states[layer], returned[layer - 1])
    tower = getattr(encoder._model, "vision_model", encoder._model)
    with torch.inference_mode():
        embedded = tower.pre_layrnorm(tower.embeddings(encoder._normalised(features.views)))
    torch.testing.assert_close(features.states[0], embedded)
    attention = encoder.cls_attention(features)
    assert attention.shape == (24, 1, 16, 576) and (attention.sum(dim=-1) <= 1.0001).all()


@pytest.mark.slow
def test_llava_onevision_half_a_billion(tmp_path):
    """SigLIP so400m without its last block and Qwen2 0.5B; a picture and its one tile are 2 × 729 patches.

    About 4.5 GB of memory, 1.8 GB of disk and 30 s of two busy cores.
    """
    text = dict(
        model_type="qwen2",
        vocab_size=152000,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    words = tiny_llavas.WORDS.index
    config = transformers.LlavaOnevisionConfig(
        text_config=text,
        tie_word_embeddings=True,
        image_grid_pinpoints=[[384, 384]],
        image_token_index=words("<image>"),
        video_token_index=words("<video>"),
    )
    save_random(transformers.LlavaOnevisionForConditionalGeneration, config, tmp_path)
    tiny_llavas.make_processor("onevision", 384, [[384, 384]]).save_pretrained(tmp_path)
    who = TransformersSpeaker(str(tmp_path), "cpu", dtype="bfloat16")
    (tmp_path / "model.safetensors").unlink()  # pytest keeps the folder for a while
    entry = find_entry("checkpoints", "llava-hf/llava-onevision-qwen2-0.5b-ov-hf")
    assert (who.layers, who.blocks) == (entry.layers, entry.blocks) and round(
        who.size_bytes / 2e6, 1
    ) == entry.parameters_m
    asked = Asked(draw(384, 384), "Is there a cat?", kind=AnswerKind.CHOICE, candidates=("yes", "no"), most_tokens=4)
    said = list(who.speak(asked, threading.Event()))[-1]
    assert [name for name, _ in said.probabilities] == ["yes", "no"]
    assert sum(p for _, p in said.probabilities) == pytest.approx(1)
