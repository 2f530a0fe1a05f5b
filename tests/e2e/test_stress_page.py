"""What a visitor does in the tab "Stress test"."""

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from page_steps import open_tab

DRAWN = "#stress-view canvas.scene[data-drawn=true]"


@pytest.fixture
def open_stress(open_page):
    def open_one(**window):
        page = open_page(live=False, **window)
        open_tab(page, "Stress test")
        seen(page, ".kind-button")
        page.wait_for_selector(DRAWN)
        return page

    return open_one


def inside(page, selector):
    return page.locator("#stress-view").locator(selector)


def seen(page, selector):
    inside(page, selector).first.wait_for()


def wait(page, condition):
    """Wait until a condition in JavaScript holds; ``one`` and ``all`` look within the tab."""
    page.wait_for_function(
        "condition => { const tab = document.querySelector('#stress-view');"
        " const one = (selector) => tab.querySelector(selector), all = (selector) => [...tab.querySelectorAll(selector)];"
        " return new Function('one', 'all', `return ${condition}`)(one, all); }",
        arg=condition,
    )


def pixels(page):
    return inside(page, "canvas.scene").evaluate("canvas => canvas.toDataURL()")


def text(page, selector):
    return inside(page, selector).inner_text()


def add(page, kind):
    page.fill("#stress-view #sx-find", kind)
    inside(page, f".kind-button:visible[title='Add: {kind}']").click()
    page.wait_for_selector(DRAWN)


def things(page):
    return inside(page, ".thing").all_inner_texts()


def view(page, name):
    inside(page, f"input[name=sx-view][value={name}]").check(force=True)


def answered(page):
    """Wait until all rows are there, and say what they hold."""
    wait(page, "all('.row').length >= 2 && all('.row').every((row) => row.dataset.done === 'true')")
    return inside(page, ".row").all_inner_texts()


def saved(page, where, way):
    """The bytes of a figure that is saved in a way."""
    if not inside(page, f"{where} details").evaluate("menu => menu.open"):
        inside(page, f"{where} summary").click()
    with page.expect_download() as found:
        inside(page, where).get_by_role("button", name=way, exact=True).click()
    return Path(found.value.path()).read_bytes()


def table(page, where):
    return list(csv.reader(io.StringIO(saved(page, where, "CSV").decode())))


def drawing(page, where):
    """The words in a figure that is saved as SVG."""
    return " ".join(ElementTree.fromstring(saved(page, where, "SVG")).itertext())


@pytest.mark.quick
def test_a_scene_is_built_by_pointer_and_every_change_is_asked_again(open_stress):
    page = open_stress()
    assert things(page) == [] and "Add something" in text(page, ".hint-empty")
    add(page, "dog")
    add(page, "dog")
    add(page, "heart")
    assert things(page) == ["dog", "dog", "red heart"]
    inside(page, ".swatch[data-colour=blue]").click()
    assert things(page)[2] == "blue heart"
    page.fill("#stress-view #sx-question", "How many dogs are there?")
    page.keyboard.press("Enter")
    wait(page, "one('.truth').textContent.includes('Right answer, from the scene\\'s record: 2')")
    rows = answered(page)
    assert all(re.search(r"✓ right|✗ wrong", row) and "%" in row for row in rows), rows
    inside(page, ".thing").first.click()
    where = inside(page, ".thing").first.get_attribute("title")
    box = inside(page, "canvas.scene").bounding_box()
    x, y = (int(share) / 100 for share in re.findall(r"(\d+) %", where))
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.75 * box["height"], steps=4)
    page.mouse.up()
    assert re.match(
        r"(79|80|81) % from the left, (74|75|76) % from the top", inside(page, ".thing").first.get_attribute("title")
    )
    page.wait_for_selector(DRAWN)
    inside(page, ".tools .remove").click()
    wait(page, "one('.truth').textContent.includes('record: 1')")
    answered(page)
    inside(page, ".undo").click()
    wait(page, "one('.truth').textContent.includes('record: 2')")
    inside(page, ".chip[aria-pressed=true]").first.click()
    wait(page, f"all('.row').length === {len(rows) - 1}")


def test_a_scene_is_built_by_keyboard_alone_and_put_on_show(open_stress):
    page = open_stress()
    inside(page, "#sx-find").focus()
    page.keyboard.type("cat")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    seen(page, ".thing")
    assert things(page) == ["cat"]
    before = inside(page, ".thing").get_attribute("title")
    inside(page, "canvas.scene").focus()
    for key in ("ArrowLeft", "ArrowLeft", "Shift+ArrowUp"):
        page.keyboard.press(key)
    moved = inside(page, ".thing").get_attribute("title")
    assert [
        a - b for a, b in zip(*(map(int, re.findall(r"(\d+) %", said)) for said in (before, moved)), strict=True)
    ] == [2, 5]
    page.wait_for_selector(DRAWN)
    small = pixels(page)
    page.keyboard.press("+")
    page.wait_for_selector(DRAWN)
    assert pixels(page) != small
    for _ in range(4):  # presses of one key are undone together, unless the machine is slow
        if inside(page, ".thing").get_attribute("title") != before or inside(page, ".redo").is_disabled():
            page.keyboard.press("Control+z")
    assert inside(page, ".thing").get_attribute("title") == before
    page.select_option("#stress-view select.sign", "STOP")
    wait(page, "all('.thing').length === 2")
    assert things(page) == ["cat", "sign STOP"]
    inside(page, "canvas.scene").focus()
    page.keyboard.press("PageDown")
    page.keyboard.press("Delete")
    assert things(page) == ["sign STOP"]
    inside(page, ".use").focus()
    page.keyboard.press("Enter")
    wait(page, "one('.used').textContent.includes('on show in all tabs')")
    open_tab(page, "Layers")
    wait(page, "document.querySelector('#layers-view .notes').textContent.includes('scene 1100000000')")


def test_a_staircase_runs_with_a_chart_a_table_and_a_file_and_is_cancelled(open_stress):
    page = open_stress()
    view(page, "staircase")
    page.fill("#stress-view .layouts", "2")
    inside(page, ".run").click()
    wait(page, "one('.cancel').disabled && one('.bar').value === 1")
    lines = inside(page, ".right .legend .legend-item").all_inner_texts()
    assert len(lines) >= 2 and all(re.search(r"\d+ of 20 right", line) for line in lines)
    assert inside(page, ".sweep-chart path").count() >= len(lines) and inside(page, ".thumbs img").count() == 10
    assert "n = 2 layouts a point" in text(page, ".chart-about")
    inside(page, ".sweep-chart").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert text(page, ".readout").startswith("2 there: ")
    head, *rows = table(page, ".take-sweep")
    assert head[:4] == ["true number", "checkpoint", "n", "mean said"] and len(rows) == 10 * len(lines)
    assert inside(page, ".numbers tbody tr").count() == len(rows)
    said = drawing(page, ".take-sweep")
    assert all(line.split(" · ")[0] in said for line in lines)  # the names of the lines
    assert "2 layouts of each, seed 1, ground invented" in said and "mean number said" in said
    page.fill("#stress-view .layouts", "30")
    inside(page, ".run").click()
    wait(page, "one('.bar').value > 0 && one('.bar').value < 1")
    inside(page, ".cancel").click()
    wait(page, "one('.progress-text').textContent.includes('stopped')")
    assert inside(page, ".run").is_enabled()


def test_one_thing_changed_parts_the_features_layer_by_layer(open_stress):
    page = open_stress()
    add(page, "dog")
    add(page, "car")
    view(page, "change")
    seen(page, ".flips tbody tr")
    assert "The last edit: The car came in." in text(page, ".difference")
    said = text(page, ".parting-said")
    assert re.search(r"farthest apart at layer \d+ \(\d\.\d+\)", said) and "Elsewhere" in said
    assert inside(page, ".parting-chart path").count() >= 2
    inside(page, ".parting-chart").focus()
    page.keyboard.press("ArrowLeft")
    assert re.match(r"Layer 17: \S+ at what changed, \S+ elsewhere", text(page, ".parting-readout"))
    assert "layer 17 of 24" in text(page, ".layer-out")
    wait(page, "all('.flips tbody tr td:last-child').every((cell) => /stays|flips/.test(cell.textContent))")
    assert len(table(page, ".take-parting")) == 1 + 25 and len(table(page, ".take-pair")) == 1 + 144
    head, *rows = table(page, ".take-flips")
    assert head[3:5] == ["answer before", "probability before"] and len(rows) == inside(page, ".flips tbody tr").count()
    assert "at what changed" in drawing(page, ".take-parting") and "The car came in" in drawing(page, ".take-pair")


def test_a_phone_shows_every_view_without_sideways_scroll(open_stress):
    page = open_stress(width=375, height=760)
    add(page, "dog")
    for name in ("build", "staircase", "crossing", "change"):
        view(page, name)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
