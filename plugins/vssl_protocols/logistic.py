"""The linear probe itself: multinomial logistic regression whose strength is chosen on a validation split."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from vssl_core.contracts import ClipRecipe, FeatureSet, Metric, TransferContext
from vssl_core.errors import ConfigError, TrainingError
from vssl_core.transfer.metrics import constant_top1
from vssl_protocols.frozen import Standardiser, labelled, video_features

__all__ = ["Choice", "Probe", "Probing", "choose_strength", "fit_probe"]

_MAX_ITERATIONS = (300, 3000, 30000)
# scikit-learn stops at 1e-4 with weights that still move by a tenth where classes are separable.
_TOLERANCE = 1e-6


class Probing:
    """What protocols that fit a linear probe are told; the options are those of ``LinearProbeConfig``."""

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
        strengths: Sequence[float] = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0),
    ) -> None:
        self.recipe = ClipRecipe(
            frames=frames, stride=stride, clips=clips, size=size, whole=whole, settle_batches=settle_batches
        )
        self.standardise = standardise
        self.strengths = strengths


class Choice(NamedTuple):
    """What fits without the validation videos reached on them.

    Attributes:
        strength: the inverse L2 strength C that did best.
        accuracy: what it reached.
        chance: what the most frequent class of ``fit`` reaches.
        n: validation videos that could be read.
    """

    strength: float
    accuracy: float
    chance: float
    n: int

    def metrics(self, *, primary: bool = False) -> list[Metric]:
        """Return them as a protocol reports them: ``val_top1``, primary or not, and ``val_strength``."""
        return [
            Metric(name="val_top1", value=self.accuracy, n=self.n, chance=self.chance, primary=primary),
            Metric(name="val_strength", value=self.strength, n=self.n, unit="C"),
        ]


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe fitted on ``train``, with the strength that was chosen for it."""

    standardise: Standardiser
    weights: np.ndarray
    bias: np.ndarray
    classes: np.ndarray
    choice: Choice

    def __call__(self, features: FeatureSet) -> np.ndarray:
        """Return the predicted class of each video, int64 ``[N]``."""
        scores = self.standardise(video_features(features)) @ self.weights.T + self.bias
        predicted: np.ndarray = self.classes[scores.argmax(axis=1)]
        return predicted


def choose_strength(
    context: TransferContext, recipe: ClipRecipe, strengths: Sequence[float], standardise: bool
) -> Choice:
    """Choose C on ``val`` by fits on ``fit``; features are standardised on what is fitted.

    The loss is the cross-entropy summed over videos plus ``|W|^2 / (2 C)``, solved to its minimum by L-BFGS. Of equally
    good strengths the strongest regularisation (the smallest C) is taken.

    Raises:
        ConfigError: no strength is given or one is not above 0.
        DataError: a split has no readable video.
        TrainingError: the regression does not converge.
    """
    if not strengths or min(strengths) <= 0:
        raise ConfigError(f"protocol.strengths={list(strengths)}; expected one or more numbers above 0")
    fit_x, fit_y = labelled(context, "fit", context.features("fit", recipe))
    val_x, val_y = labelled(context, "val", context.features("val", recipe))
    scale = Standardiser(fit_x, active=standardise)
    fit_x, val_x = scale(fit_x), scale(val_x)
    candidates = sorted(strengths)
    scores = []
    for weights, bias, classes in _path(fit_x, fit_y, candidates):
        predicted = classes[(val_x @ weights.T + bias).argmax(axis=1)]
        scores.append(float((predicted == val_y).mean()))
    best = int(np.argmax(scores))  # the first, hence smallest, of equals
    return Choice(candidates[best], scores[best], float(constant_top1(fit_y, val_y).mean()), len(val_y))


def fit_probe(context: TransferContext, recipe: ClipRecipe, strengths: Sequence[float], standardise: bool) -> Probe:
    """Fit ``train`` with the C that ``choose_strength`` finds, which also says what is raised."""
    choice = choose_strength(context, recipe, strengths, standardise)
    train_x, train_y = labelled(context, "train", context.features("train", recipe))
    scale = Standardiser(train_x, active=standardise)
    # The path up to the chosen strength starts each fit near its end.
    path = [strength for strength in sorted(strengths) if strength <= choice.strength]
    *_, (weights, bias, classes) = _path(scale(train_x), train_y, path)
    return Probe(scale, weights, bias, classes, choice)


def _path(
    features: np.ndarray, labels: np.ndarray, strengths: Sequence[float]
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return weights ``[C, D]``, bias ``[C]``, classes ``[C]`` for each strength; a fit starts from the one before."""
    present = np.unique(labels)
    if len(present) == 1:  # nothing to separate: its only class is always the answer
        return [(np.zeros((1, features.shape[1])), np.zeros(1), present) for _ in strengths]
    model = LogisticRegression(solver="lbfgs", tol=_TOLERANCE, warm_start=True)
    fitted = []
    for strength in strengths:
        model.set_params(C=strength)
        for iterations in _MAX_ITERATIONS:
            model.set_params(max_iter=iterations)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # looked at below, and acted on
                model.fit(features, labels)
            if model.n_iter_.max() < iterations:
                break
        else:
            raise TrainingError(
                f"logistic regression with C={strength:g} does not converge in {_MAX_ITERATIONS[-1]} iterations; "
                "leave the largest values out of protocol.strengths, or set protocol.standardise=true"
            )
        weights, bias = model.coef_, model.intercept_
        if len(present) == 2:  # scikit-learn keeps one row for two classes
            weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
        fitted.append((weights.copy(), bias.copy(), model.classes_))
    return fitted
