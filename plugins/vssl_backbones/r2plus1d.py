"""A small R(2+1)D: convolutions over space and over time take turns.

Paper: Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018 (arXiv 1711.11248),
sections 3.4 and 3.5. Deviations: one residual block a stage (the paper: two or more); the width between the two
convolutions is that of the output instead of the one that matches a 3-D convolution's parameters, widths start at 16,
and time is halved one stage later (short clips have few frames to lose).

Activations are kept as ``[B, T, H, W, C]``. A convolution over space then is a 2-D convolution of ``[B*T, H, W, C]``
and one over time a 2-D convolution of ``[B, T, H*W, C]``, both without copying; 2-D kernels are the faster ones (twice
as fast at 16x112x112 on a CPU as ``Conv3d`` with kernels (1, 3, 3) and (3, 1, 1), with the same arithmetic).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from vssl_backbones.layout import channels_last_
from vssl_core.contracts import Features
from vssl_core.data.input_mode import InputMode
from vssl_core.errors import ConfigError

__all__ = ["R2Plus1D"]


def _norm(norm: nn.Module, x_BTHWC: Tensor) -> Tensor:
    folded: Tensor = norm(x_BTHWC.flatten(0, 1).permute(0, 3, 1, 2))
    return folded.permute(0, 2, 3, 1).reshape(x_BTHWC.shape)


class _Conv2Plus1D(nn.Module):
    """3x3 over space, batch norm, ReLU, then 3 over time: ``[B, T, H, W, C]`` -> ``[B, t, h, w, D]``."""

    def __init__(self, in_channels: int, out_channels: int, space_stride: int = 1, time_stride: int = 1) -> None:
        super().__init__()
        self.space = nn.Conv2d(in_channels, out_channels, 3, space_stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.time = nn.Conv2d(out_channels, out_channels, (3, 1), (time_stride, 1), padding=(1, 0), bias=False)

    def forward(self, x_BTHWC: Tensor) -> Tensor:
        batch, frames = x_BTHWC.shape[:2]
        x = F.relu(self.norm(self.space(x_BTHWC.flatten(0, 1).permute(0, 3, 1, 2))), inplace=True)
        height, width = x.shape[2:]
        x = self.time(x.permute(0, 2, 3, 1).reshape(batch, frames, height * width, -1).permute(0, 3, 1, 2))
        return x.permute(0, 2, 3, 1).reshape(batch, x.shape[2], height, width, -1)


class _Block(nn.Module):
    """Two (2+1)-D convolutions beside a shortcut, which is a strided projection where the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, space_stride: int, time_stride: int) -> None:
        super().__init__()
        self.space_stride, self.time_stride = space_stride, time_stride
        self.conv1 = _Conv2Plus1D(in_channels, out_channels, space_stride, time_stride)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = _Conv2Plus1D(out_channels, out_channels)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Linear | None = None
        self.shortcut_norm: nn.BatchNorm2d | None = None
        if space_stride != 1 or time_stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Linear(in_channels, out_channels, bias=False)  # a 1x1x1 convolution
            self.shortcut_norm = nn.BatchNorm2d(out_channels)

    def forward(self, x_BTHWC: Tensor) -> Tensor:
        y = F.relu(_norm(self.norm1, self.conv1(x_BTHWC)), inplace=True)
        y = _norm(self.norm2, self.conv2(y))
        if self.shortcut is not None and self.shortcut_norm is not None:
            strided = x_BTHWC[:, :: self.time_stride, :: self.space_stride, :: self.space_stride]
            x_BTHWC = _norm(self.shortcut_norm, self.shortcut(strided))
        return F.relu(y + x_BTHWC, inplace=True)


class R2Plus1D(nn.Module):
    """R(2+1)D from float ``[B, 3, T, H, W]`` in [0, 1] to a map ``[B, D, t, h, w]``, any T, H, W >= 1.

    Space is halved by the stem (``stem_stride``) and by every stage but the first, time by every stage but the first
    two: 8 frames of 32 x 32 pixels give a map of 2 x 2 x 2.

    Args:
        widths: channels of the stages; the last one is ``embed_dim``.
        stem_stride: stride in space of the first convolution.
        input_mode: ``"raw"`` or ``"temporal-residual"``, see ``vssl_core.data.input_mode``.

    Raises:
        ConfigError: ``widths`` is empty or holds a number below 1.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (16, 32, 64, 128),
        stem_stride: int = 2,
        input_mode: str = "temporal-residual",
    ) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise ConfigError(
                f"backbone.widths={list(widths)}; expected one or more widths >= 1, such as [16,32,64,128]"
            )
        self.embed_dim = int(widths[-1])
        self.input_mode = input_mode
        self.sampling: Mapping[str, Any] = {}
        self.normalise = InputMode(input_mode)
        self.stem = _Conv2Plus1D(3, widths[0], space_stride=stem_stride)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        before = (widths[0], *widths[:-1])
        self.stages = nn.Sequential(
            *(
                _Block(i, o, space_stride=1 if stage < 1 else 2, time_stride=1 if stage < 2 else 2)
                for stage, (i, o) in enumerate(zip(before, widths, strict=True))
            )
        )
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        channels_last_(self)

    def forward(self, video: Tensor) -> Features:
        """Return features of float ``[B, 3, T, H, W]`` in [0, 1]."""
        x = self.normalise(video).permute(0, 2, 3, 4, 1).contiguous()
        x = self.stages(F.relu(_norm(self.stem_norm, self.stem(x)), inplace=True))
        return Features(map=x.permute(0, 4, 1, 2, 3), pooled=x.mean((1, 2, 3)))
