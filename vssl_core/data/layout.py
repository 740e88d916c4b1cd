"""How clips lie in memory: uint8 ``[B, T, H, W, 3]`` as read, float ``[B, 3, T, H, W]`` as networks take them."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["frame_size", "frames_as_clips", "over_time", "to_float"]


def to_float(video: Tensor) -> Tensor:
    """Turn uint8 ``[B, T, H, W, 3]`` into contiguous float32 ``[B, 3, T, H, W]`` in [0, 1]."""
    return video.permute(0, 4, 1, 2, 3).to(torch.float32, memory_format=torch.contiguous_format).div_(255.0)


def frame_size(clip: Tensor) -> tuple[int, int]:
    """Return height and width of the frames of uint8 ``[B, T, H, W, 3]`` or float ``[B, 3, T, H, W]``."""
    shape = clip.shape[2:4] if clip.dtype == torch.uint8 else clip.shape[3:5]
    return shape[0], shape[1]


def frames_as_clips(clip: Tensor) -> Tensor:
    """Make every frame a clip of its own: ``[B * T, 1, H, W, 3]`` or ``[B * T, 3, 1, H, W]``, sample by sample."""
    if clip.dtype == torch.uint8:
        return clip.flatten(0, 1)[:, None]
    return clip.transpose(1, 2).flatten(0, 1)[:, :, None]


def over_time(value: Tensor) -> Tensor:
    """Shape numbers per clip ``[B]`` or per frame ``[B, T]`` so that they broadcast over float ``[B, 3, T, H, W]``."""
    value = value if value.dim() == 2 else value[:, None]
    return value[:, None, :, None, None]
