"""The tab "Results": the sweep, paired tests, findings, and the paper's digitised curves beside them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.records import ExplorerError, InputError
from explorer.services.sweep import paired_json
from explorer.ui.components.results_view import results_view
from explorer.ui.context import Context, Json
from explorer.ui.payload import as_text
from explorer.ui.session import Session
from explorer.ui.tabs import Wiring

UNANSWERED = "() => document.dispatchEvent(new CustomEvent('vle-results-unanswered'))"
UNPAIRED = "() => document.dispatchEvent(new CustomEvent('vle-pair-unanswered'))"


class ResultsTab:
    """The view and its handlers."""

    id, title = "results", "Results"

    def __init__(self, context: Context) -> None:
        """Remember what the handlers need."""
        self.context = context

    def build(self, session: gr.State) -> list[Any]:
        """Make the component inside the open tab; it asks for what it shows when somebody looks."""
        self.view = results_view()
        return []

    def show(self, session: Session) -> list[Any]:
        """Nothing here follows the picture on show."""
        return []

    def wire(self, page: Wiring) -> None:
        """Listen to the view."""
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        told = self.view.results_asked(self.tell, None, self.view, trigger_mode="once", **quiet)
        told.failure(None, None, None, js=UNANSWERED, api_visibility="private")
        compared = self.view.pair_chosen(self.compare, None, self.view, trigger_mode="multiple", **quiet)
        compared.failure(None, None, None, js=UNPAIRED, api_visibility="private")

    def tell(self) -> Any:
        """Everything that is stored, once."""
        try:
            value = self.payload()
        except ExplorerError as error:
            value = {"problem": str(error), "paper": self._paper()}
        return gr.update(value=as_text(value))

    def payload(self) -> Json:
        """What the view shows.

        Raises:
            InputError: nothing is stored.
        """
        if self.context.precomputed is None:
            raise InputError("This page was started without stored results.")
        found = self.context.precomputed.sweep()
        names = (
            "command",
            "date",
            "failures",
            "questions",
            "questions_of_the_sweep",
            "pictures_of_the_sweep",
            "versions",
        )
        return {
            "tasks": ["all", *found.tasks],
            "columns": found.meta["columns"],
            "findings": found.meta["findings"],
            "made": {name: found.meta.get(name) for name in names},
            "paper": self._paper(),
        } | found.as_json()

    def compare(self, event: gr.EventData) -> Any:
        """Compare two checkpoints on the questions that both answered."""
        said = event._data if isinstance(event._data, dict) else {}
        answer: Json = {name: said.get(name) for name in ("first", "second", "number")}
        try:
            if self.context.precomputed is None:
                raise InputError("This page was started without stored results.")
            rows = self.context.precomputed.sweep().paired(str(said.get("first")), str(said.get("second")))
            return gr.update(paired=answer | {"rows": paired_json(rows)})
        except ExplorerError as error:
            return gr.update(paired=answer | {"problem": str(error)})

    def _paper(self) -> Json | None:
        return self.context.precomputed.paper if self.context.precomputed else None
