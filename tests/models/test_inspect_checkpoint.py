import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import tiny_family
import torch
import transformers
from loopback_hub import Hub, files_of
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from explorer import cli
from explorer.models.catalogue import OWN
from explorer.models.family import make_processor, save_checkpoint
from explorer.models.hub import TRANSFORMERS_FILES, fetch
from explorer.models.inspect_checkpoint import inspect_checkpoint, read_model
from explorer.models.projections import LayerProjections
from explorer.records import CheckpointError

SMALL = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=4, num_attention_heads=2)
VISION = dict(SMALL, image_size=28, patch_size=14)
CLIP, SIGLIP = dict(VISION, model_type="clip_vision_model"), dict(VISION, model_type="siglip_vision_model")
LLAMA = dict(SMALL, hidden_size=20, num_hidden_layers=2, vocab_size=40, model_type="llama")
QWEN = dict(LLAMA, model_type="qwen2", num_key_value_heads=2)
GRIDS = [[28, 56], [56, 28], [56, 56]]
SQUARE = dict(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})

# name: model class, config, image processor, then what is expected
MODELS = {
    "llava": ("Llava", dict(vision_config=CLIP, vision_feature_layer=-2)),
    "llava-list": ("Llava", dict(vision_config=CLIP, vision_feature_layer=[-4, 3, 4])),
    "llava-full": ("Llava", dict(vision_config=CLIP, vision_feature_layer=3, vision_feature_select_strategy="full")),
    "llava-siglip": ("Llava", dict(vision_config=SIGLIP, vision_feature_layer=-1)),
    "llava-linear": ("Llava", dict(vision_config=CLIP, vision_feature_layer=1, projector_hidden_act="linear")),
    "next": ("LlavaNext", dict(vision_config=CLIP, vision_feature_layer=-2, image_grid_pinpoints=GRIDS)),
    "granite": (
        "LlavaNext",
        dict(
            vision_config=SIGLIP,
            vision_feature_layer=[-4, -3, -1],
            vision_feature_select_strategy="full",
            image_grid_pinpoints=GRIDS,
        ),
    ),
    "vip": ("VipLlava", dict(vision_config=CLIP, vision_feature_layer=[-2, -3, 1])),
    "onevision": (
        "LlavaOnevision",
        dict(vision_config=SIGLIP, text_config=QWEN, image_grid_pinpoints=GRIDS, video_token_index=38),
    ),
}
EXPECTED = {  # layers, dropped, tokens a tile, tiles at most, of the picture, projector, blocks not used
    "llava": ((3,), "CLS", 4, 1, 1, "mlp2x_gelu", (4,)),
    "llava-list": ((1, 3, 4), "CLS", 4, 1, 1, "mlp2x_gelu", ()),
    "llava-full": ((3,), "nothing", 5, 1, 1, "mlp2x_gelu", (4,)),
    "llava-siglip": ((4,), "a patch", 3, 1, 1, "mlp2x_gelu", ()),
    "llava-linear": ((1,), "CLS", 4, 1, 1, "linear", (2, 3, 4)),
    "next": ((3,), "CLS", 4, 5, 3, "mlp2x_gelu", (4,)),
    "granite": ((1, 2, 4), "nothing", 4, 5, 3, "mlp2x_gelu", ()),
    "vip": ((3, 2, 1), "CLS", 4, 1, 1, "norm + mlp2x_gelu", (4,)),
    "onevision": ((4,), "nothing", 4, 5, 3, "mlp2x_gelu", ()),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    made = {}

    def get(name):
        if name not in made:
            kind, settings = MODELS[name]
            config = getattr(transformers, f"{kind}Config")(
                **{"text_config": LLAMA, "image_token_index": 39, **settings}
            )
            torch.manual_seed(0)
            model = getattr(transformers, f"{kind}ForConditionalGeneration")(config)
            for weight in model.parameters():  # what starts as zeros and ones would hide a norm
                weight.data += 0.2 * torch.randn_like(weight)
            images = {
                "LlavaNext": transformers.LlavaNextImageProcessor,
                "LlavaOnevision": transformers.LlavaOnevisionImageProcessor,
            }
            rules = SQUARE | ({"image_grid_pinpoints": GRIDS} if kind in images else {})
            if kind == "LlavaOnevision":
                rules["size"] = {"height": 28, "width": 28}
            made[name] = tmp_path_factory.mktemp(name)
            model.save_pretrained(made[name])
            images.get(kind, transformers.CLIPImageProcessor)(**rules).save_pretrained(made[name])
        return made[name]

    return get


def copy(folder, to, without=()):
    for file in folder.iterdir():
        if file.name not in without:
            (to / file.name).write_bytes(file.read_bytes())
    return to


def change(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return str(folder)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_named_is_what_enters_the_projector(saved, name):
    found = inspect_checkpoint(str(saved(name)))
    layers, drops, tokens, most, tiles, projector, unused = EXPECTED[name]
    assert (found.layers.layers, found.drops, found.tokens_per_tile) == (layers, drops, tokens)
    assert (found.tiles_most, found.projector, found.unused_blocks) == (most, projector, unused)
    assert (found.projector_in, found.projector_out) == (16 * len(layers), 20)
    assert found.final_norm == "post_layernorm" and found.final_norm_applied is False
    check = found.check
    assert check.agrees and check.difference == 0 and check.nearest_other > 0.01
    assert check.found == layers and check.tiles == tiles and not any(check.normed)
    # a tiled picture: itself, and 2 rows of 4 patches with a token for the new line after each
    assert check.tokens == (tokens if most == 1 else 4 + 2 * (4 + 1))
    assert found.fit == ("tiled" if most > 1 else "cropped")


def test_config_alone_says_the_same_without_weights(saved, tmp_path):
    measured = inspect_checkpoint(str(saved("granite")))
    read = inspect_checkpoint(str(copy(saved("granite"), tmp_path, without=["model.safetensors"])), config_only=True)
    assert read.check is None and read.final_norm_applied is None
    for name in ("layers", "tokens_per_tile", "projector_in", "parameters", "unused_parameters", "tiles_most", "fit"):
        assert getattr(read, name) == getattr(measured, name)


SO400M = dict(model_type="siglip_vision_model", hidden_size=1152, num_hidden_layers=27, image_size=384, patch_size=14)
GRANITE = dict(vision_feature_layer=[-24, -20, -12, -1], vision_feature_select_strategy="full")
PUBLISHED = [  # config, layers, dropped, tokens a tile, projector's input, blocks not used
    (transformers.LlavaConfig, {}, (23,), "CLS", 576, 1024, (24,)),
    (transformers.LlavaNextConfig, {}, (23,), "CLS", 576, 1024, (24,)),
    (transformers.VipLlavaConfig, {}, (23, 20, 17, 14, 6), "CLS", 576, 5120, (24,)),
    (transformers.LlavaOnevisionConfig, {}, (26,), "nothing", 729, 1152, ()),
    (transformers.LlavaNextConfig, dict(GRANITE, vision_config=SO400M), (4, 8, 16, 27), "nothing", 729, 4608, ()),
]


@pytest.mark.parametrize(("kind", "settings", "layers", "drops", "tokens", "width", "unused"), PUBLISHED)
def test_the_layers_of_published_models(tmp_path, kind, settings, layers, drops, tokens, width, unused):
    kind(**settings).save_pretrained(tmp_path)
    found = inspect_checkpoint(str(tmp_path), config_only=True)
    assert (found.layers.layers, found.drops, found.tokens_per_tile) == (layers, drops, tokens)
    assert (found.projector_in, found.unused_blocks) == (width, unused)
    assert found.fit == ("tiled" if found.grids else "")  # there is no image processor


def load(folder):
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder).eval()
    return model, transformers.AutoImageProcessor.from_pretrained(folder)


def test_an_off_by_one_is_seen(saved):
    model, images = load(saved("llava"))
    honest = model.get_image_features
    model.get_image_features = lambda **given: honest(**given, vision_feature_layer=-3)
    found = read_model("bent", model, images)
    assert not found.check.agrees and found.check.found == (2,) and found.check.difference > 0.01
    assert "it is layer 2" in found.notes[0]


def test_a_norm_that_is_applied_is_seen(saved):
    model, images = load(saved("onevision"))
    assert "post_layernorm is not applied" in read_model("plain", model, images).notes[0]
    model.model.vision_tower.config.tie_last_hidden_states = True  # transformers' way to return the normed state
    found = read_model("normed", model, images)
    assert found.final_norm_applied and found.check.normed == (True,) and not found.check.agrees
    assert "layer 4 normed" in found.notes[0]


def test_what_is_called_unused_changes_nothing(saved):
    model, images = load(saved("llava-linear"))
    found = read_model("whole", model, images)
    tower, pixels = model.model.vision_tower, torch.randn(1, 3, 28, 28)
    before = model.get_image_features(pixels).pooler_output[0]
    scrambled = 0
    for name, weight in tower.named_parameters():
        if "post_layernorm" in name or any(f"layers.{block - 1}." in name for block in found.unused_blocks):
            weight.data.normal_()
            scrambled += weight.numel()
    assert torch.equal(before, model.get_image_features(pixels).pooler_output[0])
    assert scrambled == found.unused_parameters and "Blocks 2 to 4 are loaded" in found.notes[0]


def test_it_prints(saved, capsys):
    assert cli.main(["inspect", str(saved("vip"))]) == 0
    said = capsys.readouterr().out
    assert "3, 2, 1 (config.json says -2, -3, 1), CLS dropped" in said and "differ by 0.0e+00" in said
    assert cli.main(["inspect", str(saved("next")), "--config-only", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["layers"] == {"layers": [3], "blocks": 4} and found["check"] is None and found["given"] == -2


def test_a_mini_checkpoint_joined_with_its_encoder(tmp_path):
    encoder, words = str(tiny_family.save_encoder(tmp_path / "encoder")), tiny_family.tokenizer()
    processor = make_processor(encoder, words)
    save_checkpoint(
        tmp_path / "mini", LayerProjections([1, 3], 32, 16), tiny_family.language(words), processor, encoder, False, {}
    )
    found = inspect_checkpoint(str(tmp_path / "mini"))
    assert found.layers.layers == (1, 3) and found.check.agrees and found.projector == "linear"
    assert found.fit == "cropped" and found.unused_blocks == (4,)


def test_complaints(saved, tmp_path):
    def complain(match, folder, **how):
        with pytest.raises(CheckpointError, match=match):
            inspect_checkpoint(str(folder), **how)

    complain("neither a folder", tmp_path / "nowhere", config_only=True)
    (tmp_path / "empty").mkdir()
    complain("cannot be read", tmp_path / "empty", config_only=True)
    plain = copy(saved("llava"), tmp_path)
    weights = load_file(plain / "model.safetensors")
    save_file({k: v for k, v in weights.items() if "projector" not in k}, plain / "model.safetensors", {"format": "pt"})
    complain("lacks 4 weights", plain)
    (plain / "preprocessor_config.json").unlink()
    complain("holds no image processor", plain)
    complain("Layer 9 does not exist", change(plain, vision_feature_layer=9), config_only=True)
    complain("is a 'clip_vision_model' model", change(plain, model_type="clip_vision_model"), config_only=True)
    for kind in (transformers.SmolVLMConfig, transformers.Idefics3Config):
        kind().save_pretrained(tmp_path)
        complain("always reads the last layer .* after the final norm, so it names no layers", tmp_path)


def test_a_catalogue_s_repository_and_revision_are_heeded(saved, monkeypatch, tmp_path, capsys):
    mine = tmp_path / "mine.toml"
    mine.write_text("[[checkpoints]]\nid = 'mine'\nrepository = 'some/vip'\nrevision = 'v2'\n")
    monkeypatch.setenv(OWN, "")
    with Hub({"some/vip": files_of(saved("vip"))}) as hub:
        hub.answer(monkeypatch, tmp_path / "cache")
        assert cli.main(["inspect", "mine", "--catalogue", str(mine)]) == 0
        assert "3, 2, 1 (config.json says -2, -3, 1)" in capsys.readouterr().out
        assert "/api/models/some/vip/revision/v2" in hub.asked


def test_the_config_alone_of_a_repository_brings_no_weights(saved, monkeypatch, tmp_path):
    with Hub({"some/vip": files_of(saved("vip"))}) as hub:
        hub.answer(monkeypatch, tmp_path / "cache")
        assert inspect_checkpoint("some/vip", config_only=True).layers.layers == (3, 2, 1)
        assert any(path.endswith("config.json") for path in hub.asked)
        assert not any("safetensors" in path for path in hub.asked)
        hub.go_away(monkeypatch)
        assert inspect_checkpoint("some/vip", config_only=True).layers.layers == (3, 2, 1)
        with pytest.raises(CheckpointError, match="some/other is not on this machine and could not be downloaded"):
            inspect_checkpoint("some/other", config_only=True)


def test_layer_0_alone_which_transformers_cannot_read(saved, tmp_path):
    folder = change(copy(saved("llava"), tmp_path), vision_feature_layer=0)
    with pytest.raises(CheckpointError, match=r"The image path of .* fails.*Layer 0 alone"):
        inspect_checkpoint(folder)


def test_a_download_does_not_wait_for_other_progress_bars(saved, monkeypatch, tmp_path):
    """Tqdm's own lock may stay taken for ever, by a forked process that ended while it held it."""
    taken, over = threading.Event(), threading.Event()

    def hold():
        with tqdm.get_lock():
            taken.set()
            over.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    try:
        with Hub({"some/vip": files_of(saved("vip"))}) as hub, ThreadPoolExecutor(1) as pool:
            hub.answer(monkeypatch, tmp_path / "cache")
            found = pool.submit(fetch, "some/vip", TRANSFORMERS_FILES, lambda fraction, said: None)
            try:
                assert (found.result(20) / "config.json").is_file()
            finally:
                over.set()
    finally:
        over.set()
        holder.join()
