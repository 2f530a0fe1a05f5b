"""What the tab "Stress test" sends to the browser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from explorer.records import AnswerKind, CheckpointInfo, Reply, Truth
from explorer.services.judging import is_right
from explorer.services.stage import Change, Palette
from explorer.services.stress import Course, Point, Trial, summarise, switch_at
from explorer.ui.payload import data_url, packed

Json = dict[str, Any]
PICTURE_PX = 672
THUMB_PX = 112


def palette_payload(palette: Palette) -> Json:
    """All that a scene can hold; the drawings on one sheet."""
    sheet = palette.sheet
    return {
        "sheet": data_url(sheet, max(sheet.shape)),
        "places": {name: list(place) for name, place in palette.places.items()},
        "kinds": list(palette.kinds),
        "colours": {name: list(rgb) for name, rgb in palette.colours.items()},
        "words": list(palette.words),
        "grounds": list(palette.grounds),
        "signs": palette.signs,
    }


def picture_url(pixels: np.ndarray) -> str:
    """A drawn scene as a data URL."""
    return data_url(pixels, PICTURE_PX)


def checkpoint_payload(info: CheckpointInfo) -> Json:
    """What a chip says of a checkpoint."""
    return {
        "id": info.id,
        "title": info.title,
        "reads": info.reads,
        "layers": list(info.layers),
        "knows": info.knows,
        "here": info.on_this_machine,
        "swap": info.untrained_swap,
    }


def reply_payload(reply: Reply, truth: Truth | None) -> Json:
    """A checkpoint's answer in a row: what it says, how sure it is, whether it is right (None where nobody knows)."""
    answer, probability = reply.text.strip(), None
    if reply.probabilities and reply.kind is not AnswerKind.OPEN:
        answer, probability = max(reply.probabilities, key=lambda pair: pair[1])
    right = None
    if truth and reply.whole:
        right = is_right(answer, truth.answer, truth.candidates)
    return {
        "checkpoint": reply.checkpoint,
        "reads": reply.reads,
        "answer": answer,
        "probability": number(probability),
        "probabilities": [[name, number(share)] for name, share in reply.probabilities],
        "right": right,
        "seconds": number(reply.seconds),
        "remarks": list(reply.remarks),
        "error": reply.error,
        "done": reply.done,
    }


def truth_payload(truth: Truth | None) -> Json | None:
    """What is right, where it is known."""
    return {"task": truth.task, "answer": truth.answer} if truth else None


def course_payload(course: Course, trials: Sequence[Trial]) -> Json:
    """How far a sweep is, and its points so far."""
    lines = []
    for checkpoint, outcomes in course.outcomes.items():
        points = summarise(trials, outcomes)
        lines.append(
            {
                "checkpoint": checkpoint,
                "points": [point_payload(point) for point in points],
                "switch": number(switch_at(points)),
                "right": sum(point.right for point in points),
                "n": sum(point.n for point in points),
                "failed": course.failed.get(checkpoint, ""),
            }
        )
    return {"done": course.done, "total": course.total, "lines": lines}


def point_payload(point: Point) -> Json:
    """One point of a line."""
    return {
        "x": point.x,
        "n": point.n,
        "mean": number(point.mean),
        "spread": number(point.spread),
        "expected": number(point.expected),
        "right": point.right,
        "unread": point.unread,
    }


def parting_payload(change: Change, distance: np.ndarray, within: np.ndarray, grid: tuple[int, int]) -> Json:
    """Where the features of two scenes part.

    Args:
        change: what differs between them.
        distance: float32 [L, P].
        within: bool [P], the patches of what differs.
        grid: (rows, cols) of patches.
    """
    here = distance[:, within].mean(1) if within.any() else np.full(len(distance), np.nan)
    elsewhere = distance[:, ~within].mean(1) if (~within).any() else np.full(len(distance), np.nan)
    return {
        "sentence": change.sentence,
        "objects": change.objects,
        "everywhere": change.everywhere,
        "here": [number(value) for value in here],
        "elsewhere": [number(value) for value in elsewhere],
        "patches": [int(within.sum()), int((~within).sum())],
        "within": [int(flag) for flag in within],
        "grid": list(grid),
        "map": packed(distance),
    }


def number(value: float | None) -> float | None:
    """A number that JSON can hold, None for NaN."""
    return float(value) if value is not None and math.isfinite(value) else None
