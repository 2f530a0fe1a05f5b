"""What a visitor does in the tab "Answers"; four random checkpoints of an encoder with four blocks answer."""

import csv
import io
import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from explorer.ui.links import pack_scene

SCENE = {
    "seed": 1_100_000_001,
    "backdrop": {"name": "a green background", "style": "plain", "colours": [[90, 160, 80], [90, 160, 80]]},
    "objects": [{"kind": "dog", "x": x, "y": 0.5, "size": 0.2} for x in (0.15, 0.5, 0.85)],
    "sign": None,
}
QUESTION = "How many dogs are there?"
HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} {{alert(3)}} שלום \u202e👩‍👩‍👧 </script><b>dogs?"


@pytest.fixture
def open_answers(open_page):
    """Open the tab; with a question, on a scene, by a link."""

    def open_one(question="", **window):
        scene = {"scene": pack_scene(json.dumps(SCENE)), "question": question} if question else {}
        page = open_page(live=False, query=f"?{urlencode(scene | {'tab': 'answers'})}", **window)
        page.locator("#answers-view .suggestion").first.wait_for()
        return page

    return open_one


def answered(page, count):
    """Wait until so many cards are done."""
    page.wait_for_function(
        "count => document.querySelectorAll('#answers-view .cards .card').length === count && "
        "[...document.querySelectorAll('#answers-view .cards .card')].every((card) => card.getAttribute('aria-busy') === 'false') && "
        "document.querySelector('#answers-view .stop').hidden",
        arg=count,
    )


def text(page, selector):
    return page.locator(f"#answers-view {selector}").inner_text()


def xrayed(page):
    page.wait_for_function("document.querySelector('#answers-view .xray-sum').textContent.includes('columns')")


@pytest.mark.quick
def test_a_scene_is_asked_judged_xrayed_and_dialled(open_answers):
    page = open_answers(QUESTION)  # the link asks by itself
    answered(page, 2)
    assert page.locator("#av-question").input_value() == QUESTION
    assert "Right is “3” (known, because this is a scene)" in text(page, ".sum")
    cards = page.locator("#answers-view .cards .card").all_inner_texts()
    assert page.locator("#answers-view .cards .verdict").count() == 2, cards
    assert page.locator("#answers-view .cards .count.is-true").count() == 2
    assert text(page, ".chips .chip >> nth=1").splitlines()[0].startswith("✓ ")

    page.locator("#answers-view .chip[data-id=mini-l2]").click()
    page.locator("#answers-view .go").click()
    answered(page, 3)
    assert page.locator("#answers-view .cards .took", has_text="live").count() == 3

    page.locator("#answers-view .look").click()
    page.wait_for_function(
        "[...document.querySelectorAll('#answers-view .cards .looked-map')].filter((map) => !map.hidden).length === 3"
    )
    page.wait_for_function("document.querySelector('#answers-view .look-bar .high').textContent.endsWith('%')")
    drawn = "document.querySelector('#answers-view .cards .looked-map').toDataURL()"
    before = page.evaluate(drawn)
    page.select_option("#answers-view .method", "gradient")
    page.wait_for_function(f"before => {drawn} !== before", arg=before)

    page.locator("#answers-view .xray-go").click()
    xrayed(page)
    assert "The right answer, “3”" in text(page, ".xray-sum") and "5 columns" in text(page, ".xray-sum")
    assert (
        page.locator("#answers-view .xray-map .trained").count() == 3
        and page.locator("#answers-view .xray-map .true-band").count() == 1
    )
    with page.expect_download() as found:
        page.locator("#answers-view .take-xray summary").click()
        page.locator("#answers-view .take-xray").get_by_role("button", name="CSV").click()
    rows = list(csv.reader(io.StringIO(Path(found.value.path()).read_text())))
    shares = [float(row[6]) for row in rows[1:] if row[6]]
    assert len(shares) == 5 * 11 and sum(shares) == pytest.approx(5, abs=0.02)

    page.locator("#answers-view .layer-toggle[data-layer='1']").click()
    page.locator("#answers-view .layer-toggle[data-layer='4']").click()
    page.wait_for_function(
        "document.querySelector('#answers-view .dial-card h3')?.textContent.startsWith('1 + 4 · fused')"
    )
    page.locator("#answers-view .dial-card .took", has_text="live").wait_for()
    page.locator("#answers-view .dial-add:enabled").click()
    answered(page, 4)

    page.locator(".thumb > button").nth(1).click()  # another picture, without a truth: the same question again
    page.wait_for_function("document.querySelector('#answers-view .shown-name').textContent.startsWith('b wide')")
    answered(page, 4)
    assert "The right answer is not known" in text(page, ".sum") and page.locator("#answers-view .verdict").count() == 0
    assert "not one of the generated scenes" in text(page, ".picture-note")
    page.locator("#answers-view .more summary").click()
    page.locator("#answers-view .truth").fill("3")
    page.keyboard.press("Tab")
    page.locator("#answers-view .cards .verdict").first.wait_for()
    assert page.locator("#answers-view .cards .verdict").count() == 4 and "as you say" in text(page, ".sum")


def tab_to(page, selector, most=60):
    for _ in range(most):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{selector} cannot be reached by the Tab key")


def test_by_keyboard_alone(open_page):
    page = open_page(live=False)
    page.get_by_role("tab", name="Layers").focus()
    page.keyboard.press("ArrowRight")
    if page.get_by_role("tab", name="Answers").get_attribute("aria-selected") != "true":
        page.get_by_role("tab", name="Answers").focus()
        page.keyboard.press("Enter")
    page.locator("#answers-view .suggestion").first.wait_for()
    tab_to(page, "#av-question")
    page.keyboard.type("Is there a dog?")
    page.keyboard.press("Enter")
    answered(page, 2)
    assert page.locator("#answers-view .cards .bar-row").count() == 4  # yes and no, twice
    tab_to(page, "#answers-view .xray-go")
    page.keyboard.press("Enter")
    xrayed(page)
    tab_to(page, "#answers-view .xray-map")
    page.keyboard.press("ArrowRight")
    assert text(page, ".xray-readout").startswith("layer 2: “yes”")
    page.keyboard.press("ArrowDown")
    assert text(page, ".xray-readout").startswith("layer 2: “no”")
    page.keyboard.press("Enter")
    answered(page, 3)
    assert text(page, ".cards .card >> nth=2").splitlines()[:2] == ["layer 2", "mini-any@2"]
    tab_to(page, "#answers-view .layer-toggle[data-layer='3']")
    page.keyboard.press("Space")
    page.locator("#answers-view .dial-card .took", has_text="live").wait_for()


def test_hostile_text_is_text_on_a_phone_in_the_dark(open_answers):
    page = open_answers(width=375, height=800, dark=True)
    page.locator("#av-question").fill(HOSTILE)
    page.locator("#answers-view .go").click()
    answered(page, 2)
    page.locator("#answers-view .suggestion").first.click()
    page.locator("#answers-view .before summary").click()
    asked = page.locator("#answers-view .before-list li").first.inner_text()
    assert "<img src=x onerror=alert(1)> ${alert(2)} {{alert(3)}}" in asked and "<b>dogs?" in asked
    assert page.locator("#answers-view img, #answers-view b b, #answers-view script").count() == 0
    answered(page, 2)
    page.locator("#answers-view .xray-go").click()
    xrayed(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.locator("#answers-view .more summary").first.click()
    page.fill("#av-own", "<script>alert(1)</script>")
    page.keyboard.press("Enter")
    page.locator("#answers-view .problem", has_text="There is no checkpoint").wait_for()
