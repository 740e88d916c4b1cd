"""``knn`` version 1: the class that the nearest training videos vote for.

Weighted vote of Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination (arXiv 1805.01978,
section 3.4): a neighbour of cosine s votes with exp(s / 0.07). Deviations: k is chosen on the validation split instead
of being 200, and features are standardised before the cosine is taken (``standardise``), without which features that
are all positive point the same way. Gallery of the choice: the fit videos; of the test: all of train. Chance of
``top1`` is what always answering the most frequent training class reaches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vssl_core.contracts import ClipRecipe, FeatureSet, Metric, TransferContext
from vssl_core.errors import ConfigError
from vssl_core.transfer.metrics import constant_top1
from vssl_protocols.cosine import nearest, unit
from vssl_protocols.frozen import Standardiser, class_names, class_scores, labelled, video_features

__all__ = ["NearestNeighbours", "vote"]


def vote(neighbours: np.ndarray, cosines: np.ndarray, n_classes: int, temperature: float) -> np.ndarray:
    """Return the class with the largest sum of ``exp(cosine / temperature)``, int64 ``[N]``; the lowest of equals.

    Args:
        neighbours: int64 ``[N, k]``: classes of the neighbours.
        cosines: float64 ``[N, k]``.
        n_classes: number of classes.
        temperature: how much nearer neighbours count.
    """
    # exp(s / 0.07) reaches 1e6 and small temperatures would overflow: the common factor is taken out.
    weights = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / temperature)
    votes = np.zeros((len(neighbours), n_classes))
    np.add.at(votes, (np.arange(len(neighbours))[:, None], neighbours), weights)
    return votes.argmax(axis=1)


class NearestNeighbours:
    """The protocol ``knn``; the options are those of ``NearestNeighboursConfig``."""

    def __init__(
        self,
        *,
        frames: int = 16,
        stride: int = 2,
        clips: int = 10,
        size: int = 112,
        whole: bool = False,
        settle_batches: int = 10,
        standardise: bool = True,
        neighbours: Sequence[int] = (1, 5, 10, 20, 50, 100),
        temperature: float = 0.07,
    ) -> None:
        self.recipe = ClipRecipe(
            frames=frames, stride=stride, clips=clips, size=size, whole=whole, settle_batches=settle_batches
        )
        if not neighbours or min(neighbours) < 1:
            raise ConfigError(f"protocol.neighbours={list(neighbours)}; expected one or more numbers >= 1")
        self.standardise = standardise
        self.neighbours = sorted(neighbours)
        self.temperature = temperature

    def run(self, context: TransferContext) -> Sequence[Metric]:
        """Return ``top1`` (primary), ``mean_class_accuracy``, and how the choice on the validation split went.

        Raises:
            ConfigError: the label has no single class a video.
        """
        n_classes = len(class_names(context, "knn"))
        fit_x, fit_y = labelled(context, "fit", context.features("fit", self.recipe))
        val_x, val_y = labelled(context, "val", context.features("val", self.recipe))
        scale = Standardiser(fit_x, active=self.standardise)
        rows, cosines = nearest(unit(scale(val_x)), unit(scale(fit_x)), self.neighbours[-1])
        scores = [
            float((vote(fit_y[rows[:, :k]], cosines[:, :k], n_classes, self.temperature) == val_y).mean())
            for k in self.neighbours
        ]
        best = int(np.argmax(scores))  # the smallest k of equals
        k = self.neighbours[best]

        train_x, train_y = labelled(context, "train", context.features("train", self.recipe))
        scale = Standardiser(train_x, active=self.standardise)
        gallery = unit(scale(train_x))

        def predict(features: FeatureSet) -> np.ndarray:
            rows, cosines = nearest(unit(scale(video_features(features))), gallery, k)
            return vote(train_y[rows], cosines, n_classes, self.temperature)

        found = context.evaluate_once("test", self.recipe, predict, class_scores(context))
        chance, n = found["constant"].values.mean(), len(found["top1"].values)
        return [
            Metric(name="top1", value=found["top1"].values.mean(), n=n, chance=chance, primary=True),
            Metric(
                name="mean_class_accuracy", value=found["mean_class_accuracy"].values.mean(), n=n, chance=1 / n_classes
            ),
            Metric(name="val_top1", value=scores[best], n=len(val_y), chance=constant_top1(fit_y, val_y).mean()),
            Metric(name="val_k", value=float(k), n=len(val_y), unit="neighbours"),
        ]
