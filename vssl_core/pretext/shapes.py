"""What a backbone makes of clips of a given shape, found out when a task is built by giving it one."""

from __future__ import annotations

from typing import Any

import torch

from vssl_core.engine.task import evaluating
from vssl_core.errors import ConfigError

__all__ = ["map_shape"]


def map_shape(backbone: Any, frames: int, size: int, advice: str) -> tuple[int, int, int]:
    """Return ``(t, h, w)`` of the backbone's map of a clip of ``frames`` frames, ``size`` pixels square.

    One black clip goes through it in eval mode, without gradients: neither weights, buffers nor generators change.

    Args:
        backbone: maps float ``[B, 3, T, H, W]`` to ``Features``.
        frames: T.
        size: H and W.
        advice: what to do where the backbone does not take such clips, for the message.

    Raises:
        ConfigError: it does not take them.
    """
    weight = next(iter(backbone.parameters()), torch.zeros(()))
    clip = torch.zeros(1, 3, frames, size, size, device=weight.device)
    try:
        with evaluating(backbone):
            shape = backbone(clip).map.shape
    except (ConfigError, RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"{type(backbone).__name__} takes no clips of {frames} frames, {size}x{size} pixels ({error}); {advice}"
        ) from error
    return int(shape[2]), int(shape[3]), int(shape[4])
