"""Nearest videos by cosine similarity."""

from __future__ import annotations

import numpy as np

__all__ = ["nearest", "unit"]

_QUERIES_AT_ONCE = 2048  # bounds the similarity matrix in memory


def unit(features: np.ndarray) -> np.ndarray:
    """Return float64 ``[N, D]`` scaled to length 1; rows of zeros stay."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: np.ndarray = features / np.where(length > 0, length, 1.0)
    return scaled


def nearest(queries: np.ndarray, gallery: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k most similar gallery rows of each query, best first: int64 ``[N, k]`` and cosines float64 ``[N,
    k]``.

    Equally similar ones come in gallery order. k is lowered to the gallery's size.

    Args:
        queries: float64 ``[N, D]`` of length 1.
        gallery: float64 ``[G, D]`` of length 1.
        k: how many.
    """
    k = min(k, len(gallery))
    rows, cosines = [], []
    for at in range(0, len(queries), _QUERIES_AT_ONCE):
        similarity = queries[at : at + _QUERIES_AT_ONCE] @ gallery.T
        # Rounded, so that one video twice in a gallery is a tie wherever the sums were cut.
        order = np.argsort(-np.round(similarity, 12), axis=1, kind="stable")[:, :k]
        rows.append(order)
        cosines.append(np.take_along_axis(similarity, order, axis=1))
    if not rows:
        return np.zeros((0, k), dtype=np.int64), np.zeros((0, k))
    return np.concatenate(rows), np.concatenate(cosines)
