"""LRS over the pictures in use, in the background: it tells how far it is, and can be stopped between two pictures."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from explorer.analysis.unlike import Unlike, unlike_rest
from explorer.records import ExplorerError, Fit, InputError, Picture, Similarity
from explorer.services.explore import Explorer

if TYPE_CHECKING:
    from torch import Tensor

TELL_SECONDS = 0.5


class Comparison:
    """One comparison of many pictures; nothing runs before ``progress`` or ``result`` is asked for."""

    def __init__(self, explorer: Explorer, pictures: Iterable[Picture], fit: Fit) -> None:
        """Remember what is to be compared.

        Args:
            explorer: owns the encoder in use.
            pictures: read one after another.
            fit: how each is laid on the input.
        """
        self._explorer, self._pictures, self._fit = explorer, pictures, fit
        self._stopped, self._done = threading.Event(), 0
        self._matrices: list[np.ndarray] = []
        self._found: dict[str, Similarity] = {}
        self._error: ExplorerError | None = None
        self._thread: threading.Thread | None = None

    def progress(self) -> Iterator[int]:
        """How many pictures are done, twice a second, until all are."""
        thread = self._start()
        while thread.is_alive():
            thread.join(TELL_SECONDS)
            if thread.is_alive():
                yield self._done

    def result(self) -> tuple[dict[str, Similarity], list[Unlike]]:
        """LRS by kind, and the pictures by how unlike the rest their token-wise LRS is.

        Raises:
            ExplorerError: a picture cannot be read, the encoder cannot look at it, or it was stopped.
        """
        self._start().join()
        if self._error:
            raise self._error
        return self._found, unlike_rest(np.concatenate(self._matrices)) if self._matrices else []

    def stop(self) -> None:
        """Stop before the next picture."""
        self._stopped.set()

    def _start(self) -> threading.Thread:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="compare pictures", daemon=True)
            self._thread.start()
        return self._thread

    def _run(self) -> None:
        def until_stopped() -> Iterator[Picture]:
            for picture in self._pictures:
                if self._stopped.is_set():
                    raise InputError("The comparison of the pictures was stopped.")
                yield picture

        def tell(done: int) -> None:
            self._done = done

        def keep(matrices: dict[str, Tensor]) -> None:
            self._matrices.append(matrices["token"].float().cpu().numpy())

        try:
            self._found = self._explorer.similarity_over(until_stopped(), self._fit, on_progress=tell, on_matrices=keep)
        except ExplorerError as error:
            self._error = error
        except Exception as error:  # the thread's end must be told, whatever ended it
            self._error = ExplorerError(f"The comparison failed: {type(error).__name__}: {error}")
