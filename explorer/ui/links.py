"""Links that reopen what is on the page: a query such as ``?example=cat&layer=18&tab=tokens``, written and read here.

Everything in a query is somebody else's text: what cannot be used is told in one sentence and left out, never guessed.
``layer``, ``patch`` and ``mode`` are choices that the browser makes without the server; they are only checked here.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from explorer.records import Fit, InputError
from explorer.services.pictures import printable
from explorer.ui.context import Context
from explorer.ui.session import Session

Opener = Callable[[Session, str], Session]  # of a parameter that a tab knows, such as a case's id; raises InputError

MODES = ("pca", "similar", "change", "text", "attention", "norm")
LONGEST = {"encoder": 300, "example": 200, "question": 500, "case": 100, "tab": 40, "scene": 6000, "checkpoints": 1000}
MOST_CHECKPOINTS = 6
MOST_SCENE_BYTES = 1 << 16
STAYS = "Your own picture stays on this machine: who opens the link sees the rest of the view with an example picture."


@dataclass(frozen=True)
class Link:
    """What a link says; "" or None where it says nothing.

    Attributes:
        tab: id of the tab to open.
        encoder: id of the encoder.
        example: name of an example's file without its ending.
        scene: record of a generated scene, packed by ``pack_scene``.
        fit: how the picture is laid on the input.
        layer, patch, compared: chosen layer and patch, and the layer compared with.
        mode: what is shown on the picture.
        question: the question asked.
        checkpoints: ids of the checkpoints that answer, joined by commas.
        case: id of a held-out case.
    """

    tab: str = ""
    encoder: str = ""
    example: str = ""
    scene: str = ""
    fit: str = ""
    layer: int | None = None
    patch: int | None = None
    compared: int | None = None
    mode: str = ""
    question: str = ""
    checkpoints: str = ""
    case: str = ""

    def query(self) -> str:
        """The part of an address after the question mark."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return urlencode({name: value for name, value in said.items() if value not in ("", None)})


def read_link(params: Mapping[str, str]) -> tuple[Link, list[str]]:
    """What a query says, and a sentence on each part of it that cannot be used; other parameters are passed over."""
    link, problems = Link(), []
    for each in fields(Link):
        value = str(params.get(each.name, "")).strip()
        if not value:
            continue
        try:
            link = replace(link, **{each.name: _checked(each.name, value)})
        except InputError as error:
            problems.append(str(error))
    return link, problems


def _checked(name: str, value: str) -> Any:
    shown = printable(value, 60)
    if name in ("layer", "patch", "compared"):
        if not (value.isascii() and value.isdigit() and len(value) <= 5):
            raise InputError(f"The link's {name} {shown} is no number.")
        return int(value)
    if name == "fit" and value not in list(Fit):
        raise InputError(f"The link's fit {shown} is none: {', '.join(Fit)} exist.")
    if name == "mode" and value not in MODES:
        raise InputError(f"The link's view {shown} is none: {', '.join(MODES)} exist.")
    if len(value) > LONGEST.get(name, 40):
        raise InputError(f"The link's {name} is too long.")
    return value if name == "scene" else printable(value, LONGEST.get(name, 40))


def pack_scene(text: str) -> str:
    """The JSON of a scene's record for a link."""
    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def unpack_scene(packed: str) -> dict[str, Any]:
    """The record that ``pack_scene`` packed.

    Raises:
        InputError: it is damaged.
    """
    try:
        content = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        record = json.loads(zlib.decompressobj().decompress(content, MOST_SCENE_BYTES))
    except (ValueError, binascii.Error, zlib.error, RecursionError) as error:
        raise InputError("The link's scene is damaged: copy the whole link.") from error
    if not isinstance(record, dict):
        raise InputError("The link's scene is damaged: copy the whole link.")
    return record


def link_to(session: Session, context: Context, shown: Mapping[str, Any]) -> tuple[Link, str]:
    """The link to a visitor's view.

    Args:
        session: the visitor's.
        context: of the page.
        shown: what the browser says of its own choices: ``tab``, ``layer``, ``patch``, ``compared``, ``mode``.

    Returns:
        The link, and a sentence on what it cannot hold, or "".
    """
    said = {name: str(shown[name]) for name in ("tab", "layer", "patch", "compared", "mode") if name in shown}
    link, _ = read_link(said)
    encoder = context.explorer.encoder
    link = replace(
        link,
        encoder=encoder.id if encoder and encoder.id != context.first_encoder else "",
        fit="" if session.fit is Fit.ENCODER else session.fit.value,
        question=session.question[: LONGEST["question"]],
        checkpoints=",".join(session.checkpoints),
    )
    source = context.source(session)
    if source in context.examples:
        return replace(link, example=source.path.stem), ""
    if source and source.scene and len(packed := pack_scene(source.scene)) <= LONGEST["scene"]:
        return replace(link, scene=packed), ""
    return link, STAYS if source else ""


def open_link(
    link: Link, session: Session, context: Context, openers: Mapping[str, Opener]
) -> tuple[Session, list[str]]:
    """A session that shows what a link says, and a sentence on each part that cannot be had.

    Args:
        link: as read.
        session: the visitor's, to begin with.
        context: of the page.
        openers: what the tabs open, by the name of the parameter.
    """
    problems: list[str] = []
    steps: list[Callable[[Session], Session]] = [
        lambda now: _with_picture(link, now, context),
        lambda now: _with_encoder(link, now, context),
        *(
            (lambda now, name=name: openers[name](now, getattr(link, name)))
            for name in openers
            if getattr(link, name, "")
        ),
        lambda now: _with_question(link, now),
    ]
    for step in steps:
        try:
            session = step(session)
        except InputError as error:
            problems.append(str(error))
    return session, problems


def _with_picture(link: Link, session: Session, context: Context) -> Session:
    if link.fit:
        session = replace(session, fit=Fit(link.fit))
    if link.scene:
        return context.with_scene(session, unpack_scene(link.scene))
    if not link.example:
        return session
    for index, source in enumerate(context.examples):
        if source.path.stem == link.example:
            return replace(session, current=index)
    raise InputError(f"The link's example {printable(link.example, 60)} does not exist here: another is shown.")


def _with_encoder(link: Link, session: Session, context: Context) -> Session:
    """Load the link's encoder if it is here: a link alone never downloads anything."""
    wanted, used = link.encoder, context.explorer.status().id or context.first_encoder
    if not wanted or wanted == used:
        return session
    here = any(known["id"] == wanted and known.get("on_this_machine") for known in context.encoders())
    if not context.choosable or not here:
        raise InputError(
            f"The link was made with the encoder {wanted}, which is not in use here: open it at the top right."
        )
    context.explorer.use(wanted)
    return session


def _with_question(link: Link, session: Session) -> Session:
    if link.question:
        session = replace(session, question=link.question)
    ids = tuple(each for each in link.checkpoints.split(",") if each)
    if len(ids) > MOST_CHECKPOINTS:
        raise InputError(f"The link names {len(ids)} checkpoints: at most {MOST_CHECKPOINTS} can answer at once.")
    return replace(session, checkpoints=ids) if ids else session
