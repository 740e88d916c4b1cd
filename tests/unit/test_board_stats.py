"""Statistics of the board against scipy and known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from vssl_bench.stats import accuracy_interval, holm, seed_interval, welch, wilson


@pytest.mark.parametrize(("correct", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (680, 1000), (1, 3)])
def test_wilson_is_scipys(correct: int, n: int) -> None:
    expected = scipy_stats.binomtest(correct, n).proportion_ci(method="wilson")
    assert wilson(correct / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_one_run_has_wilsons_interval_and_says_that_seeds_are_not_in_it() -> None:
    estimate = accuracy_interval([0.68], 1000)
    assert (estimate.low, estimate.high) == pytest.approx(wilson(0.68, 1000))
    assert not estimate.seed_error and estimate.test_error and estimate.seeds == 1


def test_seeds_and_test_sample_add_in_squares() -> None:
    values, n = [0.66, 0.68, 0.73], 1000
    estimate = accuracy_interval(values, n)
    mean = np.mean(values)
    low, high = scipy_stats.t.interval(0.95, 2, loc=mean, scale=scipy_stats.sem(values))
    margin = (high - low) / 2
    sample_low, sample_high = wilson(float(mean), n)
    assert estimate.mean == pytest.approx(mean) and estimate.seed_error
    assert estimate.low == pytest.approx(mean - math.hypot(margin, mean - sample_low))
    assert estimate.high == pytest.approx(mean + math.hypot(margin, sample_high - mean))
    first_order = math.hypot(margin, 1.959964 * math.sqrt(mean * (1 - mean) / n))
    assert estimate.high - estimate.low == pytest.approx(2 * first_order, rel=1e-2)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        # A test sample that all seeds share shifts them together; each seed adds its own.
        shared = rng.normal(0, math.sqrt(0.6 * 0.4 / 300))
        values = 0.6 + shared + rng.normal(0, 0.03, 4)
        estimate = accuracy_interval(list(values), 300)
        assert estimate.low is not None and estimate.high is not None
        hits += estimate.low <= 0.6 <= estimate.high
    assert 0.92 <= hits / 400 <= 0.99


def test_equal_seeds_still_have_the_error_of_the_test_sample() -> None:
    estimate = accuracy_interval([1.0, 1.0, 1.0], 50)
    assert estimate.high == 1.0 and estimate.low == pytest.approx(wilson(1.0, 50)[0])


def test_other_numbers_know_only_their_seeds() -> None:
    assert seed_interval([-0.1]).low is None
    estimate = seed_interval([-0.1, -0.2])
    low, high = scipy_stats.t.interval(0.95, 1, loc=-0.15, scale=scipy_stats.sem([-0.1, -0.2]))
    assert (estimate.low, estimate.high) == pytest.approx((low, high)) and not estimate.test_error


def test_welch_is_scipys() -> None:
    a, b = [0.68, 0.67, 0.70, 0.69], [0.35, 0.40, 0.31]
    found = welch(a, b)
    expected = scipy_stats.ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.value == pytest.approx(np.mean(a) - np.mean(b))


def test_differences_of_accuracies_know_the_test_sample() -> None:
    a, b, n = [0.68, 0.67, 0.70, 0.69], [0.65, 0.66, 0.64], 200
    found = welch(a, b, n, n)
    share_a, share_b = np.var(a, ddof=1) / 4, np.var(b, ddof=1) / 3
    sample = sum(p * (1 - p) / n for p in (np.mean(a), np.mean(b)))
    variance = share_a + share_b + sample
    freedom = variance**2 / (share_a**2 / 3 + share_b**2 / 2)
    low, high = scipy_stats.t.interval(0.95, freedom, loc=found.value, scale=math.sqrt(variance))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(2 * scipy_stats.t.sf(found.value / math.sqrt(variance), freedom))
    assert found.p is not None and found.p > 0.05 > (welch(a, b).p or 1.0), "3 points on 200 videos are no finding"


def test_a_metric_may_bring_the_error_of_its_test_sample() -> None:
    """Equal to what fractions get from their number of videos, when the error is that of a fraction."""
    a, b, n = [0.60, 0.62, 0.61], [0.50, 0.53, 0.52], 400
    errors = [math.sqrt(np.mean(side) * (1 - np.mean(side)) / n) for side in (a, b)]
    assert welch(a, b, error_a=errors[0], error_b=errors[1]) == welch(a, b, n, n)
    estimate, plain = seed_interval(a, 0.02), seed_interval(a)
    assert plain.low is not None and estimate.low is not None and not plain.test_error and estimate.test_error
    assert estimate.mean - estimate.low == pytest.approx(math.hypot(plain.mean - plain.low, 1.959964 * 0.02))
    alone = seed_interval([0.6], 0.02)
    assert alone.high == pytest.approx(0.6 + 1.959964 * 0.02) and not alone.seed_error


def test_without_spread_over_seeds_the_test_sample_alone_is_normal() -> None:
    found = welch([0.6, 0.6], [0.5, 0.5], 100, 100)
    error = math.sqrt((0.24 + 0.25) / 100)
    assert found.p == pytest.approx(2 * scipy_stats.norm.sf(0.1 / error))
    assert found.low == pytest.approx(0.1 - 1.959964 * error)


def test_two_equal_rows_are_seldom_told_apart() -> None:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(400):
        # Each row has a test sample of its own here: then the level is kept, and with a shared one all the more.
        shifts = rng.normal(0, math.sqrt(0.6 * 0.4 / 300), 2)
        a, b = (list(0.6 + shift + rng.normal(0, 0.01, 4)) for shift in shifts)
        found += (welch(a, b, 300, 300).p or 1.0) < 0.05
    assert found / 400 <= 0.08


@pytest.mark.parametrize(("a", "b"), [([0.5], [0.4, 0.3]), ([0.5, 0.5], [0.4, 0.4])])
def test_what_cannot_be_tested_has_no_p(a: list[float], b: list[float]) -> None:
    found = welch(a, b)
    assert found.p is None and found.low is None and found.value == pytest.approx(np.mean(a) - np.mean(b))


def test_holm_steps_down() -> None:
    # Holm (1979): 0.005 * 4, 0.01 * 3, max(0.03 * 2, ...), max(0.04 * 1, 0.06)
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06}
    )
    assert holm({"a": 0.9, "b": 0.8}) == pytest.approx({"b": 1.0, "a": 1.0}) and holm({}) == {}
