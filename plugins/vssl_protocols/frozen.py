"""What protocols on frozen features share: class labels and their scores, clip averages, standardising."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from vssl_core.contracts import FeatureSet, TransferContext
from vssl_core.errors import ConfigError, DataError
from vssl_core.transfer.metrics import class_mean, constant_top1, top1

__all__ = ["Standardiser", "class_names", "class_scores", "labelled", "video_features"]


def class_names(context: TransferContext, protocol: str) -> tuple[str, ...]:
    """Return the classes of the label.

    Raises:
        ConfigError: the label is a number or multi-label, which this protocol does not measure.
    """
    targets = context.targets("fit")
    if targets.kind != "class":
        raise ConfigError(
            f"protocol {protocol} measures labels with one class a video, this label is of kind {targets.kind!r}; "
            "choose another label or a protocol for its kind"
        )
    return tuple(targets.classes)


def video_features(features: FeatureSet) -> np.ndarray:
    """Return float64 ``[N, D]``: the mean over a video's clips."""
    return features.values.astype(np.float64).mean(axis=1)


def labelled(context: TransferContext, split: str, features: FeatureSet) -> tuple[np.ndarray, np.ndarray]:
    """Return the readable videos of a split: float64 ``[N, D]`` and their classes, int64 ``[N]``.

    Raises:
        DataError: none is readable.
    """
    if not len(features.rows):
        raise DataError(f"none of the {features.n_videos} videos of {split!r} can be read as the protocol asks")
    return video_features(features), context.targets(split).values[features.rows]


def class_scores(context: TransferContext) -> Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]]:
    """Return the ``score`` of predicted classes: ``top1``, ``mean_class_accuracy`` and ``constant``, per video.

    ``constant`` is what always answering the most frequent training class scores, the chance level of ``top1``; an
    unreadable video is a wrong answer for it too. Test labels enter it once predictions are made, and it decides
    nothing.
    """
    train = context.targets("train").values

    def score(predictions: np.ndarray, labels: np.ndarray) -> Mapping[str, np.ndarray]:
        return {
            "top1": top1(predictions, labels),
            "mean_class_accuracy": class_mean(predictions, labels),
            "constant": constant_top1(train, labels),
        }

    return score


class Standardiser:
    """Brings every feature to mean 0 and deviation 1 as measured on training videos; constant features become 0.

    Args:
        features: float64 ``[N, D]`` to measure on.
        active: ``False``: features are handed through.
    """

    def __init__(self, features: np.ndarray, *, active: bool) -> None:
        self._mean = features.mean(axis=0) if active else np.zeros(features.shape[1])
        deviation = features.std(axis=0) if active else np.ones(features.shape[1])
        # Rounding makes constant features vary in the last digits: blown up to deviation 1 that would be pure noise.
        constant = deviation <= 1e-7 * np.maximum(1e-30, np.abs(features).max(axis=0))
        self._scale = np.where(constant & active, 0.0, 1.0 / np.where(constant, 1.0, deviation))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return float64 ``[N, D]``."""
        scaled: np.ndarray = (features - self._mean) * self._scale
        return scaled
