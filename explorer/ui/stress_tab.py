"""The tab "Stress test": scenes built by hand, sweeps over scenes, and one thing changed."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.context import Context as Building

from explorer.records import CheckpointInfo, ExplorerError, InputError
from explorer.services import stage, stress
from explorer.services.truth import scene_questions, truth_of
from explorer.ui.answers_payload import usual_checkpoints
from explorer.ui.asking import MOST_CHECKPOINTS, clean, said_of
from explorer.ui.components.stress_view import stress_view
from explorer.ui.context import Context, Json
from explorer.ui.errors import Handler, spoken
from explorer.ui.line import Line, Stops
from explorer.ui.payload import as_text, data_url
from explorer.ui.session import Session
from explorer.ui.stress_payload import (
    THUMB_PX,
    checkpoint_payload,
    course_payload,
    palette_payload,
    parting_payload,
    picture_url,
    reply_payload,
    truth_payload,
)
from explorer.ui.tabs import Wiring

LONGEST_QUESTION = 300
USUAL_CHECKPOINTS = 5
SWEEPS_AT_ONCE = 1  # the others wait in line
UNANSWERED = "() => document.dispatchEvent(new CustomEvent('vle-stress-unanswered'))"


def stepped(handler: Handler) -> Handler:
    """Number the states that a handler tells: of one that only adds to the one before, Gradio's page takes no notice."""

    @functools.wraps(handler)
    def stepping(*args: Any, **kwargs: Any) -> Iterator[Any]:
        updates = handler(*args, **kwargs)
        try:
            for step, update in enumerate(updates):
                yield {name: told | {"step": step} if isinstance(told, dict) else told for name, told in update.items()}
        finally:
            updates.close()

    return stepping  # type: ignore[return-value]


class StressTab:
    """The view and its handlers."""

    id, title = "stress", "Stress test"

    def __init__(self, context: Context) -> None:
        """Remember what the handlers need."""
        self.context = context
        self._stops, self._line = Stops(), Line(SWEEPS_AT_ONCE)

    def build(self, session: gr.State) -> list[Any]:
        """Make the component inside the open tab."""
        self._view = stress_view(self._value(Session()) | {"examples": self._examples()})
        return [self._view]

    def show(self, session: Session) -> list[Any]:
        """The picture on show, if it is a scene, and the question asked last."""
        return [gr.update(current=self._value(session))]

    def wire(self, page: Wiring) -> None:
        """Listen to the view."""
        view = self._view
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        quick = quiet | {"concurrency_id": "stress-draw", "concurrency_limit": 4, "trigger_mode": "multiple"}
        slow = quiet | {"concurrency_id": "answers", "concurrency_limit": 24, "trigger_mode": "multiple"}
        view.opened(self.tell, page.session, view, **quick)
        view.scene_changed(self.draw, None, view, **quick)
        view.scene_invented(self.invent, None, view, **quick)
        view.stop_asked(self.stop, None, None, **quiet | {"trigger_mode": "multiple", "queue": False})
        # One after the other: the last choice stays.
        one = quiet | {"concurrency_id": "stress-choose", "concurrency_limit": 1, "trigger_mode": "multiple"}
        view.checkpoints_chosen(self.choose, page.session, page.session, **one)
        for name, handler in {
            "answers_asked": self.answer,
            "sweep_asked": self.sweep,
            "change_asked": self.change,
        }.items():
            asked = getattr(view, name)(handler, page.session, view, **slow)
            asked.failure(None, None, None, js=UNANSWERED, api_visibility="private")

        @spoken
        def use(session: Session, event: gr.EventData) -> tuple[Any, ...]:
            return page.update(self.used(session, said_of(event)))

        page.change(view.scene_used, use)
        if Building.root_block:
            Building.root_block.unload(self.leave)

    def tell(self, session: Session, event: gr.EventData) -> Any:
        """Say which checkpoints are here and, when the tab is first seen, what a scene can hold."""
        usual = usual_checkpoints(self._checkpoints(()), USUAL_CHECKPOINTS)
        known = self._checkpoints((*session.checkpoints, *usual))
        fixed = [info for info in known if "@" in info.id or not info.choosable]
        told = {"known": [checkpoint_payload(info) for info in fixed], "usual": list(usual)}
        told["chosen"] = list(session.checkpoints)
        if said_of(event).get("again"):
            return gr.update(checkpoints=told)
        return gr.update(palette=as_text(palette_payload(stage.palette())), checkpoints=told)

    def draw(self, event: gr.EventData) -> Any:
        """Draw a scene."""
        asked = said_of(event)
        answer: Json = {"number": asked.get("number")}
        try:
            scene = stage.read_scene(asked.get("scene"))
            answer |= {
                "picture": picture_url(stage.draw_scene(scene).pixels),
                "questions": [text for text, _ in scene_questions(scene, 6)],
            }
            key = json.dumps(scene.to_dict()["backdrop"])
            if asked.get("ground") != key:
                answer |= {"ground": picture_url(stage.draw_ground(scene)), "key": key}
        except ExplorerError as error:
            answer["problem"] = str(error)
        return gr.update(drawn=answer)

    def invent(self, event: gr.EventData) -> Any:
        """Invent a scene."""
        return gr.update(invented={"number": said_of(event).get("number"), "scene": stage.invent_scene().to_dict()})

    def choose(self, session: Session, event: gr.EventData) -> Session:
        """Remember which checkpoints answer, for the other tabs too."""
        try:
            return replace(session, checkpoints=self._chosen(said_of(event).get("checkpoints")))
        except InputError:
            return session

    def stop(self, event: gr.EventData, request: gr.Request) -> None:
        """Stop a sweep, or what else is under way."""
        said = said_of(event)
        self._stops.stop(_visitor(request), (str(said.get("what")),), said.get("number"))

    def leave(self, request: gr.Request) -> None:
        """The visitor closed the page: nothing goes on for it."""
        self._stops.stop(_visitor(request), ("answers", "sweep", "change"))

    @stepped
    def answer(self, session: Session, event: gr.EventData, request: gr.Request) -> Iterator[Any]:
        """Ask the pinned question of the scene, a row a checkpoint."""
        asked = said_of(event)
        start: Json = {"number": asked.get("number")}
        stop = self._stops.begin(_visitor(request), "answers", asked.get("number"))
        try:
            scene, question = stage.read_scene(asked.get("scene")), _question(asked.get("question"))
            chosen, truth = self._chosen(asked.get("checkpoints")), truth_of(scene, question)
            start |= {"question": question, "truth": truth_payload(truth)}
            for replies in self._answerers().stream([stage.draw_scene(scene)], question, chosen, stop=stop):
                yield gr.update(replies=start | {"rows": [reply_payload(reply, truth) for reply in replies]})
        except ExplorerError as error:
            yield gr.update(replies=start | {"rows": [], "problem": str(error)})
        finally:
            self._stops.end(_visitor(request), "answers", stop)

    @stepped
    def sweep(self, session: Session, event: gr.EventData, request: gr.Request) -> Iterator[Any]:
        """Run a sweep; every batch of answers is told as it comes."""
        asked = said_of(event)
        start: Json = {"number": asked.get("number"), "which": asked.get("which")}
        stop = self._stops.begin(_visitor(request), "sweep", asked.get("number"))
        told: Json = start | {"done": 0, "total": 1, "lines": []}
        try:
            trials, facts = _trials(asked)
            chosen = self._chosen(asked.get("checkpoints"))
            start |= facts
            with self._line.ticket() as ticket:
                place = ticket.place()
                while place and not stop.is_set():
                    yield gr.update(sweep=told | facts | {"place": place})
                    place = ticket.wait(0.5)
                for course in stress.run(self._answerers(), trials, chosen, stop):
                    told = start | course_payload(course, trials)
                    yield gr.update(sweep=told)
            yield gr.update(sweep=told | {"over": True, "stopped": stop.is_set()})
        except ExplorerError as error:
            yield gr.update(sweep=told | {"over": True, "problem": str(error)})
        finally:
            self._stops.end(_visitor(request), "sweep", stop)

    @stepped
    def change(self, session: Session, event: gr.EventData, request: gr.Request) -> Iterator[Any]:
        """Compare two scenes: their features layer by layer, then the answers to one question about both."""
        asked = said_of(event)
        found: Json = {"number": asked.get("number")}
        stop = self._stops.begin(_visitor(request), "change", asked.get("number"))
        try:
            before, after = (stage.read_scene(asked.get(name)) for name in ("before", "after"))
            changed = stage.compare_scenes(before, after)
            pictures = [stage.draw_scene(scene) for scene in (before, after)]
            found |= {"sentence": changed.sentence, "pictures": [picture_url(picture.pixels) for picture in pictures]}
            yield gr.update(change=dict(found))
            found |= self._parting(session, changed, pictures)
            yield gr.update(change=dict(found))
            question, chosen = _question(asked.get("question")), self._chosen(asked.get("checkpoints"))
            truths = [truth_of(scene, question) for scene in (before, after)]
            found |= {"question": question, "truths": [truth_payload(truth) for truth in truths]}
            rows: list[list[Json]] = []
            for picture, truth in zip(pictures, truths, strict=True):
                some: list[Json] = []
                for replies in self._answerers().stream([picture], question, chosen, stop=stop):
                    some = [reply_payload(reply, truth) for reply in replies]
                    yield gr.update(change=found | {"rows": [*rows, some]})  # new lists: Gradio sends what differs
                rows.append(some)
            yield gr.update(change=found | {"rows": rows, "over": True})
        except ExplorerError as error:
            yield gr.update(change={**found, "over": True, "problem": str(error)})
        finally:
            self._stops.end(_visitor(request), "change", stop)

    def used(self, session: Session, asked: Json) -> Session:
        """The session with the built scene on show."""
        record = stage.read_scene(asked.get("scene")).to_dict()
        with suppress(InputError):  # a scene can go on show without a question
            session = replace(session, question=_question(asked.get("question")))
        return self.context.with_scene(session, record)

    def _parting(self, session: Session, changed: stage.Change, pictures: list[Any]) -> Json:
        """Where the features part, or the sentence why that cannot be said now."""
        try:
            distance, view, grid = stress.difference(self.context.explorer, pictures[0], pictures[1], session.fit)
            encoder: Any = self.context.explorer.encoder
        except ExplorerError as error:
            return {"parting_problem": str(error)}
        size = pictures[0].pixels.shape[1], pictures[0].pixels.shape[0]
        within = stage.patches_within(changed.boxes, view.box_px, size, grid)
        if changed.everywhere:
            within[:] = True
        title = {"encoder": encoder.title, "box": [float(edge) for edge in view.box_px], "size": list(size)}
        return {"parting": parting_payload(changed, distance, within, grid) | title}

    def _value(self, session: Session) -> Json:
        source = self.context.source(session)
        return {
            "scene": json.loads(source.scene) if source and source.scene else None,
            "name": source.name if source else "",
            "question": session.question,
            "checkpoints": list(session.checkpoints),
        }

    def _examples(self) -> list[Json]:
        examples = [{"name": one.name, "scene": json.loads(one.scene)} for one in self.context.examples if one.scene]
        return [*examples, {"name": "an empty scene", "scene": stage.empty_scene().to_dict()}]

    def _answerers(self) -> Any:
        if self.context.answerers is None:
            raise InputError("No checkpoint is here: put trained ones into assets/models, or name a folder.")
        return self.context.answerers

    def _checkpoints(self, wanted: Sequence[str]) -> list[CheckpointInfo]:
        """Those that are known, and those of another name that were chosen before."""
        if self.context.answerers is None:
            return []
        known = self.context.answerers.list()
        for name in wanted:
            if all(info.id != name for info in known):
                with suppress(ExplorerError):  # what is gone by now is not offered
                    known.append(self.context.answerers.info(name))
        return known

    def _chosen(self, wanted: object) -> tuple[str, ...]:
        """The checkpoints that were chosen, at most six, each once."""
        names = [name for name in wanted if isinstance(name, str)] if isinstance(wanted, list) else []
        chosen = tuple(dict.fromkeys(name[:300] for name in names))[:MOST_CHECKPOINTS]
        if not chosen:
            raise InputError("No checkpoint is chosen: choose at least one.")
        return chosen


def _visitor(request: gr.Request) -> str:
    return request.session_hash or ""


def _question(text: object) -> str:
    question = clean(text) if isinstance(text, str) else ""
    if not 0 < len(question) <= LONGEST_QUESTION:
        raise InputError(f"Type a question of at most {LONGEST_QUESTION} letters.")
    return question


def _trials(asked: Json) -> tuple[list[stress.Trial], Json]:
    """The trials of the sweep that was asked for, and what the chart says of them."""
    backdrop = stage.read_scene(asked["scene"]).backdrop if asked.get("ground") == "scene" else None
    asked_for: tuple[Any, ...] = tuple(asked.get(name) for name in ("seed", "layouts", "kind", "other"))
    seed, layouts, kind, other = asked_for
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 1 << 31:
        raise InputError("The sweep's seed is a whole number from 0.")
    if asked.get("which") == "staircase":
        trials = stress.staircase(kind, layouts, seed=seed, backdrop=backdrop, colour=str(asked.get("colour") or ""))
        facts: Json = {}
    else:
        trials = stress.crossing(kind, other, layouts, seed=seed, backdrop=backdrop)
        facts = {"doubtful": stress.doubtful_reach(kind, other)}
    first = [trial for trial in trials if trial.layout == 0]
    facts |= {
        "question": trials[0].question,
        "layouts": layouts,
        "xs": [trial.x for trial in first],
        "unseen": [trial.x for trial in first if trial.unseen],
        "thumbs": [data_url(stage.draw_scene(trial.scene, THUMB_PX * 2).pixels, THUMB_PX) for trial in first],
    }
    return trials, facts
