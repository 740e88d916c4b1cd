"""A slowly moving copy of a network: the teacher, or key encoder, of momentum methods."""

from __future__ import annotations

from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import nn

__all__ = ["MomentumCopy"]


class MomentumCopy(nn.Module):
    """A frozen copy of ``module`` whose parameters follow it (MoCo, arXiv 1911.05722, equation 2), kept by timm.

    Its buffers are its own: in training mode its batch norms see and count their own batches, as in MoCo. It has no
    gradients and gives none; it stands in the task's ``state_dict``, so that a resumed run has the same teacher.

    Args:
        module: what is copied, with its weights of now.
        momentum: part of the old value that an update keeps, in [0, 1].
    """

    def __init__(self, module: nn.Module, momentum: float) -> None:
        super().__init__()
        self.average = ModelEmaV3(module, decay=momentum)
        self.average.requires_grad_(False)
        # ModelEmaV3 puts its copy in eval mode; ours follows the task's.
        self.average.module.train(module.training)

    def forward(self, *inputs: Any) -> Any:
        """Return what the copy makes of ``inputs``, without gradients."""
        with torch.no_grad():
            return self.average.module(*inputs)

    @property
    def module(self) -> nn.Module:
        """The copy itself."""
        return self.average.module

    @torch.no_grad()
    def update(self, online: nn.Module, momentum: float | None = None) -> None:
        """Move every parameter to ``momentum * own + (1 - momentum) * online``; buffers stay.

        Args:
            online: a module with the parameters that were copied.
            momentum: of this update, for schedules; ``None``: the constructor's.
        """
        decay = self.average.decay if momentum is None else momentum
        for own, theirs in zip(self.average.module.parameters(), online.parameters(), strict=True):
            own.lerp_(theirs, 1.0 - decay)
