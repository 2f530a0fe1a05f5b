"""The header: what the page is, the pictures in use, the encoder in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from explorer.ui.components.files import joined


def header(
    value: dict[str, Any],
    status: dict[str, Any],
    *,
    limit_mb: int,
    choosable: bool,
    tabs: Sequence[dict[str, str]] = (),
) -> gr.HTML:
    """Make the component.

    Args:
        value: ``{items: [{name, thumb, own}], current, fit, problems}``; thumbs are data URLs.
        status: ``{id, phase, fraction, message, encoder}``, the last None or an ``EncoderInfo`` as a dict.
        limit_mb: the largest file, in millions of bytes.
        choosable: whether a visitor may load another encoder.
        tabs: ``{id, title}`` of each, for links.

    Its events: ``picture_chosen`` and ``picture_removed`` ({index}), ``pictures_added`` ({files: [{path, name}],
    problems}), ``fit_chosen`` ({fit}), ``encoder_asked`` ({id}) and ``link_asked`` ({tab, layer, patch, compared, mode,
    asked}), which is answered by the property ``link`` ({query, note, asked}), and ``report_asked`` ({layer, patch, compared,
    mode, basis, text, tables: [{title, columns, rows}]}), answered by ``report`` ({name, html, made}); and
    ``woken`` every few seconds, which asks for nothing. Once the property ``opened`` is set, ``polled`` asks how far the
    encoder is and whether the picture was looked at by it. The changes that ``follow.js`` asks for are sent from here in turn.
    """
    return gr.HTML(
        value=value,  # type: ignore[arg-type]
        html_template=joined("header.html"),
        css_template=joined("header.css"),
        js_on_load=joined("follow.js", "header.js", "header.link.js"),
        apply_default_css=False,
        elem_id="page-header",
        status=status,
        encoders=[],
        limit_mb=limit_mb,
        choosable=choosable,
        tabs=list(tabs),
        opened=False,
        link=None,
        report=None,
    )
