"""Everybody can use what the page shows once results are stored and questions are answered."""

import pytest
from page_steps import AXE, open_tab, violations
from playwright.sync_api import expect

SECONDS = 90_000


@pytest.fixture(scope="module")
def address(stored_address):
    return stored_address


def unfold(page, view):
    """Open all that can be unfolded in a tab."""
    page.locator(view).locator(".what button[aria-expanded=false]").click()
    for more in page.locator(view).locator("details:not(.vle-export) > summary:visible").all():
        more.click()


def test_axe_finds_nothing_in_cases_results_answers_and_a_staircase(open_page):
    page = open_page(live=False)
    page.set_default_timeout(SECONDS)
    page.add_script_tag(content=AXE)
    page.locator(".fc .fc-why").click()
    wrong = violations(page, "first screen")

    open_tab(page, "Failures")
    page.locator(".fv .case img[src^=data]").first.wait_for()
    unfold(page, "#failures-view")
    wrong += violations(page, "cases as pictures")
    page.locator("input[name=fv-look][value=table]").check(force=True)
    wrong += violations(page, "cases as a table")

    open_tab(page, "Results")
    expect(page.locator(".rv .pair-said")).to_contain_text("All tasks:", timeout=SECONDS)
    unfold(page, "#results-view")
    wrong += violations(page, "results")

    open_tab(page, "Layers")
    page.locator(".fc-open").click()
    expect(page.get_by_role("tab", name="Answers", exact=True)).to_have_attribute(
        "aria-selected", "true", timeout=SECONDS
    )
    page.locator("#answers-view .sum", has_text="right").wait_for()
    page.locator("#answers-view .xray-go").click()
    page.locator("#answers-view .xray-sum", has_text="columns").wait_for()
    page.locator("#answers-view .xray-map").focus()
    page.locator("#answers-view .look").click()
    page.locator("#answers-view .looked-map:visible").first.wait_for()
    page.locator("#answers-view .layer-toggle[data-layer='18']").click()
    page.locator("#answers-view .dial-card .took", has_text="live").wait_for()
    unfold(page, "#answers-view")
    wrong += violations(page, "answers, X-ray and dial")

    open_tab(page, "Stress test")
    page.locator("#stress-view .kind-button").first.wait_for()
    page.locator("input[name=sx-view][value=staircase]").check(force=True)
    page.fill("#stress-view .layouts", "1")
    page.locator("#stress-view .run").click()
    page.locator("#stress-view .run:enabled").wait_for()
    unfold(page, "#stress-view")
    wrong += violations(page, "staircase")
    assert wrong == []
