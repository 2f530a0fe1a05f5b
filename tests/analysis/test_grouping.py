from itertools import combinations

import numpy as np
import pytest

from explorer.analysis.grouping import block_means, clarity, segment
from explorer.layers import PAPER_GROUPS
from explorer.records import Groups, InputError

# Digitised by eye from Figure 1a of arXiv 2504.21447, about ±0.03: means within and between shallow, middle and deep.
PAPER_BLOCKS = np.array([[0.48, 0.14, 0.07], [0.14, 0.86, 0.53], [0.07, 0.53, 0.89]])
PAPER_PAIRS = {(3, 18): 0.02, (3, 23): 0.01, (18, 23): 0.57, (11, 12): 0.73, (12, 13): 0.80, (11, 13): 0.44,
               (20, 21): 0.72, (23, 24): 0.92}  # fmt: skip


def blocks(means, sizes):
    """Layer 0 like nothing, then blocks of equal similarity."""
    of = np.repeat(np.arange(len(sizes)), sizes)
    matrix = np.eye(1 + len(of))
    matrix[1:, 1:] = np.asarray(means)[np.ix_(of, of)]
    np.fill_diagonal(matrix, 1)
    return matrix


def paper_matrix():
    matrix = blocks(PAPER_BLOCKS, (12, 8, 4))
    for (i, j), value in PAPER_PAIRS.items():
        matrix[i, j] = matrix[j, i] = value
    return matrix


def drift(layers=25, reach=8.0):
    i = np.arange(layers)
    return np.exp(-np.abs(i[:, None] - i) / reach)


def scatter(matrix, bounds):
    parts = [matrix[a:b, a:b] for a, b in zip(bounds, bounds[1:], strict=False)]
    return sum(np.trace(part) - part.sum() / len(part) for part in parts)


def test_perfect_blocks_are_found_and_perfectly_clear():
    found = segment(blocks(np.eye(3) * 0.6 + 0.4, (5, 9, 3)))
    assert found.starts == (1, 6, 15) and found.stop == 18
    assert found.names == ("shallow", "middle", "deep") and found.source == "automatic"
    assert found.clarity == pytest.approx(1)


def test_a_block_of_one_layer_is_found():
    found = segment(blocks(np.eye(3), (5, 1, 4)))
    assert found.starts == (1, 6, 7)
    assert found.clarity == pytest.approx(1)


def test_constant_similarity_and_even_drift_are_not_clear():
    off_diagonal = np.full((25, 25), 0.4) + 0.6 * np.eye(25)
    for matrix in (np.ones((25, 25)), off_diagonal, drift()):
        assert segment(matrix).clarity == pytest.approx(0, abs=1e-9)


def test_noise_blurs_clarity():
    noise = np.random.default_rng(0).normal(size=(18, 18))
    noise += noise.T
    sharp = blocks(np.eye(3), (5, 9, 3))
    scores = [clarity(sharp + s * noise, segment(sharp)) for s in (0, 0.05, 0.5)]
    assert pytest.approx(scores[0]) == 1 and scores[0] > scores[1] > scores[2] > 0


def test_clarity_by_hand():
    # Layers 1,2 | 3,4. Distance 1: within .1 and .3, across .5; distances 2 and 3 have no pair within a group.
    d = np.array([[0, 0.1, 0.9, 0.9], [0.1, 0, 0.5, 0.8], [0.9, 0.5, 0, 0.3], [0.9, 0.8, 0.3, 0]])
    assert clarity(1 - d, Groups((0, 2), 4, ("a", "b"))) == pytest.approx((0.5 - 0.2) / 0.5)


def test_optimum_equals_exhaustive_search():
    rng = np.random.default_rng(0)
    for groups in (1, 2, 3, 4):
        vectors = rng.normal(size=(11, 5)).cumsum(0)
        matrix = vectors @ vectors.T
        best = min(
            ((1, *cuts) for cuts in combinations(range(2, 11), groups - 1)), key=lambda s: scatter(matrix, (*s, 11))
        )
        assert segment(matrix, groups).starts == best


def test_adding_a_constant_or_scaling_moves_no_boundary():
    matrix = paper_matrix()
    assert segment(0.3 * matrix + 5).starts == segment(matrix).starts


def test_paper_figures():
    matrix = blocks(PAPER_BLOCKS, (12, 8, 4))
    found = segment(matrix)
    assert found.starts == PAPER_GROUPS.starts and found.stop == PAPER_GROUPS.stop
    np.testing.assert_allclose(block_means(matrix, PAPER_GROUPS), PAPER_BLOCKS)
    assert 0.3 < found.clarity < 0.6
    single_values = segment(paper_matrix())  # the digitised pairs put in: (12, 13) is among the highest
    assert single_values.starts[2] == 21 and single_values.starts[1] in (12, 13)


def test_other_numbers_of_groups_and_first_layer():
    matrix = blocks(np.eye(4), (3, 4, 5, 6))
    found = segment(matrix, groups=4)
    assert found.starts == (1, 4, 8, 13) and found.names == ("group 1", "group 2", "group 3", "group 4")
    assert segment(matrix, groups=5, first=0).starts == (0, 1, 4, 8, 13)
    alone = segment(matrix, groups=1)
    assert alone.starts == (1,) and np.isnan(alone.clarity)
    assert len(segment(matrix, groups=18).starts) == 18


def test_block_means_leave_self_similarity_out():
    matrix = blocks([[0.5, 0.2], [0.2, 0.9]], (3, 1))
    means = block_means(matrix, segment(matrix, 2))
    np.testing.assert_allclose(means, [[0.5, 0.2], [0.2, np.nan]])


def test_impossible_divisions_are_refused():
    with pytest.raises(InputError, match="choose 1 to 4"):
        segment(np.eye(5), groups=5)
    with pytest.raises(InputError, match="missing values"):
        segment(np.full((5, 5), np.nan), groups=2)
