"""Ask checkpoints about a picture from start to end: what ``python -m explorer ask`` and ``from explorer import ask`` do."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.models.checkpoint_ids import SERVED
from explorer.records import CheckpointError, Picture, Reply
from explorer.services.answer import Answerers
from explorer.services.pictures import read_picture

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 3  # candidates named in a line
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")  # told apart by all (Okabe and Ito 2008)
PATTERNS = ("", "/", "x", ".", "-", "+")


@dataclass(frozen=True)
class Answers:
    """What checkpoints answered to one question about one picture.

    Attributes:
        picture: its name.
        question: as asked.
        replies: one a checkpoint, in the order asked for.
    """

    picture: str
    question: str
    replies: tuple[Reply, ...]

    def frame(self) -> pd.DataFrame:
        """One row a checkpoint and candidate: checkpoint, reads, answer, candidate, probability, seconds, error.

        A checkpoint without probabilities has one row, its candidate None and its probability NaN.
        """
        import pandas as pd

        rows = [
            (r.checkpoint, r.reads, r.text, candidate, probability, r.seconds, r.error)
            for r in self.replies
            for candidate, probability in (r.probabilities or ((None, math.nan),))
        ]
        names = ["checkpoint", "reads", "answer", "candidate", "probability", "seconds", "error"]
        return pd.DataFrame(rows, columns=names)

    def figure(self) -> Any:
        """The candidates' probabilities as a plotly figure: a group of bars a candidate, a colour and a pattern a checkpoint."""
        import plotly.graph_objects as go

        bars = [
            go.Bar(
                x=[html.escape(candidate) for candidate, _ in reply.probabilities],
                y=[probability for _, probability in reply.probabilities],
                name=html.escape(f"{reply.checkpoint} ({reply.reads})"),
                marker={"color": COLOURS[k % len(COLOURS)], "pattern": {"shape": PATTERNS[k % len(PATTERNS)]}},
                hovertemplate="%{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
            )
            for k, reply in enumerate(self.replies)
            if reply.probabilities
        ]
        made = go.Figure(bars, {"title": {"text": html.escape(self.question)}, "barmode": "group", "height": 360})
        made.update_xaxes(title="answer", type="category")
        return made.update_yaxes(title="probability", range=[0, 1])

    def as_json(self) -> list[dict[str, Any]]:
        """Plain values for JSON, one entry a checkpoint."""
        return [reply_as_json(reply) for reply in self.replies]

    def _repr_html_(self) -> str:
        """A table for a notebook; every text is shown as text."""
        say = html.escape
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td style='text-align:left'>{say(cell)}</td>"
                for cell in (r.checkpoint, r.reads, r.error or r.text, likeliest(r), seconds_as_text(r))
            )
            + "</tr>"
            for r in self.replies
        )
        head = "".join(f"<th>{name}</th>" for name in ("checkpoint", "reads", "answer", "likeliest", "seconds"))
        return f"<p><b>{say(self.question)}</b> ({say(self.picture)})</p><table><tr>{head}</tr>{rows}</table>"


def ask(
    image: str | Path | Picture,
    question: str,
    checkpoints: str | Sequence[str] | None = None,
    *,
    candidates: Sequence[str] = (),
    turns: Sequence[tuple[str, str]] = (),
    temperature: float = 0.0,
    most_tokens: int = 24,
    device: str | None = None,
    answerers: Answerers | None = None,
) -> Answers:
    """Ask checkpoints the same question about a picture.

    Args:
        image: a file or a ``Picture``.
        question: the text.
        checkpoints: ids; None asks all built-in ones. One that fails says why in its reply, and the others answer.
        candidates: answers whose probabilities are wanted; () decides by the question.
        turns: earlier (question, answer) pairs about the same picture.
        temperature: 0 for the likeliest token always.
        most_tokens: of an answer.
        device: such as "cpu" or "cuda"; None chooses.
        answerers: keeps checkpoints loaded between calls; None loads them for this one.

    Raises:
        InputError: the picture cannot be read, or the question not be asked in this way.
        CheckpointError: there is no checkpoint of one of these ids.
    """
    picture = image if isinstance(image, Picture) else read_picture(image)
    services = answerers or Answerers(device=device)
    given = [checkpoints] if isinstance(checkpoints, str) else checkpoints
    ids = list(dict.fromkeys(given)) if given is not None else [info.id for info in services.built_in()]
    if not ids and checkpoints is None:
        raise CheckpointError("There is no built-in checkpoint here: name a folder or a hub id.")
    for id in ids:
        services.info(id)
    if any(id.startswith(SERVED) for id in ids):
        from explorer.models.served import trust

        trust(ids)
    replies = services.ask(
        [picture], question, ids, candidates=candidates, turns=turns, temperature=temperature, most_tokens=most_tokens
    )
    return Answers(picture.name, question.strip(), tuple(replies))


def reply_as_json(reply: Reply) -> dict[str, Any]:
    """A reply as plain values: {checkpoint, layers, reads, answer, kind, probabilities, seconds, remarks, error}."""
    return {
        "checkpoint": reply.checkpoint,
        "layers": list(reply.layers),
        "reads": reply.reads,
        "answer": reply.text,
        "kind": reply.kind.value,
        "probabilities": {candidate: round(share, 6) for candidate, share in reply.probabilities},
        "seconds": None if math.isnan(reply.seconds) else round(reply.seconds, 4),
        "remarks": list(reply.remarks),
        "error": reply.error or None,
    }


def likeliest(reply: Reply) -> str:
    """The likeliest candidates with their probabilities, in one line."""
    best = sorted(reply.probabilities, key=lambda entry: -entry[1])[:SHOWN]
    return ", ".join(f"{candidate} {share:.2f}" for candidate, share in best)


def seconds_as_text(reply: Reply) -> str:
    """Seconds with two decimals, "" where they are not known."""
    return "" if math.isnan(reply.seconds) else f"{reply.seconds:.2f}"
