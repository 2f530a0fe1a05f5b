"""Intervals and paired tests for tables of right and wrong answers, and for means and correlations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from explorer.records import InputError

CONFIDENCE = 0.95
RESAMPLES = 10_000
DRAWS_AT_ONCE = 4_000_000  # bounds the memory of a bootstrap


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval and the number of samples behind it; NaN where it cannot be had."""

    value: float
    low: float
    high: float
    n: int


def wilson(right: int, n: int) -> Estimate:
    """A share with its Wilson score interval (Wilson 1927), 0…1; all NaN for n = 0."""
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    interval = stats.binomtest(right, n).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(right / n, float(interval.low), float(interval.high), n)


def mcnemar(first: Sequence[bool] | np.ndarray, second: Sequence[bool] | np.ndarray) -> float:
    """Exact two-sided p of McNemar's test that two checkpoints are right equally often on the same questions.

    Args:
        first: bool [Q], whether the one was right.
        second: bool [Q], whether the other was.

    Returns:
        p, 0…1; 1 where they never disagree.
    """
    first, second = _paired(first, second)
    only_first, only_second = int((first > second).sum()), int((second > first).sum())
    disagree = only_first + only_second
    return float(stats.binomtest(only_first, disagree).pvalue) if disagree else 1.0


def bootstrap_mean(values: Sequence[float] | np.ndarray, seed: int = 0) -> Estimate:
    """A mean with its percentile bootstrap interval (Efron and Tibshirani 1993, ch. 13), 10,000 resamples.

    Args:
        values: float [n]; all NaN comes out for n = 0, no interval for n = 1.
        seed: of the resampling: the same seed gives the same interval.
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if n < 2:
        return Estimate(float(values[0]) if n else np.nan, np.nan, np.nan, n)
    rng = np.random.default_rng(seed)
    at_once = max(1, DRAWS_AT_ONCE // n)
    sizes = [min(at_once, RESAMPLES - done) for done in range(0, RESAMPLES, at_once)]
    means = np.concatenate([values[rng.integers(n, size=(size, n))].mean(1) for size in sizes])
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(values.mean()), float(low), float(high), n)


def bootstrap_difference(
    first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray, seed: int = 0
) -> Estimate:
    """Mean of ``first`` less mean of ``second`` on the same samples: ``bootstrap_mean`` of the paired differences.

    Args:
        first: float or bool [n].
        second: float or bool [n], of the same samples in the same order.
        seed: of the resampling.
    """
    first, second = _paired(first, second)
    return bootstrap_mean(first - second, seed)


def spearman(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> Estimate:
    """Spearman's rank correlation; the interval is Bonett and Wright's (2000): Fisher's z, variance (1 + r²/2)/(n - 3).

    Returns:
        -1…1; NaN where x or y is constant or n < 2; no interval for n < 4.
    """
    x, y = _paired(x, y)
    n = len(x)
    if n < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Estimate(np.nan, np.nan, np.nan, n)
    result: Any = stats.spearmanr(x, y)
    r = float(np.clip(result.statistic, -1, 1))
    if n < 4:
        return Estimate(r, np.nan, np.nan, n)
    with np.errstate(divide="ignore"):  # r = ±1 has the interval ±1…±1
        z = np.arctanh(r)
    margin = stats.norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt((1 + r**2 / 2) / (n - 3))
    return Estimate(r, float(np.tanh(z - margin)), float(np.tanh(z + margin)), n)


def _paired(
    first: Sequence[float] | Sequence[bool] | np.ndarray, second: Sequence[float] | Sequence[bool] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, of one length.

    Raises:
        InputError: they differ in length, so they cannot be of the same samples.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        raise InputError(f"Paired samples must be the same ones; here are {a.shape} and {b.shape}: drop the unpaired.")
    return a, b


def paired_difference(only_first: int, only_second: int, n: int, seed: int = 0) -> Estimate:
    """Difference of two shares on the same n samples, from how often only one of the two is right.

    What ``bootstrap_difference`` gives for right and wrong answers: paired differences are -1, 0 or 1, so that a resample
    is one draw from a multinomial.

    Args:
        only_first: how often the first alone is right.
        only_second: how often the second alone is.
        n: samples in all.
        seed: of the resampling.

    Raises:
        InputError: the counts are impossible.
    """
    if min(only_first, only_second) < 0 or only_first + only_second > n:
        raise InputError(f"Of {n} samples, {only_first} and {only_second} cannot be right for one alone.")
    if n < 2:
        return Estimate(float(only_first - only_second) if n else np.nan, np.nan, np.nan, n)
    shares = np.array([only_first, only_second, n - only_first - only_second]) / n
    draws = np.random.default_rng(seed).multinomial(n, shares, size=RESAMPLES)
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / n, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate((only_first - only_second) / n, float(low), float(high), n)


def holm(ps: Sequence[float] | np.ndarray) -> np.ndarray:
    """p-values corrected for their number (Holm 1979, Scand. J. Statist. 6), float [n], in the order given; NaN stays."""
    given = np.asarray(ps, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(given))
    corrected = np.full(len(given), np.nan)
    order = known[np.argsort(given[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(given[order] * factors))
    return corrected
