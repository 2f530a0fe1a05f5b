"""What may be asked: each complaint is one sentence for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from explorer.models.checkpoint_ids import CheckpointId
from explorer.records import CheckpointError, CheckpointInfo, InputError

MOST_LETTERS = 2000
MOST_CANDIDATES = 128
MOST_TOKENS = 512
MOST_TURNS = 20
MOST_PICTURES = 16


def check_asked(
    pictures: Sequence[Any],
    question: Any,
    candidates: Sequence[Any],
    turns: Sequence[Any],
    temperature: Any,
    most_tokens: Any,
) -> None:
    """Refuse what cannot be asked.

    Raises:
        InputError: says what is wrong, and the limit.
    """
    if not 1 <= len(pictures) <= MOST_PICTURES:
        raise InputError(f"Give 1 to {MOST_PICTURES} pictures; got {len(pictures)}.")
    check_text("question", question)
    if isinstance(candidates, str) or len(candidates) > MOST_CANDIDATES:
        raise InputError(f"Candidates are a list of at most {MOST_CANDIDATES} answers.")
    for text in candidates:
        check_text("candidate", text)
    if len(set(candidates)) < len(candidates):
        raise InputError("Each candidate can stand in the list once only.")
    if len(turns) > MOST_TURNS:
        raise InputError(f"At most {MOST_TURNS} earlier questions can be passed on; got {len(turns)}.")
    for turn in turns:
        if not isinstance(turn, (tuple, list)) or len(turn) != 2 or not all(isinstance(text, str) for text in turn):
            raise InputError("An earlier turn is a question and its answer.")
        check_text("earlier question", turn[0])
        if len(turn[1]) > 4 * MOST_LETTERS:
            raise InputError(f"An earlier answer is too long: at most {4 * MOST_LETTERS} letters.")
    if not _is_number(temperature) or not 0 <= temperature <= 2:
        raise InputError(f"The temperature goes from 0 (the likeliest word always) to 2; got {temperature!r}.")
    if not isinstance(most_tokens, int) or isinstance(most_tokens, bool) or not 1 <= most_tokens <= MOST_TOKENS:
        raise InputError(f"The length goes from 1 to {MOST_TOKENS} tokens; got {most_tokens!r}.")


def check_listed(id: str, known: Sequence[CheckpointInfo]) -> None:
    """Refuse what strangers may not ask for: all but checkpoints that are listed and on this machine.

    Layers may be chosen and swapped. A served one must stand in the owner's catalogue, so that nobody can send this
    machine to an address.

    Raises:
        CheckpointError: it is not among them.
    """
    names = {info.id for info in known if info.on_this_machine}
    asked = CheckpointId.parse(id)
    if id not in names and (asked.name not in names or asked.bits):
        raise CheckpointError(
            "Here only the checkpoints that are listed and on this machine answer: start the program on a machine of your "
            "own to ask another."
        )


def check_text(what: str, text: Any) -> None:
    """Refuse what is no text, empty or too long.

    Raises:
        InputError: says which.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"The {what} is empty: write a few words.")
    if len(text) > MOST_LETTERS:
        raise InputError(f"The {what} is too long: {len(text):,} letters, and the limit is {MOST_LETTERS:,}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
