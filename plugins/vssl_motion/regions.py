"""The three ways in which ``motion-stats`` divides a frame (arXiv 1904.03597, figure 3), numbered as officially."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vssl_core.errors import ConfigError

__all__ = ["Pattern", "patterns"]


@dataclass(frozen=True)
class Pattern:
    """One division of square frames.

    Attributes:
        masks: bool ``[R, S, S]``: the pixels of each region; a pixel may be in two.
    """

    masks: Tensor

    @cached_property
    def area(self) -> Tensor:
        """Pixels of each region, float32 ``[R]``."""
        return self.masks.flatten(1).sum(dim=1).to(torch.float32)

    @cached_property
    def weights(self) -> Tensor:
        """The masks as float32 ``[S * S, R]``: multiplied by a picture's pixels they give sums over regions."""
        return self.masks.flatten(1).T.to(torch.float32).contiguous()

    @cached_property
    def region(self) -> Tensor:
        """The first region that each pixel is in, int64 ``[S * S]``."""
        return self.masks.flatten(1).to(torch.int8).argmax(dim=0)

    @cached_property
    def again(self) -> tuple[Tensor, Tensor]:
        """The pixels that are in a second region, and that region: int64 ``[P]`` each."""
        places = torch.arange(self.masks[0].numel(), device=self.masks.device)
        second = self.masks.flatten(1).clone()
        second[self.region, places] = False
        pixel, region = second.T.nonzero(as_tuple=True)
        return pixel, region

    def to(self, device: torch.device) -> Pattern:
        """Return this division on a device."""
        return self if self.masks.device == device else Pattern(self.masks.to(device))


def patterns(size: int) -> tuple[Pattern, Pattern, Pattern]:
    """Return the divisions of frames of ``size`` x ``size`` pixels.

    The first are 4 x 4 blocks, row by row. The second are four square rings from the middle outward. The third are
    eight triangles: each quarter of the frame, row by row, is cut along the line that runs to the frame's centre, which
    belongs to both halves; of the upper left and the lower right quarter the lower triangle comes first, of the others
    the upper one.

    Raises:
        ConfigError: ``size`` is no multiple of 8.
    """
    if size % 8:
        raise ConfigError(f"task.size={size} cannot be cut into blocks and rings: give a multiple of 8, such as 112")
    quarter, half, rim = size // 4, size // 2, size // 8
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")

    block = row // quarter * 4 + column // quarter
    blocks = torch.stack([block == number for number in range(16)])

    # How far inside the frame a pixel is, in eighths of the side: 3 in the middle, 0 at the rim.
    depth = torch.minimum(torch.minimum(row, size - 1 - row), torch.minimum(column, size - 1 - column)) // rim
    rings = torch.stack([depth == 3 - number for number in range(4)])

    # Row and column within a quarter, mirrored so that the cut is the diagonal.
    down, left = row % half, column % half
    right = half - 1 - left
    triangles = []
    for number in range(4):
        inside = (row // half == number // 2) & (column // half == number % 2)
        falling = number in (0, 3)
        across = left if falling else right
        lower, upper = inside & (down >= across), inside & (down <= across)
        triangles += [lower, upper] if falling else [upper, lower]
    return Pattern(blocks), Pattern(rings), Pattern(torch.stack(triangles))
