import dataclasses
import hashlib
import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from explorer.records import EncoderInfo, Exploration, Fit, Groups, Similarity, TokenKind, TokenLayout, View
from explorer.store import Absent, Artefact, Store, content_key, load_exploration, save_exploration


def make_exploration():
    rng = np.random.default_rng(0)
    encoder = EncoderInfo("tiny", "Tiny", "CLIPVisionModel", 3, 8, 2, 4, 8, 123, True, True, "float32", "cpu", "note")
    kinds = (TokenKind.CLS, *[TokenKind.PATCH] * 4)
    mean = rng.uniform(-1, 1, (4, 4))
    nan = np.full((4, 4), np.nan)
    return Exploration(
        picture_name="<b>a</b>.png",
        picture_key="abc",
        notes=("first frame of 2",),
        size_px=(30, 20),
        encoder=encoder,
        view=View(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (5.0, 0.0, 25.0, 20.0), Fit.CROP),
        layout=TokenLayout(kinds, 2, 2),
        similarity={"token": Similarity("token", mean, nan, 1)},
        groups={"automatic": Groups((1, 3), 4, ("shallow", "deep"), 0.5), "drawn": Groups((1,), 4, ("all",))},
        change=rng.uniform(-1, 1, (4, 4, 4)).astype(np.float32),
        norm=rng.uniform(0, 9, (4, 5)).astype(np.float32),
        pca_joint=rng.integers(0, 256, (4, 4, 3), dtype=np.uint8),
        pca_each=rng.integers(0, 256, (4, 4, 3), dtype=np.uint8),
        forward_seconds=0.25,
    )


def test_arrays_and_tables_come_back(tmp_path):
    store = Store(tmp_path / "made" / "when needed")
    table = pd.DataFrame({"layer": [0, 1], "name": ["a", "b"]})
    arrays = {"x": np.arange(6.0).reshape(2, 3), "mask": np.array([True, False])}
    store.save("thing", "key-1", 2, Artefact({"what": "ä", "n": [1, 2]}, arrays, {"rows": table}))
    found = store.load("thing", "key-1", 2)
    assert isinstance(found, Artefact) and found.meta == {"what": "ä", "n": [1, 2]}
    assert all(np.array_equal(found.arrays[name], arrays[name]) for name in arrays)
    pd.testing.assert_frame_equal(found.tables["rows"], table)
    assert store.keys("thing") == ["key-1"] and store.keys("other") == []


def test_saving_again_replaces_and_leaves_no_rest(tmp_path):
    store = Store(tmp_path)
    store.save("thing", "k", 1, Artefact({"n": 1}, {"x": np.zeros(3)}))
    store.save("thing", "k", 1, Artefact({"n": 2}, {"x": np.ones(3)}))
    store.save("thing", "k2", 1, Artefact({"n": 3}, {"x": np.ones(4)}))
    found = store.load("thing", "k", 1)
    assert isinstance(found, Artefact) and found.meta == {"n": 2} and found.arrays["x"].tolist() == [1, 1, 1]
    assert isinstance(store.load("thing", "k2", 1), Artefact)
    assert len(list((tmp_path / "thing").iterdir())) == 4


def test_another_version_is_absent_with_its_reason(tmp_path):
    store = Store(tmp_path)
    store.save("thing", "k", 1, Artefact({}))
    found = store.load("thing", "k", 2)
    assert isinstance(found, Absent) and "version 1 and 2 is needed" in found.reason
    nothing = store.load("thing", "other", 1)
    assert isinstance(nothing, Absent) and "nothing was saved" in nothing.reason


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "manifest", "list", "no files"])
def test_damage_is_absent_with_its_reason(tmp_path, damage):
    store = Store(tmp_path)
    manifest = store.save("thing", "k", 1, Artefact({}, {"x": np.arange(100)}))
    (data,) = (tmp_path / "thing").glob("*.npz")
    content = bytearray(data.read_bytes())
    content[60] ^= 255
    said = json.loads(manifest.read_text())
    match damage:
        case "flip":
            data.write_bytes(content)
        case "cut":
            data.write_bytes(content[:40])
        case "gone":
            data.unlink()
        case "manifest":
            manifest.write_text(manifest.read_text()[:30])
        case "list":
            manifest.write_text("[1, 2]")
        case "no files":
            manifest.write_text(json.dumps({"version": said["version"]}))
    found = store.load("thing", "k", 1)
    assert isinstance(found, Absent) and "damaged" in found.reason


def test_a_pickle_is_neither_written_nor_read(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(ValueError, match="objects"):
        store.save("thing", "k", 1, Artefact({}, {"x": np.array([{}], dtype=object)}))
    manifest = store.save("thing", "k", 1, Artefact({}, {"x": np.zeros(2)}))
    (data,) = (tmp_path / "thing").glob("*.npz")
    np.savez(data, x=np.array([{"a": 1}], dtype=object))
    said = json.loads(manifest.read_text())
    said["files"]["arrays.npz"]["sha256"] = hashlib.sha256(data.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(said))
    found = store.load("thing", "k", 1)
    assert isinstance(found, Absent) and "allow_pickle" in found.reason


def test_a_manifest_cannot_point_outside_its_folder(tmp_path):
    store = Store(tmp_path / "store")
    with pytest.raises(ValueError, match="no name"):
        store.load("thing", "../../etc/passwd", 1)
    manifest = store.save("thing", "k", 1, Artefact({}, {"x": np.zeros(2)}))
    manifest.write_text(manifest.read_text().replace('"file": "', '"file": "../../'))
    assert isinstance(store.load("thing", "k", 1), Artefact)  # only the file's name is used


def test_content_key():
    assert content_key("a", 1) == content_key("a", 1) != content_key("a1")
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})


def test_an_exploration_comes_back(tmp_path):
    store = Store(tmp_path)
    saved = make_exploration()
    save_exploration(store, saved)
    found = load_exploration(store, "abc", "tiny")
    assert isinstance(found, Exploration)
    assert not found.live and math.isnan(found.analysis_seconds) and found.forward_seconds == 0.25
    assert math.isnan(found.groups["drawn"].clarity) and found.groups["automatic"] == saved.groups["automatic"]
    for name in ("picture_name", "picture_key", "notes", "size_px", "encoder", "layout"):
        assert getattr(found, name) == getattr(saved, name)
    assert found.view.box_px == saved.view.box_px and found.view.fit is Fit.CROP
    for name in ("norm", "pca_joint", "pca_each"):
        assert np.array_equal(getattr(found, name), getattr(saved, name))
    assert found.change.dtype == np.float32 and np.abs(found.change - saved.change).max() < 5e-4
    assert np.array_equal(found.similarity["token"].mean, saved.similarity["token"].mean)
    assert np.isnan(found.similarity["token"].stderr).all()


def test_an_exploration_is_found_by_picture_encoder_and_fit(tmp_path):
    store = Store(tmp_path)
    save_exploration(store, make_exploration(), Fit.PAD)
    assert isinstance(load_exploration(store, "abc", "tiny", Fit.PAD), Exploration)
    for asked in (("abc", "tiny", Fit.ENCODER), ("abd", "tiny", Fit.PAD), ("abc", "mini", Fit.PAD)):
        assert isinstance(load_exploration(store, *asked), Absent)


@pytest.mark.parametrize("part", ["encoder", "groups", "view", "size_px"])
def test_a_mangled_exploration_is_absent(tmp_path, part):
    store = Store(tmp_path)
    manifest = save_exploration(store, make_exploration())
    said = json.loads(manifest.read_text())
    said["meta"][part] = {"unknown": 1}
    manifest.write_text(json.dumps(said))
    found = load_exploration(store, "abc", "tiny")
    assert isinstance(found, Absent) and "damaged" in found.reason


def test_every_field_is_saved(tmp_path):
    """A field added to the record must be added here too, or a loaded exploration would lack it."""
    store = Store(tmp_path)
    save_exploration(store, make_exploration())
    found = load_exploration(store, "abc", "tiny")
    assert {item.name for item in dataclasses.fields(found)} == {
        *("picture_name", "picture_key", "notes", "size_px", "encoder", "view", "layout", "similarity", "groups"),
        *("change", "norm", "pca_joint", "pca_each", "forward_seconds", "analysis_seconds", "live"),
    }


def test_loading_needs_only_numpy(tmp_path):
    save_exploration(Store(tmp_path), make_exploration())
    program = (
        "import sys; from explorer.store import Store, load_exploration\n"
        f"assert load_exploration(Store({str(tmp_path)!r}), 'abc', 'tiny').picture_key == 'abc'\n"
        "assert not {'torch', 'pandas', 'PIL', 'gradio'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
