"""The page: a header over the tabs, one module a tab; it is built before any encoder is loaded."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from explorer.records import Fit, InputError
from explorer.services.analyze import analyze
from explorer.services.pictures import printable
from explorer.services.report import report
from explorer.services.report_data import Laid, Opened, Table
from explorer.ui.answers_tab import AnswersTab
from explorer.ui.components.header import header
from explorer.ui.context import Context, Json
from explorer.ui.endpoints import add_endpoints
from explorer.ui.errors import spoken
from explorer.ui.failures_tab import FailuresTab
from explorer.ui.layer_endpoints import add_layer_endpoints
from explorer.ui.layers_tab import LONGEST_TEXT, LayersTab
from explorer.ui.links import Link, Opener, link_to, open_link, read_link
from explorer.ui.results_tab import ResultsTab
from explorer.ui.session import MOST_OWN, Session, Source, is_zip, thumbnail, unzipped
from explorer.ui.stress_tab import StressTab
from explorer.ui.tabs import Tab, Wiring
from explorer.ui.tokens_tab import TokensTab

TITLE = "Visual Layer Explorer"
SHOWN_OWN = 32  # of a visitor's pictures as small copies; the others are in "all pictures"
MOST_TABLES, MOST_ROWS, MOST_COLUMNS, LONGEST_CELL = 2, 2000, 12, 2000  # of what the report takes from the page
TOLD = 12  # files that cannot be used, one by one
UNREPORTED = "() => document.dispatchEvent(new CustomEvent('vle-unreported'))"


def build_page(context: Context) -> gr.Blocks:
    """Build the page; a stored analysis of the first example is part of it."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(1800, 3600), fill_width=True) as page:
        Page(context).build(page)
        add_endpoints(context)
        add_layer_endpoints(context)
    return page


class Page:
    """The header's handlers; each returns the session, the header's, the tabs' and the view's updates."""

    def __init__(self, context: Context) -> None:
        """Draw the examples' thumbnails."""
        self.context = context
        self.layers = LayersTab(context)
        self.tokens, self.failures = TokensTab(context), FailuresTab(context)
        # Those after "Layers", in their order on the page.
        self.tabs: tuple[Tab, ...] = (
            self.tokens, AnswersTab(context), self.failures, StressTab(context), ResultsTab(context),
        )  # fmt: skip
        self._parts: dict[str, int] = {}  # how many components of each follow the picture
        self._example_items = [
            {"name": source.name, "thumb": thumbnail(source.path), "own": False, "index": index}
            for index, source in enumerate(context.examples)
        ]

    def build(self, page: gr.Blocks) -> None:
        """Make all components inside the open ``page`` and listen to them."""
        context = self.context
        first, value = self.layers.analysis(Session())
        session = gr.State(first)
        top = header(
            self._header(first),
            context.encoder_state(),
            limit_mb=context.limit_mb,
            choosable=context.choosable,
            tabs=[{"id": "layers", "title": "Layers"}, *({"id": tab.id, "title": tab.title} for tab in self.tabs)],
        )
        parts = [session, top]
        with gr.Tabs(selected="layers") as row:
            with gr.Tab("Layers", id="layers"):
                self.failures.build_first()
                view = self.layers.build(session, value)
                parts.append(view)
            for tab in self.tabs:
                with gr.Tab(tab.title, id=tab.id):
                    made = tab.build(session)
                self._parts[tab.id] = len(made)
                parts += made
        parts.append(row)
        how: dict[str, Any] = {
            "show_progress": "hidden",
            "concurrency_id": "encoder",
            "concurrency_limit": 2,
            "api_visibility": "private",
        }
        wiring = Wiring(session, parts, self._show)
        for event, handler in (
            (top.picture_chosen, self.choose_picture),
            (top.pictures_added, self.add_pictures),
            (top.picture_removed, self.remove_picture),
            (top.fit_chosen, self.choose_fit),
            (top.polled, self.poll),
            (view.outdated, self.look_again),
            (view.picture_asked, self.choose_picture),
        ):
            wiring.change(event, handler)
        top.encoder_asked(self.use_encoder, None, top, show_progress="hidden", api_visibility="private")
        top.woken(self.wake, None, None, trigger_mode="multiple", **(how | {"concurrency_id": "wake"}))
        top.link_asked(self.copy_link, session, top, show_progress="hidden", api_visibility="private")
        written = top.report_asked(self.make_report, session, top, **how)
        written.failure(None, None, None, js=UNREPORTED, api_visibility="private")
        opened = page.load(self.open_link, session, parts, **how)
        opened.then(lambda: gr.update(opened=True), None, top, show_progress="hidden", api_visibility="private")
        page.load(self.list_encoders, None, top, show_progress="hidden", api_visibility="private")
        for tab in self.tabs:
            tab.wire(wiring)

    @spoken
    def choose_picture(self, session: Session, event: gr.EventData) -> tuple[Any, ...]:
        """Show another picture."""
        return self._show(replace(session, current=self._index(session, event)))

    @spoken
    def remove_picture(self, session: Session, event: gr.EventData) -> tuple[Any, ...]:
        """Forget one of the visitor's own pictures, or all of them."""
        first = len(self.context.examples)
        if _said(event).get("index") == "all":
            return self._show(replace(session, own=(), current=min(session.current, max(0, first - 1))))
        index = self._index(session, event)
        if index < first:
            raise InputError("Example pictures cannot be removed.")
        own = session.own[: index - first] + session.own[index - first + 1 :]
        current = session.current - (session.current > index or session.current == first + len(own))
        return self._show(replace(session, own=own, current=max(0, current)))

    @spoken
    def choose_fit(self, session: Session, event: gr.EventData) -> tuple[Any, ...]:
        """Lay the picture on the encoder's input in another way."""
        wanted = _said(event).get("fit")
        if wanted not in list(Fit):
            raise InputError(f"There is no fit {printable(str(wanted))}: choose {', '.join(Fit)}.")
        return self._show(replace(session, fit=Fit(wanted)))

    @spoken
    def add_pictures(self, session: Session, event: gr.EventData) -> tuple[Any, ...]:
        """Read uploaded pictures and show the first; those that cannot be read are named, one sentence each."""
        said = _said(event)
        files = said.get("files")
        problems = [printable(str(text)) for text in said.get("problems") or []][:8]
        good: list[Source] = []
        for file in files if isinstance(files, list) else []:
            try:
                source = _uploaded(file)
                found, beyond = unzipped(source) if is_zip(source.path) else ([source], [])
            except InputError as error:
                problems.append(str(error))
                continue
            problems += beyond
            for each in found:
                try:
                    self.context.shelf.picture(each)
                    good.append(each)
                except InputError as error:
                    problems.append(str(error))
        if len(problems) > TOLD:
            problems = [*problems[:TOLD], f"So it is with {len(problems) - TOLD} more."]
        if room := max(0, len(good) + len(session.own) - MOST_OWN):
            problems.append(f"At most {MOST_OWN} pictures can be in use at once: {room} were left out.")
            good = good[: len(good) - room]
        if not good:
            return session, gr.update(value=self._header(session, problems)), *self._rest(gr.skip(), None)
        return self._show(session.having(good, len(self.context.examples)), problems=problems)

    @spoken
    def look_again(self, session: Session) -> tuple[Any, ...]:
        """Analyse the picture on show with the encoder in use by now; what the page said of other pictures stays."""
        session, _, *others = self._show(session)
        return session, gr.update(status=self.context.encoder_state()), *others

    @spoken
    def use_encoder(self, event: gr.EventData) -> Any:
        """Start loading another encoder."""
        wanted = _said(event).get("id")
        if not self.context.choosable:
            raise InputError("Here the encoder is fixed: start the program on your own machine to choose another.")
        if not isinstance(wanted, str) or not wanted.strip():
            raise InputError("No encoder was named: give a hub id, a folder or open_clip:ARCH/TAG.")
        self.context.explorer.use(wanted.strip())
        return gr.update(status=self.context.encoder_state())

    @spoken
    def poll(self, session: Session) -> tuple[Any, ...]:
        """Say how far the loading is; look at the picture once the encoder is ready."""
        state = self.context.encoder_state()
        if state["phase"] == "loading" or state["encoder"] is None or self.layers.is_current(session):
            return gr.skip(), gr.update(status=state), *self._rest(gr.update(encoder_state=state), None)
        return self.look_again(session)

    def open_link(self, session: Session, request: gr.Request) -> tuple[Any, ...]:
        """Show what the page's address asks for; from then on the encoder is watched."""
        link, problems = read_link(request.query_params)
        if link == Link() and not problems:
            return gr.skip(), gr.skip(), *self._rest(gr.skip(), None)
        openers: dict[str, Opener] = {}
        for tab in self.tabs:
            openers |= getattr(tab, "openers", {})
        session, more = open_link(link, session, self.context, openers)
        if link.tab and link.tab not in ("layers", *(tab.id for tab in self.tabs)):
            more.append(f"The link's tab {printable(link.tab, 40)} does not exist.")
        known = next((tab.id for tab in self.tabs if tab.id == link.tab), None)
        return self._show(session, known or ("answers" if link.case else None), [*problems, *more])

    def copy_link(self, session: Session, event: gr.EventData) -> Any:
        """Write the link to what the visitor sees."""
        link, note = link_to(session, self.context, _said(event))
        return gr.update(link={"query": link.query(), "note": note, "asked": _said(event).get("asked")})

    @spoken
    def make_report(self, session: Session, event: gr.EventData) -> Any:
        """Write the report on the picture chosen, as it is looked at, by the encoder in use; the browser saves it."""
        picture = self.context.picture(session)
        if picture is None:
            raise InputError("There is no picture to report on: add one.")
        said, model = _said(event), self.context.explorer.model()
        text = printable(str(said.get("text") or "").strip()[:LONGEST_TEXT], LONGEST_TEXT)
        text = text if model.info.reads_text else ""
        found = analyze(picture, model, fit=session.fit, details=True, text=text)
        laid = self.tokens.maps.fitted([picture], session.fit)
        maps = tuple(Laid("t-SNE", one.layers, one.places) for one in laid if one.method == "tsne")
        written = report(found, replace(_opened(said), maps=maps[-1:]))
        return gr.update(report={"name": f"{picture.name}-layers", "html": written, "made": time.time()})

    def wake(self) -> None:
        """Answer a browser that sees to it that no earlier answer is left waiting."""

    def list_encoders(self) -> Any:
        """Tell which encoders are known, and whether they are on this machine."""
        return gr.update(encoders=self.context.encoders())

    def _show(self, session: Session, tab: str | None = None, problems: list[str] | None = None) -> tuple[Any, ...]:
        """All updates for a session whose picture, encoder or question is another; opens a tab where one is named."""
        session, value = self.layers.analysis(session)
        state = self.context.encoder_state()
        top = gr.update(value=self._header(session, problems), status=state)
        return session, top, *self._rest(gr.update(value=value, encoder_state=state), session, tab)

    def _rest(self, view: Any, session: Session | None, tab: str | None = None) -> list[Any]:
        """Updates of the Layers view, of the other tabs (none where the session is None) and of the row of tabs."""
        others = [each.show(session) if session else [gr.skip()] * self._parts.get(each.id, 1) for each in self.tabs]
        row = gr.update(selected=tab) if tab else gr.skip()
        return [view, *(update for some in others for update in some), row]

    def _header(self, session: Session, problems: list[str] | None = None) -> Json:
        first = len(self.context.examples)
        shown = set(range(min(SHOWN_OWN, len(session.own))))
        if session.own and session.current >= first + len(shown):
            shown.add(min(session.current - first, len(session.own) - 1))
        own = [
            {
                "name": session.own[k].name,
                "thumb": self.context.shelf.thumb(session.own[k]),
                "own": True,
                "index": first + k,
            }
            for k in sorted(shown)
        ]
        return {
            "items": self._example_items + own,
            "more": len(session.own) - len(own),
            "current": session.current,
            "fit": session.fit.value,
            "problems": problems or [],
        }

    def _index(self, session: Session, event: gr.EventData) -> int:
        index = _said(event).get("index")
        if not isinstance(index, int) or not 0 <= index < len(self.context.sources(session)):
            raise InputError("There is no such picture: choose one of those shown.")
        return index


def _said(event: gr.EventData) -> Json:
    """What the browser sent: untrusted, but a dictionary."""
    return event._data if isinstance(event._data, dict) else {}


def _opened(said: Json) -> Opened:
    """What the browser says of its own choices, for the report."""
    link, _ = read_link({name: str(said[name]) for name in ("layer", "compared", "patch", "mode") if name in said})
    mode = "each" if link.mode == "pca" and said.get("basis") == "each" else link.mode
    tables = said.get("tables")
    shown = (_table(one) for one in (tables if isinstance(tables, list) else [])[:MOST_TABLES])
    head = said.get("head")
    head = head if isinstance(head, int) and head >= 0 else None
    return Opened(link.layer, link.compared, link.patch, mode, head, tuple(one for one in shown if one))


def _table(said: Any) -> Table | None:
    """A table of the page, as text and no larger than it can be; None where it is none."""
    said = said if isinstance(said, dict) else {}
    columns, rows = said.get("columns"), said.get("rows")
    if not isinstance(columns, list) or not isinstance(rows, list):
        return None
    cells = tuple(_cells(row) for row in rows[:MOST_ROWS] if isinstance(row, list))
    return Table(printable(str(said.get("title", ""))), _cells(columns), cells) if cells else None


def _cells(said: list[Any]) -> tuple[str, ...]:
    return tuple(printable(str(cell), LONGEST_CELL) for cell in said[:MOST_COLUMNS])


def _uploaded(file: Any) -> Source:
    """The source of a file in Gradio's upload folder; any other path is refused."""
    from gradio.utils import get_upload_folder, is_in_or_equal

    path, name = (file.get("path"), file.get("name")) if isinstance(file, dict) else (None, None)
    if not isinstance(path, str) or not is_in_or_equal(path, get_upload_folder()) or not Path(path).is_file():
        raise InputError("That file was not uploaded here: add it again.")
    return Source(Path(path).resolve(), printable(str(name or "picture")))
