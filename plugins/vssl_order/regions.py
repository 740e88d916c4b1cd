"""Where in the frame to look: at random, or where most moves."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vssl_core.data.transforms import uniform

__all__ = ["cut_regions", "moving_corners", "random_corners"]

# Weights of red, green and blue in a grey value (ITU-R BT.601).
_GREY = (0.299, 0.587, 0.114)
# Places are compared a fraction of the region's side apart: nearer ones look at nearly the same pixels.
_STEPS = 8


def random_corners(seeds: Tensor, height: int, width: int, side: int, *, stream: int) -> Tensor:
    """Draw the top left corner of a square, uniform among whole pixels where it fits: int64 ``[B, 2]``, row first."""
    draws = uniform(seeds, 2, stream=stream)
    room = draws.new_tensor([height - side + 1, width - side + 1])
    return (draws * room).to(torch.int64)


def moving_corners(video: Tensor, side: int) -> Tensor:
    """Return the top left corner of the square in which the frames differ most (OPN, arXiv 1708.01246, section 3.1).

    Compared is the variance of the grey value over the frames, summed over the square: the order of the frames does not
    change it. Places lie an eighth of the side apart; of equal ones the upper left is taken.

    Args:
        video: uint8 ``[B, T, H, W, 3]``.
        side: of the square, in pixels, at most that of the frame.

    Returns:
        int64 ``[B, 2]``, row first.
    """
    step = max(1, side // _STEPS)
    grey = (video.to(torch.float32) * video.new_tensor(_GREY, dtype=torch.float32)).sum(dim=4)
    energy = F.avg_pool2d(grey.var(dim=1, unbiased=False)[:, None], side, stride=step)[:, 0]
    best = energy.flatten(1).argmax(dim=1)
    columns = energy.shape[2]
    return step * torch.stack([best // columns, best % columns], dim=1)


def cut_regions(video: Tensor, corner: Tensor, side: int) -> Tensor:
    """Cut a square out of every clip, the same for its frames.

    Args:
        video: uint8 ``[B, T, H, W, 3]``.
        corner: int64 ``[B, 2]``, row first, where the square fits.
        side: of the square, in pixels.

    Returns:
        uint8 ``[B, T, side, side, 3]``.
    """
    offset = torch.arange(side, device=video.device)
    sample = torch.arange(video.shape[0], device=video.device)[:, None, None, None]
    frame = torch.arange(video.shape[1], device=video.device)[None, :, None, None]
    rows = (corner[:, :1] + offset)[:, None, :, None]
    columns = (corner[:, 1:] + offset)[:, None, None, :]
    return video[sample, frame, rows, columns]
