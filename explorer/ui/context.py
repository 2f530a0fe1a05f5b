"""What the handlers of the page share, and the one way to the picture that a visitor has before them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from explorer.records import Exploration, Fit, Picture
from explorer.services.explore import Explorer
from explorer.services.precomputed import Precomputed
from explorer.services.scene_files import scene_file
from explorer.services.tokens import TokenMaps
from explorer.ui.session import Session, Shelf, Source

Json = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """The services of the page.

    Attributes:
        explorer: owns the encoder in use.
        stored: finds a finished analysis by picture key, encoder id and fit, or None.
        first_encoder: id of the encoder that is loaded once the port is open.
        encoders: lists the encoders known by name; asked once a visit, since it looks at the disk.
        examples: the example pictures.
        choosable: whether a visitor may load another encoder.
        limit_mb: the largest file taken, in millions of bytes.
        shelf: pictures that were read.
        tokens: lays out tokens; None for one of the page's own.
        answerers: what answers questions about pictures (``services.answer.Answerers``); None where nothing does.
        precomputed: answers to held-out questions and the sweep, as jobs stored them; None where there are none.
    """

    explorer: Explorer
    stored: Callable[[str, str, Fit], Exploration | None]
    first_encoder: str
    encoders: Callable[[], list[Json]]
    examples: tuple[Source, ...]
    choosable: bool = True
    limit_mb: int = 32
    shelf: Shelf = field(default_factory=Shelf)
    answerers: Any = None
    tokens: TokenMaps | None = None
    precomputed: Precomputed | None = None

    def encoder_state(self) -> Json:
        """What the encoder is doing, for the header and the views: an ``EncoderStatus`` and the ``encoder`` in use."""
        status, encoder = self.explorer.status(), self.explorer.encoder
        if status.phase == "idle":
            status = replace(status, id=self.first_encoder, phase="loading", message=f"Loading {self.first_encoder} …")
        return asdict(status) | {"encoder": asdict(encoder) if encoder else None}

    def sources(self, session: Session) -> tuple[Source, ...]:
        """All pictures a visitor can choose, the examples first."""
        return (*self.examples, *session.own)

    def source(self, session: Session) -> Source | None:
        """The picture chosen, None where there is none at all."""
        sources = self.sources(session)
        return sources[min(session.current, len(sources) - 1)] if sources else None

    def scene_source(self, record: Json) -> Source:
        """A generated scene as a picture; raises ``InputError`` where the record is none."""
        path, text = scene_file(record)
        return Source(path, f"scene {json.loads(text)['seed']}", scene=text)

    def with_scene(self, session: Session, record: Json) -> Session:
        """The session with a generated scene on show, added where it is not among the visitor's pictures.

        Raises:
            InputError: the record is no scene, or the pictures are too many.
        """
        source, sources = self.scene_source(record), self.sources(session)
        if source in sources:
            return replace(session, current=sources.index(source))
        return session.having([source], len(self.examples))

    def picture(self, session: Session) -> Picture | None:
        """The picture chosen, read; raises ``InputError`` where its file cannot be."""
        source = self.source(session)
        return self.shelf.picture(source) if source else None

    def in_use(self, session: Session) -> tuple[Source, ...]:
        """The pictures that "all pictures" means: the visitor's own, or else the examples."""
        return session.own or self.examples
