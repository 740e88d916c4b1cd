"""``linear-probe`` version 1: what a linear classifier reads from frozen features.

Video features are the mean of the pooled features over evenly spread clips, standardised; the classifier is a
multinomial logistic regression solved to convergence, so that there is neither a learning rate nor an epoch to choose.
Its strength is chosen on the validation videos, which are cut from train by group, and it is then fitted on train as a
whole. The test split is read once; a video that cannot be read is a wrong answer. Chance of ``top1`` is what always
answering the most frequent training class reaches, 1/C where classes are balanced.
"""

from __future__ import annotations

from collections.abc import Sequence

from vssl_core.contracts import Metric, TransferContext
from vssl_protocols.frozen import class_names, class_scores
from vssl_protocols.logistic import Probing, fit_probe

__all__ = ["LinearProbe"]


class LinearProbe(Probing):
    """The protocol ``linear-probe``; the options are those of ``LinearProbeConfig``."""

    def run(self, context: TransferContext) -> Sequence[Metric]:
        """Return ``top1`` (primary), ``mean_class_accuracy``, and how the choice on the validation split went.

        Raises:
            ConfigError: the label has no single class a video.
        """
        n_classes = len(class_names(context, "linear-probe"))
        probe = fit_probe(context, self.recipe, self.strengths, self.standardise)
        found = context.evaluate_once("test", self.recipe, probe, class_scores(context))
        chance, n = found["constant"].values.mean(), len(found["top1"].values)
        return [
            Metric(name="top1", value=found["top1"].values.mean(), n=n, chance=chance, primary=True),
            Metric(
                name="mean_class_accuracy", value=found["mean_class_accuracy"].values.mean(), n=n, chance=1 / n_classes
            ),
            *probe.choice.metrics(),
        ]
