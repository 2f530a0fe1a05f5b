import json
import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from explorer import analyze
from explorer.models.encoders import open_encoder
from explorer.records import EncoderError, Fit, InputError
from explorer.services import analyze as service
from explorer.services.pictures import read_picture


@pytest.fixture(scope="module")
def encoder(tiny_clip):
    return open_encoder(str(tiny_clip), device="cpu", dtype="float32")


def make_photo(path, seed):
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (5, 8, 3), dtype=np.uint8)).resize((60, 40)).save(path)
    return path


def test_one_picture_written_and_returned(tiny_clip, photo, tmp_path):
    told = []
    out = tmp_path / "made" / "out"
    found = analyze(photo, str(tiny_clip), out=out, device="cpu", on_progress=lambda *said: told.append(said))
    assert found.pictures == ("photo.png",) and found.skipped == () and found.fit is Fit.ENCODER
    assert {path.name for path in out.iterdir()} == {
        *("similarity.csv", "similarity_pooled.csv", "similarity_cls.csv", "similarity_cka.csv"),
        *("groups.json", "tokens.parquet", "report.html"),
    }
    table = pd.read_csv(out / "similarity.csv", index_col="layer")
    assert table.shape == (5, 5) and list(table.index) == [0, 1, 2, 3, 4] and list(table.columns) == list("01234")
    assert np.allclose(table.to_numpy(), found.similarity["token"].mean, atol=1e-6)
    assert np.allclose(table, table.T, atol=1e-5) and np.allclose(np.diag(table), 1)
    pd.testing.assert_frame_equal(found.frame().astype(float), table.rename(columns=int), atol=1e-6, check_names=False)

    groups = json.loads((out / "groups.json").read_text())["automatic"]
    assert groups["groups"][0]["first"] == 1 and groups["groups"][-1]["last"] == 4 and len(groups["groups"]) == 3
    assert 0 <= groups["clarity"] <= 1
    assert told[0][:2] == (0, 1) and told[-1] == (1, 1, "done")


def test_the_table_of_tokens_says_what_the_model_computed(encoder, photo, tmp_path):
    found = analyze(photo, encoder, out=tmp_path / "out", features=True)
    tokens = pd.read_parquet(tmp_path / "out" / "tokens.parquet")
    assert len(tokens) == 5 * 17 and set(tokens["picture"]) == {"photo.png"}
    pd.testing.assert_frame_equal(
        tokens.drop(columns="features"), found.tokens, check_dtype=False, check_categorical=False
    )
    states = encoder.forward([encoder.view(read_picture(photo))]).states[:, 0].numpy()
    one = tokens[(tokens["layer"] == 3) & (tokens["row"] == 1) & (tokens["col"] == 2)].iloc[0]
    assert one["token"] == 1 + 4 + 2 and one["kind"] == "patch"
    here, before = states[3, one["token"]], states[2, one["token"]]
    assert math.isclose(one["norm"], np.linalg.norm(here), rel_tol=1e-5)
    cosine = here @ before / np.linalg.norm(here) / np.linalg.norm(before)
    assert math.isclose(one["change"], 1 - cosine, abs_tol=1e-5)
    assert np.allclose(one["features"], here, atol=5e-3)

    cls = tokens[tokens["kind"] == "cls"]
    assert len(cls) == 5 and (cls["row"] == -1).all() and cls[["change", "pca_1", "pca_2"]].isna().all(axis=None)
    first = tokens[(tokens["layer"] == 0) & (tokens["kind"] == "patch")]
    assert first["change"].isna().all() and first["pca_1"].notna().all()


def test_several_pictures_are_averaged_and_bad_ones_told(encoder, tmp_path):
    paths = [make_photo(tmp_path / f"{seed}.png", seed) for seed in range(3)]
    (tmp_path / "bad.png").write_text("no picture")
    found = analyze([paths[0], tmp_path / "bad.png", paths[1], tmp_path, paths[2]], encoder, out=tmp_path / "out")
    assert found.pictures == ("0.png", "1.png", "2.png")
    assert [name for name, _ in found.skipped] == [str(tmp_path / "bad.png"), str(tmp_path)]
    each = np.stack([analyze(path, encoder).similarity["token"].mean for path in paths])
    assert np.allclose(found.similarity["token"].mean, each.mean(0), atol=1e-6)
    stderr = pd.read_csv(tmp_path / "out" / "similarity_stderr.csv", index_col="layer").to_numpy()
    assert np.allclose(stderr, each.std(0, ddof=1) / 3**0.5, atol=1e-6)
    assert found.tokens.groupby("picture", observed=True).size().to_dict() == dict.fromkeys(found.pictures, 85)
    assert "bad.png holds text" in (tmp_path / "out" / "report.html").read_text()


def test_no_table_of_an_earlier_analysis_stays(encoder, photo, tmp_path):
    analyze([photo, photo], encoder, out=tmp_path)
    assert (tmp_path / "similarity_stderr.csv").exists()
    analyze(photo, encoder, out=tmp_path)
    assert (tmp_path / "similarity.csv").exists() and not list(tmp_path.glob("*_stderr.csv"))


def test_equal_names_are_told_apart(encoder, photo, tmp_path):
    (tmp_path / "other").mkdir()
    found = analyze([photo, make_photo(tmp_path / "other" / "photo.png", 5)], encoder)
    assert found.pictures == ("photo.png", "photo.png (2)")
    assert set(found.tokens["picture"]) == set(found.pictures)


def test_only_the_first_pictures_are_kept_whole(encoder, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(service, "SHOWN", 1)
    found = analyze([photo] * 3, encoder, out=tmp_path / "out")
    assert len(found.explorations) == 1 and len(found.pictures) == 3
    assert "2 more pictures are in the tables" in (tmp_path / "out" / "report.html").read_text()


def test_a_picture_in_memory(encoder, photo):
    assert np.array_equal(
        analyze(read_picture(photo), encoder).similarity["token"].mean,
        analyze(photo, encoder).similarity["token"].mean,
    )


def test_a_text_is_matched_with_what_can_be_explored(encoder, photo):
    found = analyze([photo] * 2, encoder, details=True, text="a dog")
    features = encoder.forward([encoder.view(read_picture(photo))])
    expected = encoder.text_match(features, "a dog")[:, 0].numpy()
    assert [one.text for one in found.details] == ["a dog", "a dog"]
    assert np.allclose(found.details[1].match, expected, atol=1e-6)
    assert analyze(photo, encoder, details=True).details[0].match is None


def test_one_pixel(encoder, tmp_path):
    Image.new("RGB", (1, 1), (9, 9, 9)).save(tmp_path / "dot.png")
    found = analyze(tmp_path / "dot.png", encoder, out=tmp_path / "out")
    assert not np.isnan(found.similarity["token"].mean).any()


@pytest.mark.parametrize("fit", list(Fit))
def test_every_fit(encoder, photo, fit):
    found = analyze(photo, encoder, fit=fit.value)
    assert found.fit is fit
    assert found.explorations[0].view.fit is (Fit.CROP if fit is Fit.ENCODER else fit)


def test_groups_of_layers(encoder, photo):
    assert [len(analyze(photo, encoder, groups=k).groups["automatic"].starts) for k in (1, 4)] == [1, 4]
    for k, words in ((0, "at least 1"), (5, "at most")):
        with pytest.raises(InputError, match=words):
            analyze(photo, encoder, groups=k)


def test_impossible_wishes(encoder, photo, tmp_path):
    with pytest.raises(InputError, match="There is no fit 'stretch': choose encoder, crop, pad, squash"):
        analyze(photo, encoder, fit="stretch")
    with pytest.raises(InputError, match="No picture was given"):
        analyze([], encoder)
    with pytest.raises(InputError, match="name a folder"):
        analyze(photo, encoder, features=True)
    with pytest.raises(InputError, match="Cannot make the folder"):
        analyze(photo, encoder, out=photo)
    with pytest.raises(EncoderError, match="no-such-encoder"):
        analyze(photo, "no-such-encoder")


def test_unreadable_pictures_are_told_before_the_encoder_is_loaded(tmp_path):
    for number in range(7):
        (tmp_path / f"{number}.png").touch()
    with pytest.raises(InputError) as caught:
        analyze(sorted(tmp_path.glob("*.png")), "no-such-encoder")
    assert "0.png is empty" in str(caught.value) and "with 2 more" in str(caught.value)


def test_a_failure_leaves_no_half_table(encoder, photo, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(service._Tokens, "frame", fail)
    with pytest.raises(OSError, match="disk full"):
        analyze(photo, encoder, out=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
