"""What the page asks of a tab, and what a tab may ask of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import gradio as gr

from explorer.ui.session import Session

Update = Callable[..., tuple[Any, ...]]
SETTLED = "() => document.dispatchEvent(new CustomEvent('vle-settled'))"


@dataclass(frozen=True)
class Wiring:
    """What a tab's handlers can change beside their own components.

    Attributes:
        session: the visitor's state.
        outputs: the session, the header, all tabs' parts and the row of tabs, in the order of ``update``'s values.
        update: ``update(session, tab=None, problems=None)`` gives the values of ``outputs`` for a new session: picture,
            question and views follow it everywhere; ``tab`` is the id of the tab to be opened.
    """

    session: gr.State
    outputs: list[Any]
    update: Update

    def change(self, event: Callable[..., Any], handler: Update) -> None:
        """Listen to an event that changes the session.

        Two at a time would overwrite each other's session, so the browser sends each when the one before is answered
        (``change`` in header.js, ``inTurn`` in follow.js).
        """
        done = event(
            handler,
            self.session,
            self.outputs,
            show_progress="hidden",
            trigger_mode="multiple",
            concurrency_id="encoder",
            concurrency_limit=2,
            api_visibility="private",
        )
        done.then(None, None, None, js=SETTLED, api_visibility="private")


class Tab(Protocol):
    """One tab of the page.

    Attributes:
        id, title: in links, and for people.

    A tab may also have ``openers``: what it opens by parameters of the page's address, such as
    ``{"case": lambda session, case_id: session with that case's picture and question}``; see ``links.py``.
    """

    id: str
    title: str

    def build(self, session: gr.State) -> list[Any]:
        """Make the components inside the open tab; returns those that follow the picture, the encoder, the question."""
        ...

    def show(self, session: Session) -> list[Any]:
        """An update for each of those components; cheap, since it is called for tabs that nobody looks at too."""
        ...

    def wire(self, page: Wiring) -> None:
        """Listen to the tab's own events."""
        ...
