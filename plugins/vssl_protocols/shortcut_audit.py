"""``shortcut-audit`` version 1: what does a pretext task look at when it is right?

The trained task, head and all, is asked again about the videos that its pretraining held out: on clips as they are, and
on the same clips with something taken away from the decoded frames before the task's own augmentation:

- ``frozen``: the middle frame of each clip throughout. What is left of the accuracy needs no motion.
- ``shuffled``: the frames of each clip in another order, drawn per sample, never their own. What is left needs none.
  Left out for tasks whose answer is that order (``asks_frame_order``): a shuffled view has another right answer there.
- ``reencoded``: through H.264 at ``crf``. What is lost was carried by traces finer than such a video keeps, such as
  those of the original encoder.
- ``cropped``: without its borders, the rest enlarged. What is lost was read off the rim: black bars, logos, timecodes,
  the trace of a crop.
- ``grey``: without colour. What is lost was colour, such as the aberration of the lens (Doersch et al., ICCV 2015,
  section 4.2, who found a task of patches solved by it).

Not from a paper. A task that asks about time and stays right on frozen clips is solved by something else. A drop does
not show by itself what was looked at: clips with something taken away also look unlike any clip that was trained on.
Frames of different clips are perturbed by themselves. Every perturbation meets the same samples with the same draws,
so that differences are paired.

Metrics carry ``heldout_`` in front: they count samples of the pretraining's held-out videos, not test videos, and no
label is looked at. Primary is ``heldout_accuracy``. The chart lies in the run's folder as ``shortcut-audit.png``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from vssl_core.contracts import Metric, TransferContext
from vssl_core.errors import ConfigError, DataError
from vssl_protocols.audit_chart import Bar, draw_chart
from vssl_protocols.perturb import PERTURBATIONS

__all__ = ["ShortcutAudit"]

_CHART = "shortcut-audit.png"
_AS_THEY_ARE = "as they are"


class ShortcutAudit:
    """The protocol ``shortcut-audit``; the options are those of ``ShortcutAuditConfig``."""

    def __init__(
        self,
        *,
        perturbations: Sequence[str] = ("frozen", "shuffled", "reencoded", "cropped", "grey"),
        crf: int = 35,
        border: float = 0.1,
        batches: int = 0,
    ) -> None:
        unknown = [name for name in perturbations if name not in PERTURBATIONS]
        if unknown or len(set(perturbations)) != len(perturbations):
            raise ConfigError(
                f"protocol.perturbations={list(perturbations)}; expected some of {', '.join(PERTURBATIONS)}, each once"
            )
        self.perturbations = list(perturbations)
        self.crf = crf
        self.border = border
        self.batches = batches

    def run(self, context: TransferContext) -> Sequence[Metric]:
        """Return ``heldout_accuracy`` (primary), and the accuracy and its drop for each perturbation.

        Raises:
            ConfigError: the run trained nothing, or its task has no accuracy of its own.
            DataError: none of the held-out videos gives a sample.
        """
        pretext = context.pretext()
        task = pretext.task
        left_out = {"shuffled"} if getattr(task, "asks_frame_order", False) else set()
        perturbations = [name for name in self.perturbations if name not in left_out]
        found = {name: _Count() for name in (_AS_THEY_ARE, *perturbations)}
        for batch in pretext.heldout(self.batches):
            if not len(batch.index):
                continue
            found[_AS_THEY_ARE].add(task.evaluate(task.augment(batch)), task.chance)
            for name in perturbations:
                perturbed = PERTURBATIONS[name](batch, self.crf, self.border)
                found[name].add(task.evaluate(task.augment(perturbed)), task.chance)
        if not found[_AS_THEY_ARE].n:
            raise DataError("none of the videos that pretraining held out gives a sample of the task")
        return self._metrics(found, context, pretext.name)

    def _metrics(self, found: Mapping[str, _Count], context: TransferContext, task: str) -> list[Metric]:
        whole = found[_AS_THEY_ARE]
        title = f"{task}: its own accuracy in per cent on {whole.n} held-out samples, with something taken away"
        bars = [Bar(name, count.accuracy) for name, count in found.items()]
        draw_chart(title, bars, whole.chance, context.work_dir / _CHART)
        n, chance = whole.n, whole.chance
        metrics = [Metric(name="heldout_accuracy", value=whole.accuracy, n=n, chance=chance, primary=True)]
        perturbations = [name for name in found if name != _AS_THEY_ARE]
        for name in perturbations:
            value = found[name].accuracy
            metrics.append(Metric(name=f"heldout_accuracy_{name}", value=value, n=n, chance=chance))
        for name in perturbations:
            drop = whole.accuracy - found[name].accuracy
            metrics.append(Metric(name=f"heldout_drop_{name}", value=drop, n=n, unit="difference of fractions"))
        return metrics


class _Count:
    """Right answers so far, and what guessing gives."""

    def __init__(self) -> None:
        self.n = 0
        self._right = self._chance = 0.0
        self._knows_chance = True

    def add(self, figures: Mapping[str, tuple[torch.Tensor, int]], chance: float | None) -> None:
        """Add what a task's ``evaluate`` returned.

        Raises:
            ConfigError: it holds no accuracy: neither ``accuracy`` nor ``NAME_top1``.
        """
        name = "accuracy" if "accuracy" in figures else next((key for key in figures if key.endswith("_top1")), "")
        if not name:
            raise ConfigError(
                f"the task measures {', '.join(figures)} and no accuracy, so there is nothing that a shortcut could "
                "raise; audit a task with classes ('vssl list tasks')"
            )
        right, n = figures[name]
        beside: Any = figures.get(name.removesuffix("_top1") + "_chance")
        if beside is not None:
            self._chance += float(beside[0])
        elif chance is not None:
            self._chance += chance * n
        else:
            self._knows_chance = False
        self._right += float(right)
        self.n += n

    @property
    def accuracy(self) -> float:
        """The part of the answers that is right."""
        return self._right / self.n

    @property
    def chance(self) -> float | None:
        """What guessing gives, over the same samples; None where the task does not say."""
        return self._chance / self.n if self._knows_chance else None
