"""What every checkpoint that answers has in common, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from explorer.records import AnswerKind, Looked, Picture

LIKELIEST = 5  # first tokens told of an open question


class Stop(Protocol):
    """Says whether to stop; a ``threading.Event`` is one."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...


@dataclass(frozen=True)
class Asked:
    """A question to one checkpoint.

    Attributes:
        picture: what it is about.
        question: the text.
        kind: what sort of answer is looked for.
        candidates: answers whose probabilities are wanted; () for the likeliest first tokens.
        turns: earlier (question, answer) pairs about the same picture.
        temperature: 0 for the likeliest token always.
        most_tokens: of the answer.
    """

    picture: Picture
    question: str
    kind: AnswerKind = AnswerKind.OPEN
    candidates: tuple[str, ...] = ()
    turns: tuple[tuple[str, str], ...] = ()
    temperature: float = 0.0
    most_tokens: int = 24


@dataclass(frozen=True)
class Said:
    """What a checkpoint has said so far.

    Attributes:
        text: the answer so far.
        probabilities: as ``Reply`` has them.
        remarks: sentences to be shown beside it.
        shared_seconds: what the encoder's look at the picture took, less what was waited for it here.
    """

    text: str = ""
    probabilities: tuple[tuple[str, float], ...] = ()
    remarks: tuple[str, ...] = ()
    shared_seconds: float = 0.0


class Speaker(Protocol):
    """A loaded checkpoint.

    Attributes:
        size_bytes: of what stays in memory for it alone.
        layers, blocks: what it reads, and how many blocks its encoder has; () and 0 where unknown.
    """

    size_bytes: int
    layers: tuple[int, ...]
    blocks: int

    def speak(self, asked: Asked, stop: Stop) -> Iterator[Said]:
        """Answer, again and again with a longer text; the last is whole unless ``stop`` was set.

        Raises:
            CheckpointError: it cannot answer this.
        """
        ...

    def answer_many(self, many: Sequence[Asked]) -> list[Said]:
        """Answer many questions, greedily.

        Raises:
            CheckpointError: it cannot answer one of them.
        """
        ...

    def look(self, picture: Picture, question: str) -> Looked:
        """Where it looks for the first token of its answer; the record's ``checkpoint`` is left empty.

        Raises:
            CheckpointError: that cannot be seen of this kind of model.
        """
        ...
