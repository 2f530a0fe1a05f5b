"""What the first view costs, and a click on a patch: `python benchmarks/first_view.py`, in a browser on this machine."""

import json
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
RUNS = 5
CLICKS = 12
# From the pointer's event to the frame after the answer of all layers was painted.
WATCH = """() => {
  const wait = document.querySelector('.lv .wait'), picture = document.querySelector('.lv canvas.picture');
  window.took = [];
  let began = 0;
  picture.addEventListener('click', (event) => { began = event.timeStamp; }, true);
  new MutationObserver(() => {
    if (!wait.hidden || !began) return;
    const since = began;
    began = 0;
    requestAnimationFrame(() => requestAnimationFrame((now) => window.took.push(now - since)));
  }).observe(wait, { attributes: true, attributeFilter: ['hidden'] });
}"""


def first_view(browser, url: str) -> tuple[float, int]:
    """Seconds until all layers are drawn, and bytes on the wire until then, with nothing in the browser's cache."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    sizes = []
    network.on("Network.loadingFinished", lambda said: sizes.append(said["encodedDataLength"]))
    began = time.perf_counter()
    page.goto(url)
    page.locator(".film .frame").first.wait_for(timeout=120_000)
    seconds = time.perf_counter() - began
    context.close()
    return seconds, int(sum(sizes))


def click_seconds(browser, url: str) -> float:
    """Median seconds from a click on a patch to the similarity to it, of all layers, on the screen."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(url)
    page.locator(".film .frame").first.wait_for(timeout=120_000)
    page.locator(".lv input[value=similar]").check(force=True)
    page.evaluate(WATCH)
    picture = page.locator(".lv canvas.picture")
    box = picture.bounding_box()
    for k in range(1 + CLICKS):
        picture.click(position={"x": box["width"] * (0.1 + 0.06 * k), "y": box["height"] * (0.9 - 0.05 * k)})
        page.wait_for_function("k => window.took.length > k", arg=k, timeout=120_000)
    took = page.evaluate("window.took")
    page.close()
    return statistics.median(took[1:]) / 1000  # the first one waits for the encoder


@contextmanager
def served() -> Iterator[tuple[Browser, str]]:
    """The page on a free port, and a browser to open it in."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    command = [sys.executable, "app.py", "--port", url.rsplit(":", 1)[1].rstrip("/")]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=5)
                break
            except OSError:
                if server.poll() is not None:
                    raise SystemExit("app.py ended before the page was up") from None
                time.sleep(0.1)
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            yield chromium, url
            chromium.close()
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    with served() as (chromium, url):
        first_view(chromium, url)  # the encoder loads meanwhile
        runs = [first_view(chromium, url) for _ in range(RUNS)]
        click = click_seconds(chromium, url)
    seconds, size = (statistics.median(column) for column in zip(*runs, strict=True))
    found = {"first_view_seconds": round(seconds, 2), "bytes": size, "runs": RUNS}
    print(json.dumps(found | {"patch_click_seconds": round(click, 3), "clicks": CLICKS}))


if __name__ == "__main__":
    main()
