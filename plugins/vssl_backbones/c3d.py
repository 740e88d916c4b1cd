"""C3D with batch norm and without fully connected layers, as the VCOP family uses it.

Paper: Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015 (arXiv 1412.0767),
section 3.2 and figure 3: eight 3x3x3 convolutions and four pools (the paper's fifth pool, fc6 and fc7 are left out).
Official code of the form used here: github.com/xudejing/video-clip-order-prediction@7a1710d, ``models/c3d.py``: a
batch norm after every convolution, and the mean over the last map for features.

Weights start as PyTorch's own ``Conv3d`` leaves them and frames are not normalised, as in that code: raw input means
[0, 1].

Deviation: pools round sizes up where that code rounds them down, so that clips of one frame and frames of odd sizes
have features; at 16 frames of 112 x 112 pixels nothing is rounded and the same weights give the same features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vssl_backbones.layout import channels_last_
from vssl_core.contracts import Features
from vssl_core.data.input_mode import InputMode

__all__ = ["C3D"]

#: width of each convolution, and before it the pool where there is one
_LAYERS: tuple[tuple[int, tuple[int, int, int] | None], ...] = (
    (64, None),
    (128, (1, 2, 2)),  # time is kept at first, so that it does not collapse early (section 3.1 of the paper)
    (256, (2, 2, 2)),
    (256, None),
    (512, (2, 2, 2)),
    (512, None),
    (512, (2, 2, 2)),
    (512, None),
)


class C3D(nn.Module):
    """C3D from float ``[B, 3, T, H, W]`` in [0, 1] to a map ``[B, 512, T/8, H/16, W/16]``, sizes rounded up.

    Args:
        input_mode: ``"raw"`` (pixels in [0, 1], as the family's code feeds them) or ``"temporal-residual"``, see
            ``vssl_core.data.input_mode``.
    """

    embed_dim = 512

    def __init__(self, *, input_mode: str = "raw") -> None:
        super().__init__()
        self.input_mode = input_mode
        self.sampling: Mapping[str, Any] = {}
        self.normalise = InputMode(input_mode, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        layers: list[nn.Module] = []
        before = 3
        for width, pool in _LAYERS:
            if pool is not None:
                layers.append(nn.MaxPool3d(pool, pool, ceil_mode=True))
            layers += [nn.Conv3d(before, width, 3, padding=1), nn.BatchNorm3d(width), nn.ReLU(inplace=True)]
            before = width
        self.layers = nn.Sequential(*layers)
        channels_last_(self)

    def forward(self, video: Tensor) -> Features:
        """Return features of float ``[B, 3, T, H, W]`` in [0, 1]."""
        x = self.layers(self.normalise(video).contiguous(memory_format=torch.channels_last_3d))
        return Features(map=x, pooled=x.mean((2, 3, 4)))
