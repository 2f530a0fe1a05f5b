"""The paper's encoder at its real size, with random weights."""

import pytest
import torch
import transformers

from explorer.models.encoders import open_encoder
from explorer.records import Fit

from .conftest import draw


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
    with torch.device("meta"):  # leaves out the slow random start of every weight
        model = transformers.CLIPVisionModel(config).to(torch.bfloat16)
    model.to_empty(device="cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0) if "norm" in name and name.endswith("weight") else weight.normal_(std=0.02)
    model.save_pretrained(tmp_path)
    del model
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
