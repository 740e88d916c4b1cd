"""R3D-18 and R(2+1)D-18 as torchvision builds them, without weights and without their classifier.

Paper: Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018 (arXiv 1711.11248),
table 1. Raw input is normalised as torchvision's Kinetics-400 weights ask for
(``torchvision.models.video.R3D_18_Weights``, ``R2Plus1D_18_Weights``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.video import r2plus1d_18, r3d_18

from vssl_backbones.layout import channels_last_
from vssl_core.contracts import Features
from vssl_core.data.input_mode import InputMode

__all__ = ["R3D18", "R2Plus1D18"]

_MEAN = (0.43216, 0.394666, 0.37645)
_STD = (0.22803, 0.22145, 0.216989)


class _VideoResNet(nn.Module):
    """The convolutional part of one of torchvision's video residual networks: ``stages.0`` (stem) to ``stages.4``."""

    embed_dim = 512

    def __init__(self, network: Any, input_mode: str) -> None:
        super().__init__()
        self.input_mode = input_mode
        self.sampling: Mapping[str, Any] = {}
        self.normalise = InputMode(input_mode, mean=_MEAN, std=_STD)
        self.stages = nn.Sequential(network.stem, network.layer1, network.layer2, network.layer3, network.layer4)
        channels_last_(self)

    def forward(self, video: Tensor) -> Features:
        """Return features of float ``[B, 3, T, H, W]`` in [0, 1]."""
        x = self.stages(self.normalise(video).contiguous(memory_format=torch.channels_last_3d))
        return Features(map=x, pooled=x.mean((2, 3, 4)))


class R3D18(_VideoResNet):
    """R3D-18 from float ``[B, 3, T, H, W]`` in [0, 1] to a map ``[B, 512, T/8, H/16, W/16]``, sizes rounded up.

    Args:
        input_mode: ``"raw"`` or ``"temporal-residual"``, see ``vssl_core.data.input_mode``.
    """

    def __init__(self, *, input_mode: str = "raw") -> None:
        super().__init__(r3d_18(weights=None), input_mode)


class R2Plus1D18(_VideoResNet):
    """R(2+1)D-18 from float ``[B, 3, T, H, W]`` in [0, 1] to a map ``[B, 512, T/8, H/16, W/16]``, sizes rounded up.

    Every 3-D convolution of R3D-18 is one over space and one over time, with as many channels between them as keep the
    number of parameters (section 3.5).

    Args:
        input_mode: ``"raw"`` or ``"temporal-residual"``, see ``vssl_core.data.input_mode``.
    """

    def __init__(self, *, input_mode: str = "raw") -> None:
        super().__init__(r2plus1d_18(weights=None), input_mode)
