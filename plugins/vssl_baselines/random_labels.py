"""``random-labels``: the placebo of a pretext task, the same work on targets that say nothing.

Background: H. Maennel et al., "What Do Neural Networks Learn When Trained With Random Labels?", NeurIPS 2020, arXiv
2006.10455: training on random labels aligns the first layers with the data, and can help or hurt later tasks. A network
trained on permuted pretext targets therefore gains over random initialisation, and only what a task gains over its
placebo is due to its question. No official code is followed.

Implemented: views, augmentation, head, loss, schedule and encoder of the task ``of``; its targets are permuted within
the batch, all of them together, so that their frequencies stay and their tie to the clip is gone. The permutation is
drawn from ``batch.seeds`` and so is a function of the batch. A sample keeps its own target with probability 1/B; a
batch of one keeps it always.

Tasks that also learn from something other than their targets, such as which clips come from one video, would go on
learning it: they say so by an attribute ``supervised_by_targets = False`` (tasks without it are taken to learn from
their targets alone) and are refused. So are tasks without targets; one whose ``augment`` makes them, and not its
planner, says ``supervised_by_targets = True``.

``evaluate`` permutes too: it shows what the placebo is asked, and that it stays at the task's ``chance``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vssl_baselines.asking import ask_planner
from vssl_core.contracts import Batch, Build, Planner, StepOutput
from vssl_core.data.transforms import uniform
from vssl_core.errors import ClipError, ConfigError, PluginError

__all__ = ["RandomLabels", "permute_targets"]

#: stream of the permutation; augmentations and first-party tasks use others
_STREAM = 977


def permute_targets(batch: Batch) -> Batch:
    """Return the batch with every target reordered by one permutation, uniform and drawn from ``batch.seeds``."""
    order = torch.argsort(uniform(batch.seeds, 1, stream=_STREAM)[:, 0], stable=True)
    return batch._replace(targets={name: value[order] for name, value in batch.targets.items()})


class RandomLabels(nn.Module):
    """Trains another task on its own targets, permuted within the batch.

    Raises:
        ConfigError: ``of`` makes no targets of its own, so that there is nothing to permute, or learns from more than
            its targets.
    """

    def __init__(self, backbone: nn.Module, *, build: Build, of: Any = "pace") -> None:
        super().__init__()
        advice = (
            "a placebo needs a task that makes its own targets, such as task.of=pace at the steps of the other task"
        )
        try:
            self.inner = build("tasks", of, backbone)
            _, targets = ask_planner(self.inner.planner())
        except (ConfigError, PluginError, ClipError) as error:
            raise ConfigError(f"task.of={of!r} cannot be the task of random-labels: {error} ({advice})") from error
        # What the planner does not make, ``augment`` may: the task then says that its targets are all it learns from.
        says: bool | None = getattr(self.inner, "supervised_by_targets", None)
        if not (targets or says) or isinstance(self.inner, RandomLabels):
            raise ConfigError(f"task.of={of!r} makes no targets of its own that could be permuted: {advice}")
        if says is False:
            raise ConfigError(
                f"task.of={of!r} learns from more than its targets (its supervised_by_targets is False), and permuting "
                f"them would leave the rest to be learnt: {advice}, or turn its other loss off"
            )
        self.chance: float | None = self.inner.chance

    def setup(self, n_videos: int, total_steps: int) -> None:
        """Set up the inner task."""
        self.inner.setup(n_videos, total_steps)

    def planner(self) -> Planner:
        """Return the inner task's planner: the views are its own."""
        planner: Planner = self.inner.planner()
        return planner

    def augment(self, batch: Batch) -> Batch:
        """Augment as the inner task does."""
        augmented: Batch = self.inner.augment(batch)
        return augmented

    def forward(self, batch: Batch) -> StepOutput:
        """Return the inner task's loss on permuted targets."""
        output: StepOutput = self.inner(permute_targets(batch))
        return output

    def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
        """Return the inner task's figures against permuted targets; they belong at ``chance``."""
        figures: Mapping[str, tuple[Tensor, int]] = self.inner.evaluate(permute_targets(batch))
        return figures

    def param_groups(self) -> list[dict[str, Any]]:
        """Return the inner task's parameter groups."""
        groups: list[dict[str, Any]] = self.inner.param_groups()
        return groups

    def after_step(self, step: int, total_steps: int) -> None:
        """Let the inner task follow the step."""
        self.inner.after_step(step, total_steps)

    def encoder(self) -> nn.Module:
        """Return the inner task's encoder."""
        encoder: nn.Module = self.inner.encoder()
        return encoder
