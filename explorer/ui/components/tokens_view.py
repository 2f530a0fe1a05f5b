"""The Tokens view: a map of tokens, the pictures that they are from, and facts of each layer, drawn in the browser.

Python says what the view is about (``value``); the view asks for the rest once it is looked at, and is answered through
the properties ``map``, ``colour`` and ``facts``; each answer names the question that it belongs to.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.ui.components.files import joined

SCRIPTS = ("marks", "colour", "map", "pictures", "facts", "take")


def tokens_view(value: dict[str, Any], *, most_pictures: int, most_clusters: int) -> gr.HTML:
    """Make the component.

    Args:
        value: ``{id, pictures, label}``, or ``{waiting: sentence}`` while there is nothing to look at.
        most_pictures: that a map takes.
        most_clusters: that tokens can be divided into.

    Its events: ``map_asked``, ``colour_asked`` and ``facts_asked`` with data ``{id, question, about}``, and
    ``map_stopped``.
    """
    return gr.HTML(
        value=value,  # type: ignore[arg-type]
        html_template=joined("tokens_view.html"),
        css_template=joined("view.css", "tokens_view.css", "export.css"),
        js_on_load=joined(
            "follow.js",
            "export.js",
            "layers_view.colour.js",
            *(f"tokens_view.{part}.js" for part in SCRIPTS),
            "tokens_view.js",
            "tokens_view.listen.js",
        ),
        apply_default_css=False,
        elem_id="tokens-view",
        map=None,
        colour=None,
        facts=None,
        most_pictures=most_pictures,
        most_clusters=most_clusters,
    )
