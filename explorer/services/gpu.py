"""Hugging Face's ZeroGPU lends a GPU for the length of one decorated function; everywhere else nothing is decorated.

Not tried on such a machine yet. ``app.py`` calls ``prepare`` before torch is loaded, as the package ``spaces`` wants it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

GPU_SECONDS = 120  # the longest that one question may hold the GPU
ZERO_GPU, LENT = "SPACES_ZERO_GPU", "VLE_GPU_LENT"


def on_zero_gpu() -> bool:
    """Whether this is a ZeroGPU Space."""
    return bool(os.environ.get(ZERO_GPU))


def prepare() -> None:
    """Let ``spaces`` patch CUDA before torch is imported; does nothing elsewhere."""
    if on_zero_gpu():
        import_module("spaces")


def gpu_generator(work: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """The same generator; on a ZeroGPU Space it runs in a process that holds the GPU while it lasts.

    Args:
        work: its arguments and what it yields are pickled there, so they are plain records and arrays.
    """
    if not on_zero_gpu():
        return work
    spaces = import_module("spaces")

    def generate(*given: Any) -> Iterator[Any]:
        os.environ[LENT] = "1"  # in the process that holds the GPU; ``hardware.choose_device`` looks
        yield from work(*given)

    return spaces.GPU(duration=GPU_SECONDS)(generate)
