"""The base class that most pretext tasks inherit from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vssl_core.contracts import Batch, Explanation, Planner, StepOutput

__all__ = ["BaseTask", "evaluating"]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put ``module`` in eval mode without gradients, and put every sub-module back as it was."""
    modes = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for child, training in modes:
            child.training = training


class BaseTask(nn.Module):
    """A pretext task with the contract's usual answers; a subclass gives ``planner``, ``augment`` and ``forward``.

    ``evaluate`` runs ``forward`` in eval mode and turns each of its metrics, taken as a mean over the batch, into a sum
    and a count. A task whose metrics are no batch means overrides it.

    ``asks_frame_order`` says that another order of the frames inside a view has another right answer, so that an audit
    cannot shuffle them and keep the target.
    """

    chance: float | None = None
    asks_frame_order: bool = False

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone

    def setup(self, n_videos: int, total_steps: int) -> None:
        """Nothing to prepare."""

    @abstractmethod
    def planner(self) -> Planner:
        """Return what decides which frames of a video are read."""

    @abstractmethod
    def augment(self, batch: Batch) -> Batch:
        """Turn uint8 views ``[B, T, H, W, 3]`` into float views ``[B, 3, T, H, W]`` in [0, 1]."""

    @abstractmethod
    def forward(self, batch: Batch) -> StepOutput:
        """Return the loss of an augmented batch."""

    def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
        """Return each metric of an augmented held-out batch as (sum over samples, samples); changes nothing."""
        with evaluating(self):
            output = self(batch)
        n = len(batch.index)
        values = dict(output.metrics) or {"loss": output.loss.detach()}
        return {name: (value.detach().float() * n, n) for name, value in values.items()}

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Return nothing: ``vssl preview`` then shows the targets as numbers."""
        return []

    def param_groups(self) -> list[dict[str, Any]]:
        """One group of every parameter that learns."""
        return [{"params": [parameter for parameter in self.parameters() if parameter.requires_grad]}]

    def after_step(self, step: int, total_steps: int) -> None:
        """Nothing follows the optimiser's step."""

    def encoder(self) -> nn.Module:
        """Return the backbone."""
        encoder: nn.Module = self.backbone
        return encoder
