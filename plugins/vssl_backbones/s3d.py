"""S3D as torchvision builds it, without weights and without its classifier.

Paper: Xie et al., Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video Classification, ECCV
2018 (arXiv 1712.04851), section 4: I3D's Inception blocks with every 3-D convolution cut into one over space and one
over time. It is S3D without the feature gating of S3D-G. Raw input is normalised as torchvision's Kinetics-400 weights
ask for (``torchvision.models.video.S3D_Weights``).

Deviations: the last pool rounds sizes up, so that clips of fewer than 13 frames have features (from 16 frames of
224 x 224 pixels on nothing changes); features are the mean over the whole map, where torchvision first averages 2x7x7
windows, which at 224 pixels leaves one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.video import s3d

from vssl_backbones.layout import channels_last_
from vssl_core.contracts import Features
from vssl_core.data.input_mode import InputMode

__all__ = ["S3D"]

_MEAN = (0.43216, 0.394666, 0.37645)
_STD = (0.22803, 0.22145, 0.216989)


class S3D(nn.Module):
    """S3D from float ``[B, 3, T, H, W]`` in [0, 1] to a map ``[B, 1024, T/8, H/32, W/32]``, sizes rounded up.

    Args:
        norm_momentum: part of a batch in batch norm's running statistics. torchvision's 0.001 needs thousands of steps
            before features in eval mode mean anything.
        input_mode: ``"raw"`` or ``"temporal-residual"``, see ``vssl_core.data.input_mode``.
    """

    embed_dim = 1024

    def __init__(self, *, norm_momentum: float = 0.001, input_mode: str = "raw") -> None:
        super().__init__()
        self.input_mode = input_mode
        self.sampling: Mapping[str, Any] = {}
        self.normalise = InputMode(input_mode, mean=_MEAN, std=_STD)
        self.features: nn.Sequential = s3d(weights=None).features
        for layer in self.features.modules():
            if isinstance(layer, nn.BatchNorm3d):
                layer.momentum = norm_momentum
            elif isinstance(layer, nn.MaxPool3d) and layer.padding == (0, 0, 0):
                layer.ceil_mode = True
        channels_last_(self)

    def forward(self, video: Tensor) -> Features:
        """Return features of float ``[B, 3, T, H, W]`` in [0, 1]."""
        x = self.features(self.normalise(video).contiguous(memory_format=torch.channels_last_3d))
        return Features(map=x, pooled=x.mean((2, 3, 4)))
