"""Each class of transformers, on a tiny model of the real class: layers, tokens, text match, attention."""

import functools

import numpy as np
import pytest
import torch
import transformers

from explorer.models.encoders import Features, open_encoder
from explorer.records import EncoderError, Fit, InputError, TokenKind

from .conftest import Made, draw

PICTURES = [draw(90, 60), draw(40, 95, seed=1)]


@pytest.fixture(scope="module")
def features_of(opened):
    """The encoder of a made model, and its features of both pictures."""

    @functools.cache
    def get(made: Made):
        encoder = opened(made)
        return encoder, encoder.forward([encoder.view(picture) for picture in PICTURES])

    return get


@functools.cache
def reference(made: Made, **settings):
    """The same folder, opened by transformers itself."""
    return getattr(transformers, made.kind).from_pretrained(made.folder, **settings).eval()


def tower_inputs(made: Made, features: Features) -> dict:
    """What transformers' own processor makes of what the encoder says it saw."""
    processor = transformers.AutoImageProcessor.from_pretrained(made.folder, backend="pil")
    options = {} if "Siglip2" in made.kind else {"do_resize": False, "do_center_crop": False}
    inputs = dict(processor([view.pixels for view in features.views], return_tensors="pt", **options))
    if "Siglip" in made.kind and "2" not in made.kind:
        inputs["interpolate_pos_encoding"] = True  # the rim nobody sees is cut off
    return inputs


def blocks_of(tower) -> list:
    found = [part for part in tower.modules() if type(part).__name__.endswith(("EncoderLayer", "Layer"))]
    assert len(found) == 3
    return found


def test_layer_k_is_what_block_k_returns(model, features_of):
    _, features = features_of(model)
    tower = reference(model)
    tower = getattr(tower, "vision_model", tower)
    entered, returned, hooks = [], [], []
    for block in blocks_of(tower):
        hooks.append(block.register_forward_pre_hook(lambda _, args: entered.append(args[0])))
        hooks.append(block.register_forward_hook(lambda _, args, output: returned.append(output)))
    with torch.no_grad():
        hidden = tower(**tower_inputs(model, features), output_hidden_states=True).hidden_states
    for hook in hooks:
        hook.remove()
    assert len(features.states) == 4 == len(returned) + 1
    torch.testing.assert_close(features.states[0], entered[0], atol=2e-5, rtol=1e-4)
    for layer in (1, 2, 3):
        torch.testing.assert_close(features.states[layer], returned[layer - 1], atol=2e-5, rtol=1e-4)
        assert (features.states[layer] - features.states[layer - 1]).abs().max() > 0.1
    for layer in (0, 1, 2):  # the last one may carry the final norm in some versions
        torch.testing.assert_close(features.states[layer], hidden[layer], atol=2e-5, rtol=1e-4)


def test_the_last_layer_comes_before_the_final_norm(model, features_of):
    _, features = features_of(model)
    tower = reference(model)
    tower = getattr(tower, "vision_model", tower)
    final = getattr(tower, "post_layernorm", None) or tower.layernorm
    with torch.no_grad():
        out = tower(**tower_inputs(model, features))
        pooled_from = out.last_hidden_state
        if model.kind.startswith("CLIP"):  # there the norm is applied to the CLS token alone
            torch.testing.assert_close(final(features.states[-1][:, 0]), out.pooler_output, atol=2e-5, rtol=1e-4)
        else:
            torch.testing.assert_close(final(features.states[-1]), pooled_from, atol=2e-5, rtol=1e-4)


def test_tokens_grid_and_facts(model, features_of):
    encoder, features = features_of(model)
    info, layout = encoder.info, encoder.layout
    assert info.architecture == model.kind
    assert (info.blocks, info.width, info.heads, info.image_px) == (3, 32, 4, model.image_px)
    assert (layout.rows, layout.cols) == (model.grid, model.grid)
    assert len(layout.patches) == model.grid**2
    expected = [TokenKind.CLS] * model.has_cls + [TokenKind.REGISTER] * model.registers
    assert list(layout.kinds[: len(expected)]) == expected
    assert set(layout.kinds[len(expected) :]) == {TokenKind.PATCH}
    assert (info.has_cls, info.reads_text) == (model.has_cls, model.reads_text)
    assert features.states.shape == (4, 2, len(layout.kinds), 32)
    assert features.states.dtype == torch.float32 and not features.states.is_inference()
    tower = reference(model)
    tower = getattr(tower, "vision_model", tower)
    assert info.parameters == sum(p.numel() for p in tower.parameters()) - (
        sum(p.numel() for p in tower.pooler.parameters()) if model.kind == "ViTModel" else 0
    )
    assert features.seconds > 0


def test_tokens_stand_where_the_layout_says(model, opened):
    """Changing the pixels of one patch changes, in layer 0, that token and no other."""
    encoder = opened(model)
    view = encoder.view(PICTURES[0])
    side = encoder.info.patch_px
    row, col = 1, encoder.layout.cols - 1
    pixels = view.pixels.copy()
    pixels[row * side : (row + 1) * side, col * side : (col + 1) * side] ^= 255
    other = type(view)(pixels, view.box_px, view.fit)
    states = encoder.forward([view, other]).states[0]
    changed = torch.nonzero((states[0] - states[1]).abs().amax(dim=-1) > 1e-4).flatten().tolist()
    assert changed == [encoder.layout.patches[row * encoder.layout.cols + col]]


def test_a_batch_is_its_pictures_one_by_one(model, features_of):
    encoder, together = features_of(model)
    alone = encoder.forward([encoder.view(PICTURES[1])])
    torch.testing.assert_close(together.states[:, 1], alone.states[:, 0], atol=1e-5, rtol=1e-4)
    assert not any(block._forward_hooks or block._forward_pre_hooks for block in encoder._blocks)


def test_attention_of_cls_is_what_the_model_computed(model, features_of):
    encoder, features = features_of(model)
    if not model.has_cls:
        with pytest.raises(EncoderError, match="no CLS token"):
            encoder.cls_attention(features)
        return
    tower = reference(model, attn_implementation="eager")
    tower = getattr(tower, "vision_model", tower)
    with torch.no_grad():
        expected = tower(**tower_inputs(model, features), output_attentions=True).attentions
    found = encoder.cls_attention(features)
    assert found.shape == (3, 2, 4, model.grid**2) and found.dtype == torch.float32
    for block in range(3):
        torch.testing.assert_close(found[block], expected[block][:, :, 0, encoder.layout.patches], atol=1e-5, rtol=1e-3)
    assert (found.sum(dim=-1) < 1).all()


def test_clip_text_match_by_hand(saved, features_of):
    made = saved("clip")
    encoder, features = features_of(made)
    found = encoder.text_match(features, " Cat ")
    assert found.shape == (4, 2, 16) and found.dtype == torch.float32 and found.abs().max() <= 1 + 1e-5
    clip = reference(made)
    tokenizer = transformers.AutoTokenizer.from_pretrained(made.folder)
    with torch.no_grad():
        ids = tokenizer("cat", return_tensors="pt").input_ids
        assert ids[0, 0] == 0 and ids[0, -1] == 199 and ids.shape[1] == 5  # start, c, a, t</w>, end
        words = clip.get_text_features(ids)
        words = getattr(words, "pooler_output", words)[0].numpy()
        norm, weight = clip.vision_model.post_layernorm, clip.visual_projection.weight.numpy()
        for layer, picture, patch in ((0, 0, 0), (2, 1, 7), (3, 1, 15)):
            token = features.states[layer, picture, 1 + patch].numpy()
            token = (token - token.mean()) / np.sqrt(token.var() + norm.eps) * norm.weight.numpy() + norm.bias.numpy()
            image = weight @ token
            cosine = image @ words / np.linalg.norm(image) / np.linalg.norm(words)
            assert found[layer, picture, patch].item() == pytest.approx(cosine, abs=1e-5)


@pytest.mark.parametrize("name", ["siglip", "siglip2"])
def test_siglip_pools_each_patch_alone(saved, name, features_of):
    made = saved(name)
    encoder, features = features_of(made)
    found = encoder.text_match(features, "A red cat")
    siglip = reference(made)
    tokenizer = transformers.AutoTokenizer.from_pretrained(made.folder)
    ids = tokenizer("a red cat").input_ids
    assert 0 < len(ids) < 12 and 0 not in ids
    ids = torch.tensor([ids + [0] * (12 - len(ids))])
    with torch.no_grad():
        words = siglip.get_text_features(ids)
        words = getattr(words, "pooler_output", words)[0]
        alone = features.states[2, 1, 5][None, None]  # one token in, so the head attends to nothing else
        image = siglip.vision_model.head(siglip.vision_model.post_layernorm(alone))[0]
        expected = torch.cosine_similarity(image, words, dim=0).item()
    assert found[2, 1, 5].item() == pytest.approx(expected, abs=1e-5)


def test_a_long_text_is_cut_and_an_empty_one_refused(saved, features_of):
    encoder, features = features_of(saved("clip"))
    long = "word " * 300
    torch.testing.assert_close(encoder.text_match(features, long), encoder.text_match(features, long + "other ends"))
    with pytest.raises(InputError, match="empty"):
        encoder.text_match(features, "  \n")


@pytest.mark.parametrize(
    ("name", "reason"), [("dinov2", "no text tower"), ("vit", "no text"), ("clip_vision", "no text")]
)
def test_encoders_without_text_say_so(saved, name, reason, features_of):
    encoder, features = features_of(saved(name))
    with pytest.raises(EncoderError, match=reason):
        encoder.text_match(features, "a cat")


def test_forward_refuses_nothing_and_views_of_others(saved, opened):
    encoder = opened(saved("clip"))
    with pytest.raises(InputError, match="No picture"):
        encoder.forward([])
    with pytest.raises(InputError, match=r"48 × 48 px was given .* sees 56 × 56"):
        encoder.forward([opened(saved("vit")).view(PICTURES[0])])


def test_bfloat16(saved, features_of):
    exact = features_of(saved("clip"))[1]
    encoder = open_encoder(str(saved("clip").folder), device="cpu", dtype="bfloat16")
    features = encoder.forward([encoder.view(picture, Fit.ENCODER) for picture in PICTURES])
    assert features.states.dtype == torch.bfloat16 and encoder.info.dtype == "bfloat16"
    cosine = torch.cosine_similarity(features.states.float(), exact.states, dim=-1)
    assert cosine.min() > 0.99
    assert encoder.text_match(features, "cat").dtype == torch.float32
    assert encoder.cls_attention(features).isfinite().all()


def test_the_paper_s_depth_and_tokens(tmp_path):
    """24 blocks over 24 × 24 patches of 336 px, narrow, so that it is quick; the real width is in the slow tests."""
    config = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=24, num_attention_heads=2, image_size=336, patch_size=14
    )
    transformers.CLIPVisionModel(config).save_pretrained(tmp_path)
    transformers.CLIPImageProcessor(size={"shortest_edge": 336}, crop_size=336).save_pretrained(tmp_path)
    encoder = open_encoder(str(tmp_path), device="cpu", dtype="float32")
    features = encoder.forward([encoder.view(PICTURES[0])])
    assert features.states.shape == (25, 1, 577, 16)
    with torch.no_grad():
        for layer in (1, 13, 24):
            again = encoder._blocks[layer - 1](features.states[layer - 1], None)
            torch.testing.assert_close(features.states[layer], again, atol=1e-5, rtol=1e-4)
