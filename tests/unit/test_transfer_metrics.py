"""Metrics per video against scikit-learn and against counting."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from vssl_core.transfer.metrics import class_mean, constant_top1, random_recall_at, recall_at, top1


def _answers(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(5, size=200, p=[0.5, 0.2, 0.2, 0.1, 0.0])
    return np.where(rng.random(200) < 0.6, labels, rng.integers(-1, 5, 200)), labels


def test_means_are_scikit_learn_s() -> None:
    predictions, labels = _answers()
    assert top1(predictions, labels).mean() == pytest.approx(accuracy_score(labels, predictions))
    # scikit-learn knows neither "no answer" (-1) nor a class without videos (4): any wrong class stands for them.
    known = np.where(np.isin(predictions, labels), predictions, (labels + 1) % 4)
    assert class_mean(predictions, labels).mean() == pytest.approx(balanced_accuracy_score(labels, known))


def test_recall_counts_any_hit_among_the_first_k() -> None:
    ranked = np.array([[1, 2, 0], [0, 0, 0], [2, 1, 1]])
    labels = np.array([0, 0, 1])
    assert recall_at(ranked, labels, 1).tolist() == [0, 1, 0]
    assert recall_at(ranked, labels, 2).tolist() == [0, 1, 1]
    assert recall_at(ranked, labels, 50).tolist() == [1, 1, 1]


@pytest.mark.parametrize("k", [1, 2, 4, 9])
def test_random_recall_is_that_of_all_drawings(k: int) -> None:
    gallery = np.array([0, 0, 1, 2, 2, 2])
    labels = np.array([0, 1, 2, 3])
    drawings = [set(drawing) for drawing in combinations(range(6), min(k, 6))]
    expected = [np.mean([any(gallery[row] == label for row in drawing) for drawing in drawings]) for label in labels]
    np.testing.assert_allclose(random_recall_at(gallery, labels, k), expected)


def test_a_constant_answer_is_chosen_on_train_and_shared_by_equals() -> None:
    labels = np.array([0, 0, 0, 1, 2, 2])
    assert constant_top1(np.array([1, 1, 2]), labels).tolist() == [0, 0, 0, 1, 0, 0]
    assert constant_top1(np.array([1, 1, 2, 2]), labels).tolist() == [0, 0, 0, 0.5, 0.5, 0.5]
    # Balanced training labels give 1/C, however the others are spread.
    assert constant_top1(np.array([2, 1, 0]), labels).mean() == pytest.approx(1 / 3)
    # A class that no test video has, and one that no training video has.
    assert constant_top1(np.array([4, 4]), labels).tolist() == [0] * 6
