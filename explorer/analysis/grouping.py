"""Groups of consecutive layers, found by dynamic programming on a layer × layer similarity matrix.

The division into k groups minimises the scatter of the layers within their groups, Σ_g [Σ_i S_ii - Σ_ij S_ij / n_g] for
i, j in g: if S is a Gram matrix this is the sum of squared distances of the layers to the centre of their group, so
that the optimum is k-means with contiguous clusters in the feature space of the similarity, known as kernel
change-point detection (Harchaoui and Cappé 2007; Arlot, Celisse and Harchaoui 2019, JMLR 20). It is chosen because
neither adding a constant to all similarities nor scaling them moves a boundary, so there is no threshold to set, and
because the whole block counts: one low similarity between neighbours does not make a boundary by itself.
"""

from __future__ import annotations

import numpy as np

from explorer.records import Groups, InputError


def segment(matrix: np.ndarray, groups: int = 3, first: int = 1) -> Groups:
    """Divide layers first…L-1 into groups of consecutive layers that scatter least (see the module).

    Args:
        matrix: float [L, L], symmetric, larger is more alike.
        groups: how many, 1 to L - first.
        first: first layer divided; 1 leaves out the patch embedding.

    Raises:
        InputError: the matrix has NaN among these layers, or there are fewer layers than groups.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    layers = len(matrix) - first
    if not 1 <= groups <= layers:
        raise InputError(f"{layers} layers cannot be divided into {groups} groups: choose 1 to {layers}.")
    if not np.isfinite(matrix[first:, first:]).all():
        raise InputError("The similarity has missing values, so its layers cannot be grouped: choose another kind.")
    scatter = _scatter(matrix[first:, first:])
    best = scatter[0]  # best[b]: least scatter of the first b layers in the groups so far
    cuts = []
    for _ in range(groups - 1):
        totals = best[:-1, None] + scatter  # [a, b]: the last group is a…b-1
        cuts.append(totals.argmin(0))
        best = totals.min(0)
    starts, stop = [], layers
    for cut in reversed(cuts):
        stop = int(cut[stop])
        starts.append(first + stop)
    found = Groups((first, *reversed(starts)), len(matrix), group_names(groups))
    return Groups(found.starts, found.stop, found.names, clarity(matrix, found))


def clarity(matrix: np.ndarray, groups: Groups) -> float:
    """Say how clear the boundaries of a division are, beyond layers being less alike the farther apart they are.

    Pairs of layers of one group are compared with equally distant pairs across a boundary. With the dissimilarity
    d_ij = (S_ii + S_jj)/2 - S_ij, whose mean at distance t is w_t within groups and a_t across, clarity is
    Σ m_t (a_t - w_t) / Σ m_t a_t, negative as 0; m_t is the Mantel-Haenszel weight (product of the two numbers of
    pairs over their sum). An ordinary silhouette calls an even drift of layers half clear; this calls it 0.

    Args:
        matrix: float [L, L], symmetric, larger is more alike.
        groups: a division of some of its layers, from anywhere.

    Returns:
        0 (constant similarity, or one that depends on the distance of the layers alone) to 1 (equal layers within
        groups, different ones between them). NaN for a single group.
    """
    if len(groups.starts) == 1:
        return float("nan")
    layers = slice(groups.starts[0], groups.stop)
    part = np.asarray(matrix, dtype=np.float64)[layers, layers]
    one, other = np.triu_indices(len(part), 1)
    own = np.diagonal(part)
    dissimilarity = (own[one] + own[other]) / 2 - part[one, other]
    group = _members(groups).argmax(1)
    within = group[one] == group[other]

    def sums(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lags = (other - one)[pairs]
        return np.bincount(lags, minlength=len(part)), np.bincount(lags, dissimilarity[pairs], len(part))

    (pairs_within, sum_within), (pairs_across, sum_across) = sums(within), sums(~within)
    pairs = np.maximum(pairs_within + pairs_across, 1)  # m_t a_t = pairs_within · sum_across / pairs
    across = (pairs_within * sum_across / pairs).sum()
    contrast = across - (pairs_across * sum_within / pairs).sum()
    return float(np.clip(contrast / across, 0, 1)) if across > 1e-9 else 0.0


def block_means(matrix: np.ndarray, groups: Groups) -> np.ndarray:
    """Mean similarity within and between groups.

    Returns:
        float64 [groups, groups], symmetric. The similarity of a layer with itself is left out, so that small groups do
        not look tighter; NaN within a group of one layer.
    """
    layers = slice(groups.starts[0], groups.stop)
    part = np.array(matrix, dtype=np.float64)[layers, layers]
    np.fill_diagonal(part, 0)
    member = _members(groups)
    sizes = member.sum(0)
    pairs = np.outer(sizes, sizes) - np.diag(sizes)
    return np.divide(member.T @ part @ member, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)


def group_names(groups: int) -> tuple[str, ...]:
    """The paper's names for three groups, numbers for any other division."""
    return ("shallow", "middle", "deep") if groups == 3 else tuple(f"group {i + 1}" for i in range(groups))


def _members(groups: Groups) -> np.ndarray:
    """Which layer is in which group, 0 or 1, float64 [layers, groups]."""
    sizes = np.diff((*groups.starts, groups.stop))
    return np.repeat(np.eye(len(sizes)), sizes, axis=0)


def _scatter(matrix: np.ndarray) -> np.ndarray:
    """Scatter of the layers a…b-1, float64 [n, n + 1]; infinite where b <= a. Two-dimensional cumulative sums."""
    n = len(matrix)
    sums = np.zeros((n + 1, n + 1))
    sums[1:, 1:] = matrix.cumsum(0).cumsum(1)
    own = np.concatenate([[0], np.diagonal(matrix).cumsum()])
    start, stop = np.arange(n)[:, None], np.arange(n + 1)[None, :]
    total = sums[stop, stop] - sums[start, stop] - sums[stop, start] + sums[start, start]
    size = stop - start
    return np.where(size > 0, own[stop] - own[start] - total / np.maximum(size, 1), np.inf)
