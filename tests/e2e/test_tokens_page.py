"""What a visitor does in the tab "Tokens": one page, one walk after the other."""

import re

import pytest
from page_steps import open_tab, record_requests

COUNT = 144


@pytest.fixture
def tokens(open_page):
    """Open the page, then the tab; ready once the first map is there."""

    def open_tokens(**window):
        page = open_page(**window)
        open_tab(page, "Tokens")
        page.wait_for_function("document.querySelector('.tk .tk-empty').hidden")
        return page

    return open_tokens


def says(page, selector, words):
    """Wait until the text of an element, on show or not, holds the words."""
    page.wait_for_function(
        "([selector, words]) => document.querySelector(selector).textContent.includes(words)", arg=[selector, words]
    )


def drawn(page):
    return page.evaluate("document.querySelector('.cloud').toDataURL()")


def drawn_anew(page, before):
    page.wait_for_function("before => document.querySelector('.cloud').toDataURL() !== before", arg=before)


@pytest.mark.quick
def test_a_layer_change_moves_points_without_a_request_and_every_tab_follows(tokens):
    page = tokens()
    says(page, ".tk-badge", "live · PCA")
    says(page, ".tk-notes", f"{25 * COUNT} tokens")
    page.wait_for_function("document.querySelectorAll('.tk .chart .value').length === 4")
    asked, before = record_requests(page), drawn(page)
    page.keyboard.press("[")
    says(page, ".tk-layer-out", "layer 17")
    drawn_anew(page, before)
    says(page, ".tk [data-chart=anisotropy] .value", "Layer 17")
    assert asked == []
    page.locator(".tk [data-chart=anisotropy] svg").scroll_into_view_if_needed()
    chart = page.locator(".tk [data-chart=anisotropy] svg").bounding_box()
    page.mouse.click(chart["x"] + chart["width"] * 42 / 300 + 1, chart["y"] + chart["height"] / 2)
    says(page, ".tk-layer-out", "layer 0")
    open_tab(page, "Layers")
    says(page, ".layer-out", "layer 0")
    page.keyboard.press("]")
    open_tab(page, "Tokens")
    says(page, ".tk-layer-out", "layer 1 ")


def test_a_patch_chosen_on_the_picture_colours_the_rest_by_likeness(tokens):
    page = tokens()
    picture = page.locator(".views canvas").bounding_box()
    page.mouse.click(picture["x"] + picture["width"] * 2.5 / 12, picture["y"] + picture["height"] * 1.5 / 12)
    says(page, ".tk-readout", "row 2, column 3")
    page.select_option(".colour-choice", "similar")
    says(page, ".tk-readout", "row 2, column 3: cosine 1.00 with the chosen patch")
    open_tab(page, "Layers")
    assert page.evaluate("window.vle.patch") == 14
    says(page, ".readout", "row 2, column 3")


def test_points_are_marked_by_lasso_by_keyboard_and_by_legend(tokens):
    page = tokens()
    box = page.locator(".cloud").bounding_box()
    corners = [(2, 2), (box["width"] - 2, 2), (box["width"] - 2, box["height"] - 2), (2, box["height"] - 2)]
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    for x, y in corners[1:]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=3)
    page.mouse.up()
    says(page, ".marked-said", f"{COUNT} of {COUNT} patches are marked")
    assert page.locator(".marked button").count() == 24
    page.click(".tk .clear")
    says(page, ".marked-said", "No patch is marked")

    page.locator(".cloud").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    says(page, ".marked-said", "1 of")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("+")
    page.keyboard.press("+")
    says(page, ".marked-said", "8 of")
    assert "row" in page.locator(".tip-text").text_content()
    page.keyboard.press("Enter")
    assert page.evaluate("window.vle.patch") >= 0
    page.keyboard.press("Escape")
    says(page, ".marked-said", "No patch is marked")

    page.select_option(".colour-choice", "cluster")
    page.wait_for_function("document.querySelectorAll('.tk-legend button').length === 5")
    counts = [int(re.search(r"\((\d+)\)", text)[1]) for text in page.locator(".tk-legend button").all_inner_texts()]
    assert sum(counts) == COUNT
    page.locator(".tk-legend button").first.click()
    says(page, ".marked-said", f"{counts[0]} of")
    page.locator(".marked button").first.click()
    says(page, ".tk-readout", "cluster 1")


def test_several_layers_several_pictures_tsne_and_umap(tokens):
    page = tokens()
    page.check(".tk .several")
    page.locator(".strip button").nth(0).click()
    assert page.locator(".strip button[aria-pressed=true]").count() == 4
    says(page, ".tk-legend", "layer 0")
    says(page, ".tk-layer-out", "layers 0, 3, 18, 23")
    page.locator("input[name=tk-method][value=tsne]").check(force=True)
    says(page, ".tk-badge", "live · t-SNE")
    says(page, ".tk-notes", f"{4 * COUNT} tokens")
    page.uncheck(".tk .several")
    page.locator("input[name=tk-method][value=umap]").check(force=True)
    says(page, ".tk-badge", "live · UMAP")  # its code is compiled meanwhile
    says(page, ".tk-notes", f"{25 * COUNT} tokens")
    page.select_option(".pictures-choice", "all")
    page.wait_for_function("document.querySelectorAll('.views canvas').length === 2")
    says(page, ".tk-notes", f"{50 * COUNT} tokens")
    page.select_option(".colour-choice", "picture")
    page.wait_for_function("document.querySelectorAll('.tk-legend button').length === 2")


def test_a_phone_in_the_dark_never_scrolls_sideways_and_points_do_not_slide(tokens):
    page = tokens(width=375, height=812, dark=True)
    page.emulate_media(reduced_motion="reduce", color_scheme="dark")
    for colour in ("place", "cluster", "similar"):
        page.select_option(".colour-choice", colour)
        widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert widths[0] <= widths[1] == 375, colour
    page.check(".tk .several")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.click(".tk .unfold")
    assert page.locator(".tk .long").is_visible() and page.evaluate("document.documentElement.scrollWidth") <= 375
