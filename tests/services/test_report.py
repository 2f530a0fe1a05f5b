import base64
import dataclasses
import hashlib
import html.parser
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from explorer import analyze
from explorer.analysis.similarity import patch_similarity
from explorer.models.encoders import open_encoder
from explorer.records import Picture
from explorer.services.pictures import read_picture
from explorer.services.report import report
from explorer.services.report_data import SKETCH_BYTES, Laid, Opened, Table, sketch

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
    return analyze(picture, open_encoder(str(tiny_clip), device="cpu", dtype="float32"), details=True, text=HOSTILE)


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


def said_to_the_script(page):
    return json.loads(page.partition('id="data">')[2].partition("</script>")[0])


def test_the_script_draws_what_was_computed(explorable):
    look, seen = said_to_the_script(report(explorable))["looks"][0], explorable.explorations[0]
    codes = np.frombuffer(base64.b64decode(look["change"]), np.uint8).reshape(-1, 16)
    rows, cols = np.triu_indices(5, k=1)
    np.testing.assert_allclose(codes / 127 - 1, seen.change[rows, cols], atol=0.005)
    norm = np.frombuffer(base64.b64decode(look["norm"]), "<f4").reshape(5, 16)
    np.testing.assert_allclose(norm, seen.norm[:, seen.layout.patches])
    flat, umap = (
        np.frombuffer(base64.b64decode(one["places"]), "<i2").reshape(5, 16, 2) * one["span"] / 32767
        for one in look["maps"]
    )
    tokens = explorable.tokens[explorable.tokens["kind"] == "patch"]
    np.testing.assert_allclose(flat[..., 0].ravel(), tokens["pca_1"], atol=look["maps"][0]["span"] / 30000)
    meant = explorable.details[0].umap
    np.testing.assert_allclose(umap - umap[0, 0], meant - meant[0, 0], atol=look["maps"][1]["span"] / 10000)
    assert [(one["name"], one["layers"]) for one in look["maps"]] == [("PCA", [*range(5)]), ("UMAP", [*range(5)])]
    heads = explorable.details[0].attention
    assert heads.shape == (4, look["attention"]["heads"], 16) and heads.shape[1] > 1
    mean = np.frombuffer(base64.b64decode(look["attention"]["mean"]), "<f4").reshape(4, 16)
    np.testing.assert_allclose(mean, heads.mean(1), atol=1e-6)
    codes, tops = (base64.b64decode(look["attention"][name]) for name in ("codes", "tops"))
    said = np.frombuffer(codes, np.uint8).reshape(heads.shape) * np.frombuffer(tops, "<f4").reshape(4, -1, 1) / 255
    np.testing.assert_allclose(said, heads, atol=heads.max() / 500)
    assert len(look["facts"]["rank"]) == 5 and 1 <= look["facts"]["rank"][2] <= 15
    cosines = np.frombuffer(base64.b64decode(look["text"]["cosines"]), "<f4").reshape(5, 16)
    assert look["text"]["said"] == HOSTILE and (abs(cosines) <= 1).all() and cosines.std() > 0


def test_the_report_begins_where_its_visitor_was(explorable):
    table = Table("Answers", ("answer", HOSTILE), (("two", HOSTILE), ("three", "0.5")))
    tsne = Laid("t-SNE", (2, 3), np.random.default_rng(0).normal(size=(2, 16, 2)).astype(np.float32))
    thinned = Laid("t-SNE", (2,), tsne.places[:1, :4])
    opened = Opened(layer=3, compared=1, patch=6, mode="text", tables=(table,), maps=(thinned, tsne))
    page = report(explorable, opened)
    maps = said_to_the_script(page)["looks"][0]["maps"]
    assert [(one["name"], one["layers"]) for one in maps[2:]] == [("t-SNE", [2, 3])]
    assert said_to_the_script(page)["opened"] == {"layer": 3, "from": 1, "patch": 6, "mode": "text"}
    outline = Outline(page)
    assert {"Answers", "two", "three", "Match with a text", "layer 1", "row 2, column 3"} <= set(outline.text)
    assert outline.text.count(HOSTILE) == 3 and all(attributes.get("src") != "x" for _, attributes in outline.tags)
    assert "not in this file" not in outline.text
    assert said_to_the_script(report(explorable))["opened"] == {}
    assert "t-SNE, answers and X-ray" in Outline(report(explorable)).text
    headed = report(explorable, Opened(mode="attention", head=1))
    assert said_to_the_script(headed)["opened"] == {"mode": "attention", "head": 1} and "head" in Outline(headed).text
    lacking = dataclasses.replace(explorable, details=(dataclasses.replace(explorable.details[0], umap=None),))
    assert "UMAP of pictures with too many tokens, t-SNE, answers and X-ray" in Outline(report(lacking)).text


def test_what_the_picture_does_not_have_is_not_opened(explorable):
    beyond = Opened(layer=5, compared=5, patch=16, mode="noise", head=99)
    assert beyond.of(explorable.details[0]) == Opened()
    lacking = dataclasses.replace(explorable.details[0], match=None, attention=None)
    assert Opened(layer=4, patch=15, mode="text").of(lacking) == Opened(layer=4, patch=15)
    assert Opened(mode="attention").of(lacking) == Opened() != Opened(mode="norm").of(lacking)


def test_likeness_of_many_patches_is_nearly_exact_and_says_how_nearly():
    """As many patches and layers as of ViT-L/14 at 336 px, with directions that fade as 1/k, and a common one."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(25, 576, 300, generator=generator) / torch.arange(1, 301)
    states += torch.randn(25, 1, 300, generator=generator) / 10
    states[3, 7] = 0
    found = sketch(states, SKETCH_BYTES)
    assert found.codes.shape == (25, 576, SKETCH_BYTES // (25 * 576)) and 0.98 < found.held < 1
    short = found.codes * found.scale[:, None]
    worst = 0
    for patch in (0, 7, 288, 575):
        error = np.einsum("lpk,lk->lp", short, short[:, patch]) - patch_similarity(states, patch).numpy()
        error[:, patch] = 0
        worst = max(worst, abs(error).max())
    assert worst <= found.off + 1e-5 and found.off < 0.02


def test_likeness_is_off_by_less_than_its_quantisation_where_all_directions_fit():
    states = torch.randn(3, 20, 8, generator=torch.Generator().manual_seed(0))
    found = sketch(states, SKETCH_BYTES)
    assert found.codes.shape == (3, 20, 8) and found.held > 0.9999 and found.off < 0.01
    assert sketch(torch.ones(2, 5, 4), 1).codes.shape == (2, 5, 1)  # one direction in any case
    assert sketch(torch.zeros(2, 5, 4), 100).off == 0


def test_padding_is_told(found):
    seen = found.explorations[0]
    padded = dataclasses.replace(seen, view=dataclasses.replace(seen.view, box_px=(0.0, -10.0, 40.0, 30.0)))
    assert "50% of the input is padding" in report(dataclasses.replace(found, explorations=(padded,)))
