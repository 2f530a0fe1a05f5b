"""Models known by name: ours, a user's, and checkpoints in folders."""

import json

import pytest
import transformers

from explorer import cli
from explorer.models import catalogue
from explorer.models.catalogue import OWN, entries, list_encoders, read_entries, use_catalogues
from explorer.models.checkpoint_ids import CheckpointId, describe, list_checkpoints
from explorer.records import CheckpointError, SettingsError

MINE = """
[[encoders]]
id = "me/vit"
title = "My ViT"
parameters_m = 1.5
[[encoders]]
id = "facebook/dinov2-base"
title = "Ours, told again"
[[checkpoints]]
id = "openai:http://127.0.0.1:8000/v1#llava"
title = "LLaVA on the cluster"
layers = [18]
blocks = 24
licence = "mine"
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.setenv(OWN, "")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.toml"
    file.write_text(MINE)
    return file


def folder_of(path, **config):
    path.mkdir(parents=True)
    known = {"model_type": "llava", "vision_config": {"num_hidden_layers": 24}, "text_config": {}}
    (path / "config.json").write_text(json.dumps(known | config))
    (path / "model.safetensors").write_bytes(b"")
    return path


def test_ours_says_of_every_model_what_a_person_must_know():
    for kind in ("encoders", "checkpoints"):
        known = entries(kind)
        assert len({entry.id for entry in known}) == len(known) >= 8
        for entry in known:
            assert entry.title and entry.licence != "not stated" and " hub" in entry.source or entry.id == "mini"
            if entry.size_mb and kind == "checkpoints":  # published in 16 bits
                assert entry.size_bytes == pytest.approx(entry.memory_bytes, rel=0.01)
    assert all(entry.reads for entry in entries("encoders"))
    assert all((entry.layers or entry.reads) and entry.blocks and entry.encoder for entry in entries("checkpoints"))


@pytest.mark.parametrize(
    ("name", "kind", "settings"),
    [
        ("llava-hf/llava-1.5-7b-hf", "Llava", {}),
        ("llava-hf/llava-1.5-13b-hf", "Llava", {}),
        ("llava-hf/vip-llava-7b-hf", "VipLlava", {}),
        ("llava-hf/llava-v1.6-mistral-7b-hf", "LlavaNext", {}),
        ("llava-hf/llava-onevision-qwen2-0.5b-ov-hf", "LlavaOnevision", {}),
        (
            "ibm-granite/granite-vision-3.2-2b",
            "LlavaNext",
            dict(
                vision_feature_layer=[-24, -20, -12, -1],
                vision_config=dict(model_type="siglip_vision_model", num_hidden_layers=27),
            ),
        ),
    ],
)
def test_the_layers_it_names_are_those_of_transformers(name, kind, settings, tmp_path):
    entry = next(entry for entry in entries("checkpoints") if entry.id == name)
    getattr(transformers, f"{kind}Config")(**settings).save_pretrained(tmp_path)
    found = describe(str(tmp_path))
    assert (found.layers, found.blocks) == (entry.layers, entry.blocks)
    for gone in ("vision_feature_layer", "vision_config") if not settings else ():  # left to the class's defaults
        config = json.loads((tmp_path / "config.json").read_text())
        config.pop(gone, None)
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert describe(str(tmp_path)).layers == entry.layers


@pytest.mark.parametrize("name", ["HuggingFaceTB/SmolVLM-256M-Instruct", "HuggingFaceTB/SmolVLM-500M-Instruct"])
def test_smolvlm_names_no_layer_so_none_is_swapped(name, tmp_path):
    assert (describe(name).reads, describe(name).layers) == ("last layer · normed", ())
    transformers.SmolVLMConfig().save_pretrained(tmp_path)
    for id in (name, str(tmp_path)):
        with pytest.raises(CheckpointError, match="does not say which layers it reads, so none can be swapped"):
            describe(f"{id}#swap=6")


def test_a_file_of_one_s_own_is_read_beside_ours(mine, capsys):
    use_catalogues([str(mine)])
    rows = {row["id"]: row for row in list_encoders()}
    assert rows["me/vit"]["memory_bytes"] == 3_000_000 and rows["me/vit"]["size_bytes"] is None
    assert rows["facebook/dinov2-base"]["title"] == "Ours, told again" and "mini" in rows
    served = describe("openai:http://127.0.0.1:8000/v1#llava")
    assert (served.title, served.reads, served.licence) == ("LLaVA on the cluster", "layer 18 · middle", "mine")
    assert served in list_checkpoints()
    assert cli.main(["encoders"]) == 0 and "My ViT" in capsys.readouterr().out
    assert cli.main(["checkpoints", "--catalogue", str(mine), "--json"]) == 0
    assert "LLaVA on the cluster" in [row["title"] for row in json.loads(capsys.readouterr().out)]


def test_a_folder_of_checkpoints_is_found_by_itself(mine, tmp_path):
    folder_of(tmp_path / "checkpoints" / "one", vision_feature_layer=-7)
    folder_of(tmp_path / "checkpoints" / "two", model_type="bert", vision_config=None)
    (tmp_path / "checkpoints" / "three").mkdir()
    (tmp_path / "checkpoints" / "four").mkdir()
    (tmp_path / "checkpoints" / "four" / "config.json").write_text("{")
    folder_of(tmp_path / "checkpoints" / "five", vision_feature_layer=99)
    folder_of(tmp_path / "elsewhere" / "six", vision_feature_layer=[3, 18, 23])
    use_catalogues([str(tmp_path / "elsewhere")])
    found = {row.title: row for row in list_checkpoints() if "/" in row.id and row.on_this_machine}
    assert set(found) == {"one", "six"}
    assert found["one"].layers == (18,) and found["one"].reads == "layer 18 · middle"
    assert found["six"].reads == "3 + 18 + 23 · fused" and found["six"].source == str(tmp_path / "elsewhere" / "six")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[encoders]\n", "cannot be read"),
        ("[[models]]\nid = 'x'\n", "has a part 'models'"),
        ("[encoders]\nid = 'x'\n", "with two brackets"),
        ("[[encoders]]\ntitle = 'x'\n", "without an id"),
        ("[[encoders]]\nid = 'x'\nsize = 3\n", "unknown word 'size': known are id, title"),
        ("[[encoders]]\nid = 3\n", "gives id as 3, which is of the wrong kind"),
        ("[[checkpoints]]\nid = 'x'\nlayers = [25]\nblocks = 24\n", "from 0 to its `blocks`"),
        ("[[checkpoints]]\nid = 'x'\nlayers = ['3']\nblocks = 24\n", "from 0 to its `blocks`"),
    ],
)
def test_a_bad_file_is_told(mine, text, says, capsys):
    mine.write_text(text)
    with pytest.raises(SettingsError, match=says):
        read_entries(mine)
    assert cli.main(["encoders", "--catalogue", str(mine)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_that_is_not_there(mine):
    with pytest.raises(SettingsError, match="cannot be read"):
        use_catalogues(["nowhere.toml"])


def test_what_a_config_does_not_say_is_taken_from_the_catalogue(mine, monkeypatch):
    found = describe("ibm-granite/granite-vision-3.2-2b#swap=3,7,15,26#bits=4")
    assert found.layers == (3, 7, 15, 26) and found.untrained_swap and not found.on_this_machine
    assert found.reads == "3 + 7 + 15 + 26 · fused · untrained swap" and found.memory_bytes == 5_950_800_000
    assert "untrained swap" in found.title and "in 4 bits" in found.title
    assert CheckpointId.parse("a/b@3+18#swap=3#bits=8") == CheckpointId("a/b", "3+18", "3", 8)
    with pytest.raises(CheckpointError, match="leave out #bits=4"):
        monkeypatch.setattr("explorer.models.checkpoint_ids.find_mini", lambda *_: mine.parent)
        describe("mini-l18#bits=4")
    assert catalogue.CHECKPOINTS.name == "checkpoints"
