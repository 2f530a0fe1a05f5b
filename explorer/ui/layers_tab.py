"""The tab "Layers": one analysis at a time, and single answers about it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import gradio as gr

from explorer.records import ExplorerError, Fit, InputError, Picture
from explorer.services.comparison import Comparison
from explorer.ui.components.layers_view import layers_view
from explorer.ui.context import Context, Json
from explorer.ui.payload import analysis_id, exploration_payload, packed, similarity_payload
from explorer.ui.session import Session

LONGEST_TEXT = 200
UNLIKE = 12  # pictures named as unlike the rest
UNANSWERED = "() => document.dispatchEvent(new CustomEvent('vle-unanswered'))"
Compute = Callable[[Picture, Fit, Any], Json]


class LayersTab:
    """The view and its handlers; ``analysis`` serves the rest of the page when the picture changes."""

    def __init__(self, context: Context) -> None:
        """Remember what the handlers need."""
        self.context = context

    def build(self, session: gr.State, value: Json | None) -> gr.HTML:
        """Make the component inside the open tab and listen to it."""
        view = layers_view(value)
        handlers = {
            "patch_chosen": self.choose_patch,
            "text_typed": self.match_text,
            "attention_asked": self.attend,
            "overall_asked": self.compare_all,
        }
        for event, handler in handlers.items():
            asked = getattr(view, event)(
                handler,
                session,
                view,
                show_progress="hidden",
                trigger_mode="multiple",
                concurrency_id="overall"
                if event == "overall_asked"
                else "encoder",  # takes minutes; clicks do not wait
                concurrency_limit=2,
                api_visibility="private",
            )
            if event == "overall_asked":
                view.overall_stopped(None, None, None, cancels=[asked], api_visibility="private")
            asked.failure(None, None, None, js=UNANSWERED, api_visibility="private")
        return view

    def analysis(self, session: Session) -> tuple[Session, Json]:
        """Analyse the picture chosen, or take what is stored while no encoder is ready.

        Returns:
            The session that says what is shown, and the view's value: ``{"waiting": sentence}`` if there is nothing.

        Raises:
            InputError: the picture cannot be read.
            EncoderError: the encoder cannot look at it.
        """
        context, fit = self.context, session.fit
        source, picture = context.source(session), context.picture(session)
        if source is None or picture is None:
            return replace(session, shown="", live=False), {"waiting": "Add a picture to look at."}
        if context.explorer.encoder is None:
            state = context.encoder_state()
            found = context.stored(picture.key, state["id"], fit)
            if found is None:
                return replace(session, shown="", live=False), {"waiting": state["message"]}
            found = replace(found, picture_name=picture.name, notes=picture.notes)
        else:
            found = context.explorer.explore(picture, fit)
        payload = exploration_payload(found, picture, fit, source.credit) | {
            "over": self._over(session, found.encoder.id)
        }
        return replace(session, shown=payload["id"], live=found.live), payload

    def is_current(self, session: Session) -> bool:
        """Whether the analysis on show was made by the encoder in use, of the picture chosen."""
        encoder, picture = self.context.explorer.encoder, self.context.picture(session)
        if encoder is None or picture is None:
            return False
        return session.live and session.shown == analysis_id(picture.key, encoder.id, session.fit)

    def choose_patch(self, session: Session, event: gr.EventData) -> Any:
        """Compare a patch with all others, at all layers."""

        def compute(picture: Picture, fit: Fit, patch: Any) -> Json:
            if not isinstance(patch, int) or isinstance(patch, bool):
                raise InputError("No patch was chosen: click one on the picture.")
            return {"map": packed(self.context.explorer.patch_similarity(picture, fit, patch))}

        return gr.update(patch=self._answer(session, event, compute))

    def match_text(self, session: Session, event: gr.EventData) -> Any:
        """Compare all patches with a text, at all layers."""

        def compute(picture: Picture, fit: Fit, text: Any) -> Json:
            if not isinstance(text, str) or not 0 < len(text.strip()) <= LONGEST_TEXT:
                raise InputError(f"Type a word or a phrase of at most {LONGEST_TEXT} letters.")
            return {"map": packed(self.context.explorer.text_match(picture, fit, text.strip()))}

        return gr.update(text=self._answer(session, event, compute))

    def attend(self, session: Session, event: gr.EventData) -> Any:
        """Show where the CLS token reads from, in all blocks and heads."""

        def compute(picture: Picture, fit: Fit, about: Any) -> Json:
            weights = self.context.explorer.cls_attention(picture, fit)  # [blocks, H, P]
            return {"map": packed(weights.reshape(-1, weights.shape[-1]))}

        return gr.update(attention=self._answer(session, event, compute))

    def compare_all(self, session: Session, event: gr.EventData) -> Iterator[Any]:
        """Average the layer × layer matrices over all pictures in use, telling how many are done."""
        encoder, sources = self.context.explorer.encoder, self.context.in_use(session)
        over = self._over(session, encoder.id if encoder else "")["id"]
        running = Comparison(self.context.explorer, map(self.context.shelf.picture, sources), session.fit)
        first = 0 if not session.own else len(self.context.examples)

        def compute(picture: Picture, fit: Fit, about: Any) -> Json:
            found, unlike = running.result()
            named = [
                asdict(one) | {"index": first + one.index, "name": sources[one.index].name} for one in unlike[:UNLIKE]
            ]
            return {"lrs": {kind: similarity_payload(one) for kind, one in found.items()}, "unlike": named}

        said = event._data if isinstance(event._data, dict) else {}
        try:
            if said.get("id") == session.shown and self.is_current(session):
                for done in running.progress():
                    told = {"question": said.get("question"), "over": over, "progress": [done, len(sources)]}
                    yield gr.update(overall=told)
            yield gr.update(overall=self._answer(session, event, compute) | {"over": over})
        finally:
            running.stop()

    def _answer(self, session: Session, event: gr.EventData, compute: Compute) -> Json:
        """Answer a question about the analysis on show; what went wrong is one sentence in the answer."""
        said = event._data if isinstance(event._data, dict) else {}
        answer = {"id": session.shown, "question": said.get("question"), "about": said.get("about")}
        try:
            picture = self.context.picture(session)
            if said.get("id") != session.shown or picture is None:
                return answer | {"problem": "Another picture is on show by now: ask again."}
            if not self.is_current(session):
                return answer | {"problem": "Another encoder is in use by now; looking again…", "outdated": True}
            return answer | compute(picture, session.fit, said.get("about"))
        except ExplorerError as error:
            return answer | {"problem": str(error)}

    def _over(self, session: Session, encoder_id: str) -> Json:
        """What "all pictures" means now: the id of what would be compared, and its name."""
        sources = self.context.in_use(session)
        made_of = [encoder_id, session.fit.value, *(source.place for source in sources)]
        digest = hashlib.sha256("\n".join(made_of).encode("utf-8", "surrogatepass")).hexdigest()[:20]
        return {"id": digest, "label": f"all {len(sources)} {'of yours' if session.own else 'examples'}"}
