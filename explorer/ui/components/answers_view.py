"""The Answers view: a question, cards of several checkpoints, where they looked, the X-ray and the layer dial.

Python sends the picture with its suggestions once (``value``) and everything else as it is worked out, each under a
number that the browser gave: an answer to an older question is never drawn.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.ui.components.files import joined

SCRIPTS = ("words", "cards", "looked", "xray", "dial", "take")
EVENTS = ("asked", "dialled", "xray_asked", "look_asked", "stopped", "judged", "checkpoint_named")


def answers_view(value: dict[str, Any]) -> gr.HTML:
    """Make the component.

    Args:
        value: the picture, its suggestions and the checkpoints, as ``answers_payload.picture_payload`` makes it.

    Its events are ``EVENTS``: ``asked``, ``dialled``, ``xray_asked`` with {number, picture, question, checkpoints,
    candidates, truth, temperature, most_tokens, turns}, answered through ``said``, ``dial_said`` and ``xray``;
    ``look_asked`` through ``looked``; ``judged`` {number, picture, question, truth, answers} through ``verdicts``;
    ``checkpoint_named`` {number, id} through ``named``; and ``stopped`` {kinds}.
    """
    return gr.HTML(
        value=value,  # type: ignore[arg-type]
        html_template=joined("answers_view.html"),
        css_template=joined("view.css", "answers_view.css", "export.css"),
        js_on_load=joined(
            "follow.js",
            "export.js",
            "layers_view.colour.js",
            *(f"answers_view.{part}.js" for part in SCRIPTS),
            "answers_view.js",
        ),
        apply_default_css=False,
        elem_id="answers-view",
        said=None,
        dial_said=None,
        xray=None,
        looked=None,
        verdicts=None,
        named=None,
    )
