"""Time on the device: clips played backwards."""

from __future__ import annotations

import torch
from torch import Tensor

from vssl_core.data.draws import uniform

__all__ = ["random_temporal_reverse", "temporal_reverse"]


def temporal_reverse(video: Tensor, chosen: Tensor) -> Tensor:
    """Play clips backwards: uint8 ``[B, T, H, W, 3]`` or float ``[B, 3, T, H, W]`` where bool ``chosen`` ``[B]``."""
    time = 1 if video.dtype == torch.uint8 else 2
    return torch.where(chosen.view(-1, 1, 1, 1, 1), video.flip(time), video)


def random_temporal_reverse(
    video: Tensor, seeds: Tensor, *, stream: int, probability: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Play each clip backwards at random.

    Args:
        video: uint8 ``[B, T, H, W, 3]`` or float ``[B, 3, T, H, W]``.
        seeds: int64 ``[B]``.
        stream: see ``uniform``.
        probability: of a reversal.

    Returns:
        The clips, and bool ``[B]``: which of them run backwards.
    """
    chosen = uniform(seeds, 1, stream=stream)[:, 0] < probability
    return temporal_reverse(video, chosen), chosen
