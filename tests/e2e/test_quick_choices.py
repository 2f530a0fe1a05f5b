"""Choices that follow each other before the first is answered: the last one counts."""

import pytest
from page_steps import open_tab
from playwright.sync_api import expect

SECONDS = 60_000
CHANGE = "const change = (select, value) => { select.value = value; select.dispatchEvent(new Event('change', { bubbles: true })); };"


@pytest.fixture(scope="module")
def address(stored_address):
    return stored_address


@pytest.mark.quick
def test_the_last_patch_picture_and_filter_are_on_show(open_page):
    page = open_page()
    page.locator("input[name=lv-mode][value=similar]").check(force=True)
    page.locator("canvas.picture").focus()
    page.evaluate(
        """() => {
          const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
          for (let k = 0; k < 4; k++) { press('ArrowRight'); press('Enter'); }
        }"""
    )
    page.wait_for_function("document.querySelector('.wait').hidden")
    page.wait_for_function(
        "document.querySelector('.readout').textContent.includes('cosine 1.00 with the chosen patch')"
    )
    names = [page.locator(".thumb button").nth(k).get_attribute("aria-label") for k in (0, 1)]
    page.evaluate("[1, 0, 1].forEach((k) => document.querySelectorAll('.thumb')[k].firstChild.click())")
    page.wait_for_function("!document.querySelector('.lv.busy')")
    expect(page.locator(".thumb button").nth(1)).to_have_attribute("aria-pressed", "true")
    assert page.locator(".notes").inner_text().startswith(names[1]) and names[0] != names[1]
    open_tab(page, "Failures")
    page.locator(".outcome").first.wait_for(timeout=SECONDS)
    page.evaluate(
        f"{CHANGE} document.querySelector('.outcome[data-outcome=neither]').click();"
        " change(document.querySelector('.fv .task'), 'all');"
    )
    expect(page.locator(".fv .sentence")).to_contain_text("Of 192 held-out questions", timeout=SECONDS)
    expect(page.locator(".outcome[data-outcome=neither]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".fv.busy")).to_have_count(0)
    open_tab(page, "Results")
    expect(page.locator(".pair-said")).to_contain_text("mini-l18", timeout=SECONDS)
    page.evaluate(
        f"{CHANGE} const pick = (name) => document.querySelector(`.rv ${{name}}`);"
        " change(pick('.first'), 'mini-l3'); change(pick('.second'), 'mini-fused');"
    )
    expect(page.locator(".pair-said")).to_contain_text("(mini-fused)", timeout=SECONDS)
    expect(page.locator(".pair-said")).to_contain_text("(mini-l3)", timeout=SECONDS)


def test_a_picture_chosen_in_another_tab_has_its_size_in_layers(open_page):
    page = open_page()
    before = page.locator("canvas.picture").bounding_box()["width"]
    assert before > 200
    open_tab(page, "Answers")
    page.locator(".thumb button").nth(1).click()
    page.wait_for_function("!document.querySelector('.lv.busy')")
    page.wait_for_timeout(500)
    open_tab(page, "Layers")
    page.wait_for_timeout(500)
    assert page.locator("canvas.picture").bounding_box()["width"] == pytest.approx(before, abs=2)


def test_own_pictures_removed_in_quick_succession_are_those_clicked(open_page, tmp_path):
    from PIL import Image

    page = open_page()
    files = []
    for name, shade in (("one", 30), ("two", 120), ("three", 220)):
        Image.new("RGB", (60, 60), (shade, 90, 40)).save(tmp_path / f"{name}.png")
        files.append(tmp_path / f"{name}.png")
    page.set_input_files("input.files", files)
    page.wait_for_function("document.querySelectorAll('.thumb .remove').length === 3")
    page.wait_for_function("!document.querySelector('.lv.busy')")
    page.evaluate(
        "['one.png', 'three.png'].forEach((name) => document.querySelector(`[aria-label='Remove ${name}']`).click())"
    )
    page.wait_for_function("document.querySelectorAll('.thumb .remove').length === 1")
    page.wait_for_function("!document.querySelector('.lv.busy')")
    expect(page.locator(".thumb .remove")).to_have_attribute("aria-label", "Remove two.png")


def test_a_picture_added_while_a_case_opens_stays(open_page, tmp_path):
    from PIL import Image

    page = open_page()
    Image.new("RGB", (60, 60), (30, 90, 40)).save(tmp_path / "mine.png")
    page.set_input_files("input.files", tmp_path / "mine.png")
    page.wait_for_function("document.querySelector('.add').textContent === 'Looking…'")
    page.locator(".fc-open").click()
    page.locator(".cards > *").first.wait_for()
    expect(page.locator(".thumb .remove")).to_have_count(2)
    page.get_by_role("button", name="mine.png", exact=True).click()
    open_tab(page, "Layers")
    expect(page.locator(".notes")).to_contain_text("mine.png")


def test_another_picture_chosen_during_an_upload_does_not_end_it(open_page, tmp_path):
    from PIL import Image

    page, held = open_page(), []
    Image.new("RGB", (60, 60), (30, 90, 40)).save(tmp_path / "mine.png")
    page.route("**/upload*", lambda route: held.append(route))
    page.set_input_files("input.files", tmp_path / "mine.png")
    page.locator(".thumb button").nth(1).click()
    expect(page.locator(".notes")).to_contain_text(page.locator(".thumb button").nth(1).get_attribute("aria-label"))
    page.wait_for_function("!document.querySelector('.lv.busy')")
    expect(page.locator(".add")).to_have_text("Uploading…")
    held.pop().continue_()
    expect(page.locator(".notes")).to_contain_text("mine.png", timeout=SECONDS)
    expect(page.locator(".add")).to_have_text("Add pictures")


@pytest.fixture
def looking(slow_address, browser):
    """The page while the encoder, which is ready, looks at the first example for three seconds."""
    first = browser.new_page()
    first.goto(slow_address)
    first.wait_for_selector(".badge[data-live=true]", timeout=SECONDS)
    first.close()
    page = browser.new_page()
    page.goto(slow_address)
    page.wait_for_timeout(2000)
    assert page.locator(".badge[data-live=true]").count() == 0
    yield page
    page.close()


def test_a_picture_added_while_the_first_is_looked_at_stays(looking, tmp_path):
    from PIL import Image

    Image.new("RGB", (60, 60), (30, 90, 40)).save(tmp_path / "mine.png")
    looking.set_input_files("input.files", tmp_path / "mine.png")
    expect(looking.locator(".notes")).to_contain_text("mine.png", timeout=SECONDS)
    looking.wait_for_timeout(4000)
    expect(looking.locator(".notes")).to_contain_text("mine.png")
    expect(looking.locator(".thumb .remove")).to_have_count(1)


def test_a_file_that_is_too_large_is_told_while_the_first_is_looked_at(looking, tmp_path):
    (tmp_path / "big.png").write_bytes(bytes(33_000_000))
    looking.set_input_files("input.files", tmp_path / "big.png")
    expect(looking.locator(".notice")).to_contain_text("big.png is larger than 32 MB", timeout=SECONDS)
    expect(looking.locator(".add")).to_have_text("Add pictures")
