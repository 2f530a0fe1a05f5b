"""The endpoints ``/analyze`` and ``/lrs``: what ``from explorer import analyze, lrs`` do, with the encoder in use.

Where ``gradio[mcp]`` is installed they are tools of the Model Context Protocol too, described by their docstrings.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import gradio as gr

from explorer.records import InputError, Picture
from explorer.services.analyze import analyze as analyze_pictures
from explorer.services.lrs import lrs as lrs_of
from explorer.services.pictures import decode_picture, printable, read_picture
from explorer.services.results import as_json
from explorer.ui.context import Context
from explorer.ui.endpoints import uploaded_picture
from explorer.ui.errors import spoken

MOST_PICTURES = 64
MOST_LETTERS = 12 << 20  # of a picture as base64
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


def given_picture(given: Any, context: Context) -> Picture:
    """The picture that a client means: a file it uploaded, a data URL, or the name of an example.

    Raises:
        InputError: there is none.
    """
    if isinstance(given, str) and given.startswith("data:"):
        return _from_data_url(given)
    if isinstance(given, str):
        for source in context.examples:
            if given in (source.name, source.path.stem):
                return read_picture(source.path, source.name)
    try:
        return uploaded_picture(given)
    except InputError as error:
        raise InputError(f"{error} {_choices([source.path.stem for source in context.examples])}") from error


def _from_data_url(text: str) -> Picture:
    if len(text) > MOST_LETTERS:
        raise InputError(f"The picture is too large: at most {MOST_LETTERS >> 20} MB as base64.")
    head, _, packed = text.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise InputError(f"The picture's data URL must begin with data:image/…;base64, and not {printable(head, 40)}.")
    try:
        content = base64.b64decode(packed, validate=True)
    except binascii.Error as error:
        raise InputError("The picture's base64 is damaged: send it again.") from error
    return decode_picture(content, "picture")


def _choices(names: Sequence[str]) -> str:
    return f"Or name an example: {', '.join(names)}." if names else ""
