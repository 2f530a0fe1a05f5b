"""What a visitor takes away from the page."""

import csv
import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

LAYERS = 25


def saved(page, where, way):
    """Press a way of saving in a figure's menu; the file's name and bytes."""
    menu = page.locator(where)
    if not menu.locator("details").evaluate("menu => menu.open"):
        menu.locator("summary").click()
    with page.expect_download() as found:
        menu.get_by_role("button", name=way, exact=True).click()
    return found.value.suggested_filename, Path(found.value.path()).read_bytes()


def test_figures_are_saved_as_png_svg_and_csv_and_copied(open_page):
    page = open_page()
    name, content = saved(page, ".take-lrs", "CSV")
    assert name.startswith("layers-token-clip") and name.endswith(".csv")
    rows = list(csv.reader(io.StringIO(content.decode())))
    assert rows[0][:3] == ["layer 1", "layer 2", "cosine"] and len(rows) == 1 + LAYERS**2
    cosine = np.array([float(row[2]) for row in rows[1:]]).reshape(LAYERS, LAYERS)
    assert np.allclose(np.diag(cosine), 1, atol=1e-5) and np.allclose(cosine, cosine.T) and cosine.min() < 0.99

    name, content = saved(page, ".take-lrs", "PNG")
    box = page.locator("canvas.heat").bounding_box()
    image = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert name.endswith(".png") and image.shape[1] >= 2 * box["width"]
    yellow = (abs(image.astype(int) - (254, 232, 56)).sum(-1) < 12).sum()  # the diagonal
    assert yellow >= LAYERS * (2 * box["width"] / LAYERS) ** 2 * 0.8

    name, content = saved(page, ".take-lrs", "SVG")
    svg = ElementTree.fromstring(content)
    said = " ".join("".join(node.itertext()) for node in svg.iter("{http://www.w3.org/2000/svg}text"))
    assert name.endswith(".svg") and "layer" in said and "cosine" in said and "Token" not in said
    assert "computed live" in said and "24" in said.split() and "cosine, a square" in said
    assert any(node.get("href", "").startswith("data:image/png") for node in svg.iter())

    _, content = saved(page, ".take-film", "CSV")
    rows = list(csv.reader(io.StringIO(content.decode())))
    assert rows[0] == ["layer", "row", "column", "red", "green", "blue"] and len(rows) == 1 + LAYERS * 144
    _, content = saved(page, ".take-picture", "PNG")
    assert np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).std() > 10

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".take-lrs summary").click()
    page.locator(".take-lrs").get_by_role("button", name="Copy image").click()
    page.locator(".take-lrs .vle-export-said", has_text="Copied.").wait_for()
    kinds = page.evaluate("navigator.clipboard.read().then((found) => found[0].types)")
    assert "image/png" in kinds
    page.keyboard.press("Escape")
    assert not page.locator(".take-lrs details").evaluate("menu => menu.open")


def test_a_link_reopens_the_view(open_page, address):
    page = open_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".thumb > button").nth(1).click()
    page.wait_for_function("document.querySelector('.notes').textContent.includes('b wide')")
    page.locator(".frame").nth(5).click()
    page.locator("input[name=lv-mode][value=norm]").check(force=True)
    page.get_by_role("button", name="Copy link").click()
    page.locator(".shared-said", has_text="The link is copied.").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(address) and "example=b+wide" in link and "layer=5" in link and "mode=norm" in link
    assert page.locator(".address").input_value() == link
    page.goto(link)
    page.wait_for_selector(".badge[data-live=true]")
    page.wait_for_function("document.querySelector('.notes').textContent.includes('b wide')")
    assert "layer 5" in page.locator(".layer-out").inner_text()
    assert page.locator("input[name=lv-mode][value=norm]").is_checked()
    page.goto(f"{address}?layer=3&patch=7&mode=similar&fit=round&example=nothing")
    page.locator(".hd .notice:not([hidden])").wait_for()
    said = page.locator(".hd .notice").inner_text()
    assert "fit round" in said and "nothing does not exist" in said
    page.wait_for_function("document.querySelector('.readout').textContent.includes('row 1, column 8: cosine 1.00')")
    assert "layer 3" in page.locator(".layer-out").inner_text()
