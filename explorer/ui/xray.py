"""The X-ray: one question through every layer, told column by column."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from explorer.records import CheckpointError, CheckpointInfo, InputError, Reply, Truth
from explorer.services.judging import normalise
from explorer.services.truth import decide
from explorer.ui.answers_payload import of_one_family, rounded, row_of, truth_payload
from explorer.ui.asking import Json, Wish

CHUNK = 4  # columns between two looks at whether to stop
Columns = Sequence[tuple[int, ...]]


def any_layer(known: Sequence[CheckpointInfo]) -> CheckpointInfo | None:
    """The checkpoint whose layers can be chosen, of those on this machine."""
    return next((info for info in known if info.choosable and info.on_this_machine), None)


def xray_states(
    answerers: Any, columns: Columns, wish: Wish, truth: Truth | None, stop: threading.Event
) -> Iterator[Json]:
    """States of the X-ray, as the browser draws them; the last one is ``over``.

    Args:
        answerers: ``services.answer.Answerers``.
        columns: the layers of each column.
        wish: the question.
        truth: of the scene, where it is known.
        stop: set it to stop.

    Raises:
        CheckpointError: no model here reads any layer, or it cannot be had.
        InputError: the question cannot be asked.
    """
    loose = any_layer(answerers.list())
    if loose is None:
        raise CheckpointError("The X-ray needs a model that reads any layer (mini-any); it is not on this machine.")
    candidates = wish.candidates or (truth.candidates if truth else ()) or decide(wish.question)[1]
    shares: list[list[float] | None] = [None] * len(columns)
    answers, seconds = [""] * len(columns), 0.0
    base: Json = {
        "columns": [list(one) for one in columns],
        "truth": truth_payload(truth, wish.truth),
        "checkpoint": loose.id,
        "trained": [],
    }
    state = base | {"probabilities": [], "answers": [], "candidates": [], "done": 0}
    for at in _chunks(columns, CHUNK if candidates else len(columns)):
        try:
            found = answerers.xray(
                wish.picture,
                wish.question,
                candidates=candidates,
                checkpoint=loose.id,
                columns=[columns[k] for k in at],
                stop=stop,
            )
        except InputError:
            if stop.is_set():
                break
            raise
        candidates, seconds = found.candidates, seconds + found.seconds
        for k, row, answer in zip(at, found.probabilities, found.answers, strict=True):
            shares[k], answers[k] = rounded(row), answer
        state = base | {
            "candidates": list(candidates),
            "gists": [normalise(name) for name in candidates],
            "probabilities": list(shares),
            "answers": list(answers),
            "done": sum(row is not None for row in shares),
            "seconds": round(seconds, 2),
        }
        yield state
    if not stop.is_set():
        state = state | {"trained": _trained(answerers, columns, wish, candidates, stop)}
    yield state | {"over": True, "stopped": stop.is_set()}


def _trained(
    answerers: Any, columns: Columns, wish: Wish, candidates: Sequence[str], stop: threading.Event
) -> list[Json]:
    """What the models say that were trained for one column alone."""
    known = [one for one in of_one_family(answerers.list()) if not one.choosable and one.layers in columns]
    if not known:
        return []
    ids = [info.id for info in known]
    replies = answerers.ask([wish.picture], wish.question, ids, candidates=candidates, stop=stop)
    return [
        {
            "column": columns.index(info.layers),
            "checkpoint": info.id,
            "answer": reply.text,
            "row": _likeliest(reply, candidates),
        }
        for info, reply in zip(known, replies, strict=True)
        if reply.text or reply.probabilities
    ]


def _likeliest(reply: Reply, candidates: Sequence[str]) -> int:
    """The row of what a model finds likeliest, as in the columns; of what it says where only that is known; or -1."""
    if [name for name, _ in reply.probabilities] == list(candidates):
        shares = [share for _, share in reply.probabilities]
        return shares.index(max(shares))
    return row_of(reply.text, candidates)


def _chunks(columns: Columns, size: int) -> Iterator[list[int]]:
    """Numbers of the columns, so many at a time: the deepest first, down to the shallowest, then the fusions."""
    order = sorted(range(len(columns)), key=lambda k: (len(columns[k]) > 1, -k))
    yield from (order[start : start + size] for start in range(0, len(order), size))
