"""How the answer service says what happened: errors as sentences, what a checkpoint reads, its replies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from explorer.layers import LayerSet
from explorer.records import CheckpointError, CheckpointInfo, ExplorerError, Reply
from explorer.services.pictures import printable

if TYPE_CHECKING:
    from explorer.models.speaking import Said, Speaker


@contextmanager
def told(id: str) -> Iterator[None]:
    """Turn whatever a model's code raises into one sentence."""
    try:
        yield
    except ExplorerError:
        raise
    except Exception as error:
        raise CheckpointError(sentence(id, error)) from error


def sentence(id: str, error: Exception) -> str:
    """What went wrong, in one sentence."""
    if isinstance(error, ExplorerError):
        return str(error)
    name, line = printable(id, 80), " ".join(str(error).split())[:160]
    if isinstance(error, MemoryError) or "out of memory" in line.lower() or type(error).__name__ == "OutOfMemoryError":
        return f"{name} does not fit into the memory here: choose a smaller checkpoint, or ask fewer at once."
    return f"{name} could not answer ({type(error).__name__}: {line.rstrip('.')})."


def what_it_reads(info: CheckpointInfo, speaker: Speaker) -> str:
    """What a loaded checkpoint reads, for people."""
    if not (speaker.layers and speaker.blocks) or (info.layers and not info.choosable):
        return info.reads
    return LayerSet(speaker.layers, speaker.blocks).title() + (" · untrained swap" if info.untrained_swap else "")


def with_said(reply: Reply, said: Said, info: CheckpointInfo) -> Reply:
    """A reply with what was said by now."""
    swap = ("Untrained swap: it was never trained on the layers it reads here.",) if info.untrained_swap else ()
    return replace(reply, text=said.text, probabilities=said.probabilities, remarks=(*swap, *said.remarks))
