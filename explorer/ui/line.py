"""Who waits for the models, and how what they do for somebody is stopped."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

KEPT = 2000  # stop events of visitors; older ones have long ended


class Ticket:
    """One place in a ``Line``."""

    def __init__(self, line: Line) -> None:
        """Stand at its end."""
        self._line = line

    def place(self) -> int:
        """How many are before this one; 0 when it is its turn."""
        with self._line.moved:
            return self._line.place(self)

    def wait(self, seconds: float) -> int:
        """Wait for the line to move, at most so long; the place then."""
        with self._line.moved:
            if self._line.place(self):
                self._line.moved.wait(seconds)
            return self._line.place(self)


class Line:
    """Lets few at a time through, first come first served; may be used from any thread."""

    def __init__(self, at_once: int) -> None:
        """Let ``at_once`` through at the same time."""
        self._at_once, self._tickets = at_once, list[Ticket]()
        self.moved = threading.Condition()

    def place(self, ticket: Ticket) -> int:
        """How many are before a ticket; the caller holds ``moved``."""
        return max(0, self._tickets.index(ticket) + 1 - self._at_once)

    @contextmanager
    def ticket(self) -> Iterator[Ticket]:
        """Stand in line, and leave it at the end whatever happened."""
        one = Ticket(self)
        with self.moved:
            self._tickets.append(one)
        try:
            yield one
        finally:
            with self.moved:
                self._tickets.remove(one)
                self.moved.notify_all()


class Stops:
    """The stop event of each visitor's newest work of a kind; starting anew stops what was asked before."""

    def __init__(self) -> None:
        """Nothing runs."""
        self._lock = threading.Lock()
        self._events: OrderedDict[tuple[str, str], tuple[float, threading.Event]] = OrderedDict()

    def begin(self, visitor: str, kind: str, number: object) -> threading.Event:
        """A fresh event; what the visitor asked for before of this kind is stopped.

        Args:
            visitor: who asks.
            kind: of the work.
            number: the browser's, which grows with each request: two that arrive at once may arrive the wrong way
                round, and then this one is the stopped one.
        """
        event, asked = threading.Event(), number if isinstance(number, int) else inf
        with self._lock:
            newest, before = self._events.get((visitor, kind), (-inf, None))
            if asked < newest:
                event.set()
                return event
            self._events.pop((visitor, kind), None)
            self._events[visitor, kind] = (asked, event)
            while len(self._events) > KEPT:
                self._events.popitem(last=False)[1][1].set()
        if before:
            before.set()
        return event

    def stop(self, visitor: str, kinds: tuple[str, ...], number: object = None) -> None:
        """Stop what a visitor has running of some kinds, and what is still on its way up to a number of the browser's."""
        with self._lock:
            found = [self._events.pop((visitor, kind)) for kind in kinds if (visitor, kind) in self._events]
            if isinstance(number, int):
                self._events |= {(visitor, kind): (number + 0.5, threading.Event()) for kind in kinds}
        for _, event in found:
            event.set()

    def end(self, visitor: str, kind: str, event: threading.Event) -> None:
        """Forget work that is over; its event is set, in case that it was left early."""
        event.set()
        with self._lock:
            if self._events.get((visitor, kind), (0, None))[1] is event:
                del self._events[visitor, kind]
