"""The named endpoints ``/case`` and ``/cases``: stored answers to held-out questions, for ``gradio_client``.

A function here has a type hint for every argument and a docstring: both are what a client sees of it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gradio as gr

from explorer.records import InputError
from explorer.services.held_out import ALL_TASKS, HeldOut, Wanted
from explorer.ui.context import Context
from explorer.ui.errors import spoken

MOST_CASES = 200
LONGEST = 200


def add_case_endpoints(context: Context) -> None:
    """Add both to the page that is being built."""

    def stored() -> HeldOut:
        if context.precomputed is None:
            raise InputError("Nothing is stored here.")
        return context.precomputed.held_out()

    def case(case: str = "") -> dict[str, Any]:
        """One held-out question about a generated scene, and what each built-in checkpoint answered beforehand.

        Args:
            case: its name, such as "1100000208-count-open"; empty gives the case of the page's first screen.

        Returns:
            id, seed, task, form, question, truth, candidates, held_out, answers (checkpoint, layers, reads, said, right,
            chance), scene (the record that draws the picture), and made (by which command, when).
        """
        held = stored()
        name = _text("case", case)
        if not name:
            found = context.precomputed.first if context.precomputed else None
            if found is None:
                raise InputError("No case is stored for the first screen: name one.")
            name = found["case"]["id"]
        row = held.row(name)
        return held.case(row).as_json() | {"scene": held.scene(row).to_dict(), "made": _made(held)}

    def cases(
        task: str = ALL_TASKS, wrong: str = "", right: str = "", sure: float = 0.0, most: int = 24
    ) -> dict[str, Any]:
        """Held-out questions that one checkpoint answered wrong and another right, the surest first.

        Args:
            task: "count", "position", … or "all".
            wrong: id of the checkpoint that fails; empty for the deep one.
            right: id of the checkpoint that does not; empty for the middle one.
            sure: smallest probability that the failing one gave to its answer, 0 to 1.
            most: how many to give, at most 200.

        Returns:
            ways (n, both, first, second, neither, p: first is the failing checkpoint; p of McNemar's exact test), found (how
            many such cases there are), cases (as /case, without scenes), made.
        """
        held = stored()
        usual = held.usual_pair()
        first, second = _text("wrong", wrong) or usual[0], _text("right", right) or usual[1]
        if isinstance(sure, bool) or not isinstance(sure, int | float) or not 0 <= sure <= 1:
            raise InputError("sure is a number from 0 to 1.")
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_CASES:
            raise InputError(f"most is a whole number from 1 to {MOST_CASES}.")
        rows = held.find(Wanted(_text("task", task) or ALL_TASKS, first, second, "second", float(sure)))
        return {
            "first": first,
            "second": second,
            "ways": asdict(held.both_ways(first, second, task or ALL_TASKS)),
            "found": len(rows),
            "cases": [held.case(int(row)).as_json() for row in rows[:most]],
            "made": _made(held),
        }

    for function in (case, cases):
        gr.api(spoken(function), api_name=function.__name__, concurrency_limit=4)


def _text(name: str, given: Any) -> str:
    if not isinstance(given, str) or len(given) > LONGEST:
        raise InputError(f"{name} is a text of at most {LONGEST} letters.")
    return given.strip()


def _made(held: HeldOut) -> dict[str, Any]:
    return {name: held.meta.get(name) for name in ("command", "date", "questions", "pictures", "split", "seed")}
