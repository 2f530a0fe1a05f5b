import base64
import dataclasses
import hashlib
import html.parser
import json
import re

import numpy as np
import pytest
from PIL import Image

from explorer import analyze
from explorer.models.encoders import open_encoder
from explorer.records import Picture
from explorer.services.pictures import read_picture
from explorer.services.report import report

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>.png"


class Outline(html.parser.HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def found(tiny_clip, tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (20, 40, 3), dtype=np.uint8)).save(path)
    encoder = open_encoder(str(tiny_clip), device="cpu", dtype="float32")
    return analyze([read_picture(path, HOSTILE), read_picture(path, "b.png")], encoder)


@pytest.fixture(scope="module")
def explorable(tiny_clip):
    rng = np.random.default_rng(1)
    picture = Picture(HOSTILE, rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    return analyze(picture, open_encoder(str(tiny_clip), device="cpu", dtype="float32"), details=True)


def test_the_report_needs_nothing_from_outside_and_runs_nothing(found):
    outline = Outline(report(found))
    tags = {tag for tag, _ in outline.tags}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}
    for _, attributes in outline.tags:
        assert not [name for name in attributes if name.startswith("on")]
        address = attributes.get("src") or attributes.get("href") or "data:"
        assert address.startswith("data:image/png;base64,") or address == "data:"
    assert not re.search(r"url\((?!#)|@import|https?://", report(found))


def test_hostile_names_are_text(found):
    outline = Outline(report(found))
    assert any(HOSTILE in text for text in outline.text)
    assert all(attributes.get("src") != "x" for _, attributes in outline.tags)
    renamed = dataclasses.replace(found.encoder, title="<i>t</i>", id="<i>id</i>")
    again = Outline(report(dataclasses.replace(found, encoder=renamed)))
    assert "i" not in {tag for tag, _ in again.tags}


def test_the_report_shows_picture_strips_similarity_groups_and_settings(found):
    page = report(found)
    outline = Outline(page)
    images = [attributes for tag, attributes in outline.tags if tag == "img"]
    assert len(images) == 2 * (1 + 4 + 5)  # the picture, changes of layers 1…4, colours of layers 0…4
    assert page.count("<title>layers ") == 4 * 25
    text = " ".join(outline.text)
    for said in ("shallow 1–", "clarity of the boundaries", "mean over 2 pictures ± standard error", "fit: crop"):
        assert said in text
    for said in ("CLIPModel", "float32 on cpu", "torch ", "50% of the picture was cut away", "1 − cosine (no unit)"):
        assert said in text
    token = found.similarity["token"]
    assert f"layers 1 and 3: {token.mean[1, 3]:.3f} ± {token.stderr[1, 3]:.3f}" in page
    assert "prefers-color-scheme: dark" in page and "viewport" in page


def test_the_interactive_part_is_one_script_named_by_its_hash(explorable):
    page = report(explorable)
    outline = Outline(page)
    scripts = [attributes for tag, attributes in outline.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "data"}, {}]
    code = page.rpartition("<script>")[2].partition("</script>")[0]
    allowed = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}'" in page and "innerHTML" not in code and "eval" not in code
    assert not re.search(r"url\((?!#)|@import|https?://(?!www.w3.org/2000/svg)", page)
    assert len([1 for _, attributes in outline.tags if attributes.get("class") == "look"]) == 1


def test_the_script_draws_what_was_computed(explorable):
    page = report(explorable)
    said = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    look, seen = said["looks"][0], explorable.explorations[0]
    codes = np.frombuffer(base64.b64decode(look["change"]), np.uint8).reshape(-1, 16)
    rows, cols = np.triu_indices(5, k=1)
    np.testing.assert_allclose(codes / 127 - 1, seen.change[rows, cols], atol=0.005)
    norm = np.frombuffer(base64.b64decode(look["norm"]), "<f4").reshape(5, 16)
    np.testing.assert_allclose(norm, seen.norm[:, seen.layout.patches])
    places = np.frombuffer(base64.b64decode(look["places"]), "<i2").reshape(5, 16, 2) * look["span"] / 32767
    tokens = explorable.tokens[explorable.tokens["kind"] == "patch"]
    np.testing.assert_allclose(places[..., 0].ravel(), tokens["pca_1"], atol=look["span"] / 30000)
    attention = np.frombuffer(base64.b64decode(look["attention"]), "<f4").reshape(4, 16)
    assert (attention >= 0).all() and (attention.sum(1) < 1).all()
    assert len(look["facts"]["rank"]) == 5 and 1 <= look["facts"]["rank"][2] <= 15


def test_padding_is_told(found):
    seen = found.explorations[0]
    padded = dataclasses.replace(seen, view=dataclasses.replace(seen.view, box_px=(0.0, -10.0, 40.0, 30.0)))
    assert "50% of the input is padding" in report(dataclasses.replace(found, explorations=(padded,)))
