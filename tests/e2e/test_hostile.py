"""Text of a model and names of files are text, and turn nothing of what stands beside them."""

import io

import pytest
from page_steps import HOSTILE, open_tab
from PIL import Image

SHOWN = "<img src=x onerror=alert(1)> ${alert(2)} שלום"
NAME = "<img src=x onerror=alert(1)> ${alert(2)} {{alert(3)}} שלום \u202egnp.png"


@pytest.fixture(scope="module")
def address(hostile_address):
    return hostile_address


def runs_right(page, selector, words):
    """Whether words of ours in an element are drawn from left to right, after all that stands before them."""
    return page.locator(selector).first.evaluate(
        """(node, words) => {
          const walk = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
          const letters = [];
          while (walk.nextNode()) for (let k = 0; k < walk.currentNode.length; k++) letters.push([walk.currentNode, k]);
          const from = letters.map(([text, k]) => text.data[k]).join('').lastIndexOf(words);
          if (from < 0) return `${words} is not there`;
          const places = letters.slice(from, from + words.length).map(([text, k]) => {
            const range = new Range();
            range.setStart(text, k);
            range.setEnd(text, k + 1);
            const box = range.getBoundingClientRect();
            return box.top * 10000 + box.left;
          });
          return places.every((place, k) => !k || place >= places[k - 1]);
        }""",
        words,
    )


def test_a_hostile_answer_and_a_hostile_name_stay_text_and_turn_nothing(open_page):
    page = open_page()
    page.locator("input.files").set_input_files({"name": NAME, "mimeType": "image/png", "buffer": png()})
    page.wait_for_function("document.querySelector('#layers-view .notes').textContent.includes('<img src=x')")
    assert NAME.split("\u202e")[0] in page.locator(".hd .thumb button[aria-pressed=true]").get_attribute("title")
    assert runs_right(page, "#layers-view .notes", "seen as 168 × 168 px") is True

    open_tab(page, "Answers")
    page.fill("#av-question", "How many dogs are there?")
    page.locator("#answers-view .go").click()
    page.locator("#answers-view .sum", has_text="not known here").wait_for()
    cards = page.locator("#answers-view .cards")
    assert HOSTILE in cards.locator(".said").first.text_content()
    assert HOSTILE in cards.locator(".bar-row bdi").first.text_content()
    assert runs_right(page, "#answers-view .sum", "The right answer is not known here") is True

    page.locator("#answers-view .more summary").click()
    page.fill("#answers-view .truth", "3")
    page.keyboard.press("Tab")
    cards.locator(".verdict.wrong").first.wait_for()

    page.locator("#answers-view .xray-go").click()
    page.locator("#answers-view .xray-sum", has_text="columns").wait_for()
    page.locator("#answers-view .xray-map").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    said = page.locator("#answers-view .xray-readout").inner_text()
    assert SHOWN in said and "trained for it alone" in said
    assert runs_right(page, "#answers-view .xray-readout", "; mini-l3, trained for it alone") is True

    for layer in (3, 18):
        page.locator(f"#answers-view .layer-toggle[data-layer='{layer}']").click()
        page.locator("#answers-view .dial-card .took", has_text="live").wait_for()
    page.locator("#answers-view .dial-trail li").nth(1).wait_for()
    assert runs_right(page, "#answers-view .dial-trail li", " ✗") is True

    open_tab(page, "Stress test")
    page.locator("#stress-view .kind-button").first.wait_for()
    page.fill("#sx-question", "How many dogs are there?")
    page.keyboard.press("Enter")
    page.locator("#stress-view .row[data-done=true] .row-said", has_text="<img src=x").first.wait_for()
    assert page.locator("img[src=x]").count() == 0


def png():
    buffer = io.BytesIO()
    Image.new("RGB", (30, 30), "teal").save(buffer, "PNG")
    return buffer.getvalue()
