"""The Layers view: picture, strip of all layers and layer × layer matrix in one component, drawn in the browser.

Python sends an analysis once (``value``, see ``payload.py``) and answers single questions through the properties
``patch``, ``text``, ``attention`` and ``overall``; each answer names the question and the analysis it belongs to.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.ui.components.files import joined

SCRIPTS = ("colour", "modes", "picture", "film", "lrs", "groups", "unlike", "take", "link")


def layers_view(value: dict[str, Any] | None) -> gr.HTML:
    """Make the component.

    Args:
        value: an analysis from ``exploration_payload``, or None while there is none.

    Its events: ``patch_chosen``, ``text_typed``, ``attention_asked``, ``overall_asked`` with data
    ``{id, question, about}``; ``overall_stopped``; ``picture_asked`` ({index}) where one of all pictures is chosen;
    and ``outdated`` when an answer said that another encoder is in use by now.
    """
    return gr.HTML(
        value=value,
        html_template=joined("layers_view.html"),
        css_template=joined("view.css", "layers_view.css", "export.css"),
        js_on_load=joined("follow.js", "export.js", *(f"layers_view.{part}.js" for part in SCRIPTS), "layers_view.js"),
        apply_default_css=False,
        elem_id="layers-view",
        patch=None,
        text=None,
        attention=None,
        overall=None,
        encoder_state=None,
    )
