"""Sweeps over scenes whose truth is known: how far a checkpoint counts, and where it sees left turn into right."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from explorer.records import CheckpointError, EncoderError, ExplorerError, Fit, InputError, Picture, Reply, View
from explorer.scenes.facts import LEAST_DISTANCE, LEAST_GAP, axis_held_out
from explorer.scenes.kinds import COLOURS, KINDS
from explorer.scenes.layout import MOST_THINGS, random_seed, scatter
from explorer.scenes.scene import Backdrop, Scene, SceneObject, held_out_count
from explorer.scenes.sprites import extent
from explorer.scenes.wordings import several, single
from explorer.services.explore import Explorer
from explorer.services.judging import gist
from explorer.services.stage import draw_scene

MOST_LAYOUTS = 30
STEPS = 16  # of the position sweep, half of them on either side
REACH = 0.3  # how far, in picture widths, the mover's centre goes to either side
CROSSING_SIZE = 0.18
BATCH = 10  # pictures whose features are made once for all checkpoints
DRAWN_PX = 336  # side of the pictures, as of those that the built-in family was trained on
SIDES = ("left", "right")


class Answers(Protocol):
    """What a sweep needs of the answer service."""

    def ask_many(
        self,
        items: Sequence[tuple[Picture, str, Sequence[str]]],
        checkpoint: str,
        *,
        stop: threading.Event | None = None,
    ) -> list[Reply]:
        """Answer one question about each picture: (picture, question, candidates); fewer answers where it is stopped."""
        ...


@dataclass(frozen=True)
class Trial:
    """One picture of a sweep.

    Attributes:
        x: the true number, or how far right of the other the mover's centre is, in picture widths.
        layout: which of the repetitions.
        scene, question, candidates, truth: what is asked, and what is right.
        unseen: whether this combination occurs in no training scene or question of the built-in family.
    """

    x: float
    layout: int
    scene: Scene
    question: str
    candidates: tuple[str, ...]
    truth: str
    unseen: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a checkpoint said in a trial; ``probabilities`` are of the trial's candidates, all NaN where unknown."""

    said: str
    probabilities: np.ndarray


@dataclass(frozen=True)
class Course:
    """How far a sweep is.

    Attributes:
        done, total: answers, over all checkpoints.
        outcomes: by checkpoint, by the trial's index.
        failed: checkpoint to the sentence that says why it gave up.
    """

    done: int
    total: int
    outcomes: dict[str, dict[int, Outcome]]
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """A checkpoint's answers at one place of a sweep.

    Attributes:
        x: as of the trials.
        n: answers that are in.
        mean, spread: of the predicted number, or of P(left); the spread is the standard deviation over layouts (n - 1
            in the denominator), NaN for fewer than two.
        expected: mean of the number expected from the probabilities; NaN where there are none.
        right: how many were right.
        unread: answers without a number, or without probabilities; they are in no mean.
    """

    x: float
    n: int
    mean: float
    spread: float
    expected: float
    right: int
    unread: int


def staircase(
    kind: str,
    layouts: int = 6,
    *,
    seed: int = 0,
    backdrop: Backdrop | None = None,
    colour: str = "",
    most: int = MOST_THINGS,
) -> list[Trial]:
    """Trials of the counting staircase: 1 … ``most`` of a kind, each in several random layouts, nothing else there.

    Sizes are drawn as for ten things throughout, so that they say nothing of the number. The first layout of every
    number comes before the second of any, so that a sweep that was stopped covers all numbers.

    Raises:
        InputError: the kind or colour is unknown, or a number is out of range.
    """
    _check(layouts, kind)
    rng = np.random.default_rng(seed)
    numbers = tuple(str(n) for n in range(MOST_THINGS + 1))
    colour = _colour(kind, colour)
    return [
        Trial(
            count,
            layout,
            scatter(kind, count, scene_seed, colour=colour, backdrop=backdrop),
            f"How many {several(kind)} are there?",
            numbers,
            str(count),
            held_out_count(kind, count),
        )
        for layout, scene_seed in enumerate(random_seed("test", rng) for _ in range(layouts))
        for count in range(1, most + 1)
    ]


def crossing(
    mover: str, other: str, layouts: int = 4, *, seed: int = 0, backdrop: Backdrop | None = None
) -> list[Trial]:
    """Trials of the position sweep: one thing passes another from left to right, above or below it.

    Where the other stands, which of the two is above, and the ground change from layout to layout. No step has the
    two centres at the same place, so that every trial has a truth.

    Raises:
        InputError: a kind is unknown, both are the same, or a number is out of range.
    """
    _check(layouts, mover, other)
    if mover == other:
        raise InputError("Choose two different things: the question must say which of them is meant.")
    rng = np.random.default_rng(seed)
    steps = (np.arange(STEPS) + 0.5) / STEPS * 2 * REACH - REACH
    trials: list[list[Trial]] = []
    for layout in range(layouts):
        still_x, scene_seed = round(float(rng.uniform(0.42, 0.58)), 4), random_seed("test", rng)
        high, low = round(float(rng.uniform(0.22, 0.32)), 4), round(float(rng.uniform(0.68, 0.78)), 4)
        mover_y, still_y = (high, low) if layout % 2 == 0 else (low, high)
        ground = backdrop or scatter("dog", 1, scene_seed).backdrop
        still = SceneObject(other, still_x, still_y, CROSSING_SIZE, _colour(other, "blue"))
        row = []
        for dx in steps:
            thing = SceneObject(mover, round(still_x + dx, 4), mover_y, CROSSING_SIZE, _colour(mover, "red"))
            row.append(
                Trial(
                    round(float(dx), 4),
                    layout,
                    Scene(scene_seed, ground, (thing, still)),
                    f"Is the {single(mover)} left or right of the {single(other)}?",
                    SIDES,
                    SIDES[int(dx > 0)],
                    axis_held_out(mover, other, 0),
                )
            )
        trials.append(row)
    return [trial for row in trials for trial in row]


def doubtful_reach(mover: str, other: str) -> float:
    """How near the two centres are where training never asks: the things overlap sideways, or nearly (picture widths)."""
    widths = [extent(SceneObject(kind, 0.5, 0.5, CROSSING_SIZE, _colour(kind, "red")))[0] for kind in (mover, other)]
    return max(sum(widths) / 2 + LEAST_GAP, LEAST_DISTANCE)


def run(
    answers: Answers, trials: Sequence[Trial], checkpoints: Sequence[str], stop: threading.Event | None = None
) -> Iterator[Course]:
    """Ask all trials of all checkpoints, some pictures at a time, all checkpoints about the same pictures.

    A checkpoint that fails is asked no more; the others go on.

    Yields:
        How far it is, first with nothing done, then after each batch of each checkpoint.

    Raises:
        InputError: no checkpoint was chosen.
    """
    if not checkpoints:
        raise InputError("No checkpoint is chosen: choose at least one.")
    outcomes: dict[str, dict[int, Outcome]] = {checkpoint: {} for checkpoint in checkpoints}
    failed: dict[str, str] = {}

    def course() -> Course:
        total = sum(len(outcomes[each]) if each in failed else len(trials) for each in checkpoints)
        return Course(sum(map(len, outcomes.values())), total, {k: dict(v) for k, v in outcomes.items()}, dict(failed))

    yield course()
    for start in range(0, len(trials), BATCH):
        batch = trials[start : start + BATCH]
        pictures = [draw_scene(trial.scene, DRAWN_PX) for trial in batch]
        items = [(p, trial.question, trial.candidates) for p, trial in zip(pictures, batch, strict=True)]
        for checkpoint in checkpoints:
            if stop is not None and stop.is_set():
                return
            if checkpoint in failed:
                continue
            try:
                replies = answers.ask_many(items, checkpoint, stop=stop)
                problem = next((reply.error for reply in replies if reply.error), "")
            except ExplorerError as error:
                replies, problem = [], str(error)
            if stop is not None and stop.is_set():
                return
            if problem:
                failed[checkpoint] = problem
            else:
                found = (outcome(reply, trial) for reply, trial in zip(replies, batch, strict=True))
                outcomes[checkpoint] |= dict(enumerate(found, start))
            yield course()
    if len(failed) == len(checkpoints):
        raise CheckpointError("No checkpoint could answer: " + " ".join(dict.fromkeys(failed.values())))


def difference(
    explorer: Explorer, first: Picture, second: Picture, fit: Fit
) -> tuple[np.ndarray, View, tuple[int, int]]:
    """How far the features of two pictures of one size are apart, patch by patch, in the encoder in use.

    Returns:
        float32 [L, P], 1 - cosine of the same patch in both, 0…2; the view of the first picture; (rows, cols).

    Raises:
        InputError: the pictures differ in size, so that patches do not correspond.
        EncoderError: no encoder is ready, it cannot look at them, or another came into use meanwhile.
    """
    if first.pixels.shape != second.pixels.shape:
        raise InputError("Only pictures of one size can be compared patch by patch.")
    one, other = (explorer.features(picture, fit) for picture in (first, second))
    if one.states.shape != other.states.shape:
        raise EncoderError("Another encoder came into use meanwhile: compare again.")
    from explorer.analysis.similarity import paired_distance

    distance = paired_distance(one.patches[:, 0], other.patches[:, 0])
    return distance.cpu().numpy(), one.views[0], (one.layout.rows, one.layout.cols)


def outcome(reply: Reply, trial: Trial) -> Outcome:
    """What a reply says of a trial: the likeliest candidate, or what its text names."""
    known = dict(reply.probabilities)
    shares = np.array([known.get(candidate, math.nan) for candidate in trial.candidates])
    if np.isfinite(shares).all() and shares.sum() > 0:
        shares = shares / shares.sum()
        return Outcome(trial.candidates[int(shares.argmax())], shares)
    said = gist(reply.text, trial.candidates)
    return Outcome(said if said in trial.candidates else "", np.full(len(trial.candidates), math.nan))


def summarise(trials: Sequence[Trial], outcomes: dict[int, Outcome]) -> list[Point]:
    """A checkpoint's answers, one point for each x that has any."""
    by_x: dict[float, list[tuple[Trial, Outcome]]] = {}
    for index, found in outcomes.items():
        by_x.setdefault(trials[index].x, []).append((trials[index], found))
    return [_point(x, some) for x, some in sorted(by_x.items())]


def _point(x: float, some: list[tuple[Trial, Outcome]]) -> Point:
    counts = some[0][0].candidates != SIDES
    values, expected = [], []
    for trial, found in some:
        if counts:
            values.append(float(found.said) if found.said else math.nan)
            expected.append(float(found.probabilities @ np.arange(len(trial.candidates))))
        else:
            values.append(float(found.probabilities[0]))
    known = np.array([value for value in values if math.isfinite(value)])
    likely = np.array([value for value in expected if math.isfinite(value)])
    return Point(
        x,
        len(some),
        float(known.mean()) if len(known) else math.nan,
        float(known.std(ddof=1)) if len(known) > 1 else math.nan,
        float(likely.mean()) if len(likely) else math.nan,
        sum(found.said == trial.truth for trial, found in some),
        len(some) - len(known),
    )


def switch_at(points: Sequence[Point]) -> float:
    """Where mean P(left) falls through one half, by straight lines between the points; NaN unless it does so once."""
    known = [point for point in points if math.isfinite(point.mean)]
    places = [
        a.x + (b.x - a.x) * (a.mean - 0.5) / (a.mean - b.mean)
        for a, b in zip(known, known[1:], strict=False)
        if (a.mean > 0.5) != (b.mean > 0.5)
    ]
    falls = len(places) == 1 and known[0].mean > 0.5
    return places[0] if falls else math.nan


def _colour(kind: str, colour: str) -> str:
    """The colour of a shape, "" of a thing that has its own."""
    if KINDS[kind].glyph:
        return ""
    if colour and colour not in COLOURS:
        raise InputError(f"Shapes come in {', '.join(COLOURS)}; got {colour!r}.")
    return colour or "blue"


def _check(layouts: int, *kinds: str) -> None:
    for kind in kinds:
        if not isinstance(kind, str) or kind not in KINDS:
            raise InputError(f"No kind {str(kind)[:40]!r} is known: choose one from the list.")
    if isinstance(layouts, bool) or not isinstance(layouts, int) or not 1 <= layouts <= MOST_LAYOUTS:
        raise InputError(f"Choose 1 to {MOST_LAYOUTS} layouts; got {layouts!r}.")
