import base64
import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image
from synthetic import make_exploration

from explorer.records import Fit
from explorer.ui.paper import is_papers_encoder, papers_figure
from explorer.ui.payload import MISSING, STEPS, data_url, exploration_payload, packed, packed_pairs


def array(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def unpacked(said):
    """What the browser makes of it."""
    low, high = array(said["low"], "<f4"), array(said["high"], "<f4")
    codes = array(said["codes"], np.uint8).reshape(len(low), -1)
    values = low[:, None] + codes * ((high - low) / STEPS)[:, None]
    return np.where(codes == MISSING, np.nan, values)


def test_a_packed_value_is_off_by_at_most_half_a_step():
    values = np.random.default_rng(0).normal(size=(7, 50)) * np.array([1, 1e-3, 0.5, 100, 1, 2, 3])[:, None]
    step = (values.max(1) - values.min(1)) / STEPS
    assert (np.abs(unpacked(packed(values)) - values) <= 0.5 * step[:, None] + 1e-5).all()


def test_a_cosine_keeps_two_decimals():
    values = np.random.default_rng(0).uniform(-1, 1, (3, 400))
    assert np.abs(unpacked(packed(values)) - values).max() < 0.005


def test_constant_rows_and_missing_values_survive():
    values = np.array([[2.5, 2.5, 2.5], [np.nan, 1.0, 3.0], [np.nan] * 3])
    back = unpacked(packed(values))
    np.testing.assert_allclose(back, values, atol=1e-6)
    assert array(packed(values)["low"], "<f4")[2] == 0


def test_pairs_come_row_by_row_of_the_upper_triangle():
    change = np.zeros((4, 4, 2), np.float32)
    for i in range(4):
        for j in range(4):
            change[i, j] = [10 * min(i, j) + max(i, j), 0]
    back = unpacked(packed_pairs(change))
    np.testing.assert_allclose(back[:, 0], [1, 2, 3, 12, 13, 23], atol=1e-5)


def test_the_view_is_sent_without_loss():
    pixels = np.random.default_rng(0).integers(0, 256, (28, 42, 3), dtype=np.uint8)
    sent = Image.open(io.BytesIO(base64.b64decode(data_url(pixels).split(",")[1])))
    np.testing.assert_array_equal(np.asarray(sent.convert("RGB")), pixels)


def test_an_exploration_becomes_strict_json_of_small_size(explored, picture):
    said = exploration_payload(explored, picture, Fit.ENCODER, "by nobody")
    text = json.dumps(said, allow_nan=False)
    assert len(text) < 400_000
    assert said["grid"] == [12, 12] and said["size"] == [640, 420] and said["view_px"] == [168, 168]
    assert said["id"] == f"{picture.key}/encoder/mini" and said["live"] and said["credit"] == "by nobody"
    assert array(said["norm"]["low"], "<f4").shape == (25,)
    assert [token["kind"] for token in said["special"]] == ["cls"]
    np.testing.assert_allclose(array(said["special"][0]["norm"], "<f4"), explored.norm[:, 0])
    np.testing.assert_allclose(
        array(said["lrs"]["token"]["mean"], "<f4").reshape(25, 25), explored.similarity["token"].mean, atol=1e-6
    )
    assert np.isnan(array(said["lrs"]["token"]["stderr"], "<f4")).all()


def test_what_was_not_measured_is_null(explored, picture):
    said = exploration_payload(dataclasses.replace(explored, forward_seconds=float("nan")), picture, Fit.ENCODER)
    assert said["seconds"][0] is None and said["groups"]["paper"]["clarity"] is None


def test_an_encoder_of_another_shape(picture):
    found, _ = make_exploration(picture, rows=5, cols=7, blocks=3)
    said = exploration_payload(found, picture, Fit.PAD)
    assert said["grid"] == [5, 7] and "paper" not in said["groups"]
    assert unpacked(said["change"]).shape == (6, 35)


@pytest.mark.parametrize(
    ("id", "is_it"),
    [
        ("openai/clip-vit-large-patch14-336", True),
        ("/models/clip-vit-large-patch14-336/", True),
        ("open_clip:ViT-L-14-336/openai", True),
        ("open_clip:ViT-L-14-336-quickgelu/openai", True),
        ("openai/clip-vit-large-patch14", False),
        ("mini", False),
    ],
)
def test_the_papers_figure_is_only_for_its_encoder(explored, id, is_it):
    big = dataclasses.replace(explored.encoder, id=id, width=1024, image_px=336)
    assert is_papers_encoder(big) is is_it
    assert (papers_figure(big) is not None) is is_it
    assert not is_papers_encoder(dataclasses.replace(big, blocks=12))
