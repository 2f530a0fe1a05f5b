import asyncio

import gradio
import pytest
from gradio import processing_utils

from explorer.records import InputError
from explorer.ui.server import Guard, refuse_urls


def ask(path, headers=(), chunks=(b"",)):
    """Send one request through the guard; return (status, headers, what the application received)."""
    sent, taken, waiting = [], [], list(chunks)

    async def app(scope, receive, send):
        while True:
            message = await receive()
            taken.append(message)
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": b"fine"})

    async def receive():
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": list(headers)}
    asyncio.run(Guard(app, limit_bytes=100)(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), taken


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=https://example.org/a.png",
        "/gradio_api/file=HTTP://169.254.169.254/",
        "/gradio_api/file/https://example.org/a.png",
        "/gradio_api/proxy=https://example.org/",
        "/monitoring/summary",
    ],
)
def test_nothing_is_fetched_for_others(path):
    status, headers, taken = ask(path)
    assert status == 403 and taken == [] and b"content-security-policy" in headers


def test_an_ordinary_answer_gets_the_headers_and_keeps_its_own():
    status, headers, _ = ask("/gradio_api/file=/tmp/gradio/a.png")
    assert status == 200 and headers[b"x-own"] == b"1"
    assert b"connect-src 'self'" in headers[b"content-security-policy"]
    assert headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize("length", [b"101", b"many"])
def test_a_body_announced_as_too_large_is_refused(length):
    status, _, taken = ask("/upload", [(b"content-length", length)])
    assert status == 413 and taken == []


def test_a_body_that_grows_too_large_is_cut_off():
    _, _, taken = ask("/upload", chunks=[b"x" * 60, b"x" * 60, b""])
    assert [message["type"] for message in taken] == ["http.request", "http.disconnect"]


def test_other_traffic_passes_untouched():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(Guard(app, 1)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


def test_addresses_are_not_downloaded(monkeypatch):
    names = ("async_ssrf_protected_download", "ssrf_protected_download", "save_url_to_cache")
    for name in names:  # so that they are put back
        monkeypatch.setattr(processing_utils, name, getattr(processing_utils, name))
    refuse_urls()
    file = gradio.File()
    with pytest.raises(InputError, match="Addresses are not fetched here"):
        file.move_resource_to_block_cache("https://example.org/a.png")
    with pytest.raises(InputError, match="Addresses are not fetched here"):
        asyncio.run(file.async_move_resource_to_block_cache("https://example.org/a.png"))
