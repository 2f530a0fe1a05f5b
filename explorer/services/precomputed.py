"""What jobs stored for the page, read when it is first asked for and then kept."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from explorer.records import InputError
from explorer.services.held_out import HeldOut, stored_first_case
from explorer.services.sweep import Sweep, paper_figures
from explorer.store import Absent, Store


class Precomputed:
    """Held-out cases, the sweep and the paper's numbers of one folder; may be used from any thread."""

    def __init__(self, folder: Path) -> None:
        """Read from ``folder``, later."""
        self._store, self._lock = Store(folder), threading.Lock()

    @cached_property
    def first(self) -> dict[str, Any] | None:
        """The case of the first screen, as ``held_out.first_case`` says it; None where there is none."""
        return stored_first_case(self._store)

    @cached_property
    def paper(self) -> dict[str, Any] | None:
        """The paper's digitised numbers with their source, None where absent."""
        return paper_figures(self._store)

    @cached_property
    def _held_out(self) -> HeldOut | Absent:
        return HeldOut.load(self._store)

    @cached_property
    def _sweep(self) -> Sweep | Absent:
        return Sweep.load(self._store)

    def held_out(self) -> HeldOut:
        """The cases.

        Raises:
            InputError: none are stored.
        """
        with self._lock:
            found = self._held_out
        if isinstance(found, Absent):
            raise InputError(
                "No answers to held-out questions are stored here yet: `python -m explorer precompute failures` makes them."
            )
        return found

    def sweep(self) -> Sweep:
        """The results.

        Raises:
            InputError: none are stored.
        """
        with self._lock:
            found = self._sweep
        if isinstance(found, Absent):
            raise InputError("No results are stored here yet: `python -m explorer precompute results` makes them.")
        return found

    def first_picture(self, px: int) -> np.ndarray:
        """The picture of ``first``, uint8 [px, px, 3].

        Raises:
            InputError: there is none.
        """
        from explorer.scenes.render import render
        from explorer.scenes.scene import Scene

        if self.first is None:
            raise InputError("No case is stored for the first screen.")
        return render(Scene.from_dict(self.first["scene"]), px)

    def draw(self, id: str, px: int) -> np.ndarray:
        """Draw the picture of a case again, uint8 [px, px, 3].

        Raises:
            InputError: there is no such case, or its scene cannot be drawn as it was.
        """
        from explorer.scenes.render import render

        held = self.held_out()
        return render(held.scene(held.row(id)), px)
