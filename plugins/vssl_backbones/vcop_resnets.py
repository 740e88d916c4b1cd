"""R3D and R(2+1)D with one block a stage: the 10-layer networks that the VCOP family reports its numbers with.

Used by Xu et al., Self-Supervised Spatiotemporal Learning via Video Clip Order Prediction, CVPR 2019, and after it by
VCP, PRP, IIC and others under the bare names "R3D" and "R(2+1)D". Official code:
github.com/xudejing/video-clip-order-prediction@7a1710d, ``models/r3d.py`` and ``models/r21d.py`` with
``layer_sizes=(1, 1, 1, 1)``, without classifier.

They differ from the 18-layer networks of torchvision (arXiv 1711.11248) in more than their depth. In R(2+1)D the width
between the convolutions over space and time is worked out for every convolution by itself, the stem's 83 and the 1x1x1
shortcuts' among them, where torchvision has 45 in the stem, one width a block and plain shortcuts. Weights start as
PyTorch's own ``Conv3d`` leaves them. Frames are not normalised: their code hands over what ``ToTensor`` gives, so raw
input here means [0, 1].

No deviation: the same weights give the same features.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssl_backbones.layout import channels_last_
from vssl_core.contracts import Features
from vssl_core.data.input_mode import InputMode

__all__ = ["R3D10", "R2Plus1D10"]

_Size = tuple[int, int, int]
_WIDTHS = (64, 64, 128, 256, 512)


class _Joint(nn.Module):
    """One convolution over space and time."""

    def __init__(self, in_channels: int, out_channels: int, kernel: _Size, stride: _Size) -> None:
        super().__init__()
        t, h, w = kernel
        self.conv = nn.Conv3d(in_channels, out_channels, kernel, stride, (t // 2, h // 2, w // 2), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        convolved: Tensor = self.conv(x)
        return convolved


class _Factored(nn.Module):
    """A convolution over space, batch norm, ReLU, then one over time, with about as many parameters as one over both.

    The width between them is that of arXiv 1711.11248, section 3.5, also where the kernel is 1 x 1 x 1.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: _Size, stride: _Size) -> None:
        super().__init__()
        t, h, w = kernel
        between = t * h * w * in_channels * out_channels // (h * w * in_channels + t * out_channels)
        self.space = nn.Conv3d(in_channels, between, (1, h, w), (1, *stride[1:]), (0, h // 2, w // 2), bias=False)
        self.norm = nn.BatchNorm3d(between)
        self.time = nn.Conv3d(between, out_channels, (t, 1, 1), (stride[0], 1, 1), (t // 2, 0, 0), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        convolved: Tensor = self.time(F.relu(self.norm(self.space(x)), inplace=True))
        return convolved


class _Block(nn.Module):
    """Two convolutions beside a shortcut, which is a strided 1x1x1 convolution where time and space are halved."""

    def __init__(
        self, conv: Callable[[int, int, _Size, _Size], nn.Module], in_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        halves = in_channels != out_channels
        stride = (2, 2, 2) if halves else (1, 1, 1)
        self.shortcut = conv(in_channels, out_channels, (1, 1, 1), stride) if halves else None
        self.shortcut_norm = nn.BatchNorm3d(out_channels) if halves else None
        self.conv1 = conv(in_channels, out_channels, (3, 3, 3), stride)
        self.norm1 = nn.BatchNorm3d(out_channels)
        self.conv2 = conv(out_channels, out_channels, (3, 3, 3), (1, 1, 1))
        self.norm2 = nn.BatchNorm3d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        if self.shortcut is not None and self.shortcut_norm is not None:
            x = self.shortcut_norm(self.shortcut(x))
        return F.relu(x + y, inplace=True)


class _Net(nn.Module):
    embed_dim = 512

    def __init__(self, conv: Callable[[int, int, _Size, _Size], nn.Module], input_mode: str) -> None:
        super().__init__()
        self.input_mode = input_mode
        self.sampling: Mapping[str, Any] = {}
        self.normalise = InputMode(input_mode, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        self.stem = conv(3, _WIDTHS[0], (3, 7, 7), (1, 2, 2))
        self.stem_norm = nn.BatchNorm3d(_WIDTHS[0])
        self.stages = nn.Sequential(*(_Block(conv, i, o) for i, o in itertools.pairwise(_WIDTHS)))
        channels_last_(self)

    def forward(self, video: Tensor) -> Features:
        """Return features of float ``[B, 3, T, H, W]`` in [0, 1]."""
        x = self.normalise(video).contiguous(memory_format=torch.channels_last_3d)
        x = self.stages(F.relu(self.stem_norm(self.stem(x)), inplace=True))
        return Features(map=x, pooled=x.mean((2, 3, 4)))


class R3D10(_Net):
    """The VCOP family's R3D: float ``[B, 3, T, H, W]`` in [0, 1] to a map ``[B, 512, T/8, H/16, W/16]``, rounded up.

    Args:
        input_mode: ``"raw"`` (pixels in [0, 1], as the family's code feeds them) or ``"temporal-residual"``, see
            ``vssl_core.data.input_mode``.
    """

    def __init__(self, *, input_mode: str = "raw") -> None:
        super().__init__(_Joint, input_mode)


class R2Plus1D10(_Net):
    """The VCOP family's R(2+1)D: float ``[B, 3, T, H, W]`` in [0, 1] to a map ``[B, 512, T/8, H/16, W/16]``.

    Sizes of the map are rounded up.

    Args:
        input_mode: ``"raw"`` (pixels in [0, 1], as the family's code feeds them) or ``"temporal-residual"``, see
            ``vssl_core.data.input_mode``.
    """

    def __init__(self, *, input_mode: str = "raw") -> None:
        super().__init__(_Factored, input_mode)
