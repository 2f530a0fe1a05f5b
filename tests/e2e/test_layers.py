"""What a visitor does in the tab "Layers"."""

import re

import numpy as np
import pytest
from page_steps import record_requests
from PIL import Image

PICTURE = "canvas.picture"
LAYERS = 25


def pixels(page):
    """The picture's canvas as drawn, to be compared."""
    return page.evaluate("document.querySelector('canvas.picture').toDataURL()")


def text(page, selector):
    return page.locator(selector).inner_text()


def click_cell(page, i, j):
    """Click the square of layers i and j, which lies within the matrix and not in its first row or column."""
    box = page.locator("canvas.heat").bounding_box()
    page.mouse.click(box["x"] + box["width"] * (j + 0.5) / LAYERS, box["y"] + box["height"] * (i + 0.5) / LAYERS)


def choose_mode(page, mode):
    page.locator(f"input[name=lv-mode][value={mode}]").check(force=True)


def number(found):
    return float(found.replace("−", "-"))


def answered(page, kind):
    page.wait_for_function(
        "kind => document.querySelector('.wait').hidden && !document.querySelector('.left .scale').hidden"
        " && document.querySelector('.unit').textContent.includes(kind)",
        arg=kind,
    )


@pytest.mark.quick
def test_the_first_view_appears_and_layers_change_by_key(open_page):
    page = open_page()
    asked = record_requests(page)
    assert page.locator(".film .frame").count() == LAYERS
    assert "layer 18" in text(page, ".layer-out")
    assert "Click a patch" in text(page, ".short")
    before = pixels(page)
    page.keyboard.press("[")
    assert "layer 17" in text(page, ".layer-out") and pixels(page) != before
    page.keyboard.press("]")
    assert "layer 18" in text(page, ".layer-out") and pixels(page) == before
    page.locator(".frame").nth(3).click()
    assert "layer 3" in text(page, ".layer-out") and page.locator(".frame[aria-selected=true]").inner_text() == "3"
    assert page.locator(".layer").input_value() == "3"
    click_cell(page, 18, 3)
    assert asked == []  # all this needs no server
    with page.expect_request(lambda request: "/queue/join" in request.url and request.post_data_json["event_data"]):
        page.locator(".thumb button").nth(1).click()
    assert asked  # another picture does


def test_a_click_on_the_matrix_opens_the_change_between_two_layers(open_page):
    page = open_page()
    before = pixels(page)
    click_cell(page, 18, 3)
    assert page.locator("input[name=lv-mode][value=change]").is_checked() and pixels(page) != before
    said = text(page, ".short")
    most, mean = re.search(
        r"Between layer 3 and 18 the picture changes most here: .*\(dashed, (\S+); mean (\S+)\)", said
    ).groups()
    assert 0 <= number(mean) <= number(most) <= 2
    cosine = re.search(r"Layers (?:3 and 18|18 and 3): cosine (\S+)", text(page, ".lrs-readout"))[1]
    assert number(mean) == pytest.approx(1 - number(cosine), abs=0.011)  # two ways to the same number
    page.keyboard.press("[")
    assert "Between layer 3 and 17" in text(page, ".short")


def test_the_matrix_by_keyboard(open_page):
    page = open_page()
    page.locator("svg.axes").focus()
    page.keyboard.press("ArrowDown")
    first = re.search(r"Layers (\d+) and (\d+)", text(page, ".lrs-readout")).groups()
    page.keyboard.press("ArrowLeft")
    second = re.search(r"Layers (\d+) and (\d+)", text(page, ".lrs-readout")).groups()
    assert int(second[1]) == int(first[1]) - 1 and second[0] == first[0]
    assert text(page, ".lv .live").startswith(f"Layers {second[0]} and {second[1]}")
    page.keyboard.press("Enter")
    assert f"Between layer {min(map(int, second))} and {max(map(int, second))}" in text(page, ".short")


def test_a_patch_is_compared_by_click_and_by_keyboard(open_page):
    page = open_page()
    box = page.locator(PICTURE).bounding_box()
    page.mouse.click(box["x"] + box["width"] * 2.5 / 12, box["y"] + box["height"] * 1.5 / 12)
    answered(page, "chosen patch")
    assert page.locator("input[name=lv-mode][value=similar]").is_checked()
    assert text(page, ".readout") == "Patch in row 2, column 3: cosine 1.00 with the chosen patch"
    before = pixels(page)
    page.locator(PICTURE).focus()
    page.keyboard.press("ArrowRight")
    assert text(page, ".readout").startswith("Patch in row 2, column 4: cosine")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.readout').textContent.includes('column 4: cosine 1.00')")
    assert pixels(page) != before


def test_text_attention_and_norm(open_page):
    page = open_page()
    choose_mode(page, "text")
    page.fill("#lv-text", "a red [ball]")
    page.keyboard.press("Enter")
    answered(page, "text")
    assert "a red [ball]" in text(page, ".short") and "layer 18" in text(page, ".layer-out")
    choose_mode(page, "attention")
    answered(page, "attention")
    shares = [number(text(page, selector)) for selector in (".low", ".high")]
    assert 0 <= shares[0] <= 100 / 144 <= shares[1] <= 100
    before = pixels(page)
    page.select_option(".head", "2")
    assert "head 3" in text(page, ".short") and pixels(page) != before
    choose_mode(page, "norm")
    assert "length" in text(page, ".unit") and "CLS" in text(page, ".short")


def test_the_colour_scale_says_what_it_is(open_page):
    page = open_page()
    choose_mode(page, "change")
    page.select_option(".scale-choice", "fixed")
    assert (text(page, ".low"), text(page, ".high").removeprefix("≥ ")) == ("0.00", "1.00")
    before = pixels(page)
    page.select_option(".scale-choice", "each")
    assert number(text(page, ".high")) <= 2 and pixels(page) != before
    page.select_option(".lrs-scale", "stretched")
    assert text(page, ".lrs-high") == "1.00"


def test_groups_are_drawn_by_keyboard_and_by_dragging(open_page):
    page = open_page()
    page.locator(".handle").first.focus()
    start = int(page.locator(".handle").first.get_attribute("aria-valuenow"))
    page.keyboard.press("ArrowRight")
    assert page.locator(".handle").first.get_attribute("aria-valuenow") == str(start + 1)
    assert page.locator("input[name=lv-groups][value=drawn]").is_checked()
    page.keyboard.press("ArrowRight")  # the handle keeps the focus
    assert f"1–{start + 1}" in text(page, ".groups-note")
    grip, heat = page.locator(".handle .grip").first.bounding_box(), page.locator("canvas.heat").bounding_box()
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + 4)
    page.mouse.down()
    page.mouse.move(heat["x"] + heat["width"] * 4 / LAYERS, grip["y"] + 4, steps=5)
    page.mouse.up()
    assert page.locator(".handle").first.get_attribute("aria-valuenow") == "4"
    assert not page.locator("input[name=lv-mode][value=change]").is_checked()
    page.click(".add-boundary")
    assert page.locator(".handle").count() == 3
    page.locator(".handle").first.focus()
    page.keyboard.press("Delete")
    assert page.locator(".handle").count() == 2
    page.locator("input[name=lv-groups][value=paper]").check(force=True)
    assert "shallow 1–12 · middle 13–20 · deep 21–24" in text(page, ".groups-note")


def test_what_was_cut_away_is_dimmed_and_cannot_be_chosen(open_page):
    page = open_page()
    page.click(".thumb:nth-child(2) button")
    page.wait_for_function("document.querySelector('.notes').textContent.startsWith('b wide')")
    assert "the dimmed part was not seen" in text(page, ".notes")
    box = page.locator(PICTURE).bounding_box()
    assert box["width"] / box["height"] == pytest.approx(2, abs=0.02)
    middle = box["y"] + box["height"] * 0.5 / 12
    page.mouse.click(box["x"] + box["width"] * 0.24, middle)
    assert page.locator("input[name=lv-mode][value=pca]").is_checked()
    page.mouse.move(box["x"] + box["width"] * 0.26, middle)
    assert text(page, ".readout") == "Patch in row 1, column 1"
    page.mouse.move(box["x"] + box["width"] * 0.74, middle)
    assert text(page, ".readout") == "Patch in row 1, column 12"
    page.select_option("select.fit", "pad")
    page.wait_for_function("document.querySelector('.notes').textContent.includes('padded with grey')")
    box = page.locator(PICTURE).bounding_box()
    assert box["width"] / box["height"] == pytest.approx(1, abs=0.02)


def test_all_pictures_in_use_are_averaged(open_page):
    page = open_page()
    page.select_option("select.over", "all")
    page.wait_for_function("document.querySelector('.map-wait').hidden")
    page.locator("svg.axes").hover()
    page.wait_for_function("document.querySelector('.lrs-readout').textContent.includes('mean of 2 pictures')")


@pytest.mark.quick
def test_own_pictures_good_and_bad(open_page, tmp_path):
    page = open_page()
    waves = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(waves).resize((400, 300)).save(tmp_path / "mine.png")
    (tmp_path / "bad.png").write_text("hello")
    page.set_input_files("input.files", [tmp_path / "mine.png", tmp_path / "bad.png"])
    page.wait_for_function("document.querySelector('.notes').textContent.startsWith('mine.png')")
    assert text(page, ".notice").startswith("bad.png holds text, not a picture") and "\n" not in text(page, ".notice")
    assert page.locator(".thumb").count() == 3
    before = pixels(page)
    page.keyboard.press("[")
    assert pixels(page) != before
    page.set_input_files("input.files", [tmp_path / "bad.png"])
    page.wait_for_function("!document.querySelector('.lv.busy') && !document.querySelector('.add').disabled")
    assert text(page, ".notes").startswith("mine.png") and text(page, ".notice").startswith("bad.png")
    page.click(".remove")
    page.wait_for_function("document.querySelectorAll('.thumb').length === 2")
    page.wait_for_function("!document.querySelector('.notes').textContent.startsWith('mine.png')")


def test_pictures_added_while_others_are_read_follow_them(open_page, tmp_path):
    page = open_page()
    for shade in (40, 200):
        Image.new("L", (90, 60), shade).save(tmp_path / f"{shade}.png")
    (tmp_path / "bad.png").write_text("hello")
    page.set_input_files("input.files", [tmp_path / "40.png", tmp_path / "bad.png"])
    page.set_input_files("input.files", [tmp_path / "200.png"])
    page.wait_for_function("document.querySelectorAll('.thumb').length === 4")
    page.wait_for_function("document.querySelector('.notes').textContent.startsWith('200.png')")
    assert text(page, ".notice").startswith("bad.png")


def test_a_file_that_could_not_be_uploaded_is_told_though_others_waited(open_page, tmp_path):
    page = open_page()
    for name in ("lost", "kept"):
        Image.new("L", (90, 60), 40).save(tmp_path / f"{name}.png")
    page.evaluate(
        """() => {
            const real = window.fetch;
            window.fetch = (...asked) => {
                if (!String(asked[0]?.url ?? asked[0]).includes("/upload")) return real(...asked);
                window.fetch = real;
                return new Promise((_, fail) => setTimeout(() => fail(new TypeError("lost")), 500));
            };
        }"""
    )
    page.set_input_files("input.files", [tmp_path / "lost.png"])
    page.set_input_files("input.files", [tmp_path / "kept.png"])
    page.wait_for_function("document.querySelector('.notes').textContent.startsWith('kept.png')")
    assert text(page, ".notice").startswith("lost.png could not be uploaded")
    assert page.locator(".thumb").count() == 3


def test_a_picture_is_dropped_or_pasted(open_page):
    page = open_page()
    for kind, event, holder in (("drop", "DragEvent", "dataTransfer"), ("paste", "ClipboardEvent", "clipboardData")):
        page.evaluate(
            """async ([kind, event, holder]) => {
                const canvas = Object.assign(document.createElement("canvas"), { width: 60, height: 50 });
                const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
                const carried = new DataTransfer();
                carried.items.add(new File([blob], `${kind}.png`, { type: "image/png" }));
                document.dispatchEvent(new window[event](kind, { [holder]: carried, bubbles: true, cancelable: true }));
            }""",
            [kind, event, holder],
        )
        page.wait_for_function(
            "kind => document.querySelector('.notes').textContent.startsWith(kind)", arg=f"{kind}.png"
        )
    assert page.locator(".thumb").count() == 4


def test_an_encoder_that_cannot_be_had_leaves_the_current_one(open_page):
    page = open_page()
    page.click(".encoder summary")
    page.fill(".wanted", "/no/such/folder")
    page.click(".choose button")
    page.wait_for_selector(".state:not([hidden])")
    assert "/no/such/folder" in text(page, ".state") and "clip stays in use" in text(page, ".state")
    box = page.locator(PICTURE).bounding_box()
    page.mouse.click(box["x"] + 100, box["y"] + 100)
    answered(page, "chosen patch")


def test_dark_mode_repaints_the_matrix(open_page):
    page = open_page(dark=True)
    assert page.evaluate("document.body.classList.contains('dark')")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, re.findall(r"\d+", background)[:3])) < 150
    tick = page.evaluate("getComputedStyle(document.querySelector('.tick')).fill")
    assert sum(map(int, re.findall(r"\d+", tick)[:3])) > 400


def test_a_phone_never_scrolls_sideways(open_page):
    page = open_page(width=375, height=812)
    for mode in ("pca", "similar", "change", "text", "attention", "norm"):
        choose_mode(page, mode)
        widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert widths[0] <= widths[1] == 375, mode
    page.click(".encoder summary")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def choose_encoder(page, encoder, layers):
    page.click(".encoder summary")
    page.fill(".wanted", encoder)
    page.click(".choose button")
    page.wait_for_function("n => document.querySelectorAll('.frame').length === n", arg=layers)


def test_another_encoder_of_another_depth(open_page, vit, clip):
    page = open_page()
    choose_mode(page, "text")
    choose_encoder(page, vit, 5)
    assert text(page, ".enc-name") == "vit" and "layer 3" in text(page, ".layer-out")
    assert page.locator("input[name=lv-mode][value=text]").is_disabled()
    assert page.locator("input[name=lv-mode][value=pca]").is_checked()
    assert not page.locator("input[name=lv-groups][value=paper]").is_visible()
    box = page.locator(PICTURE).bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + 20)
    answered(page, "chosen patch")
    assert text(page, ".readout") == "Patch in row 1, column 1: cosine 1.00 with the chosen patch"
    choose_encoder(page, clip, LAYERS)  # all pages share one
