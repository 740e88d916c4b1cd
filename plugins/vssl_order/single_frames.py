"""Networks that see one frame at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vssl_core.engine.task import evaluating
from vssl_core.errors import ConfigError

__all__ = ["require_frame_features", "require_frame_order"]

# Features this part of the largest one apart are the same: means over time are rounded as frames are added up.
_SAME = 1e-4


def require_frame_features(backbone: Any, task: str) -> None:
    """Refuse a backbone without features of single frames.

    Raises:
        ConfigError: it has no ``frame_features``.
    """
    if not hasattr(backbone, "frame_features"):
        raise ConfigError(
            f"{task} compares single frames, {type(backbone).__name__} gives features of whole clips alone; choose a "
            "backbone that provides 'frames', such as timm/resnet18 or alexnet"
        )


def require_frame_order(backbone: Any, task: str, frames: int, size: int, otherwise: str = "") -> None:
    """Refuse a backbone to which a clip is the same in every order of its frames.

    Only one that has features of single frames can be of that kind: it is given a clip of noise in both directions, in
    eval mode and without gradients; neither weights, buffers nor generators change.

    Args:
        backbone: maps float ``[B, 3, T, H, W]`` to ``Features``.
        task: its name, for the message.
        frames: T.
        size: H and W.
        otherwise: what else can be done, for the message.

    Raises:
        ConfigError: its features, averaged over time, are the same in both directions.
    """
    if not hasattr(backbone, "frame_features"):
        return
    weight = next(iter(backbone.parameters()), torch.zeros(()))
    clip = torch.rand(1, 3, frames, size, size, generator=torch.Generator().manual_seed(0)).to(weight.device)
    with evaluating(backbone):
        forward, backward = backbone(clip), backbone(clip.flip(2))
    if _same(forward.pooled, backward.pooled) and _same(forward.map.mean(dim=2), backward.map.mean(dim=2)):
        raise ConfigError(
            f"{task} asks for the order of a clip's frames, and to {type(backbone).__name__} every order is the same "
            "(it averages features of single frames); choose a backbone that provides 'temporal', such as r3d-18 or "
            f"r2plus1d-tiny{otherwise}"
        )


def _same(forward: Tensor, backward: Tensor) -> bool:
    return bool((forward - backward).abs().max() <= _SAME * forward.abs().max())
