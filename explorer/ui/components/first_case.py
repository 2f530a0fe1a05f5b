"""One case to begin with, with how often its like happens; what it says does not change while the page is open."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.ui.components.files import joined


def first_case(value: dict[str, Any]) -> gr.HTML:
    """Make the component.

    Args:
        value: ``{id, seed, picture, lead, question, truth, answers: [{reads, said, right, chance}], how_often, rule}``;
            the picture is a data URL.

    Its event: ``case_opened`` ({id}).
    """
    return gr.HTML(
        value=value,  # type: ignore[arg-type]
        html_template=joined("first_case.html"),
        css_template=joined("first_case.css"),
        js_on_load=joined("follow.js", "first_case.js"),
        apply_default_css=False,
        elem_id="first-case",
    )
