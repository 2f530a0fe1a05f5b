"""So many work at the same time, and whoever came first goes first."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explorer.models.speaking import Stop

SECONDS_BETWEEN = 0.1


@dataclass(eq=False)
class _Ticket:
    owner: object
    called: threading.Event = field(default_factory=threading.Event)


class Gate:
    """A queue in front of a few places; may be used from any thread."""

    def __init__(self, places: int) -> None:
        """Let so many in at once."""
        self._free = places
        self._lock = threading.Lock()
        self._waiting: deque[_Ticket] = deque()

    def enter(self, owner: object, stop: Stop, tell: Callable[[int], None] = lambda _: None) -> bool:
        """Wait for a place; False where ``stop`` was set before there was one. Who enters must ``leave``.

        Args:
            owner: who asks; one owner may wait for several places.
            stop: ends the waiting.
            tell: told how many other owners wait before this one, at first and whenever that changes.
        """
        ticket = _Ticket(owner)
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            self._waiting.append(ticket)
        before = -1
        while not ticket.called.wait(SECONDS_BETWEEN):
            if stop.is_set():
                with self._lock:
                    if not ticket.called.is_set():
                        self._waiting.remove(ticket)
                        return False
                self.leave()
                return False
            now = self._before(ticket)
            if now != before:
                before = now
                tell(now)
        return True

    def leave(self) -> None:
        """Give the place to whoever waits longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().called.set()
            else:
                self._free += 1

    def _before(self, ticket: _Ticket) -> int:
        with self._lock:
            earlier = []
            for other in self._waiting:
                if other is ticket:
                    break
                earlier.append(id(other.owner))
        return len(set(earlier) - {id(ticket.owner)})
