"""The picture that a client of the endpoints means, which is never one of the server's own files."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.records import InputError, Picture
from explorer.services.pictures import decode_picture, printable, read_picture
from explorer.ui.context import Context

MOST_LETTERS = 12 << 20  # of a picture as base64


def given_picture(given: Any, context: Context) -> Picture:
    """The picture that a client means: a file it uploaded, a data URL, or the name of an example.

    Raises:
        InputError: there is none.
    """
    examples = context.examples
    if isinstance(given, str) and given.startswith("data:"):
        return _from_data_url(given)
    if isinstance(given, str):
        for source in examples:
            if given in (source.name, source.path.stem):
                return read_picture(source.path, source.name)
    try:
        return uploaded_picture(given)
    except InputError as error:
        raise InputError(f"{error} {_choices([source.path.stem for source in examples])}") from error


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


def uploaded_picture(file: Any) -> Picture:
    """The picture in a file that a client uploaded.

    Raises:
        InputError: it was not uploaded here, or is no picture that can be read.
    """
    from gradio.utils import get_upload_folder, is_in_or_equal

    path, name = (file.get("path"), file.get("orig_name")) if isinstance(file, dict) else (file, None)
    if not isinstance(path, str) or "\0" in path or not is_in_or_equal(path, get_upload_folder()):
        raise InputError("The picture was not uploaded here: send it with gradio_client's handle_file.")
    if not Path(path).is_file():
        raise InputError("The picture is no longer kept here: send it again.")
    return read_picture(path, printable(str(name)) if name else None)
