"""Which pictures are unlike the rest: how far each one's layer × layer matrix lies from the mean of the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FEWEST = 3
FEWEST_TO_STAND_OUT = 8
SPREADS = 3.0  # times the usual spread of the distances, from which on a picture stands out


@dataclass(frozen=True)
class Unlike:
    """One picture against the others.

    Attributes:
        index: its place among the pictures.
        distance: root mean square of the differences over all pairs of layers, 0…2.
        stands_out: whether the distance lies more than ``SPREADS`` usual spreads above the median of all.
        pair: the two layers where it differs most.
        here, others: the cosine of these layers in this picture, and its mean over the others.
    """

    index: int
    distance: float
    stands_out: bool
    pair: tuple[int, int]
    here: float
    others: float


def unlike_rest(matrices: np.ndarray) -> list[Unlike]:
    """Compare each picture's matrix with the mean of the others.

    The usual spread is 1.4826 times the median absolute deviation, which a few outliers do not move (for normal
    distances it is their standard deviation).

    Args:
        matrices: float [N, L, L], symmetric cosines of layers, one matrix a picture.

    Returns:
        All pictures, the farthest first; none where there are fewer than ``FEWEST``. Fewer than
        ``FEWEST_TO_STAND_OUT`` do not tell what is usual, so none of them stands out.
    """
    count, layers = matrices.shape[:2]
    if count < FEWEST:
        return []
    rows, cols = np.triu_indices(layers, k=1)
    pairs = matrices[:, rows, cols].astype(np.float64)  # [N, L(L-1)/2]
    others = (pairs.sum(0) - pairs) / (count - 1)
    difference = pairs - others
    distance = np.sqrt((difference**2).mean(1))
    median = np.median(distance)
    spread = 1.4826 * np.median(np.abs(distance - median))
    limit = median + SPREADS * max(float(spread), 1e-6) if count >= FEWEST_TO_STAND_OUT else np.inf
    most = np.abs(difference).argmax(1)
    return [
        Unlike(
            index=int(k),
            distance=float(distance[k]),
            stands_out=bool(distance[k] > limit),
            pair=(int(rows[most[k]]), int(cols[most[k]])),
            here=float(pairs[k, most[k]]),
            others=float(others[k, most[k]]),
        )
        for k in np.argsort(-distance, kind="stable")
    ]
