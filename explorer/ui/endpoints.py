"""Named endpoints for ``gradio_client``: what the page can do, without the page. Every argument is checked.

A function here has a type hint for every argument and a docstring: both are what a client sees of it.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.records import InputError
from explorer.services.ask import reply_as_json
from explorer.ui.context import Context
from explorer.ui.errors import spoken
from explorer.ui.given import given_picture

MOST_CHECKPOINTS = 8
MOST_ID_LETTERS = 400


def add_endpoints(context: Context) -> None:
    """Add the endpoints to the page that is being built."""
    _add_ask(context)


def _add_ask(context: Context) -> None:
    def ask(
        image: dict | str,
        question: str,
        checkpoints: list[str],
        candidates: list[str] = [],  # noqa: B006 (never changed; gradio shows it as the default)
        temperature: float = 0.0,
        most_tokens: int = 24,
    ) -> list[dict[str, Any]]:
        """Ask checkpoints a question about an uploaded picture.

        Args:
            image: the picture's file, as ``gradio_client.handle_file`` uploads it; or a data URL
                ("data:image/png;base64,..."), or an example's name.
            question: the text, in English for the mini family.
            checkpoints: ids such as "mini-l18"; at most 8.
            candidates: answers whose probabilities are wanted; empty decides by the question.
            temperature: 0 for the likeliest word always, at most 2.
            most_tokens: longest answer.

        Returns:
            One entry a checkpoint: checkpoint, layers, reads, answer, kind, probabilities, seconds, remarks, error.
        """
        if context.answerers is None:
            raise InputError("Nothing answers questions here.")
        picture = given_picture(image, context)
        ids = texts("checkpoints", checkpoints, MOST_CHECKPOINTS, MOST_ID_LETTERS)
        options = texts("candidates", candidates or [], 128, 2000)
        replies = context.answerers.ask(
            [picture], question, ids, candidates=options, temperature=temperature, most_tokens=most_tokens
        )
        return [reply_as_json(reply) for reply in replies]

    gr.api(spoken(ask), api_name="ask", concurrency_id="ask", concurrency_limit=4)


def texts(what: str, given: Any, most: int, letters: int) -> list[str]:
    """A checked list of texts.

    Raises:
        InputError: it is no list of texts, or too long.
    """
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise InputError(f"Give {what} as a list of texts.")
    if len(given) > most or any(len(text) > letters for text in given):
        raise InputError(f"At most {most} {what} of {letters} letters can be given.")
    return given
