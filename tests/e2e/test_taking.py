"""What a visitor takes away from the page."""

import base64
import csv
import io
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
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


@pytest.mark.quick
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
    page = open_page(query=link.removeprefix(address))
    page.wait_for_function("document.querySelector('.notes').textContent.includes('b wide')")
    assert "layer 5" in page.locator(".layer-out").inner_text()
    assert page.locator("input[name=lv-mode][value=norm]").is_checked()
    page = open_page(query="?layer=3&patch=7&mode=similar&fit=round&example=nothing")
    page.locator(".hd .notice:not([hidden])").wait_for()
    said = page.locator(".hd .notice").inner_text()
    assert "fit round" in said and "nothing does not exist" in said
    page.wait_for_function("document.querySelector('.readout').textContent.includes('row 1, column 8: cosine 1.00')")
    assert "layer 3" in page.locator(".layer-out").inner_text()


def test_the_report_opens_from_disk_without_a_network(open_page, browser, tmp_path):
    page = open_page(query="?layer=5&compared=2&patch=7&mode=text")
    page.locator(".for-text .text").fill("red circle")
    page.locator(".for-text .text").press("Enter")
    page.wait_for_function("window.vle?.text === 'red circle'")
    table = {"title": "Answers", "columns": ["answer", "right"], "rows": [["<b>two</b>", True]]}
    page.evaluate("(table) => (window.vle.tables = () => [table])", table)
    with page.expect_download() as found:
        page.get_by_role("button", name="Save report").click()
    file = tmp_path / found.value.suggested_filename
    file.write_bytes(Path(found.value.path()).read_bytes())
    assert file.name == "a-square-layers.html" and file.stat().st_size < 3_000_000
    context = browser.new_context(offline=True)
    wrong = []
    report = context.new_page()
    report.on("pageerror", lambda error: wrong.append(str(error)))
    report.on("console", lambda said: said.type == "error" and wrong.append(said.text))
    report.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or wrong.append(asked.url))
    report.goto(file.as_uri())
    report.locator(".strip.live button").nth(LAYERS - 1).wait_for()
    said = report.locator(".said").inner_text()
    assert "Layer 5, Match with a text" in said and "“red circle”" in said and "row 1, column 8" in said
    chosen = dict(zip(report.locator("dt").all_inner_texts(), report.locator("dd").all_inner_texts(), strict=True))
    assert chosen["text matched"] == "red circle" and chosen["layer"] == "5" and chosen["compared with"] == "layer 2"
    assert report.locator(".said-table td").all_inner_texts() == ["<b>two</b>", "True"]
    report.get_by_label("Show").select_option("pca")
    pixels = "document.querySelector('canvas.big').toDataURL()"
    before = report.evaluate(pixels)
    report.locator(".strip.live button").nth(3).click()
    assert "Layer 3, Colours" in report.locator(".said").inner_text() and report.evaluate(pixels) != before
    report.get_by_label("Show").select_option("similar")
    report.locator("canvas.big").focus()
    report.keyboard.press("ArrowLeft")
    assert (
        ", 1.00." in report.locator(".said").inner_text() and "is off by more" in report.locator(".said").inner_text()
    )
    look = report.evaluate("data.looks[0]")
    codes, scale = (base64.b64decode(look[name]) for name in ("sketch", "scale"))
    scale = np.frombuffer(scale, "<f4").reshape(LAYERS, -1)
    short = np.frombuffer(codes, np.int8).reshape(LAYERS, 144, -1)[18] * scale[18]
    alike = report.evaluate("Array.from(alike(unpack(data.looks[0]), 18, 7))")
    assert np.allclose(alike, np.where(np.arange(144) == 7, 1, short @ short[7]), atol=1e-4)
    report.locator("figure.main svg.lrs > rect").nth(3 * LAYERS + 18).click()
    assert "Layer 18, Change between layers" in report.locator(".said").inner_text()
    for mode in ("pca", "each", "attention"):
        report.get_by_label("Show").select_option(mode)
    mean = report.evaluate(pixels)
    report.get_by_label("Heads").select_option("2")
    assert "Head 3; layer k shows block k" in report.locator(".said").inner_text() and report.evaluate(pixels) != mean
    report.get_by_label("Show").select_option("norm")
    assert report.get_by_label("Heads").is_hidden()
    dots = "document.querySelector('canvas.map').toDataURL()"
    flat = report.evaluate(dots)
    report.get_by_label("Map of the tokens by").select_option(label="UMAP")
    assert report.evaluate(dots) != flat and "UMAP lays layers 0 to 24 out together" in report.content()
    assert "Layer 18: rank" in report.locator(".facts").inner_text() and "Tokens of layer 18" in report.content()
    assert "clip" in report.locator("dl").inner_text() and "torch " in report.locator("dl").inner_text()
    context.close()
    assert wrong == []


def test_a_zip_is_compared_and_the_odd_one_is_named(open_page, tmp_path):
    page = open_page()
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(9):
            buffer = io.BytesIO()
            noise = np.random.default_rng(k).integers(0, 256, (12, 12, 3), dtype=np.uint8)
            picture = Image.fromarray(noise) if k == 4 else Image.new("RGB", (12, 12), (20 * k, 90, 200))
            picture.resize((168, 168), 0).save(buffer, "PNG")
            archive.writestr(f"../{k}.png", buffer.getvalue())
        archive.writestr("notes.txt", "hello")
    page.locator("input.files").set_input_files(path)
    page.wait_for_function("document.querySelectorAll('.thumb .remove').length === 9")
    assert "notes.txt" in page.locator(".hd .notice").inner_text()
    page.select_option(".over", "all")
    page.locator(".unlike").wait_for()
    page.locator(".unlike summary").click()
    first = page.locator(".unlike-list button").first
    assert "4.png" in first.inner_text() and "layers" in first.inner_text()
    first.click()
    page.wait_for_function("document.querySelector('.notes').textContent.includes('4.png')")
    assert page.locator(".over").input_value() == "all" and page.locator(".unlike-list button").count() == 9
    page.get_by_role("button", name="Remove mine").click()
    page.wait_for_function("document.querySelectorAll('.thumb').length === 2")
