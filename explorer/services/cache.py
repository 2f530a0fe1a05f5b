"""Keep what was computed, up to a number of bytes, and compute each thing once however many ask at the same time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any


class OnceCache:
    """Least recently used values go first when their bytes exceed the limit; the newest always stays."""

    def __init__(self, limit_bytes: int) -> None:
        """Hold at most ``limit_bytes``, or a single larger value."""
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, Future] = OrderedDict()
        self._sizes: dict[Hashable, int] = {}

    @property
    def bytes(self) -> int:
        """Bytes held now."""
        with self._lock:
            return sum(self._sizes.values())

    def get(self, key: Hashable, compute: Callable[[], tuple[Any, int]]) -> Any:
        """Return the value of a key, from ``compute() -> (value, bytes)`` unless it is held or being computed.

        An error is raised for all who wait for it and is not kept: the next call computes again.
        """
        with self._lock:
            entry = self._entries.get(key)
            mine = entry is None
            if entry is None:
                entry = self._entries[key] = Future()
            self._entries.move_to_end(key)
        if mine:
            self._fill(key, entry, compute)
        return entry.result()

    def held(self, wanted: Callable[[Any], bool]) -> list[Any]:
        """The values held of the keys that are wanted, least recently used first."""
        with self._lock:
            return [entry.result() for key, entry in self._entries.items() if key in self._sizes and wanted(key)]

    def drop_oldest(self) -> bool:
        """Forget the least recently used value; returns whether there was one."""
        with self._lock:
            oldest = next((key for key in self._entries if key in self._sizes), None)
            if oldest is None:
                return False
            del self._sizes[oldest], self._entries[oldest]
            return True

    def clear(self) -> None:
        """Forget all; what is being computed still reaches those who wait for it."""
        with self._lock:
            self._entries.clear()
            self._sizes.clear()

    def _fill(self, key: Hashable, entry: Future, compute: Callable[[], tuple[Any, int]]) -> None:
        try:
            value, size_bytes = compute()
        except BaseException as error:
            with self._lock:
                if self._entries.get(key) is entry:
                    del self._entries[key]
            entry.set_exception(error)
            return
        entry.set_result(value)
        with self._lock:
            if self._entries.get(key) is not entry:
                return
            self._sizes[key] = size_bytes
            excess = sum(self._sizes.values()) - self.limit_bytes
            for old in [other for other in self._entries if other in self._sizes and other != key]:
                if excess <= 0:
                    break
                excess -= self._sizes.pop(old)
                del self._entries[old]
