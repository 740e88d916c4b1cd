"""What ``prp`` rebuilds clips with, and where its loss looks hardest.

Official code: https://github.com/yuanyao366/PRP (commit a0e42ba), ``models/sscn.py``, ``models/net_part.py`` and
``datasets/patch_region.py``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Decoder", "conv_block", "motion_attention"]

#: doublings of the official decoder, from a map of 2 x 7 x 7 to 32 frames of 112 x 112 pixels
_STAGES = 4
#: fewest channels of a stage; small networks would be left with next to none
_NARROWEST = 4


def conv_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a 3x3x3 convolution, batch norm and ReLU (official ``conv3d``)."""
    return nn.Sequential(nn.Conv3d(in_channels, out_channels, 3, padding=1), nn.BatchNorm3d(out_channels), nn.ReLU())


class Decoder(nn.Module):
    """Map ``[B, D, t, h, w]`` to a clip float ``[B, 3, T, H, W]`` >= 0 (PRP, section 3.3; official ``SSCN_OneClip``).

    A convolution block, three transposed convolutions each with a block that halves the width, a fourth transposed
    convolution and a block to three channels. The official ones double time, rows and columns each. Here an axis is
    doubled by as many of the four, the last ones, as bring the backbone's map nearest to the clip, and what is still
    missing is interpolated: a map of D x 2 x 7 x 7 for 32 frames of 112 x 112 pixels gets the official decoder.

    Args:
        dim: D; the widths are D, D/2, D/4, D/8, not below 4.
        source: ``(t, h, w)`` of the map.
        target: ``(T, H, W)`` of the clip.
    """

    def __init__(self, dim: int, source: tuple[int, int, int], target: tuple[int, int, int]) -> None:
        super().__init__()
        self.target = target
        doublings = [_doublings(a, b) for a, b in zip(source, target, strict=True)]
        widths = [max(_NARROWEST, dim // 2**k) for k in range(_STAGES)]
        self.refine = conv_block(dim, dim)
        stages: list[nn.Module] = []
        for stage in range(_STAGES):
            # Late stages double first: wide channels stay on small maps.
            time, rows, columns = (2 if stage >= _STAGES - n else 1 for n in doublings)
            strides = (time, rows, columns)
            before = dim if stage == 0 else widths[stage]
            after = widths[stage + 1] if stage + 1 < _STAGES else 3
            stages.append(nn.ConvTranspose3d(before, before, strides, strides))
            stages.append(conv_block(before, after))
        self.stages = nn.Sequential(*stages)
        # Half the time on a CPU: its kernels for 3-D convolutions want channels last.
        self.to(memory_format=torch.channels_last_3d)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Return the clip."""
        feature_map = feature_map.contiguous(memory_format=torch.channels_last_3d)
        clip: Tensor = self.stages(self.refine(feature_map))
        if clip.shape[2:] != self.target:
            clip = F.interpolate(clip, size=self.target, mode="trilinear", align_corners=False)
        return clip


def _doublings(source: int, target: int) -> int:
    return min(_STAGES, max(0, round(math.log2(target / source))))


def motion_attention(clips: Tensor, low: float, high: float) -> Tensor:
    """Return how much the error at each pixel counts: more where more moves (official ``getPatchLossMask_DPAU``).

    Squared differences of the four frames are averaged over time and over windows of a quarter of the side, a sixteenth
    apart (officially 28 and 7 of 112 pixels), stretched to ``low`` .. ``high`` channel by channel, and enlarged to the
    frame. Clips in which no window differs from another get ones.

    Args:
        clips: float ``[N, 3, 4, H, W]`` in [0, 1].
        low: weight of the windows that change least.
        high: weight of those that change most.

    Returns:
        float32 ``[N, 3, H, W]`` in [low, high].
    """
    height, width = clips.shape[-2:]
    window, step = (max(1, height // 4), max(1, width // 4)), (max(1, height // 16), max(1, width // 16))
    change = clips.float().diff(dim=2).square()
    change = F.avg_pool3d(change, (3, *window), (3, *step))[:, :, 0]
    least, most = change.amin((2, 3), keepdim=True), change.amax((2, 3), keepdim=True)
    # The official 1e-6 on both sides of the fraction: a channel that stands still alone counts in full.
    weight = low + (high - low) * (change - least + 1e-6) / (most - least + 1e-6)
    still = ((most - least) <= 0).all(dim=1, keepdim=True)
    weight = torch.where(still, torch.ones_like(weight), weight)
    return F.interpolate(weight, size=(height, width), mode="bilinear", align_corners=False)
