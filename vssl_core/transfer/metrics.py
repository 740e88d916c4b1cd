"""Metrics as values per video, so that their mean, their interval and a paired comparison come from the same numbers.

``mean(top1(...))`` is scikit-learn's ``accuracy_score`` and ``mean(class_mean(...))`` its ``balanced_accuracy_score``;
the tests hold them to it. All functions take arrays over the videos of a split; a prediction of -1 is wrong whatever
the label.
"""

from __future__ import annotations

import numpy as np

__all__ = ["class_mean", "constant_top1", "random_recall_at", "recall_at", "top1"]


def top1(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return float64 ``[N]``: 1 where int ``[N]`` predictions equal the labels, else 0; their mean is the accuracy."""
    return (predictions == labels).astype(np.float64)


def class_mean(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return float64 ``[N]`` whose mean is the mean over classes of the accuracy within each.

    A correct answer counts ``N / (classes * videos of its class)``, so single values may exceed 1. Classes without a
    video are left out.
    """
    counts = np.bincount(labels)
    weights = len(labels) / (np.count_nonzero(counts) * counts[labels])
    return top1(predictions, labels) * weights


def constant_top1(train_labels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return float64 ``[N]`` whose mean is the accuracy of always answering the most frequent training class.

    That is the chance level of ``top1``: on unbalanced classes a predictor that looks at nothing exceeds 1/C. Of K
    equally frequent classes each is answered with probability 1/K, so that balanced training labels give 1/C.

    Args:
        train_labels: int ``[M]``: classes that the constant is chosen on.
        labels: int ``[N]``: classes that it is measured on.
    """
    counts = np.bincount(train_labels, minlength=int(labels.max()) + 1)
    answered = counts == counts.max()
    return (answered / answered.sum())[labels].astype(np.float64)


def recall_at(ranked: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Return float64 ``[N]``: 1 where any of the first k retrieved videos has the query's class.

    Args:
        ranked: int ``[N, K]``: classes of the retrieved videos, nearest first.
        labels: int ``[N]``: classes of the queries.
        k: how many count; where it exceeds K, all K do.
    """
    return (ranked[:, :k] == labels[:, None]).any(axis=1).astype(np.float64)


def random_recall_at(gallery_labels: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Return float64 ``[N]``: the probability that k gallery videos drawn at random hold one of the query's class.

    ``1 - C(G - m, k) / C(G, k)`` for m of G gallery videos in the class.
    """
    size, k = len(gallery_labels), min(k, len(gallery_labels))
    same = np.bincount(gallery_labels, minlength=int(labels.max()) + 1)[labels]
    draws = np.arange(k)[None, :]
    missing = np.clip((size - same[:, None] - draws) / (size - draws), 0.0, 1.0)
    return 1.0 - np.asarray(missing.prod(axis=1))
