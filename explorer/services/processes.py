"""Several processes that share one piece of work, as ``accelerate launch`` and ``torchrun`` start them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from explorer.records import SettingsError

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Processes:
    """This process among those that work together.

    Attributes:
        rank: 0…count-1.
        count: how many there are; 1 where nothing else was started.
        local: number among those on this machine, which chooses the GPU.
    """

    rank: int = 0
    count: int = 1
    local: int = 0

    @classmethod
    def from_environment(cls) -> Processes:
        """Read RANK, WORLD_SIZE and LOCAL_RANK; one process where they are missing.

        Raises:
            SettingsError: they are no numbers, or do not fit together.
        """
        said = {name: os.environ.get(name, default) for name, default in _ALONE.items()}
        try:
            found = cls(*(int(value) for value in said.values()))
        except ValueError:
            found = cls(count=0)
        if not 0 <= found.rank < found.count or found.local < 0:
            shown = ", ".join(f"{name}={value}" for name, value in said.items())
            raise SettingsError(
                f"These do not describe processes: {shown}. Start them by accelerate launch or torchrun."
            )
        return found

    def share(self, pieces: int) -> range:
        """The consecutive pieces of work of this process; together the shares are all pieces."""
        return range(pieces * self.rank // self.count, pieces * (self.rank + 1) // self.count)

    def device(self) -> str | None:
        """A GPU of its own where there are several processes and CUDA, otherwise None."""
        if self.count == 1:
            return None
        import torch

        return f"cuda:{self.local % torch.cuda.device_count()}" if torch.cuda.is_available() else None

    def gather(self, mine: bytes) -> list[bytes]:
        """What all processes give, by rank; each waits for the others, however long they take.

        The bytes pass through the key-value store by which the processes found each other: no pickles, and no group of
        processes that would time out while one has more to do than another.
        """
        if self.count == 1:
            return [mine]
        from torch.distributed.rendezvous import rendezvous

        store, _, _ = next(iter(rendezvous("env://")))
        call = store.add(f"lrs/calls/{self.rank}", 1)  # the store may outlive a call: names must not repeat
        names = [f"lrs/{call}/{rank}" for rank in range(self.count)]
        store.set(names[self.rank], mine)  # pyright: ignore[reportArgumentType]  # bytes, whatever its stub says
        while not store.check(names):
            time.sleep(POLL_SECONDS)
        found = [store.get(name) for name in names]
        read = store.add(f"lrs/{call}/read", 1)
        while self.rank == 0 and read < self.count:  # the store may be in this process: leave it open for the others
            time.sleep(POLL_SECONDS)
            read = store.add(f"lrs/{call}/read", 0)
        return found


_ALONE = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
