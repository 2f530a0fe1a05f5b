"""What a visitor does with stored cases and results: the first screen, the tabs Failures and Results."""

import re
from pathlib import Path

import pytest
from page_steps import open_tab
from playwright.sync_api import expect

SECONDS = 240_000


@pytest.fixture(scope="module")
def address(stored_address):
    return stored_address


def question_in_answers(page):
    """The question that stands in the tab Answers, once it is open."""
    expect(page.get_by_role("tab", name="Answers", exact=True)).to_have_attribute(
        "aria-selected", "true", timeout=SECONDS
    )
    return page.locator("#answers-view .question")


def lines_of(page, where):
    """Lines of the table that a figure's menu saves."""
    page.locator(f"{where} summary").click()
    with page.expect_download(timeout=SECONDS) as download:
        page.locator(where).get_by_role("button", name="CSV").click()
    return Path(download.value.path()).read_text("utf-8").splitlines()


def test_every_tab_says_what_it_shows_and_unfolds_a_longer_explanation(open_page):
    page = open_page(live=False)
    page.get_by_role("tab").first.wait_for(timeout=SECONDS)
    names = list(dict.fromkeys(name.strip() for name in page.get_by_role("tab").all_inner_texts()))
    assert len(names) == 6
    for name in names:
        open_tab(page, name)
        what = page.locator(".html-container .what:visible").last
        expect(what.locator("[class$=short]")).to_contain_text(re.compile(r"\w+.{20,}[.?]$"), timeout=SECONDS)
        long, button = what.locator("[class$=long]"), what.locator("button[aria-expanded]")
        expect(long).to_be_hidden()
        button.press("Enter")
        expect(long).to_be_visible()
        assert len(long.inner_text()) > 150 and button.get_attribute("aria-expanded") == "true", name


def test_a_request_that_fails_is_told_and_can_be_asked_again(open_page):
    page = open_page(live=False)
    open_tab(page, "Failures")
    expect(page.locator(".fv .case").first).to_be_visible(timeout=SECONDS)
    page.evaluate("document.querySelector('.fv').classList.add('busy')")
    page.evaluate("document.dispatchEvent(new CustomEvent('vle-failures-unanswered'))")
    expect(page.locator(".fv.busy")).to_have_count(0)
    expect(page.locator(".fv-problem")).to_contain_text("try again")
    page.evaluate("document.dispatchEvent(new CustomEvent('vle-results-unanswered'))")
    open_tab(page, "Results")
    expect(page.locator(".rv .finding")).to_have_count(6, timeout=SECONDS)
    expect(page.locator(".rv .again")).to_be_hidden()


@pytest.mark.quick
def test_the_first_screens_case_opens_and_says_both_ways(open_page, stored):
    page = open_page(live=False)
    case = stored[1].meta["first"]["case"]
    ways = stored[1].meta["first"]["together"]
    expect(page.locator(".fc-question")).to_have_text(f"“{case['question']}” True: {case['truth']}.", timeout=SECONDS)
    said = page.locator(".fc .how-often").inner_text()
    assert f"in {ways['second']} (" in said and f"the other way round in {ways['first']} (" in said
    expect(page.locator(".fc-answers li")).to_have_count(3)
    page.click(".fc-why")
    assert "surest" in page.locator(".fc-rule").inner_text()
    page.locator(".fc-open").press("Enter")
    expect(question_in_answers(page)).to_have_value(case["question"], timeout=SECONDS)


def test_failures_by_pointer_and_by_keyboard(open_page, stored):
    page = open_page(live=False)
    open_tab(page, "Failures")
    expect(page.locator(".fv .sentence")).to_contain_text("Of 24 held-out questions about counts", timeout=SECONDS)
    found = int(page.locator(".outcome[data-outcome=second] b").inner_text())
    expect(page.locator(".fv .case")).to_have_count(found)
    expect(page.locator(".fv .case img").first).to_have_attribute("src", re.compile("^data:image/"), timeout=SECONDS)
    page.select_option(".fv .task", "all")
    expect(page.locator(".fv .sentence")).to_contain_text("Of 192 held-out questions about all tasks", timeout=SECONDS)
    page.locator(".outcome[data-outcome=neither]").press("Enter")
    expect(page.locator(".outcome[data-outcome=neither]")).to_have_attribute("aria-pressed", "true", timeout=SECONDS)
    expect(page.locator(".fv .case .mark[data-right=true]")).to_have_count(0, timeout=SECONDS)
    page.select_option(".fv .sure", "0.5")
    expect(page.locator(".fv.busy")).to_have_count(0, timeout=SECONDS)
    for chance in page.locator(".fv .case .chance").all_inner_texts():
        assert int(chance.split()[0]) >= 50
    page.locator("input[name=fv-look][value=table]").check(force=True)
    assert len(lines_of(page, ".take-cases")) == 1 + page.locator(".fv tbody tr").count()
    page.select_option(".fv .sure", "0")
    expect(page.locator(".fv.busy")).to_have_count(0, timeout=SECONDS)
    page.locator(".outcome[data-outcome=both]").press("Enter")
    expect(page.locator(".fv .after")).to_be_enabled(timeout=SECONDS)  # more than a page of them
    found = int(page.locator(".outcome[data-outcome=both] b").inner_text())
    assert len(lines_of(page, ".take-cases")) == 1 + found > 1 + page.locator(".fv tbody tr").count()
    page.locator(".outcome[data-outcome=neither]").press("Enter")
    expect(page.locator(".outcome[data-outcome=neither]")).to_have_attribute("aria-pressed", "true", timeout=SECONDS)
    expect(page.locator(".fv.busy")).to_have_count(0, timeout=SECONDS)
    assert "only first right" in lines_of(page, ".take-whole")[0]
    page.locator("th button[data-sort=truth]").press("Enter")
    expect(page.locator("th[aria-sort=ascending]")).to_have_count(1, timeout=SECONDS)
    row = page.locator(".fv tbody tr").first
    wanted = row.locator("td").first.inner_text()
    row.locator(".open").press("Enter")
    expect(question_in_answers(page)).to_have_value(wanted, timeout=SECONDS)


def test_a_link_opens_a_case_and_hostile_answers_are_text(open_page, stored):
    case = stored[1].case(7)
    page = open_page(live=False, query=f"?case={case.id}")
    expect(question_in_answers(page)).to_have_value(case.question, timeout=SECONDS)
    open_tab(page, "Failures")
    page.locator(".outcome[data-outcome=neither]").click(timeout=SECONDS)
    page.select_option(".fv .task", "all")
    expect(page.locator(".fv .case", has_text="<img src=x onerror=alert(1)> ${alert(2)}").first).to_be_visible(
        timeout=SECONDS
    )
    assert page.locator(".fv img[src=x]").count() == 0


def test_results_are_read_by_keyboard_and_pairs_compared(open_page, stored):
    page = open_page(live=False)
    open_tab(page, "Results")
    expect(page.locator(".rv .finding")).to_have_count(6, timeout=SECONDS)
    page.select_option(".rv .task", "count")
    page.locator(".rv .curve").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".curve-readout").inner_text().startswith("Layer 1: any-layer ")
    page.keyboard.press("ArrowRight")
    assert page.locator(".curve-readout").inner_text().startswith("Layer 2: ")
    expect(page.locator(".pair-said")).to_contain_text("(mini-l18) less", timeout=SECONDS)
    page.select_option(".rv .second", "mini-l3")
    expect(page.locator(".pair-said")).to_contain_text("(mini-l3). All tasks:", timeout=SECONDS)
    expect(page.locator(".paper-said")).to_contain_text("arXiv 2504.21447")
    assert len(lines_of(page, ".take-sweep")) == 1 + len(stored[2].tables["accuracy"])
    assert len(lines_of(page, ".take-findings")) > 6
    page.set_viewport_size({"width": 375, "height": 800})
    expect(page.locator(".rv .curve")).to_be_visible()
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")


COUNT_COPIES = """() => {
  const copy = window.structuredClone;
  window.copies = 0;
  window.structuredClone = (...given) => (window.copies++, copy(...given));
}"""


def copies_of_a_choice(page, picture):
    """How many values Gradio copies from when a picture is chosen until it is on show."""
    page.evaluate("window.copies = 0")
    page.locator(".thumb button").nth(picture).click()
    page.wait_for_function("!document.querySelector('.lv.busy')", timeout=SECONDS)
    page.wait_for_timeout(1000)
    return page.evaluate("window.copies")


def test_opened_tabs_do_not_slow_the_choice_of_a_picture(open_page):
    page = open_page()
    page.evaluate(COUNT_COPIES)
    before = copies_of_a_choice(page, 1)
    for name, shown in (("Results", ".rv .finding"), ("Stress test", ".kinds button")):
        open_tab(page, name)
        page.locator(shown).first.wait_for(timeout=SECONDS)
        page.wait_for_timeout(1000)
        open_tab(page, "Layers")
        after = copies_of_a_choice(page, 2)
        assert 0 < after < 8 * before, name
