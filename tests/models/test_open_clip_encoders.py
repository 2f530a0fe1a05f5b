"""open_clip: its own vision transformer, timm towers, EVA02; from files of every kind."""

import json
import logging
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from loopback_hub import Hub
from safetensors.torch import save_file
from timm.models import register_model
from timm.models.eva import _create_eva

from explorer.models import memory
from explorer.models.catalogue import OWN
from explorer.models.encoders import open_encoder
from explorer.records import EncoderError, Fit, InputError, TokenKind

from .conftest import draw, shake

PICTURES = [draw(90, 60), draw(40, 95, seed=1)]
TEXT = dict(context_length=12, vocab_size=49408, width=32, heads=4, layers=2)
TOWERS = {
    "native": dict(image_size=56, layers=3, width=64, head_width=16, patch_size=14),
    "native_bare": dict(
        image_size=60, layers=3, width=64, head_width=16, patch_size=14, no_ln_pre=True, pool_type="avg"
    ),
    "native_custom": dict(image_size=56, layers=3, width=64, head_width=16, patch_size=14, qk_norm=True),
    "vit": dict(timm_model_name="test_vit", image_size=160, timm_pool="token", timm_proj="linear"),
    "registers": dict(timm_model_name="test_vit2", image_size=160, timm_pool="avg", timm_proj=""),
    "map": dict(timm_model_name="test_vit3", image_size=160, timm_pool="map", timm_proj="none"),
    "eva": dict(timm_model_name="eva02_for_tests", image_size=60, timm_pool="token", timm_proj=""),
}


@register_model
def eva02_for_tests(pretrained=False, **named):
    """EVA02 as open_clip's EVA02-L-14-336 has it (separate projections, rotary positions), small."""
    small = dict(img_size=60, patch_size=14, embed_dim=48, depth=3, num_heads=4, mlp_ratio=2.0)
    kind = dict(qkv_fused=False, swiglu_mlp=True, scale_mlp=True, scale_attn_inner=True, use_rot_pos_emb=True)
    return _create_eva("eva02_base_patch16_clip_224", ref_feat_shape=(4, 4), **{**small, **kind, **named})


@pytest.fixture(scope="module", autouse=True)
def architectures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    for name, tower in TOWERS.items():
        width = {"map": 96}.get(name, 24)
        config = {"embed_dim": width, "vision_cfg": tower, "text_cfg": TEXT, "custom_text": "timm_model_name" in tower}
        (folder / f"test-{name}.json").write_text(json.dumps(config))
    tower = dict(TOWERS["native"], attentional_pool=True, attn_pooler_heads=4)
    (folder / "test-pooler.json").write_text(json.dumps({"embed_dim": 24, "vision_cfg": tower, "text_cfg": TEXT}))
    resnet = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    (folder / "test-resnet.json").write_text(json.dumps({"embed_dim": 24, "vision_cfg": resnet, "text_cfg": TEXT}))
    open_clip.add_model_config(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The open_clip model of an architecture, and the id of the file it was saved to."""
    known = {}

    def get(name):
        if name not in known:
            logging.disable(logging.WARNING)
            model = shake(open_clip.create_model(f"test-{name}"))
            logging.disable(logging.NOTSET)
            file = tmp_path_factory.mktemp(name) / "weights.safetensors"
            save_file({key: value.contiguous() for key, value in model.state_dict().items()}, file)
            known[name] = model, f"open_clip:test-{name}/{file}"
        return known[name]

    return get


@pytest.fixture(scope="module")
def seen(made):
    """Model, encoder and features of an architecture."""
    known = {}

    def get(name):
        if name not in known:
            model, id = made(name)
            encoder = open_encoder(id, device="cpu", dtype="float32")
            known[name] = model, encoder, encoder.forward([encoder.view(picture) for picture in PICTURES])
        return known[name]

    return get


def pixels_of(encoder, features):
    """Normalised input of the model's full size, built by hand; the rim nobody sees is noise."""
    how = encoder.preprocessing
    inputs = torch.randn(len(features.views), 3, how.input_px, how.input_px)
    for row, view in enumerate(features.views):
        values = (view.pixels / 255 - np.array(how.mean)) / np.array(how.std)
        inputs[row, :, : how.seen_px, : how.seen_px] = torch.from_numpy(values).permute(2, 0, 1)
    return inputs


def blocks_of(model):
    return model.visual.trunk.blocks if hasattr(model.visual, "trunk") else model.visual.transformer.resblocks


@pytest.mark.parametrize("name", TOWERS)
def test_layer_k_is_what_block_k_returns(seen, name):
    model, encoder, features = seen(name)
    entered, returned, hooks = [], [], []
    for block in blocks_of(model):
        hooks.append(block.register_forward_pre_hook(lambda _, args: entered.append(args[0])))
        hooks.append(block.register_forward_hook(lambda _, args, output: returned.append(output)))
    with torch.no_grad():
        model.visual(pixels_of(encoder, features))
    for hook in hooks:
        hook.remove()
    assert len(features.states) == len(returned) + 1 == encoder.info.blocks + 1
    torch.testing.assert_close(features.states[0], entered[0], atol=5e-5, rtol=1e-4)
    for layer, output in enumerate(returned, start=1):
        torch.testing.assert_close(features.states[layer], output, atol=2e-4, rtol=1e-3)
        assert (features.states[layer] - features.states[layer - 1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("name", "kinds", "grid"),
    [
        ("native", [TokenKind.CLS], 4),
        ("native_bare", [TokenKind.CLS], 4),
        ("vit", [TokenKind.CLS], 10),
        ("registers", [TokenKind.REGISTER], 10),
        ("map", [TokenKind.REGISTER], 10),
        ("eva", [TokenKind.CLS], 4),
    ],
)
def test_tokens_stand_where_the_layout_says(seen, name, kinds, grid):
    _, encoder, _ = seen(name)
    layout, side = encoder.layout, encoder.info.patch_px
    assert list(layout.kinds[:1]) == kinds and len(layout.patches) == grid**2 and layout.rows == grid
    view = encoder.view(PICTURES[0])
    pixels = view.pixels.copy()
    pixels[side : 2 * side, -side:] ^= 255
    states = encoder.forward([view, type(view)(pixels, view.box_px, view.fit)]).states[0]
    changed = torch.nonzero((states[0] - states[1]).abs().amax(dim=-1) > 1e-4).flatten().tolist()
    assert changed == [layout.patches[2 * grid - 1]]


@pytest.mark.parametrize("name", ["native", "native_bare", "vit", "eva"])
def test_projecting_a_token_is_what_the_model_does_with_cls(seen, name):
    model, encoder, features = seen(name)
    with torch.no_grad():
        if name == "native_bare":  # pools by the mean of normed patches, then projects: linear, so the means agree
            found = encoder._project(features.states[-1][:, 1:]).mean(dim=1)
        else:
            found = encoder._project(features.states[-1])[:, 0]
        torch.testing.assert_close(found, model.encode_image(pixels_of(encoder, features)), atol=2e-4, rtol=1e-3)


def test_a_pooling_head_takes_each_patch_alone(seen):
    model, encoder, features = seen("map")
    trunk = model.visual.trunk
    with torch.no_grad():
        alone = trunk.forward_head(trunk.norm(features.states[4, 1, 9][None, None]))
        torch.testing.assert_close(encoder._project(features.states[4, 1, 9][None])[0], alone[0])


@pytest.mark.parametrize("name", ["native", "registers", "map", "eva"])
def test_text_match(seen, name):
    model, encoder, features = seen(name)
    found = encoder.text_match(features, "a red cat")
    assert found.shape == (encoder.info.blocks + 1, 2, len(encoder.layout.patches))
    ids = open_clip.get_tokenizer(f"test-{name}")(["a red cat"])
    with torch.no_grad():
        words = model.encode_text(ids)[0]
        image = encoder._project(features.states[1, 0, encoder.layout.patches[3]][None])[0]
    assert found[1, 0, 3].item() == pytest.approx(torch.cosine_similarity(image, words, dim=0).item(), abs=1e-5)
    assert encoder.text_match(features, "word " * 200).isfinite().all()
    with pytest.raises(InputError, match="empty"):
        encoder.text_match(features, " ")


@pytest.mark.parametrize("name", ["native", "native_custom", "vit", "eva"])
def test_attention_of_cls_is_what_the_model_computed(seen, name):
    model, encoder, features = seen(name)
    found = encoder.cls_attention(features)
    weights = []
    if name == "native":
        for block, state in zip(blocks_of(model), features.states, strict=False):
            normed = block.ln_1(state)
            weights.append(block.attn(normed, normed, normed, need_weights=True, average_attn_weights=False)[1])
    else:
        for block in blocks_of(model):
            if name == "native_custom":
                continue
            block.attn.fused_attn = False
            block.attn.attn_drop.register_forward_pre_hook(lambda _, args: weights.append(args[0]))
        with torch.no_grad():
            model.visual(pixels_of(encoder, features))
    if name == "native_custom":  # its own unfused path multiplies batches of the wrong rank, so by hand
        for block, state in zip(blocks_of(model), features.states, strict=False):
            attn, normed = block.attn, block.ln_1(state)
            both = (normed @ attn.in_proj_weight.T + attn.in_proj_bias).unflatten(-1, (3, 4, 16))
            query, key = attn.ln_q(both[:, :, 0]).transpose(1, 2), attn.ln_k(both[:, :, 1]).transpose(1, 2)
            weights.append((query @ key.transpose(-1, -2) / 4).softmax(dim=-1))
    for block, expected in enumerate(weights):
        torch.testing.assert_close(found[block], expected[:, :, 0, encoder.layout.patches], atol=1e-4, rtol=1e-3)
    assert len(weights) == encoder.info.blocks == len(found)


def test_no_cls_no_attention(seen):
    _, encoder, features = seen("registers")
    with pytest.raises(EncoderError, match="no CLS token"):
        encoder.cls_attention(features)


def test_a_tower_that_pools_before_it_projects_has_layers_but_no_text(seen):
    _, encoder, features = seen("pooler")
    assert features.states.shape[0] == 4 and not encoder.info.reads_text
    with pytest.raises(EncoderError, match="pools all patches"):
        encoder.text_match(features, "a cat")


def test_pickled_files_are_read_without_running_them(made, tmp_path):
    model, _ = made("native")
    file = tmp_path / "epoch_1.pt"
    torch.save({"state_dict": {f"module.{key}": value for key, value in model.state_dict().items()}}, file)
    encoder = open_encoder(f"open_clip:test-native/{file}", device="cpu", dtype="float32")
    assert encoder.info.title == "test-native (epoch_1.pt)"

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    torch.save({"state_dict": {"visual.proj": Evil()}}, file)
    with pytest.raises(EncoderError, match="could not be loaded"):
        open_encoder(f"open_clip:test-native/{file}")
    assert not (tmp_path / "touched").exists()


def broken(made, tmp_path, what):
    model, _ = made("native")
    state = {key: value.clone() for key, value in model.state_dict().items()}
    file = tmp_path / "weights.safetensors"
    if what == "short":
        del state["visual.proj"]
    if what == "nan":
        state["visual.transformer.resblocks.1.ln_1.weight"][3] = float("nan")
    save_file(state, file)
    if what == "truncated":
        file.write_bytes(file.read_bytes()[:-1000])
    return f"open_clip:test-native/{file}"


@pytest.mark.parametrize(
    ("what", "says"),
    [("short", "Missing.*visual.proj"), ("nan", "resblocks.1.ln_1.weight holds NaN"), ("truncated", "damaged")],
)
def test_broken_files(made, tmp_path, what, says):
    with pytest.raises(EncoderError, match=says):
        open_encoder(broken(made, tmp_path, what))


@pytest.mark.parametrize(
    ("id", "says"),
    [
        ("open_clip:ViT-B-33/openai", r"no architecture 'ViT-B-33': perhaps ViT-B-32"),
        ("open_clip:ViT-B-32/no_such_tag", "neither a file nor a name of published weights.*laion2b_s34b_b79k"),
        ("open_clip:ViT-B-32", "neither a file nor a name"),
        ("open_clip:", "no architecture ''"),
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K is not on this machine"),
        (f"open_clip:test-native/{__file__}", "has the ending '.py'"),
        ("open_clip:roberta-ViT-B-32/laion2b_s12b_b32k", "text tower from another model"),
    ],
)
def test_what_cannot_be_had(id, says):
    with pytest.raises(EncoderError, match=says):
        open_encoder(id)


def test_a_resnet_has_no_layers_of_patches(made):
    with pytest.raises(EncoderError, match="no plain vision transformer"):
        open_encoder(made("resnet")[1])


def test_published_preprocessing_is_used(made, tmp_path, monkeypatch):
    """A file of an architecture whose weights all squash is squashed; a tag's own activation is kept."""
    from open_clip import pretrained

    published = {"one": pretrained._slpcfg(hf_hub="a/b/"), "two": pretrained._slpcfg(hf_hub="a/c/")}
    monkeypatch.setitem(pretrained._PRETRAINED, "test-native", published)
    encoder = open_encoder(made("native")[1])
    assert encoder.preprocessing.fit is Fit.SQUASH and encoder.preprocessing.mean == (0.5, 0.5, 0.5)
    published["two"] = pretrained._pcfg(hf_hub="a/c/")  # they disagree: open_clip's default
    assert open_encoder(made("native")[1]).preprocessing.fit is Fit.CROP
    published["three"] = pretrained._pcfg(hf_hub="a/d/", quick_gelu=True)
    (tmp_path / "open_clip_model.safetensors").symlink_to(made("native")[1].partition("/")[2])
    monkeypatch.setattr("explorer.models.hub.fetch", lambda *_: tmp_path)
    quick = open_encoder("open_clip:test-native/three")
    assert type(quick._blocks[0].mlp.gelu).__name__ == "QuickGELU"


@pytest.mark.parametrize("name", ["native", "eva", "map"])
def test_it_comes_from_the_hub_as_from_its_file_in_the_revision_named(seen, made, name, monkeypatch, tmp_path):
    from open_clip import pretrained

    file = Path(made(name)[1].partition("/")[2])
    monkeypatch.setitem(pretrained._PRETRAINED, f"test-{name}", {"ours": pretrained._pcfg(hf_hub="some/tower/")})
    mine = tmp_path / "mine.toml"
    mine.write_text(f"[[encoders]]\nid = 'open_clip:test-{name}/ours'\ntitle = 'Ours'\nrevision = 'v2'\n")
    monkeypatch.setenv(OWN, str(mine))
    with Hub({"some/tower": {"open_clip_model.safetensors": file.read_bytes()}}) as hub:
        hub.answer(monkeypatch, tmp_path / "cache")
        encoder = open_encoder(f"open_clip:test-{name}/ours", device="cpu", dtype="float32")
        assert "/api/models/some/tower/revision/v2" in hub.asked
    here, features = seen(name)[1:]
    assert encoder.info.title == "Ours" and encoder.preprocessing == here.preprocessing
    assert torch.equal(encoder.forward([encoder.view(picture) for picture in PICTURES]).states, features.states)


def test_one_that_does_not_fit_is_told_before_the_load(made, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    with pytest.raises(EncoderError, match="does not fit: in .* and 0.0 GB are free on cpu. Close other programs, or"):
        open_encoder(made("native")[1], device="cpu")


def test_the_catalogue_s_eva02_is_as_large_as_its_architecture():
    from explorer.models.catalogue import find_entry

    entry = find_entry("encoders", "open_clip:EVA02-L-14-336/merged2b_s6b_b61k")
    with torch.device("meta"):
        model = open_clip.create_model("EVA02-L-14-336", device="meta")
    weights = sum(weight.numel() for weight in model.parameters())
    assert entry.size_mb == round(weights * 4 / 1e6) and entry.parameters_m == round(weights / 1e6, 1)
