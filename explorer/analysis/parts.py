"""Hidden states a few at a time: whole copies in float32 would leave the processor's cache, and cost more than the sums."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

PART_BYTES = 5 * 2**20


def parts(states: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Divide states along one dimension into views that take ``PART_BYTES`` at most in float32, or are one long."""
    bytes_each = 4 * states.numel() // max(1, states.shape[dim])
    return states.split(max(1, PART_BYTES // max(1, bytes_each)), dim)


def float_parts(states: Tensor, dim: int = 0) -> Iterator[Tensor]:
    """Yield float32 copies of the ``parts``, in memory that may be changed and that the next one overwrites."""
    views = parts(states, dim)
    copy = torch.empty(views[0].shape, device=states.device)
    for view in views:
        yield copy.narrow(dim, 0, view.shape[dim]).copy_(view)


def in_bfloat16(states: Tensor) -> bool:
    """Whether to multiply in bfloat16, adding up in float32: where the states are of it, on a processor.

    A forward in bfloat16 was chosen for its speed, and its own rounding changes more than that of the products here.
    On a GPU float32 is fast enough.
    """
    return states.dtype == torch.bfloat16 and states.device.type == "cpu"


def norms(states: Tensor) -> Tensor:
    """Lengths of the states [L, ..., D]: float32 [L, ...]."""
    return torch.cat([torch.linalg.vector_norm(part, dim=-1) for part in float_parts(states)])
