"""The view of the tab "Stress test": a scene to build, sweeps and their charts, in one component.

Python draws and answers through the properties ``palette``, ``checkpoints``, ``current``, ``drawn``, ``invented``,
``replies``, ``sweep`` and ``change``; an answer carries the number of what was asked, and an older one is dropped.
``palette`` is a string of JSON (``payload.as_text``).
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.ui.components.files import joined

SCRIPTS = ("base", "scene", "stage", "things", "rows", "chart", "sweep", "change", "take")


def stress_view(value: dict[str, Any]) -> gr.HTML:
    """Make the component.

    Args:
        value: ``{scene, name, question, checkpoints, examples: [{name, scene}]}``: the picture on show, ``scene`` None
            where it is no scene.

    Its events: ``opened``, ``scene_changed``, ``scene_invented``, ``scene_used``, ``answers_asked``, ``sweep_asked``,
    ``change_asked``, ``stop_asked`` and ``checkpoints_chosen``.
    """
    return gr.HTML(
        value=value,  # type: ignore[arg-type]
        html_template=joined("stress_view.html"),
        css_template=joined("view.css", "stress_view.css", "export.css"),
        js_on_load=joined("export.js", "follow.js", *(f"stress_view.{part}.js" for part in SCRIPTS), "stress_view.js"),
        apply_default_css=False,
        elem_id="stress-view",
        current=None,
        palette=None,
        checkpoints=None,
        drawn=None,
        invented=None,
        replies=None,
        sweep=None,
        change=None,
    )
