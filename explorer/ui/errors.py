"""Turns what went wrong into one sentence on the page."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable
from typing import Any, TypeVar

import gradio as gr

from explorer.records import ExplorerError

Handler = TypeVar("Handler", bound=Callable[..., Any])


def spoken(handler: Handler) -> Handler:
    """Let a handler's ``ExplorerError`` reach the person as it is; nothing on the page changes."""

    @functools.wraps(handler)
    def speaking(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except ExplorerError as error:
            raise gr.Error(html.escape(str(error)), title="That did not work", print_exception=False) from error

    return speaking  # type: ignore[return-value]
