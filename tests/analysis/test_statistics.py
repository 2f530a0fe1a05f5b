from math import comb

import numpy as np
import pytest

from explorer.analysis.statistics import (
    Estimate,
    bootstrap_difference,
    bootstrap_mean,
    holm,
    mcnemar,
    paired_difference,
    spearman,
    wilson,
)
from explorer.records import InputError


def test_wilson_by_its_formula():
    right, n, z = 17, 40, 1.959963984540054
    share = right / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    margin = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    found = wilson(right, n)
    assert found.value == share and found.n == n
    assert (found.low, found.high) == pytest.approx((centre - margin, centre + margin))


def test_wilson_at_its_ends():
    assert wilson(0, 10).low == 0 and wilson(0, 10).high == pytest.approx(0.2775, abs=1e-4)
    assert wilson(10, 10).high == 1 and wilson(10, 10).low == pytest.approx(0.7225, abs=1e-4)
    empty = wilson(0, 0)
    assert empty.n == 0 and np.isnan([empty.value, empty.low, empty.high]).all()


def test_mcnemar_counts_only_disagreements():
    first = [True] * 9 + [False] * 2 + [True] * 50 + [False] * 30
    second = [False] * 9 + [True] * 2 + [True] * 50 + [False] * 30
    expected = 2 * sum(comb(11, k) for k in range(3)) / 2**11
    assert mcnemar(first, second) == pytest.approx(expected) == mcnemar(second, first)
    assert mcnemar(first, first) == 1
    assert mcnemar(np.array([True, False]), np.array([False, True])) == 1


def test_bootstrap_mean_covers_like_the_normal_interval():
    values = np.random.default_rng(0).normal(3, 2, size=400)
    found = bootstrap_mean(values)
    error = values.std() / np.sqrt(400)
    assert found.value == pytest.approx(values.mean()) and found.n == 400
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_bootstrap_is_seeded_and_works_in_parts(monkeypatch):
    values = np.random.default_rng(0).normal(size=30)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)
    whole = bootstrap_mean(values)
    monkeypatch.setattr("explorer.analysis.statistics.DRAWS_AT_ONCE", 30 * 999)
    assert bootstrap_mean(values) == whole


def test_bootstrap_difference_is_paired():
    rng = np.random.default_rng(0)
    difficulty = rng.normal(0, 10, size=200)
    first, second = difficulty + rng.normal(1, 0.5, 200), difficulty + rng.normal(0, 0.5, 200)
    found = bootstrap_difference(first, second)
    assert found.value == pytest.approx((first - second).mean())
    assert 0.8 < found.low < found.value < found.high < 1.2  # unpaired it would be ±2
    swapped = bootstrap_difference(second, first)
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low))
    right, wrong = np.array([True, True, False]), np.array([False, True, False])
    assert bootstrap_difference(right, wrong).value == pytest.approx(1 / 3)


def test_bootstrap_of_little():
    constant = bootstrap_mean([2.0, 2.0, 2.0])
    assert (constant.value, constant.low, constant.high) == (2, 2, 2)
    one = bootstrap_mean([2.0])
    assert one.value == 2 and np.isnan(one.low) and one.n == 1
    assert np.isnan(bootstrap_mean([]).value)


def test_spearman_by_hand():
    # Ranks differ by 1, -1, 0, 0, 1, -1: 1 - 6·4/(6·35)
    found = spearman([1, 2, 3, 4, 5, 6], [20, 10, 30, 40, 60, 50])
    r = 1 - 6 * 4 / (6 * 35)
    margin = 1.959963984540054 * np.sqrt((1 + r**2 / 2) / 3)
    assert found.value == pytest.approx(r) and found.n == 6
    assert (found.low, found.high) == pytest.approx((np.tanh(np.arctanh(r) - margin), np.tanh(np.arctanh(r) + margin)))


def test_spearman_at_its_limits():
    perfect = spearman([1, 2, 3, 4], [1, 4, 9, 16])
    assert (perfect.value, perfect.low, perfect.high) == pytest.approx((1, 1, 1))
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]).value == pytest.approx(-1)
    assert np.isnan(spearman([1, 1, 1, 1], [1, 2, 3, 4]).value)
    short = spearman([1, 2, 3], [1, 3, 2])
    assert short.value == pytest.approx(0.5) and np.isnan(short.low)


def test_samples_that_cannot_be_paired_are_refused():
    with pytest.raises(InputError, match="Paired"):
        bootstrap_difference([1.0, 2.0], [1.0])


def test_paired_difference_is_that_of_the_bootstrap_over_samples():
    first = np.array([True] * 60 + [False] * 40)
    second = np.array([True] * 45 + [False] * 15 + [True] * 5 + [False] * 35)
    known, found = bootstrap_difference(first, second), paired_difference(15, 5, 100)
    assert found.value == known.value == pytest.approx(0.1) and found.n == 100
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=0.011)
    assert paired_difference(0, 0, 10) == Estimate(0, 0, 0, 10)
    assert np.isnan(paired_difference(0, 0, 0).value) and np.isnan(paired_difference(1, 0, 1).low)
    with pytest.raises(InputError):
        paired_difference(6, 5, 10)


def test_holm_by_hand():
    assert holm([0.01, 0.04, np.nan, 0.03]).tolist()[:2] == pytest.approx([0.03, 0.06])
    assert holm([0.01, 0.04, np.nan, 0.03])[3] == pytest.approx(0.06) and np.isnan(holm([np.nan])[0])
    assert holm([0.6, 0.9]).tolist() == [1, 1]
