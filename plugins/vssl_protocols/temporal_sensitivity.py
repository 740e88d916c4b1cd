"""``temporal-sensitivity`` version 1: how much of a probe's accuracy hangs on the order of frames.

A linear probe is fitted and chosen as in ``linear-probe``, on clips as they are, and then meets the test videos four
times: normal, reversed, shuffled (a fixed permutation per video and clip, never the identity) and frozen (the middle
frame repeated). Not from a paper; Huang et al., What Makes a Video a Video (CVPR 2018), discuss why taking motion out
of a clip also makes it look unlike any other.

Primary is ``drop_shuffled = top1 - top1_shuffled``: shuffling keeps every frame and destroys nothing but order. It is 0
for an encoder that is blind to order, may be below 0, and says nothing of one that stands at chance, so ``top1``
belongs beside it. Freezing also takes away frames, so that its drop counts both; reversing leaves speed and rhythm
alone. Batch norm is settled on normal clips for all four. Chance of the four accuracies is what always answering the
most frequent training class reaches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vssl_core.contracts import Metric, TransferContext
from vssl_protocols.frozen import class_names, class_scores
from vssl_protocols.logistic import Probing, fit_probe

__all__ = ["TemporalSensitivity"]

#: name in metrics -> ``ClipRecipe.perturb``
_PERTURBED = {"reversed": "reverse", "shuffled": "shuffle", "frozen": "freeze"}


class TemporalSensitivity(Probing):
    """The protocol ``temporal-sensitivity``; the options are those of ``TemporalSensitivityConfig``."""

    def run(self, context: TransferContext) -> Sequence[Metric]:
        """Return ``drop_shuffled`` (primary), the other drops, and ``top1`` on each kind of clip.

        Raises:
            ConfigError: the label has no single class a video.
        """
        class_names(context, "temporal-sensitivity")
        probe = fit_probe(context, self.recipe, self.strengths, self.standardise)

        score = class_scores(context)

        def evaluated(name: str, perturb: str) -> tuple[np.ndarray, float]:
            found = context.evaluate_once(name, replace(self.recipe, perturb=perturb), probe, score)
            return found["top1"].values, found["constant"].values.mean()

        # A constant answer is as right on frames in any order: one chance for all four.
        normal, chance = evaluated("normal", "none")
        perturbed = {name: evaluated(name, perturb)[0] for name, perturb in _PERTURBED.items()}
        n = len(normal)
        drops = [
            Metric(
                name=f"drop_{name}",
                value=(normal - values).mean(),
                n=n,
                chance=0.0,
                primary=name == "shuffled",
                unit="difference of fractions",
                standard_error=_standard_error(normal - values),
            )
            for name, values in perturbed.items()
        ]
        levels = [
            Metric(name=f"top1_{name}", value=values.mean(), n=n, chance=chance) for name, values in perturbed.items()
        ]
        return [*drops, Metric(name="top1", value=normal.mean(), n=n, chance=chance), *levels]


def _standard_error(differences: np.ndarray) -> float:
    """Return that of the mean of per video differences: both kinds of clips are of the same videos."""
    return float(differences.std(ddof=1) / math.sqrt(len(differences))) if len(differences) > 1 else 0.0
