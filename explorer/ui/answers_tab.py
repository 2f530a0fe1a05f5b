"""The tab "Answers": one question, several checkpoints side by side, the X-ray and the layer dial."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.context import Context as Building

from explorer.records import CheckpointError, CheckpointInfo, ExplorerError, InputError, Truth
from explorer.services.truth import scene_questions, truth_of
from explorer.ui.answers_payload import (
    GENERAL_QUESTIONS,
    groups_payload,
    info_payload,
    looked_payload,
    reply_payload,
    truth_payload,
    usual_checkpoints,
    verdict,
    xray_columns,
)
from explorer.ui.asking import MOST_CHECKPOINTS, MOST_QUESTION, Wish, clean, read_wish, said_of
from explorer.ui.components.answers_view import answers_view
from explorer.ui.context import Context, Json
from explorer.ui.errors import spoken
from explorer.ui.line import Line, Stops, Ticket
from explorer.ui.payload import data_url
from explorer.ui.session import Session, Source
from explorer.ui.tabs import Wiring
from explorer.ui.xray import any_layer, xray_states

AT_ONCE = 2  # questions that are worked on at the same time; the others wait in line
SHOWN_SIDE_PX = 640
KEPT_PICTURES = 24
SUGGESTIONS = 7
SECONDS_BETWEEN = 0.05
KINDS = ("asked", "dialled", "xray", "look")
NO_CHECKPOINT = (
    "No checkpoint that answers is on this machine yet. The built-in ones come with the program's assets (assets/models/mini-…); "
    "`python -m explorer checkpoints` lists what is here. One of your own can be added under “More”: a folder or a name on the "
    "Hugging Face hub."
)
PHOTOGRAPH = (
    "This picture is not one of the generated scenes, the only pictures that the mini models learnt from: expect wrong answers, "
    "also confident ones. What is right is not known here; state it under “More”."
)
UNANSWERED = "() => document.dispatchEvent(new CustomEvent('vle-unanswered-question'))"


class AnswersTab:
    """The view and its handlers."""

    id, title = "answers", "Answers"

    def __init__(self, context: Context) -> None:
        """Remember what the handlers need."""
        self.context = context
        self.line, self.stops = Line(AT_ONCE), Stops()
        self._urls: OrderedDict[str, str] = OrderedDict()
        self._layers: dict[tuple[str, int | None], tuple[int, ...]] = {}

    def build(self, session: gr.State) -> list[Any]:
        """Make the component inside the open tab."""
        self.view = answers_view(self._value(session.value if isinstance(session.value, Session) else Session()))
        return [self.view]

    def show(self, session: Session) -> list[Any]:
        """The picture chosen, what could be asked about it, and the question that came along."""
        return [gr.update(value=self._value(session))]

    def wire(self, page: Wiring) -> None:
        """Listen to the view."""
        how: dict[str, Any] = {
            "show_progress": "hidden",
            "concurrency_id": "answers",
            "concurrency_limit": 24,  # most of them wait in ``line`` and say so
            "trigger_mode": "multiple",
            "api_visibility": "private",
        }
        view, session = self.view, page.session
        running = [
            view.asked(self.answer, session, [view, session], **how),
            view.dialled(self.dial, session, view, **how),
            view.xray_asked(self.xray, session, view, **how),
            view.look_asked(self.look, session, view, **how),
        ]
        for one in running:
            one.failure(None, None, None, js=UNANSWERED, api_visibility="private")
        quick: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
        view.stopped(self.stop, None, None, queue=False, **quick)
        view.judged(self.judge, session, view, **quick)
        view.checkpoint_named(self.name_checkpoint, None, view, **quick)
        if Building.root_block:
            Building.root_block.unload(self.leave)

    # ---- handlers --------------------------------------------------------------------------------------------------

    def answer(self, session: Session, event: gr.EventData, request: gr.Request) -> Iterator[Any]:
        """Ask the chosen checkpoints; their answers stream into the cards."""
        said = said_of(event)
        for state in _stepped(self._answers(session, said, request, "asked")):
            if state["step"] == 0 and not state.get("problem"):
                wish = {"question": state["question"], "checkpoints": tuple(map(str, said["checkpoints"]))}
                yield gr.update(said=state), replace(session, **wish)
            else:
                yield gr.update(said=state), gr.skip()

    def dial(self, session: Session, event: gr.EventData, request: gr.Request) -> Iterator[Any]:
        """Ask the any-layer checkpoint with the layers that were dialled."""
        for state in _stepped(self._answers(session, said_of(event), request, "dialled")):
            yield gr.update(dial_said=state)

    def xray(self, session: Session, event: gr.EventData, request: gr.Request) -> Iterator[Any]:
        """Ask through every layer; columns are told as they come."""
        for state in _stepped(self._xrayed(session, said_of(event), request)):
            yield gr.update(xray=state)

    def look(self, session: Session, event: gr.EventData, request: gr.Request) -> Iterator[Any]:
        """Show where each answer looked, one checkpoint after the other."""
        for state in _stepped(self._looks(session, said_of(event), request)):
            yield gr.update(looked=state)

    def stop(self, event: gr.EventData, request: gr.Request) -> None:
        """Stop what the visitor has running."""
        said = said_of(event)
        kinds = said.get("kinds")
        chosen = tuple(kind for kind in KINDS if isinstance(kinds, list) and kind in kinds)
        self.stops.stop(_visitor(request), chosen, said.get("number"))

    def leave(self, request: gr.Request) -> None:
        """The visitor closed the page: nothing goes on for it."""
        self.stops.stop(_visitor(request), KINDS)

    @spoken
    def judge(self, session: Session, event: gr.EventData) -> Any:
        """Judge answers by what the person says is right."""
        said = said_of(event)
        question, stated, answers = said.get("question"), said.get("truth"), said.get("answers")
        if not (isinstance(question, str) and isinstance(stated, str) and isinstance(answers, list)):
            raise InputError("Nothing was answered yet: ask a question first.")
        stated, truth = clean(stated[:200]), self._truth(session, question[:MOST_QUESTION])
        right = [verdict(str(text)[:5000], truth, stated) for text in answers[:MOST_CHECKPOINTS]]
        return gr.update(verdicts={"number": said.get("number"), "truth": truth_payload(truth, stated), "right": right})

    def name_checkpoint(self, event: gr.EventData) -> Any:
        """Look up a checkpoint that the person named."""
        said = said_of(event)
        base = {"number": said.get("number")}
        try:
            id = said.get("id")
            if not isinstance(id, str) or not 0 < len(id.strip()) <= 300:
                raise InputError("Name a checkpoint: mini-any@3+18, a folder, or a name on the Hugging Face hub.")
            self._check_allowed(id.strip())
            return gr.update(named=base | {"info": info_payload(self.context.answerers.info(id.strip()))})
        except ExplorerError as error:
            return gr.update(named=base | {"problem": str(error)})

    # ---- work ------------------------------------------------------------------------------------------------------

    def _answers(self, session: Session, said: Json, request: gr.Request, kind: str) -> Iterator[Json]:
        """States of the answers to one question, as the browser draws them."""
        base = {"number": said.get("number"), "picture": said.get("picture")}
        stop = self.stops.begin(_visitor(request), kind, said.get("number"))
        try:
            wish = self._wish(session, said)
            truth = self._truth(session, wish.question)
            base |= {"question": wish.question, "truth": truth_payload(truth, wish.truth)}
            candidates = wish.candidates or (truth.candidates if truth else ())
            with self.line.ticket() as ticket:
                for place in _waiting(ticket, stop):
                    yield base | {"place": place}
                last, told = [], 0.0
                for last in wish.stream(self.context.answerers, candidates, stop):
                    now = time.monotonic()
                    if now - told >= SECONDS_BETWEEN and not all(reply.done for reply in last):
                        told = now
                        yield base | {"replies": [reply_payload(one, truth, wish.truth, candidates) for one in last]}
            ended = [replace(reply, done=True) for reply in last]
            replies = [reply_payload(one, truth, wish.truth, candidates) for one in ended]
            yield base | {
                "replies": replies,
                "over": True,
                "stopped": any(not reply.done for reply in last) or not last,
            }
        except ExplorerError as error:
            yield base | {"problem": str(error)}
        finally:
            self.stops.end(_visitor(request), kind, stop)

    def _xrayed(self, session: Session, said: Json, request: gr.Request) -> Iterator[Json]:
        """States of the X-ray, as the browser draws them."""
        base = {"number": said.get("number"), "picture": said.get("picture")}
        stop = self.stops.begin(_visitor(request), "xray", said.get("number"))
        try:
            wish = self._wish(session, said)
            base |= {"question": wish.question}
            with self.line.ticket() as ticket:
                for place in _waiting(ticket, stop):
                    yield base | {"place": place}
                known = self._known()
                loose = any_layer(known)
                columns = xray_columns(known, self._readable(loose), loose.blocks) if loose else []
                truth = self._truth(session, wish.question)
                for state in xray_states(self.context.answerers, columns, wish, truth, stop):
                    yield base | state
        except ExplorerError as error:
            yield base | {"problem": str(error)}
        finally:
            self.stops.end(_visitor(request), "xray", stop)

    def _looks(self, session: Session, said: Json, request: gr.Request) -> Iterator[Json]:
        """States of the maps of where each answer looked."""
        base, maps = {"number": said.get("number"), "picture": said.get("picture")}, dict[str, Json]()
        stop = self.stops.begin(_visitor(request), "look", said.get("number"))
        try:
            wish = self._wish(session, said)
            with self.line.ticket() as ticket:
                for _ in _waiting(ticket, stop):
                    yield base | {"maps": {}}
                for id in wish.checkpoints:
                    if stop.is_set():
                        return
                    maps[id] = self._looked(wish, id, stop)
                    yield base | {"maps": dict(maps)}  # a copy: Gradio compares it with what it told before
        except ExplorerError as error:
            yield base | {"problem": str(error)}
        finally:
            self.stops.end(_visitor(request), "look", stop)

    def _looked(self, wish: Wish, id: str, stop: threading.Event) -> Json:
        try:
            looked = self.context.answerers.look(wish.picture, wish.question, id, stop=stop)
            return looked_payload(looked, wish.picture)
        except ExplorerError as error:
            return {"problem": str(error)}

    def _known(self) -> list[CheckpointInfo]:
        return list(self.context.answerers.list()) if self.context.answerers else []

    def _readable(self, loose: CheckpointInfo) -> tuple[int, ...]:
        """The layers that an any-layer checkpoint can be given."""
        made = (loose.id, loose.size_bytes)
        if made not in self._layers:
            self._layers = {made: tuple(k for k in range(loose.blocks + 1) if self._reads(f"{loose.id}@{k}"))}
        return self._layers[made]

    def _reads(self, id: str) -> bool:
        try:
            return bool(self.context.answerers.info(id))
        except CheckpointError:
            return False

    def _check_allowed(self, id: str) -> None:
        """Refuse, where strangers ask, all but the checkpoints that are listed."""
        if self.context.answerers is None:
            raise CheckpointError("Nothing answers here: no checkpoint is on this machine.")
        known = {info.id for info in self._known()}
        if not self.context.choosable and id not in known and id.partition("#")[0].partition("@")[0] not in known:
            raise CheckpointError(
                "Here only the built-in checkpoints answer: start the program on your own machine to add another."
            )

    def _wish(self, session: Session, said: Json) -> Wish:
        """What the visitor asks for.

        Raises:
            InputError: it cannot be asked.
            CheckpointError: somebody named may not answer here.
        """
        picture = self.context.picture(session)
        if picture is None:
            raise InputError("Add a picture to ask about.")
        if said.get("picture") != picture.key:
            raise InputError("Another picture is on show by now: ask again.")
        wish = read_wish(said, picture)
        for id in wish.checkpoints:
            self._check_allowed(id)
        return wish

    def _truth(self, session: Session, question: str) -> Truth | None:
        source = self.context.source(session)
        return truth_of(source.scene, question) if source and source.scene else None

    def _value(self, session: Session) -> Json:
        """What the view shows before anything is asked."""
        known, source = self._known(), self.context.source(session)
        here = [info for info in known if info.on_this_machine]
        loose = any_layer(known)
        readable = self._readable(loose) if loose else ()
        blocks = loose.blocks if loose else max((info.blocks for info in here), default=0)
        value: Json = {
            "id": "",
            "name": "",
            "picture": "",
            "note": "",
            "empty": "" if here else NO_CHECKPOINT,
            "suggestions": [],
            "question": session.question,
            "checkpoints": [info_payload(info) | ({"layers": readable} if info is loose else {}) for info in known],
            "chosen": list(session.checkpoints or usual_checkpoints(known)),
            "groups": groups_payload(blocks),
            "fusions": [one for one in xray_columns(known, readable, blocks) if len(one) > 1],
        }
        try:
            picture = self.context.picture(session)
        except InputError as error:
            return value | {"note": str(error)}
        if source is None or picture is None:
            return value | {"note": "Add a picture to ask about."}
        quick = all(id.split("@")[0] in {info.id for info in here if info.knows} for id in value["chosen"])
        return value | {
            "id": picture.key,
            "name": source.name,
            "picture": self._url(picture),
            "note": "" if source.scene or not any(info.knows for info in here) else PHOTOGRAPH,
            "suggestions": self._suggestions(source),
            "quick": quick,
        }

    def _suggestions(self, source: Source) -> list[str]:
        if not source.scene:
            return list(GENERAL_QUESTIONS)
        return [text for text, _ in scene_questions(source.scene, SUGGESTIONS)]

    def _url(self, picture: Any) -> str:
        """The picture for the browser; made once."""
        if picture.key not in self._urls:
            self._urls[picture.key] = data_url(picture.pixels, SHOWN_SIDE_PX)
            while len(self._urls) > KEPT_PICTURES:
                self._urls.popitem(last=False)
        return self._urls[picture.key]


def _visitor(request: gr.Request | None) -> str:
    return str(getattr(request, "session_hash", None) or "")


def _waiting(ticket: Ticket, stop: threading.Event) -> Iterator[int]:
    """Places in line until it is one's turn or nobody wants it any more."""
    place = ticket.place()
    while place and not stop.is_set():
        yield place
        place = ticket.wait(0.5)


def _stepped(states: Iterator[Json]) -> Iterator[Json]:
    """Number the states: of one that only adds to the one before, Gradio's page would take no notice."""
    try:
        for step, state in enumerate(states):
            yield state | {"step": step}
    finally:
        states.close()  # type: ignore[attr-defined]
