"""The real page on a free port, with a random-weight CLIP of 24 blocks, driven in Debian's chromium."""

import os
import shutil
import socket
import string
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import stored_family

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
WAIT_MS = 120_000  # where cores are shared, loading libraries takes long
LIVE_WAIT_MS = 60_000


def save_clip(folder):
    """The mini encoder's shape with random weights."""
    import torch
    import transformers

    heads = {"num_attention_heads": 4}
    vision = dict(heads, hidden_size=64, intermediate_size=96, num_hidden_layers=24, image_size=168, patch_size=14)
    text = dict(heads, hidden_size=32, intermediate_size=48, num_hidden_layers=2, vocab_size=200)
    text |= {"max_position_embeddings": 32, "eos_token_id": 199, "bos_token_id": 0}
    torch.manual_seed(0)
    model = transformers.CLIPModel(transformers.CLIPConfig(vision_config=vision, text_config=text, projection_dim=24))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "vision_model.encoder" in name:
                weight.mul_(4)  # so that layers differ
    model.save_pretrained(folder)
    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = ["<|startoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    vocab = {piece: i for i, piece in enumerate(pieces)} | {"<|endoftext|>": 199}
    transformers.CLIPTokenizer(vocab=vocab, merges=[]).save_pretrained(folder)
    transformers.CLIPImageProcessor(size={"shortest_edge": 168}, crop_size=168).save_pretrained(folder)


def save_vit(folder):
    """An encoder of another depth that reads no text."""
    import transformers

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4}
    transformers.ViTModel(transformers.ViTConfig(**sizes, image_size=48, patch_size=16)).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 48, "width": 48}).save_pretrained(folder)


def save_examples(folder):
    """Two pictures: a square one, and a wide one of which the encoder sees the middle half."""
    from PIL import Image, ImageDraw

    folder.mkdir()
    for name, size in (("a square.png", (240, 240)), ("b wide.png", (480, 240))):
        image = Image.new("RGB", size, "#9fc7e8")
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, 150, *size), fill="#6d9b55")
        draw.ellipse((size[0] * 0.4, 60, size[0] * 0.4 + 110, 170), fill="#b5402f")
        image.save(folder / name)


def save_checkpoints(folder):
    """Four mini checkpoints of an encoder with four blocks, with random weights."""
    from tiny_checkpoints import save_checkpoints as save

    folder.mkdir()
    save(folder)


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Id of the encoder in use."""
    return str(tmp_path_factory.getbasetemp() / "e2e0" / "clip")


@pytest.fixture(scope="session")
def vit(tmp_path_factory):
    """Id of another encoder."""
    return str(tmp_path_factory.getbasetemp() / "e2e0" / "vit")


@contextmanager
def serving(folder, flags, script="app.py"):
    """Start the page and wait for its port; ``folder`` is for its log and uploads."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, script, "--port", port, "--device", "cpu", "--no-warm-up", *flags]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "GRADIO_TEMP_DIR": str(folder / "uploads")}
    log = (folder / "log").open("w+")
    server = subprocess.Popen(list(map(str, command)), cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://127.0.0.1:{port}/", server, log)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(20)
        log.close()


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """The page with a random encoder and random checkpoints, and nothing stored."""
    folder = tmp_path_factory.mktemp("e2e")
    save_clip(folder / "clip")
    save_vit(folder / "vit")
    save_examples(folder / "examples")
    save_checkpoints(folder / "checkpoints")
    flags = ["--encoder", folder / "clip", "--examples", folder / "examples", "--precomputed", folder / "none"]
    with serving(folder, [*flags, "--checkpoints", folder / "checkpoints"]) as url:
        yield url


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Folder of a made-up family's stored answers, and what is in it."""
    folder = tmp_path_factory.mktemp("stored")
    held, sweep = stored_family.save_family(folder, n=24)
    return folder, held, sweep


@pytest.fixture(scope="module")
def stored_address(stored, tmp_path_factory):
    """The page with those answers; its encoder and checkpoints are the built-in ones."""
    with serving(tmp_path_factory.mktemp("app"), ["--precomputed", stored[0]]) as url:
        yield url


@contextmanager
def serving_altered(folder, script):
    """The page as a script alters it, with a random encoder and nothing stored."""
    save_clip(folder / "clip")
    save_examples(folder / "examples")
    flags = ["--encoder", folder / "clip", "--examples", folder / "examples", "--precomputed", folder / "none"]
    with serving(folder, flags, script=script) as url:
        yield url


@pytest.fixture(scope="module")
def hostile_address(tmp_path_factory):
    """The page with models that answer with hostile text."""
    with serving_altered(tmp_path_factory.mktemp("hostile"), "tests/e2e/hostile_app.py") as url:
        yield url


@pytest.fixture(scope="module")
def slow_address(tmp_path_factory):
    """The page with an encoder that takes seconds to look at the first example."""
    with serving_altered(tmp_path_factory.mktemp("slow"), "tests/e2e/slow_app.py") as url:
        yield url


def pending_requests(page):
    """The requests of a page that are on their way."""
    pending = set()
    page.on("request", lambda request: pending.add(request))
    for end in ("requestfinished", "requestfailed"):
        page.on(end, lambda request: pending.discard(request))
    return pending


def wait_for(url, server, log):
    end = time.monotonic() + WAIT_MS / 1000
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.2)
    log.seek(0)
    pytest.fail(f"app.py did not open its port:\n{log.read()[-3000:]}")


@pytest.fixture(scope="session")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[dev]")
    with sync.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(address, browser):
    """Open the page in a window of a size; at the end, no script failed and no other host was asked."""
    opened, wrong = [], []

    def open_one(width=1400, height=900, dark=False, live=True, query=""):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
        page.on("console", lambda said: said.type == "error" and wrong.append(f"console: {said.text}"))
        page.on("request", lambda asked: foreign(asked.url) and wrong.append(f"foreign request: {asked.url}"))
        pending = pending_requests(page)
        try:
            page.goto(address + query)
            if live:
                page.wait_for_selector(".badge[data-live=true]")
                page.set_default_timeout(LIVE_WAIT_MS)
        except Exception as error:  # playwright's TimeoutError, which is not imported where playwright is missing
            error.add_note(f"still waiting for: {sorted(request.url for request in pending)}")
            raise
        return page

    def foreign(url):
        return not url.startswith((address, "data:", "blob:"))

    yield open_one
    for context in opened:
        context.close()
    assert wrong == []
