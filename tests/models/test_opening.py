"""What can go wrong on the way to an encoder, and what is downloaded from a hub (here a server on this machine)."""

import json
import shutil
import time

import pytest
import torch
from loopback_hub import Hub, files_of
from safetensors.torch import load_file, save_file

from explorer.models import catalogue, hf_loading, memory
from explorer.models.encoders import list_encoders, open_encoder
from explorer.models.hardware import choose_device, choose_dtype
from explorer.models.hub import TRANSFORMERS_FILES
from explorer.records import EncoderError, SettingsError

from .conftest import draw


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the tiny CLIP, to be broken."""
    shutil.copytree(saved("clip").folder, tmp_path / "clip")
    return tmp_path / "clip"


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def refuses(id, says):
    with pytest.raises(EncoderError, match=says) as caught:
        open_encoder(str(id), device="cpu")
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and len(text) < 500


def test_no_such_thing(tmp_path):
    refuses("minni", "no encoder 'minni': write mini")
    refuses("", "no encoder ''")
    refuses(tmp_path / "nowhere", "no encoder .*nowhere'")
    refuses("no-such-owner/no-such-model", "is not on this machine and HF_HUB_OFFLINE is set")
    (tmp_path / "weights.pt").write_bytes(b"?")
    refuses(tmp_path / "weights.pt", "is a file: give the folder")
    refuses(tmp_path, "holds no config.json")


def test_wrong_kinds_and_settings(folder):
    config = folder / "config.json"
    config.write_text(json.dumps({"model_type": "bert", "hidden_size": 32}))
    refuses(folder, "is a 'bert' model, which is no vision encoder read here")
    config.write_text("{ not json")
    refuses(folder, "cannot be read as a model's settings")
    config.write_text("[]")
    refuses(folder, "cannot be read as a model's settings")
    config.write_text(json.dumps({"model_type": "clip", "vision_config": {"hidden_size": "many"}}))
    refuses(folder, "could not be loaded as CLIPModel")


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    refuses(folder, "holds no complete weights")
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"")
    refuses(folder, "holds no complete weights")


def test_truncated_weights(folder):
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for part in (whole[: len(whole) // 2], whole[:5], b"", b"<!DOCTYPE html><html>not found</html>"):
        file.write_bytes(part)
        refuses(folder, "is damaged or incomplete")


def test_missing_and_misshapen_weights(folder):
    change_weights(folder, lambda weights: weights.pop("vision_model.encoder.layers.1.mlp.fc1.weight"))
    refuses(folder, "lacks 1 weights of CLIPModel, .*layers.1.mlp.fc1.weight")


def test_weights_of_another_size(folder):
    change_weights(folder, lambda weights: weights.update({"visual_projection.weight": torch.zeros(7, 32)}))
    refuses(folder, "could not be loaded as CLIPModel")


def test_nan_weights(folder):
    def spoil(weights):
        weights["vision_model.encoder.layers.2.layer_norm1.bias"][0] = float("nan")

    change_weights(folder, spoil)
    refuses(folder, "layers.2.layer_norm1.bias holds NaN")


def test_pickled_weights_are_read_but_not_run(folder, tmp_path, saved):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    assert open_encoder(str(folder), device="cpu").info.blocks == 3

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    torch.save({**weights, "logit_scale": Evil()}, folder / "pytorch_model.bin")
    refuses(folder, "could not be loaded as CLIPModel")
    assert not (tmp_path / "touched").exists()


def test_odd_processors(folder):
    file = folder / "preprocessor_config.json"
    good = json.loads(file.read_text())
    file.write_text(json.dumps({**good, "crop_size": {"height": 56, "width": 40}}))
    refuses(folder, "are no square")
    file.write_text(json.dumps({**good, "crop_size": {"height": 80, "width": 80}}))
    refuses(folder, "80 px cannot be cut out of 56")
    file.write_text("{")
    refuses(folder, "image processor's settings cannot be used")


def test_a_tokenizer_of_another_model_is_noticed(folder, saved):
    (folder / "tokenizer.json").write_text((saved("clip").folder / "tokenizer.json").read_text().replace("199", "250"))
    encoder = open_encoder(str(folder), device="cpu")
    features = encoder.forward([encoder.view(draw(60, 60))])
    with pytest.raises(EncoderError, match="does not belong to its text tower"):
        encoder.text_match(features, "cat")


def test_without_a_tokenizer_all_but_text_works(folder):
    (folder / "tokenizer.json").unlink()
    encoder = open_encoder(str(folder), device="cpu")
    assert not encoder.info.reads_text and "no tokenizer" in encoder._why_no_text()


def test_progress_of_a_folder(saved):
    said = []
    open_encoder(str(saved("vit").folder), device="cpu", on_progress=lambda part, text: said.append((part, text)))
    parts = [part for part, _ in said]
    assert parts == sorted(parts) and parts[0] == 0 and parts[-1] == 1
    assert "ready" in said[-1][1]


def test_device_and_number_format(monkeypatch):
    assert choose_device("cpu").type == "cpu"
    for name in ("gpu5", "meta", "cuda:99"):
        with pytest.raises(SettingsError, match="write cpu"):
            choose_device(name)
    with pytest.raises(SettingsError, match="no number format 'int3'"):
        choose_dtype("int3", torch.device("cpu"))
    assert choose_dtype("float16", torch.device("cpu")) is torch.float16
    has = {"amx_bf16": False, "avx512_bf16": False, "avx2": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    assert choose_dtype(None, torch.device("cpu")) is torch.float32
    has["avx512_bf16"] = True
    assert choose_dtype(None, torch.device("cpu")) is torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert choose_dtype(None, torch.device("cuda")) is torch.float16


# --- a hub on this machine -------------------------------------------------------------------------------------------


@pytest.fixture
def hub(saved, tmp_path, monkeypatch):
    clip = files_of(saved("clip").folder)
    clip |= {"modeling_evil.py": b"raise SystemExit", "tf_model.h5": b"?", "onnx/model.onnx": b"?", "README.md": b"#"}
    pickled = {name: data for name, data in clip.items() if name != "model.safetensors"}
    torch.save(load_file(saved("clip").folder / "model.safetensors"), tmp_path / "bin")
    pickled["pytorch_model.bin"] = (tmp_path / "bin").read_bytes()
    both = {**clip, "pytorch_model.bin": b"never asked for"}
    with Hub({"some/clip": both, "some/pickled": pickled, "some/empty": {"README.md": b"#"}}) as made:
        made.answer(monkeypatch, tmp_path / "cache")
        yield made


def test_download_with_progress_then_offline(hub, saved):
    said = []
    encoder = open_encoder("some/clip", device="cpu", on_progress=lambda part, text: said.append((part, text)))
    assert encoder.info.id == "some/clip" and encoder.info.reads_text
    parts = [part for part, _ in said]
    assert parts == sorted(parts) and parts[0] == 0 and parts[-1] == 1
    assert any("Downloading some/clip" in text and "MB" in text for _, text in said)
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert fetched == {path.name for path in saved("clip").folder.iterdir()}
    hub.asked.clear()
    again = open_encoder("some/clip", device="cpu")
    assert hub.asked == [] and again.info == encoder.info


def test_each_class_comes_from_the_hub_as_from_its_folder(model, opened, monkeypatch, tmp_path):
    with Hub({"some/model": files_of(model.folder)}) as made:
        made.answer(monkeypatch, tmp_path / "cache")
        found = open_encoder("some/model", device="cpu", dtype="float32")
    here, picture = opened(model), draw(90, 60)
    assert type(found) is type(here) and found.preprocessing == here.preprocessing
    assert found.info.reads_text == model.reads_text
    states = found.forward([found.view(picture)]).states
    assert torch.equal(states, here.forward([here.view(picture)]).states)


@pytest.mark.parametrize("id", ["some/clip", "some/pickled", "mini"])
def test_one_that_does_not_fit_is_told_before_it_is_fetched_or_loaded(hub, monkeypatch, id):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 290_000_000)
    monkeypatch.setattr(hf_loading, "quiet", lambda: pytest.fail("it was loaded"))
    refuses(
        id, f"^{id} does not fit: in .* it needs 0.3 GB of memory, and 0.3 GB are free on cpu. Close other programs"
    )
    assert not any("/resolve/" in path for path in hub.asked)


def test_pickled_weights_are_fetched_only_without_safetensors(hub):
    assert open_encoder("some/pickled", device="cpu").info.blocks == 3
    assert any(path.endswith("pytorch_model.bin") for path in hub.asked)
    assert not any(path.endswith((".py", ".h5", ".md", ".onnx")) for path in hub.asked if "/resolve/" in path)


def test_what_a_hub_does_not_have(hub, monkeypatch):
    refuses("some/unknown", "no model some/unknown on the Hugging Face hub, or it is private")
    refuses("some/empty", "holds no weights that are read here")
    hub.go_away(monkeypatch)
    started = time.monotonic()
    refuses("some/clip", "could not be downloaded .*: check the network")
    assert time.monotonic() - started < 20


def test_a_copy_without_small_files_is_used_when_the_hub_is_gone(hub, tmp_path, monkeypatch):
    open_encoder("some/clip", device="cpu")
    folder = next((tmp_path / "cache").glob("models--some--clip/snapshots/*"))
    (folder / "preprocessor_config.json").unlink()
    hub.go_away(monkeypatch)
    assert "assumed" in open_encoder("some/clip", device="cpu").info.layer_note


def test_listing_says_what_is_here(hub, saved, monkeypatch, tmp_path):
    rows = list_encoders()
    assert rows[0]["id"] == "mini" and len({row["id"] for row in rows}) == len(rows) >= 12
    assert not any(row["on_this_machine"] for row in rows[1:])
    assert all(row["title"] and row["licence"] and row["source"] for row in rows)
    assert all(row["size_bytes"] is None or 1e8 < row["size_bytes"] < 1e10 for row in rows[1:])
    mine = tmp_path / "catalogue.toml"
    mine.write_text(
        "[[encoders]]\nid = 'mini'\ntitle = 'm'\nlicence = 'l'\nsource = 's'\n"
        "[[encoders]]\nid = 'some/clip'\nrepository = 'some/clip'\ntitle = 'Mine'\nlicence = 'l'\nsource = 's'\n"
    )
    monkeypatch.setattr(catalogue, "CATALOGUE", mine)
    monkeypatch.setattr(catalogue, "MINI", saved("clip").folder)
    assert open_encoder("some/clip", device="cpu").info.title == "Mine"
    mini, mine = list_encoders()
    assert mini["on_this_machine"] and mine["on_this_machine"]
    assert mini["size_bytes"] == sum(path.stat().st_size for path in saved("clip").folder.iterdir())


def test_the_catalogue_s_open_clip_entries_are_published_where_it_says():
    from open_clip.pretrained import get_pretrained_cfg

    known = catalogue.tomllib.loads(catalogue.CATALOGUE.read_text())["encoders"]
    tags = [row for row in known if row["id"].startswith("open_clip:")]
    assert len(tags) == 2
    for row in tags:
        arch, tag = row["id"].removeprefix("open_clip:").split("/")
        assert get_pretrained_cfg(arch, tag)["hf_hub"] == row["repository"] + "/"


def test_shards():
    names = [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    assert TRANSFORMERS_FILES.weight_files(names) == names[1:3]
    assert TRANSFORMERS_FILES.weight_files(names[:2]) == []
    assert TRANSFORMERS_FILES.weight_files([*names[:2], "pytorch_model.bin"]) == ["pytorch_model.bin"]
    assert set(TRANSFORMERS_FILES.files(names)) == set(names)
    assert TRANSFORMERS_FILES.files(["config.json"]) == []
