"""The endpoints ``/analyze`` and ``/lrs``: what ``from explorer import analyze, lrs`` do, with the encoder in use.

Where ``gradio[mcp]`` is installed they are tools of the Model Context Protocol too, described by their docstrings.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.records import InputError
from explorer.services.analyze import analyze as analyze_pictures
from explorer.services.lrs import lrs as lrs_of
from explorer.services.results import as_json
from explorer.ui.context import Context
from explorer.ui.errors import spoken
from explorer.ui.given import given_picture

MOST_PICTURES = 64
HOW = {"concurrency_id": "encoder", "concurrency_limit": 2}


def add_layer_endpoints(context: Context) -> None:
    """Add both to the page that is being built."""

    def analyze(image: dict | str, fit: str = "encoder", groups: int = 3) -> dict[str, Any]:
        """Show how a vision encoder's representation of one picture changes over its layers.

        Returns the similarity of every layer with every layer (mean cosine of the same patch at two layers; also of
        the mean patch, of the CLS token, and linear CKA), and a division of the layers into groups such as shallow,
        middle and deep. Use it to see which layers of the encoder hold different information.

        Args:
            image: the picture: an uploaded file, a data URL ("data:image/png;base64,..."), or an example's name.
            fit: how it is laid on the square input: "encoder", "crop", "pad" or "squash".
            groups: into how many groups the layers are divided.

        Returns:
            encoder, layers, fit, groups, similarity by kind as lists of rows, seconds taken, skipped.
        """
        picture = given_picture(image, context)
        return as_json(analyze_pictures(picture, context.explorer.model(), fit=fit, groups=groups, details=False))

    def lrs(images: list, fit: str = "encoder", groups: int = 3) -> dict[str, Any]:
        """Average the layer-by-layer similarity of a vision encoder over several pictures (at most 64).

        Use it instead of analyze when the question is about an encoder and not about one picture: which of its layers
        are alike, and where its groups of layers begin.

        Args:
            images: pictures, each an uploaded file, a data URL ("data:image/png;base64,...") or an example's name.
            fit: how each is laid on the square input: "encoder", "crop", "pad" or "squash".
            groups: into how many groups the layers are divided.

        Returns:
            As analyze, each value the mean over the pictures, and how many pictures there were.
        """
        if not isinstance(images, list) or not 0 < len(images) <= MOST_PICTURES:
            raise InputError(f"Give 1 to {MOST_PICTURES} pictures as a list.")
        pictures = [given_picture(image, context) for image in images]
        found = lrs_of(pictures, context.explorer.model(), fit=fit, groups=groups)
        return as_json(found) | {"pictures": found.pictures}

    gr.api(spoken(analyze), api_name="analyze", **HOW)
    gr.api(spoken(lrs), api_name="lrs", **HOW)
