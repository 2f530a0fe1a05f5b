"""Everybody can use the page: rules of WCAG 2.2 AA, the keyboard, a phone's width, reduced motion, a small first view."""

import re

import pytest
from page_steps import AXE, open_tab, violations

MOST_BYTES = 600_000


def tabs(page):
    return list(dict.fromkeys(name.strip() for name in page.get_by_role("tab").all_inner_texts()))


def test_axe_finds_nothing_in_light_and_dark_on_any_tab_and_nothing_scrolls_sideways(open_page):
    page = open_page()
    page.add_script_tag(content=AXE)
    wrong = []
    for name in tabs(page):
        open_tab(page, name)
        wrong += violations(page, name)
        page.set_viewport_size({"width": 375, "height": 800})
        page.wait_for_function("() => innerWidth === 375")
        width = page.evaluate(
            "new Promise((done) => setTimeout(() => done(document.documentElement.scrollWidth), 500))"
        )
        wrong += [f"{name}: {width} px wide on a phone"] if width > 375 else []
        page.set_viewport_size({"width": 1400, "height": 900})
    assert wrong == []


def test_the_keyboard_reaches_what_the_pointer_does(open_page):
    page = open_page()
    page.emulate_media(reduced_motion="reduce")
    reached, bare = [], []
    for _ in range(120):
        page.keyboard.press("Tab")
        at = page.evaluate(
            """() => {
              const node = document.activeElement;
              if (!node || node === document.body) return null;
              const shown = [node, node.nextElementSibling, node.parentElement].filter(Boolean)
                .some((one) => getComputedStyle(one).outlineStyle !== 'none' || getComputedStyle(one).boxShadow !== 'none');
              return [node.tagName.toLowerCase() + '.' + (node.getAttribute('class') ?? ''), shown, node.closest('.html-container') !== null];
            }"""
        )
        if at is None:  # the browser's own bar, or a drawing that was redone under the focus
            continue
        if len(reached) > 10 and "share" in at[0]:
            break
        reached.append(at[0])
        if at[2] and not at[1]:
            bare.append(at[0])
    assert bare == []  # the focus can be seen
    said = " ".join(reached)
    for wanted in ("share", "report", "add", "play", "layer", "frame", "picture", "axes", "kind", "over", "unfold"):
        assert re.search(rf"\.[^.]*\b{wanted}\b", said), f"{wanted} is not reached: {said}"
    moving = page.evaluate(
        "document.getAnimations().filter((one) => one.playState === 'running' &&"
        " one.effect.target?.closest('.html-container')).length"
    )
    assert moving == 0


@pytest.mark.quick
def test_the_first_view_is_small(browser, address):
    context = browser.new_context()
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    sizes = []
    network.on("Network.loadingFinished", lambda said: sizes.append(said["encodedDataLength"]))
    page.goto(address)
    page.locator(".hd .thumb").first.wait_for(timeout=240_000)
    total = sum(sizes)
    context.close()
    assert total < MOST_BYTES, f"{total} bytes"
