"""How the page is served: no file from another server, nothing fetched for a visitor, bounded sizes, strict headers."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import gradio as gr
from gradio import processing_utils
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.records import InputError
from explorer.ui.theme import page_css, page_theme

REFUSED_PATHS = ("/file=http", "/file/http", "/proxy=", "/monitoring")
CONTENT_SECURITY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self' https://huggingface.co https://*.hf.space"
)
PACKED = Middleware(GZipMiddleware, minimum_size=2000, compresslevel=6)  # the page itself, which Gradio leaves large
HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
]


class Guard:
    """Middleware without buffering: refuses what would make the server fetch, and bodies that are too large."""

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        """Guard ``app``; ``limit_bytes`` is the largest body of a request."""
        self.app, self.limit_bytes = app, limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if any(part in scope["path"].lower() for part in REFUSED_PATHS):
            return await _refuse(send, 403, b"This server fetches nothing for others.")
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or int(said) > self.limit_bytes:
            return await _refuse(send, 413, f"At most {self.limit_bytes // 10**6} MB can be sent.".encode())
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            return message if taken <= self.limit_bytes else {"type": "http.disconnect"}

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        await self.app(scope, counted, headed)


async def _refuse(send: Send, status: int, sentence: bytes) -> None:
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), *HEADERS]}
    )
    await send({"type": "http.response.body", "body": sentence})


def refuse_urls() -> None:
    """Stop Gradio from downloading ``{"path": "https://…"}`` where a visitor sends it in place of a file."""

    async def refuse(url: str, cache_dir: str) -> str:
        raise InputError("Addresses are not fetched here: download the picture and add the file.")

    def refuse_now(url: str, cache_dir: str) -> str:
        raise InputError("Addresses are not fetched here: download the picture and add the file.")

    processing_utils.async_ssrf_protected_download = refuse
    processing_utils.ssrf_protected_download = refuse_now
    processing_utils.save_url_to_cache = refuse_now


def serve(page: gr.Blocks, *, host: str | None, port: int | None, limit_mb: int) -> None:
    """Open the port and return; the server runs in a thread of its own.

    Args:
        page: the built page.
        host: address to listen at; None takes $GRADIO_SERVER_NAME, or this machine alone.
        port: None takes $GRADIO_SERVER_PORT, or the first free one from 7860.
        limit_mb: the largest file taken, in millions of bytes.
    """
    refuse_urls()
    page.queue(max_size=64, default_concurrency_limit=8, api_open=False)
    quiet: dict[str, Any] = {
        "share": False,
        "show_error": False,
        "enable_monitoring": False,
        "run_history": False,
        "pwa": False,
        "ssr_mode": False,
        "quiet": True,
        "footer_links": [],
    }
    page.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        max_file_size=limit_mb * 10**6,
        state_session_capacity=200,
        allowed_paths=[],
        mcp_server=find_spec("mcp") is not None,  # the endpoints as tools, at /gradio_api/mcp/
        app_kwargs={"middleware": [Middleware(Guard, limit_bytes=(limit_mb + 1) * 10**6), PACKED]},
        theme=page_theme(),
        css=page_css(),
        **quiet,
    )
