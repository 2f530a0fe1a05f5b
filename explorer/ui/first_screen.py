"""What the case of the first screen says: the answers, how often its like happens, both ways, and how it was chosen."""

from __future__ import annotations

from typing import Any

from explorer.records import InputError
from explorer.services.held_out import FUSED
from explorer.services.precomputed import Precomputed
from explorer.ui.payload import data_url

PICTURE_PX = 344
LEVEL = 0.05
LONGEST_SAID = 24
SUBJECTS = {"count": "counts", "position": "positions"}


def first_payload(stored: Precomputed) -> dict[str, Any] | None:
    """The value of ``components.first_case``; None where no case is stored or it cannot be drawn."""
    found = stored.first
    if found is None:
        return None
    try:
        picture = data_url(stored.first_picture(PICTURE_PX), PICTURE_PX)
    except InputError:
        return None
    case = found["case"]
    answers = {answer["checkpoint"]: answer for answer in case["answers"]}
    deep, middle = (answers[id] for id in found["pair"])
    shown = [deep, middle] + ([answers[FUSED]] if FUSED in answers else [])
    names = ("reads", "said", "right", "chance")
    return {
        "id": case["id"],
        "seed": case["seed"],
        "picture": picture,
        "lead": f"Same picture, same question: read at {_layer(deep)} the model says “{_short(deep['said'])}”, read at "
        f"{_layer(middle)} “{_short(middle['said'])}”.",
        "question": case["question"],
        "truth": case["truth"],
        "answers": [{name: answer[name] for name in names} for answer in shown],
        "how_often": how_often(found),
        "rule": f"{found['rule']} Everything in this box was computed beforehand; “Open this case” asks again, live.",
    }


def how_often(found: dict[str, Any]) -> str:
    """How often the deep layer fails where the middle one is right, and the other way round, with the test."""
    ways = found["together"]
    n, deep, middle = ways["n"], ways["first"], ways["second"]
    subjects = " and ".join(str(SUBJECTS.get(task, task)) for task in found["tasks"])
    if ways["p"] >= LEVEL:
        verdict = "So neither layer is shown to be ahead"
    elif middle > deep:
        verdict = "So the middle layer is ahead on these"
    else:
        verdict = "So the deep layer is ahead on these, and this case is an exception"
    return (
        f"Of {n:,} held-out questions about {subjects}, the deep layer fails where the middle one is right in {middle:,} "
        f"({100 * middle / n:.1f} %), the other way round in {deep:,} ({100 * deep / n:.1f} %). {verdict} "
        f"(McNemar's exact test, {p_said(ways['p'])}; precomputed)."
    )


def p_said(p: float) -> str:
    """A p-value for people."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}" if p < 0.1 else f"p = {p:.2f}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SAID else f"{text[: LONGEST_SAID - 1]}…"


def _layer(answer: dict[str, Any]) -> str:
    return f"layer {answer['layers'][0]}"
