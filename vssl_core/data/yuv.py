"""Clips left as video stores them, YUV 4:2:0: half the bytes of RGB to hand over and copy, converted on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from torch import Tensor

__all__ = ["PIXELS", "YuvBatch", "YuvClip", "rgb_matrix", "to_rgb"]

#: how readers hand frames over: ``"rgb24"``, or ``"yuv420"`` for what the device is to convert
PIXELS = ("rgb24", "yuv420")

# Weights of red and blue in luma (Rec. ITU-T H.273, table 4), by libav's number of the matrix. Where a file does not
# say, it is 601, as swscale takes it.
_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_BT601 = (0.299, 0.114)
_FULL_RANGE = 2


@dataclass(frozen=True, slots=True)
class YuvClip:
    """One view.

    Attributes:
        planes: uint8 ``[T, 3 H / 2, W]``: ``H`` rows of luma, then ``H / 4`` rows' worth of U and as many of V, each a
            plane of ``H / 2`` by ``W / 2``.
        to_rgb: float32 ``[3, 4]``: RGB in [0, 255] is ``to_rgb[:, :3] @ (Y, U, V) + to_rgb[:, 3]``.
    """

    planes: np.ndarray
    to_rgb: np.ndarray

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.planes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the planes."""
        return self.planes.shape


class YuvBatch(NamedTuple):
    """Views of one kind, stacked: ``planes`` uint8 ``[B, T, 3 H / 2, W]`` and ``to_rgb`` float32 ``[B, 3, 4]``."""

    planes: Tensor
    to_rgb: Tensor


def rgb_matrix(frame: VideoFrame) -> np.ndarray:
    """Return the ``to_rgb`` of a decoded frame: its matrix, and whether it uses the full range of values."""
    red, blue = _WEIGHTS.get(int(frame.colorspace), _BT601)
    full = frame.format.name.startswith("yuvj") or int(frame.color_range) == _FULL_RANGE
    luma, chroma, black = (1.0, 1.0, 0.0) if full else (255 / 219, 255 / 224, 16.0)
    green = 1 - red - blue
    from_u = np.array([0.0, -2 * blue * (1 - blue) / green, 2 * (1 - blue)]) * chroma
    from_v = np.array([2 * (1 - red), -2 * red * (1 - red) / green, 0.0]) * chroma
    offset = -luma * black - 128 * (from_u + from_v)
    return np.stack([np.full(3, luma), from_u, from_v, offset], axis=1).astype(np.float32)


def to_rgb(batch: YuvBatch) -> Tensor:
    """Convert a batch on the device that it is on.

    Colour is repeated over its two by two pixels, as swscale's plain conversion does; results differ from it by
    rounding.

    Returns:
        uint8 RGB ``[B, T, H, W, 3]``.
    """
    import torch

    planes, matrix = batch
    frames, rows, width = planes.shape[1:]
    height = rows * 2 // 3
    luma = planes[:, :, :height].to(torch.float32)
    small = planes[:, :, height:].reshape(planes.shape[0], frames, 2, height // 2, width // 2).to(torch.float32)
    chroma = small.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)
    channels = []
    for channel in range(3):
        y, u, v, offset = (matrix[:, channel, k].view(-1, 1, 1, 1) for k in range(4))
        channels.append(luma * y + chroma[:, :, 0] * u + chroma[:, :, 1] * v + offset)
    return torch.stack(channels, dim=-1).round_().clamp_(0, 255).to(torch.uint8)
