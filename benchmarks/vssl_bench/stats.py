"""The statistics of a board: intervals, gains, tests and ties.

An accuracy on a board is a mean over seeds, each measured on the same n test videos. Two things make it uncertain:
another seed would give another network (Bouthillier et al., "Accounting for Variance in Machine Learning Benchmarks",
MLSys 2021, arXiv 2103.03098), and other test videos would give another accuracy (Miller, "Adding Error Bars to Evals",
2024, arXiv 2411.00640, section 2). ``accuracy_interval`` and ``welch`` cover both. Two rows are compared as if each had
a test sample of its own, although they share it: what pairing would save is left in, so tests err to the safe side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scipy import special

__all__ = ["CONFIDENCE", "Difference", "Estimate", "accuracy_interval", "holm", "seed_interval", "welch", "wilson"]

CONFIDENCE = 0.95
_Z = float(special.ndtri(0.5 + CONFIDENCE / 2))

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds with its 95 % interval.

    Attributes:
        mean: over seeds.
        low: lower end; None where nothing is known of the spread.
        high: upper end.
        seeds: how many values the mean is of.
        seed_error: whether the interval covers the spread over seeds, which takes two of them.
        test_error: whether it covers the error of the test sample.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int
    seed_error: bool
    test_error: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two means over seeds, with Welch's 95 % interval and two-sided p-value.

    The ends and ``p`` are None where a side has fewer than two seeds, or nothing varies at all.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None


def wilson(p: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a proportion ``p`` of ``n`` (Wilson, JASA 22, 1927)."""
    centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    # Rounding must not leave the point itself, or [0, 1], outside.
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def accuracy_interval(values: Sequence[float], n_test: int) -> Estimate:
    """Return the mean of accuracies in [0, 1] over seeds, with an interval for seeds and test sample together.

    The margin over seeds is Student's, ``t(k-1) s / sqrt(k)``; that of the test sample is Wilson's around the mean with
    ``n_test`` videos, not ``k * n_test``: the seeds share the videos. The two are taken as independent, and margins of
    independent errors add in squares, each side by itself (MOVER: Zou & Donner, Statistics in Medicine 27, 2008, after
    Newcombe, 1998). Half-width to first order: ``sqrt((t s / sqrt(k))^2 + z^2 p (1 - p) / n)``. With one seed it is
    Wilson's own.
    """
    mean, margin = _seed_margin(values)
    low, high = wilson(min(1.0, max(0.0, mean)), n_test)
    seed = margin if margin is not None else 0.0
    return Estimate(
        mean=mean,
        low=max(0.0, mean - math.hypot(seed, mean - low)),
        high=min(1.0, mean + math.hypot(seed, high - mean)),
        seeds=len(values),
        seed_error=margin is not None,
        test_error=True,
    )


def seed_interval(values: Sequence[float], error: float | None = None) -> Estimate:
    """Return the mean over seeds with Student's interval; for numbers that are no proportions of test videos.

    ``error`` is their standard error over the test sample, where that is known: its margin is added in squares.
    """
    mean, margin = _seed_margin(values)
    if margin is None and error is None:
        return Estimate(mean, None, None, len(values), False, False)
    both = math.hypot(margin or 0.0, _Z * (error or 0.0))
    return Estimate(mean, mean - both, mean + both, len(values), margin is not None, error is not None)


def welch(
    a: Sequence[float],
    b: Sequence[float],
    n_a: int | None = None,
    n_b: int | None = None,
    *,
    error_a: float | None = None,
    error_b: float | None = None,
) -> Difference:
    """Return ``mean(a) - mean(b)`` with Welch's interval and p-value (Welch, Biometrika 34, 1947).

    Accuracies also have the error of their test sample: ``p (1 - p) / n`` of each side, with p its mean, is added to
    the variance over seeds, ``s^2 / k``. n is not multiplied by the seeds, which share the videos. In Satterthwaite's
    formula that part has infinitely many degrees of freedom.

    Both sides are measured on the same videos, and what one network finds hard another mostly does too: the paired
    error would be smaller (Miller, 2024, section 4). Answers to single videos are not in the records, so pairing is not
    used; intervals are too wide and p-values too large rather than too small.

    Args:
        a: values over seeds.
        b: values over seeds of the other side.
        n_a: test videos of ``a``, whose values are fractions in [0, 1] of them; None: they are no such fractions.
        n_b: the same of ``b``.
        error_a: standard error of ``a``'s test sample, for values that are no such fractions; None: not known.
        error_b: the same of ``b``.
    """
    value = _mean(a) - _mean(b)
    if len(a) < 2 or len(b) < 2:
        return Difference(value, None, None, None)
    share_a, share_b = _variance(a) / len(a), _variance(b) / len(b)
    variance = share_a + share_b + _sampling_variance(a, n_a) + _sampling_variance(b, n_b)
    variance += (error_a or 0.0) ** 2 + (error_b or 0.0) ** 2
    if variance == 0.0:
        return Difference(value, None, None, None)
    error = math.sqrt(variance)
    estimated = share_a**2 / (len(a) - 1) + share_b**2 / (len(b) - 1)
    if estimated == 0.0:  # infinitely many degrees of freedom: the normal distribution
        margin, p = _Z * error, 2 * float(special.ndtr(-abs(value) / error))
    else:
        freedom = variance**2 / estimated
        margin = float(special.stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * error
        p = 2 * float(special.stdtr(freedom, -abs(value) / error))
    return Difference(value, value - margin, value + margin, p)


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Return p-values adjusted for testing all of them (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    adjusted: dict[Key, float] = {}
    largest = 0.0
    for rank, (key, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(p_values) - rank)))
        adjusted[key] = largest
    return adjusted


def _seed_margin(values: Sequence[float]) -> tuple[float, float | None]:
    mean = _mean(values)
    if len(values) < 2:
        return mean, None
    quantile = float(special.stdtrit(len(values) - 1, 0.5 + CONFIDENCE / 2))
    return mean, quantile * math.sqrt(_variance(values) / len(values))


def _sampling_variance(values: Sequence[float], n: int | None) -> float:
    """Variance that another test sample of ``n`` videos would bring; 0 for numbers that are no fractions of them."""
    if n is None:
        return 0.0
    p = min(1.0, max(0.0, _mean(values)))
    return p * (1 - p) / n


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
