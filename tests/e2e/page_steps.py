"""Steps that several browser tests share."""

import gzip
import re
from pathlib import Path

AXE = gzip.decompress((Path(__file__).parent / "vendor" / "axe-4.14.1.min.js.gz").read_bytes()).decode()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} שלום \u2069\u202e{{alert(3)}} dogs"
OURS = ".html-container"  # every component of ours is in one; Gradio's own controls are not ours to mend


def open_tab(page, name):
    """Open a tab from its bar or, where the window is too narrow for it, from the menu beside the bar."""
    tab = page.get_by_role("tab", name=name, exact=True).filter(visible=True).first
    page.wait_for_function("document.querySelector('.tab-wrapper [role=tab][aria-selected=true]')")
    menu = page.get_by_role("button", name="More tabs")
    page.wait_for_timeout(300)  # the bar measures itself again when fonts and contents have come
    if menu.is_visible() and page.locator(".overflow-dropdown button", has_text=name).count():
        menu.click()
        page.locator(".overflow-dropdown button", has_text=name).click()
    else:
        tab.click()
        page.wait_for_function("tab => tab.getAttribute('aria-selected') === 'true'", arg=tab.element_handle())
    page.wait_for_function(
        "() => [...document.querySelectorAll('.html-container')].filter((one) => one.offsetParent).length > 1"
    )


def violations(page, where):
    """What axe finds in our components, in light and in dark: one line a rule and element."""
    wrong = []
    for dark in (False, True):
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        page.wait_for_timeout(300)  # drawings and colours that fade follow
        found = page.evaluate(
            "([rules, ours]) => axe.run({ include: [[ours]] }, { runOnly: rules, resultTypes: ['violations'] }).then((said) =>"
            " said.violations.flatMap((rule) => rule.nodes.map((node) => rule.id + ' ' + node.target.join(' ') + ' '"
            " + node.html.slice(0, 120))))",
            [RULES, OURS],
        )
        wrong += [f"{where}, {'dark' if dark else 'light'}: {one}" for one in dict.fromkeys(found)]
    return wrong


def record_requests(page):
    """Addresses that the page asks from now on, but for signs of life: the heartbeat and what wakes the stream of answers."""
    asked = []

    def record(request):
        sent = request.post_data_json if "/queue/join" in request.url else {"data": [request.url]}
        if not re.search("/heartbeat|/queue/data", request.url) and (sent["data"] or sent["event_data"]):
            asked.append(request.url)

    page.on("request", record)
    return asked
