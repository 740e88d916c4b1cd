"""Lightness and colour: from RGB to CIE Lab."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["rgb_to_lab"]

# From linear sRGB to XYZ (IEC 61966-2-1), and the white point D65.
_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.950456, 1.0, 1.088754)


def rgb_to_lab(clip: Tensor) -> Tensor:
    """Convert sRGB to CIE Lab under D65.

    Args:
        clip: float ``[B, 3, ...]`` in [0, 1].

    Returns:
        float32 ``[B, 3, ...]``: L in [0, 100], a and b about -110 to 110.
    """
    clip = clip.float()
    linear = torch.where(clip <= 0.04045, clip / 12.92, ((clip + 0.055) / 1.055) ** 2.4)
    # Autocast would round the product to half precision.
    with torch.autocast(clip.device.type, enabled=False):
        xyz = torch.einsum("xc,bc...->bx...", clip.new_tensor(_TO_XYZ), linear)
    white = clip.new_tensor(_WHITE).view(1, 3, *[1] * (clip.dim() - 2))
    share = xyz / white
    root = torch.where(share > 0.008856, share.clamp(min=1e-6) ** (1 / 3), 7.787 * share + 16 / 116)
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)
