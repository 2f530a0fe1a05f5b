"""Several workers, one stream: threads put what they have into a queue, and a generator tells the whole again."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from explorer.records import STOPPED, InputError, Reply
from explorer.services.gate import Gate

if TYPE_CHECKING:
    from explorer.models.speaking import Asked, Stop

Loaded = TypeVar("Loaded")
Progress = Callable[[float, str], None]

SECONDS_BETWEEN = 0.05


@dataclass(frozen=True)
class Job:
    """One question to one checkpoint."""

    id: str
    asked: Asked


class Either:
    """Set when one of two events is, or when it was set itself."""

    def __init__(self, other: threading.Event) -> None:
        """Follow another event."""
        self._other, self._own = other, threading.Event()

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._own.is_set() or self._other.is_set()

    def set(self) -> None:
        """Stop, without a word to the other."""
        self._own.set()


class Never:
    """Is never set."""

    def is_set(self) -> bool:
        """Whether to stop: no."""
        return False


NEVER = Never()
Speak = Callable[[Job, Either], Iterator[Reply]]


def run_jobs(
    jobs: Sequence[Job],
    lanes: Sequence[Sequence[int]],
    speak: Speak,
    stop: threading.Event,
    gate: Gate,
    gated: int,
) -> Iterator[list[Reply]]:
    """Run jobs side by side and tell all replies whenever one changed.

    Args:
        jobs: what is to be done.
        lanes: places of the jobs that one thread does one after the other, a thread a lane.
        speak: does one job.
        stop: ends everything between two steps.
        gate: lets a few lanes of all visitors work at the same time.
        gated: how many of the lanes, the first ones, go through it.
    """
    replies = [Reply(job.id, (), "", kind=job.asked.kind) for job in jobs]
    changes: queue.SimpleQueue[tuple[int, Reply]] = queue.SimpleQueue()
    ending = Either(stop)

    def wait(lane: Sequence[int], before: int) -> None:
        others = "One other is" if before == 1 else f"{before} others are"
        for k in lane:
            changes.put((k, replace(replies[k], remarks=(f"Waiting: {others} before you.",) if before else ())))

    def work(lane: Sequence[int], waits: bool) -> None:
        if waits and not gate.enter(ending, ending, lambda before: wait(lane, before)):
            return
        try:
            for k in lane:
                if ending.is_set():
                    return
                for reply in speak(jobs[k], ending):
                    changes.put((k, reply))
        finally:
            if waits:
                gate.leave()

    workers = [
        threading.Thread(target=work, args=(lane, number < gated), name="answer", daemon=True)
        for number, lane in enumerate(lanes)
    ]
    for worker in workers:
        worker.start()
    try:
        yield list(replies)
        last = time.monotonic()
        while not all(reply.done for reply in replies):
            changed = _take(changes, replies)
            if ending.is_set():
                break
            if changed and time.monotonic() - last >= SECONDS_BETWEEN and not all(reply.done for reply in replies):
                last = time.monotonic()
                yield list(replies)
        yield [
            reply if reply.done else replace(reply, done=True, remarks=(*reply.remarks, STOPPED)) for reply in replies
        ]
    finally:
        ending.set()
        if all(reply.done for reply in replies):
            for worker in workers:
                worker.join()  # a thread that still frees its tensors when Python ends takes the process down


def _take(changes: queue.SimpleQueue[tuple[int, Reply]], replies: list[Reply]) -> bool:
    """Take in all that is there, waiting a moment for the first; returns whether there was anything."""
    changed = False
    try:
        k, reply = changes.get(timeout=SECONDS_BETWEEN)
        while True:
            replies[k], changed = reply, True
            k, reply = changes.get_nowait()
    except queue.Empty:
        return changed


class Turns:
    """One large checkpoint is loaded and works at a time, so that two never take the memory of one."""

    def __init__(self) -> None:
        """Nobody works."""
        self._lock = threading.Lock()

    @contextmanager
    def take(self, stop: Stop | None) -> Iterator[None]:
        """Wait for the turn, unless ``stop`` is None: then none is needed. A stop while waiting raises.

        Raises:
            InputError: it was stopped before its turn came.
        """
        if stop is None:
            yield
            return
        while not self._lock.acquire(timeout=0.1):
            if stop.is_set():
                raise InputError("It was stopped before its turn came.")
        try:
            yield
        finally:
            self._lock.release()


def while_loading(load: Callable[[Progress], Loaded], stop: Stop) -> Generator[str, None, Loaded]:
    """Load in a thread; yields what it says on the way, returns what it loaded.

    Args:
        load: given a function that is told a fraction and a sentence; where stop was set, that raises.
        stop: ends the loading at the next sentence.

    Raises:
        Exception: what ``load`` raised.
    """
    said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    done: Future[Loaded] = Future()

    def report(_: float, sentence: str) -> None:
        if stop.is_set():
            raise InputError("It was stopped while it was loaded; what was fetched is kept.")
        said.put(sentence)

    def work() -> None:
        try:
            done.set_result(load(report))
        except BaseException as problem:
            done.set_exception(problem)
        finally:
            said.put(None)

    worker = threading.Thread(target=work, name="load", daemon=True)
    worker.start()
    while (sentence := said.get()) is not None:
        yield sentence
    worker.join()
    return done.result()


def as_remarks(reply: Reply, loading: Generator[str, None, Loaded]) -> Generator[Reply, None, Loaded]:
    """What is said while a checkpoint is loaded, as the reply's remark; returns what was loaded."""
    while True:
        try:
            yield replace(reply, remarks=(next(loading),))
        except StopIteration as done:
            return done.value
