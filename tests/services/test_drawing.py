import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from explorer.records import Groups
from explorer.services.drawing import CIVIDIS, MISSING, colour_bar, heatmap, png, scale, shade, value_text


def test_shades_run_over_cividis_and_get_lighter():
    colours = shade(np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan]), 0, 1)
    assert colours[0].tolist() == colours[1].tolist() == CIVIDIS[0].tolist()
    assert colours[3].tolist() == colours[4].tolist() == CIVIDIS[-1].tolist()
    assert colours[5].tolist() == list(MISSING)
    light = shade(np.linspace(0, 1, 50), 0, 1) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(light) > 0).all()


def test_an_equal_range_does_not_divide_by_zero():
    assert shade(np.zeros(3), 0, 0).shape == (3, 3)


def test_png_holds_the_exact_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    kind, _, data = png(pixels).partition(",")
    assert kind == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), pixels)


def test_the_scale_holds_all_values():
    assert scale(np.array([[1.0, 0.3], [0.3, 1.0]])) == (0.0, 1.0)
    low, high = scale(np.array([[1.0, -0.23], [np.nan, 1.0]]))
    assert np.isclose(low, -0.3) and high == 1.0


def test_values_as_text():
    mean, stderr = np.array([[0.4119, np.nan]]), np.array([[0.0101, np.nan]])
    assert value_text(mean, stderr, 0, 0) == "0.412 ± 0.010"
    assert value_text(mean, None, 0, 0) == "0.412"
    assert value_text(mean, stderr, 0, 1) == "–"


def test_heatmap_is_well_formed_and_shows_every_cell():
    matrix = np.array([[1, 0.5, 0.1], [0.5, 1, 0.2], [0.1, 0.2, 1]])
    groups = {"automatic": Groups((1,), 3, ("<b>",)), "drawn": Groups((1, 2), 3, ("a", "b"), source="drawn")}
    drawn = heatmap(matrix, groups, "mean cosine & more")
    for svg in re.findall(r"<svg.*?</svg>", drawn, flags=re.S):
        ElementTree.fromstring(svg)
    assert drawn.count("<title>layers ") == 9
    assert "layers 2 and 0: 0.100" in drawn
    assert "&lt;b&gt;: layers 1–2 (automatic)" in drawn and "<b>" not in drawn
    assert "mean cosine &amp; more" in drawn


def test_colour_bar_names_its_ends_and_its_unit():
    bar = colour_bar(-0.25, 1, "1 − cosine (no unit)")
    ElementTree.fromstring(bar)
    assert "-0.25" in bar and "1.00" in bar and "1 − cosine (no unit)" in bar
