"""The tab "Failures": stored answers to held-out questions, who fails where whom, and the cases themselves."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import gradio as gr

from explorer.records import ExplorerError, InputError
from explorer.services.held_out import ALL_TASKS, FUSED, OUTCOMES, HeldOut, Wanted, reads_of
from explorer.services.precomputed import Precomputed
from explorer.ui.case_endpoint import add_case_endpoints
from explorer.ui.components.failures_view import failures_view
from explorer.ui.components.first_case import first_case
from explorer.ui.context import Context, Json
from explorer.ui.errors import spoken
from explorer.ui.first_screen import first_payload
from explorer.ui.payload import data_url
from explorer.ui.session import Session
from explorer.ui.tabs import Wiring

PER_PAGE = 24
THUMB_PX = 192
MOST_THUMBS = 12  # drawn for one request
KEPT_THUMBS = 800  # about 10 kB each
LONGEST_ID = 80
UNANSWERED = "() => document.dispatchEvent(new CustomEvent('vle-failures-unanswered'))"
UNLISTED = "() => document.dispatchEvent(new CustomEvent('vle-failures-unlisted'))"
UNDRAWN = "() => document.dispatchEvent(new CustomEvent('vle-failures-undrawn'))"


class FailuresTab:
    """The view and its handlers."""

    id, title = "failures", "Failures"

    def __init__(self, context: Context) -> None:
        """Remember what the handlers need."""
        self.context = context
        self._lock = threading.Lock()
        self._thumbs: OrderedDict[str, str] = OrderedDict()
        self.first: gr.HTML | None = None

    def build_first(self) -> None:
        """Make the case that the page begins with, where one is stored."""
        value = first_payload(self.context.precomputed) if self.context.precomputed else None
        self.first = first_case(value) if value else None

    def build(self, session: gr.State) -> list[Any]:
        """Make the component inside the open tab; it asks for what it shows when somebody looks."""
        self.view = failures_view()
        return []

    def show(self, session: Session) -> list[Any]:
        """Nothing here follows the picture on show."""
        return []

    @property
    def openers(self) -> dict[str, Callable[[Session, str], Session]]:
        """What a link may name: ``?case=…``."""
        return {"case": self.with_case}

    def wire(self, page: Wiring) -> None:
        """Listen to the view and to the first screen's case."""
        self._update = page.update
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        found = self.view.wanted(self.find, None, self.view, trigger_mode="multiple", **quiet)
        found.failure(None, None, None, js=UNANSWERED, api_visibility="private")
        listed = self.view.list_asked(self.list_cases, None, self.view, trigger_mode="multiple", **quiet)
        listed.failure(None, None, None, js=UNLISTED, api_visibility="private")
        drawn = self.view.thumbs_asked(self.draw, None, self.view, trigger_mode="multiple", **quiet)
        drawn.failure(None, None, None, js=UNDRAWN, api_visibility="private")
        page.change(self.view.case_opened, self.open_case)
        add_case_endpoints(self.context)
        if self.first:
            page.change(self.first.case_opened, self.open_case)

    def find(self, event: gr.EventData) -> Any:
        """The cases asked for, a page of them, and how many there are of each outcome."""
        said = _said(event)
        try:
            value = self.payload(said)
        except ExplorerError as error:
            value = {"problem": str(error)}
        return gr.update(value=value | {"number": said.get("number")})

    def list_cases(self, event: gr.EventData) -> Any:
        """All cases that were found, in their order, for a table that is taken away."""
        said = _said(event)
        try:
            held = self._held_out()
            wanted = _read_wanted(said, held)
            value: Json = {"cases": [_row(held, int(row), wanted) for row in held.find(wanted)]}
        except ExplorerError as error:
            value = {"problem": str(error)}
        return gr.update(list=value | {"number": said.get("number")})

    def payload(self, said: Json) -> Json:
        """What the view shows for a request.

        Raises:
            InputError: nothing is stored, or the request is impossible.
        """
        held = self._held_out()
        wanted = _read_wanted(said, held)
        rows = held.find(wanted)
        pages = max(1, -(-len(rows) // PER_PAGE))
        page = min(max(0, _whole(said.get("page"))), pages - 1)
        shown = rows[page * PER_PAGE : (page + 1) * PER_PAGE]
        return {
            "wanted": asdict(wanted),
            "tasks": [ALL_TASKS, *held.tasks],
            "checkpoints": [{"id": id, "reads": reads_of(id, layers)} for id, layers in held.checkpoints.items()],
            "ways": asdict(held.both_ways(wanted.first, wanted.second, wanted.task)),
            "found": len(rows),
            "page": page,
            "pages": pages,
            "per_page": PER_PAGE,
            "cases": [_row(held, int(row), wanted) for row in shown],
            "made": {name: held.meta.get(name) for name in ("command", "date", "questions", "pictures", "split")},
        }

    def draw(self, event: gr.EventData) -> Any:
        """Draw the pictures of some cases again, small."""
        ids = _said(event).get("ids")
        drawn: Json = {}
        for id in ids[:MOST_THUMBS] if isinstance(ids, list) else []:
            if isinstance(id, str) and len(id) <= LONGEST_ID:
                drawn[id] = self._thumb(id)
        return gr.update(thumbs=drawn)

    @spoken
    def open_case(self, session: Session, event: gr.EventData) -> tuple[Any, ...]:
        """Put a case before the visitor and ask it live."""
        said = _said(event)
        return self._update(
            self.with_case(session, said.get("id"), (said.get("first"), said.get("second"))), tab="answers"
        )

    def with_case(self, session: Session, id: Any, pair: tuple[Any, ...] = ()) -> Session:
        """The session with a case's picture on show, its question, and the checkpoints that are compared.

        Raises:
            InputError: there is no such case.
        """
        held = self._held_out()
        if not isinstance(id, str):
            raise InputError("No case was named: click one.")
        row = held.row(id)
        known = held.checkpoints
        chosen = [one for one in pair if isinstance(one, str) and one in known] or list(held.usual_pair())
        chosen += [FUSED] if FUSED in known and FUSED not in chosen else []
        session = self.context.with_scene(session, held.scene(row).to_dict())
        return replace(session, question=held.case(row).question, checkpoints=tuple(dict.fromkeys(chosen)))

    def _stored(self) -> Precomputed:
        if self.context.precomputed is None:
            raise InputError("This page was started without stored answers.")
        return self.context.precomputed

    def _held_out(self) -> HeldOut:
        return self._stored().held_out()

    def _thumb(self, id: str) -> str:
        with self._lock:
            if id in self._thumbs:
                self._thumbs.move_to_end(id)
                return self._thumbs[id]
        try:
            url = data_url(self._stored().draw(id, THUMB_PX), THUMB_PX)
        except ExplorerError:
            return ""
        with self._lock:
            self._thumbs[id] = url
            while len(self._thumbs) > KEPT_THUMBS:
                self._thumbs.popitem(last=False)
        return url


def _row(held: HeldOut, row: int, wanted: Wanted) -> Json:
    case = held.case(row)
    by_id = {answer.checkpoint: answer for answer in case.answers}
    pair = {
        name: {"said": by_id[id].said, "right": by_id[id].right, "chance": round(by_id[id].chance, 3)}
        for name, id in (("first", wanted.first), ("second", wanted.second))
    }
    fields = ("id", "seed", "task", "question", "truth", "held_out")
    return {name: getattr(case, name) for name in fields} | pair


def _read_wanted(said: Json, held: HeldOut) -> Wanted:
    """The request as far as it was said, completed by what is usual.

    Raises:
        InputError: a part of it is of no use.
    """
    first, second = held.usual_pair()
    sure = said.get("sure", 0)
    if isinstance(sure, bool) or not isinstance(sure, int | float) or not 0 <= sure <= 1:
        raise InputError("How sure is a number from 0 to 1.")
    texts = {name: said.get(name) for name in ("task", "first", "second", "outcome", "sort")}
    usual = {"task": "count" if "count" in held.tasks else ALL_TASKS, "first": first, "second": second}
    usual |= {"outcome": OUTCOMES[0], "sort": "sure"}
    given = {name: text for name, text in texts.items() if isinstance(text, str) and text}
    return Wanted(**usual | given, sure=float(sure), descending=said.get("descending") is not False)


def _said(event: gr.EventData) -> Json:
    """What the browser sent: untrusted, but a dictionary."""
    return event._data if isinstance(event._data, dict) else {}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
