"""The Results view: charts and tables of the stored sweep, drawn in the browser."""

from __future__ import annotations

import gradio as gr

from explorer.ui.components.files import joined

SCRIPTS = ("export.js", "follow.js", "results_view.chart.js", "results_view.tables.js", "results_view.js")


def results_view() -> gr.HTML:
    """Make the component; it is empty until somebody looks at it, and then asks.

    Its value is a string of JSON (``payload.as_text``), ``{tasks, columns, accuracy, confusion, agreement, noise, findings, made, paper}`` or ``{problem, paper}``;
    ``paired`` is ``{first, second, number, rows}`` or ``{…, problem}``. Its events: ``results_asked`` and ``pair_chosen``
    ({first, second, number}).
    """
    return gr.HTML(
        value=None,
        html_template=joined("results_view.html"),
        css_template=joined("view.css", "results_view.css", "export.css"),
        js_on_load=joined(*SCRIPTS),
        apply_default_css=False,
        elem_id="results-view",
        paired=None,
    )
