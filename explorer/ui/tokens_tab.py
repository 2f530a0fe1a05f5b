"""The tab "Tokens": maps of the tokens of one picture or several, what colours them, and facts of each layer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from explorer.records import ExplorerError, InputError, Picture
from explorer.services.tokens import METHODS, MOST_CLUSTERS, MOST_PICTURES, TokenMap, TokenMaps
from explorer.ui.components.tokens_view import tokens_view
from explorer.ui.context import Context, Json
from explorer.ui.payload import packed
from explorer.ui.session import Session, Source
from explorer.ui.tabs import Wiring
from explorer.ui.tokens_payload import board_payload, facts_payload, map_payload, numbers_payload

UNANSWERED = "() => document.dispatchEvent(new CustomEvent('vle-tokens-unanswered'))"
HOW: Json = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Asked:
    """A question of the view: which pictures it is about, and the rest of what was said, untrusted."""

    sources: list[Source]
    pictures: list[Picture]
    about: Json


class TokensTab:
    """The view and its handlers."""

    id = "tokens"
    title = "Tokens"

    def __init__(self, context: Context) -> None:
        """Use the page's encoder."""
        self.context = context
        self.maps = context.tokens or TokenMaps(context.explorer)

    def build(self, session: gr.State) -> list[Any]:
        """Make the view inside the open tab."""
        self._session = session
        self._view = tokens_view(self._value(Session()), most_pictures=MOST_PICTURES, most_clusters=MOST_CLUSTERS)
        return [self._view]

    def show(self, session: Session) -> list[Any]:
        """Tell the view what it is about now; it asks for the rest once it is looked at."""
        return [gr.update(value=self._value(session))]

    def wire(self, page: Wiring) -> None:
        """Listen to the view."""
        view = self._view
        asked = view.map_asked(
            self.ask_map,
            page.session,
            view,
            trigger_mode="multiple",
            concurrency_id="tokens",
            concurrency_limit=2,
            **HOW,
        )
        asked.failure(None, None, None, js=UNANSWERED, api_visibility="private")
        view.map_stopped(None, None, None, cancels=[asked], api_visibility="private")
        for event, handler, queue in (
            ("colour_asked", self.ask_colour, "encoder"),
            ("facts_asked", self.ask_facts, "tokens"),  # takes long where pictures are many: keeps no other tab waiting
        ):
            done = getattr(view, event)(
                handler,
                page.session,
                view,
                trigger_mode="multiple",
                concurrency_id=queue,
                concurrency_limit=2,
                **HOW,
            )
            done.failure(None, None, None, js=UNANSWERED, api_visibility="private")

    def ask_map(self, session: Session, event: gr.EventData) -> Iterator[Any]:
        """Lay the tokens out; says how far it is until the map is there."""
        answer, asked = self._take(session, event)
        if asked is None:
            yield gr.update(map=answer)
            return
        method, layers = asked.about.get("method"), asked.about.get("layers")
        layers = [layer for layer in layers if isinstance(layer, int)][:200] if isinstance(layers, list) else []
        try:
            if method not in METHODS:
                raise InputError(f"There is no such map: choose {', '.join(METHODS)}.")
            for said in self.maps.map(asked.pictures, session.fit, method, layers):
                if isinstance(said, TokenMap):
                    answer |= {"map": map_payload(said)}
                    if method == "pca":
                        answer |= {"board": self._board(session, asked)}
                    yield gr.update(map=answer)
                else:
                    yield gr.update(map=answer | {"progress": [said.fraction, said.message]})
        except ExplorerError as error:
            yield gr.update(map=answer | {"problem": str(error)})

    def ask_colour(self, session: Session, event: gr.EventData) -> Any:
        """Say what colours the tokens: clusters, or likeness to one of them."""

        def compute(asked: Asked) -> Json:
            kind, number = asked.about.get("kind"), asked.about.get("number")
            if not isinstance(number, int) or isinstance(number, bool):
                raise InputError("No number was given: choose a patch, or how many clusters.")
            if kind == "cluster":
                return {"numbers": numbers_payload(self.maps.clusters(asked.pictures, session.fit, number))}
            if kind == "similar":
                return {"map": packed(self.maps.similarity(asked.pictures, session.fit, number))}
            raise InputError("There is no such colouring: choose one of the list.")

        return gr.update(colour=self._answer(session, event, compute))

    def ask_facts(self, session: Session, event: gr.EventData) -> Any:
        """Measure every layer."""

        def compute(asked: Asked) -> Json:
            return {"facts": facts_payload(self.maps.facts(asked.pictures, session.fit))}

        return gr.update(facts=self._answer(session, event, compute))

    def _board(self, session: Session, asked: Asked) -> Json:
        """The pictures as the encoder saw them, and what is on them where that is known."""
        payload = board_payload(self.maps.board(asked.pictures, session.fit))
        scenes = [source.scene for source in asked.sources]
        if any(scenes):
            names, numbers = self.maps.things(asked.pictures, session.fit, scenes)
            payload["things"] = {"names": names, "numbers": numbers.tolist()}
        return payload

    def _answer(self, session: Session, event: gr.EventData, compute: Callable[[Asked], Json]) -> Json:
        answer, asked = self._take(session, event)
        if asked is None:
            return answer
        try:
            return answer | compute(asked)
        except ExplorerError as error:
            return answer | {"problem": str(error)}

    def _take(self, session: Session, event: gr.EventData) -> tuple[Json, Asked | None]:
        """What was asked, and the beginning of an answer; None where the answer says already why there is none."""
        said = event._data if isinstance(event._data, dict) else {}
        about: Any = said.get("about")
        about = about if isinstance(about, dict) else {}
        answer = {"id": said.get("id"), "question": said.get("question"), "about": about}
        if said.get("id") != self._value(session).get("id"):
            return answer | {"problem": "Another picture or encoder is on show by now; looking again…"}, None
        sources = self._sources(session)
        sources = sources if about.get("pictures") == "all" else sources[:1]
        try:
            return answer, Asked(sources, [self.context.shelf.picture(source) for source in sources], about)
        except ExplorerError as error:
            return answer | {"problem": str(error)}, None

    def _sources(self, session: Session) -> list[Source]:
        """The picture on show, then the others in use, no more than a map takes."""
        first = self.context.source(session)
        others = [source for source in self.context.in_use(session) if source != first]
        return [first, *others][:MOST_PICTURES] if first else []

    def _value(self, session: Session) -> Json:
        """What the view is about: an id that changes with pictures, fit and encoder; or a sentence to wait with."""
        sources, encoder = self._sources(session), self.context.explorer.encoder
        if not sources:
            return {"waiting": "Add a picture to look at."}
        if encoder is None:
            return {"waiting": self.context.encoder_state()["message"]}
        made_of = [encoder.id, session.fit.value, *(source.place for source in sources)]
        digest = hashlib.sha256("\n".join(made_of).encode("utf-8", "surrogatepass")).hexdigest()[:20]
        label = f"{len(sources)} of {'yours' if session.own else 'the examples'}"
        return {"id": digest, "pictures": len(sources), "label": label}
