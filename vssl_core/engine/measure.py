"""Size and arithmetic of a network, counted, not estimated."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vssl_core.engine.task import evaluating

__all__ = ["count_parameters", "flops_per_clip"]


def count_parameters(module: nn.Module) -> int:
    """Return the number of parameters, frozen ones too."""
    return sum(parameter.numel() for parameter in module.parameters())


def flops_per_clip(encoder: nn.Module, frames: int, size: int, device: torch.device) -> int:
    """Return the operations of one forward pass of a ``[1, 3, T, S, S]`` clip; a multiply-add counts two."""
    clip = torch.zeros(1, 3, frames, size, size, device=device)
    counter = FlopCounterMode(display=False)
    with evaluating(encoder), counter:
        encoder(clip)
    return int(counter.get_total_flops())
