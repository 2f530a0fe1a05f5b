"""Answers as compact JSON for the browser: replies with their gist and verdict, the X-ray so far, maps of where one looked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from explorer.layers import PAPER_BLOCKS, PAPER_FUSION, PAPER_GROUPS
from explorer.records import AnswerKind, CheckpointInfo, Looked, Picture, Reply, Truth
from explorer.services.judging import gist, is_right, normalise
from explorer.ui.payload import packed

Json = dict[str, Any]
YES_NO = ("yes", "no")
DEPTHS = (1 / 8, 3 / 4, 23 / 24)  # where the paper's shallow, middle and deep layer lie
GENERAL_QUESTIONS = (
    "What is in the picture?",
    "How many objects are there in the picture?",
    "Is there a cat in the picture?",
    "Is there a person in the picture?",
    "What colour is the background?",
)


def info_payload(info: CheckpointInfo) -> Json:
    """What the page tells of a checkpoint."""
    return {
        "id": info.id,
        "title": info.title,
        "layers": list(info.layers),
        "blocks": info.blocks,
        "reads": info.reads,
        "choosable": info.choosable,
        "knows": info.knows,
        "here": info.on_this_machine,
        "swap": info.untrained_swap,
    }


def of_one_family(known: Sequence[CheckpointInfo]) -> list[CheckpointInfo]:
    """What is on this machine and reads the same encoder as the first that is: the built-in ones, where there are some."""
    here = [info for info in known if info.on_this_machine]
    return [info for info in here if info.encoder == here[0].encoder]


def usual_checkpoints(known: Sequence[CheckpointInfo], most: int = 4) -> tuple[str, ...]:
    """Who answers where nobody chose: a shallow, a middle and a deep layer and a fusion, of what is on this machine.

    Args:
        known: all checkpoints.
        most: no more than so many.
    """
    here = of_one_family(known)
    own = [info for info in here if not info.choosable]
    wanted: list[CheckpointInfo] = []
    for depth in DEPTHS:
        single = [info for info in own if len(info.layers) == 1 and info.blocks]
        near = min(single, key=lambda info: abs(info.layers[0] - depth * info.blocks), default=None)
        if near and abs(near.layers[0] - depth * near.blocks) <= near.blocks / 12 and near not in wanted:
            wanted.append(near)
    wanted += [info for info in own if len(info.layers) > 1][:1]
    if len(wanted) < 2:
        wanted += [info for info in own if info not in wanted]
    chosen = [info.id for info in wanted[:most]]
    loose = next((info for info in here if info.choosable), None)
    if len(chosen) < 2 and loose:
        layers = [round(depth * loose.blocks) for depth in DEPTHS]
        sets = [*((layer,) for layer in layers), tuple(dict.fromkeys(layers))]
        chosen += [f"{loose.id}@{'+'.join(map(str, one))}" for one in sets][: most - len(chosen)]
    return tuple(chosen)


def groups_payload(blocks: int) -> list[Json]:
    """The paper's groups of layers, where an encoder has as many blocks as the paper's."""
    ranges = PAPER_GROUPS.ranges() if blocks == PAPER_BLOCKS else []
    return [{"name": name, "first": first, "last": last} for name, first, last in ranges]


def xray_columns(known: Sequence[CheckpointInfo], readable: Sequence[int], blocks: int) -> list[tuple[int, ...]]:
    """The columns of the X-ray: each block's output, then the fusions of the paper and of the checkpoints here.

    Args:
        known: all checkpoints.
        readable: layers that the any-layer checkpoint can read.
        blocks: of its encoder.
    """
    fusions = [PAPER_FUSION, PAPER_FUSION[1:]] if blocks == PAPER_BLOCKS else []
    fusions += [info.layers for info in of_one_family(known) if len(info.layers) > 1 and not info.choosable]
    single = [(layer,) for layer in readable if layer > 0]
    return single + [one for one in dict.fromkeys(fusions) if set(readable).issuperset(one)]


def truth_payload(truth: Truth | None, stated: str) -> Json | None:
    """What is right, and how that is known: ``{answer, source, gist}``."""
    if stated:
        return {"answer": stated, "source": "as you say", "gist": normalise(stated)}
    if truth is None:
        return None
    return {"answer": truth.answer, "source": "known, because this is a scene", "gist": normalise(truth.answer)}


def verdict(text: str, truth: Truth | None, stated: str) -> bool | None:
    """Whether an answer is right; None where nobody knows."""
    if stated:
        return is_right(text, stated, truth.candidates if truth else ())
    return is_right(text, truth.answer, truth.candidates) if truth else None


def reply_payload(reply: Reply, truth: Truth | None, stated: str, candidates: Sequence[str]) -> Json:
    """How far one answer is.

    Args:
        reply: of one checkpoint.
        truth: of the scene, where it is known.
        stated: what the person says is right, or "".
        candidates: possible answers, where they are known.
    """
    options = YES_NO if reply.kind is AnswerKind.YES_NO else tuple(candidates)
    if not options and reply.kind in (AnswerKind.COUNT, AnswerKind.CHOICE):
        options = tuple(name for name, _ in reply.probabilities)
    return {
        "checkpoint": reply.checkpoint,
        "reads": reply.reads,
        "text": reply.text,
        "gist": gist(reply.text, options) if reply.whole and reply.text.strip() else "",
        "kind": reply.kind.value,
        "probabilities": [[name, round(float(share), 5)] for name, share in reply.probabilities],
        "seconds": round(reply.seconds, 3) if math.isfinite(reply.seconds) else None,
        "remarks": list(reply.remarks),
        "error": reply.error,
        "done": reply.done,
        "right": verdict(reply.text, truth, stated) if reply.whole else None,  # who says nothing is wrong
    }


def row_of(text: str, candidates: Sequence[str]) -> int:
    """Which candidate an answer is, -1 for none."""
    wanted = gist(text, candidates)
    return next((at for at, name in enumerate(candidates) if normalise(name) == wanted), -1)


def rounded(shares: np.ndarray) -> list[float]:
    """Probabilities for the browser."""
    return [round(float(share), 4) for share in shares]


def looked_payload(looked: Looked, picture: Picture) -> Json:
    """Maps of one checkpoint: packed float [blocks * heads, P] and two [1, P], and where the grid lies on the picture."""
    blocks, heads, patches = looked.attention.shape
    return {
        "rows": looked.rows,
        "cols": looked.cols,
        "blocks": blocks,
        "heads": heads,
        "attention": packed(looked.attention.reshape(-1, patches)),
        "rollout": packed(looked.rollout[None]),
        "gradient": packed(looked.gradient[None]),
        "box": _seen(picture, looked),
    }


def _seen(picture: Picture, looked: Looked) -> list[float]:
    """The part of a picture under the grid, as fractions: a square grid sees the middle square, as CLIP's processor cuts it."""
    height, width = picture.pixels.shape[:2]
    if looked.rows != looked.cols:
        return [0.0, 0.0, 1.0, 1.0]
    side = min(height, width)
    across, down = (width - side) / 2 / width, (height - side) / 2 / height
    return [across, down, 1 - across, 1 - down]
