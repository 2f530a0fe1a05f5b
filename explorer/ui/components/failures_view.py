"""The Failures view: two checkpoints on all questions of a task, and the cases, as pictures or as a table."""

from __future__ import annotations

import gradio as gr

from explorer.ui.components.files import joined


def failures_view() -> gr.HTML:
    """Make the component; it is empty until somebody looks at it, and then asks.

    Its value is ``{wanted, tasks, checkpoints, ways, found, page, pages, per_page, cases, made, number}`` or
    ``{problem, number}``; ``thumbs`` gives data URLs by case; ``list`` is ``{cases, number}`` or ``{problem, number}``.
    Its events: ``wanted`` ({task, first, second, outcome, sure, sort, descending, page, number}), ``list_asked`` (the
    same), ``thumbs_asked`` ({ids}) and ``case_opened`` ({id, first, second}).
    """
    return gr.HTML(
        value=None,
        html_template=joined("failures_view.html"),
        css_template=joined("view.css", "failures_view.css", "export.css"),
        js_on_load=joined("export.js", "follow.js", "failures_view.take.js", "failures_view.js"),
        apply_default_css=False,
        elem_id="failures-view",
        thumbs=None,
        list=None,
    )
