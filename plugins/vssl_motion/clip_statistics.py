"""What ``motion-stats`` is to find: where and which way most moves, and where colour changes most, and which it is.

J. Wang et al., CVPR 2019, arXiv 1904.03597, sections 3.2 and 3.3; official code https://github.com/laura-wang/
video_repres_sts at e79986b (folder ``sts``) and, for motion alone, https://github.com/laura-wang/video_repres_mas at
1240135. Labels are whole numbers from 1 on, in the official order. All of it is computed on whole batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vssl_motion.regions import Pattern

__all__ = ["appearance_labels", "motion_boundaries", "motion_labels"]

_BINS = 8  # directions, and octants of the RGB cube
_LEVELS = 256


def motion_boundaries(flow: Tensor) -> Tensor:
    """Return the spatial derivatives of each component of flow: what is left where a camera moves everything alike.

    Prewitt's operator by true convolution, so that a value that grows to the right gives a negative first derivative;
    frames are mirrored at their rims (official ``compute_motion_boudary``).

    Args:
        flow: float ``[B, F, S, S, 2]``, pixels to the right and down.

    Returns:
        float32 ``[B, 2, F, 2, S, S]``: of u and of v, their derivatives along the row and down the column.
    """
    batch, frames, height, width, _ = flow.shape
    planes = flow.float().permute(0, 4, 1, 2, 3).reshape(-1, 1, height, width)
    # SciPy's "reflect" shows the outermost pixel twice: for a rim of one pixel that is to replicate it.
    padded = F.pad(planes, (1, 1, 1, 1), mode="replicate")
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    columns = padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]
    along, down = rows[..., :-2] - rows[..., 2:], columns[..., :-2, :] - columns[..., 2:, :]
    return torch.cat([along, down], dim=1).view(batch, 2, frames, 2, height, width)


def motion_labels(boundaries: Tensor, patterns: Sequence[Pattern]) -> Tensor:
    """Return the motion numbers of clips.

    Per division (section 3.2) and component: the region in which the boundaries, summed over the clip, are largest per
    pixel, and the direction, among 8, in which most of them point there. A boundary counts for the two directions next
    to it, by nearness. Then, per component, the frame whose boundaries are largest. Where nothing moves the first
    region, direction and frame are named, but of blocks 0 and 0, as officially.

    Args:
        boundaries: float ``[B, 2, F, 2, S, S]``, see ``motion_boundaries``.
        patterns: blocks, rings and triangles.

    Returns:
        int64 ``[B, 14]``: for each division region and direction of u, region and direction of v; frames of u and v.
    """
    summed = boundaries.sum(dim=2)
    strength = summed.square().sum(dim=2).sqrt()
    directions = _directions(summed, strength)
    labels = []
    for at, pattern in enumerate(patterns):
        amount = strength.flatten(2) @ pattern.weights
        region = (amount / pattern.area).argmax(dim=2)
        votes = (directions.flatten(3) @ pattern.weights).gather(3, region[:, :, None, None].expand(-1, -1, _BINS, 1))
        direction = votes[..., 0].argmax(dim=2)
        found = torch.stack([region + 1, direction + 1], dim=2)
        if at == 0:
            found = torch.where((amount.amax(dim=2) > 0)[..., None], found, 0)
        labels.append(found.flatten(1))
    frames = boundaries.square().sum(dim=3).sqrt().sum(dim=(3, 4)).argmax(dim=2) + 1
    return torch.cat([*labels, frames], dim=1)


def appearance_labels(clip: Tensor, patterns: Sequence[Pattern], *, dominant: str = "octant") -> Tensor:
    """Return the appearance numbers of clips.

    Per division (section 3.3): the region whose colours change most over the clip, its dominant colour, the region
    whose colours change least, its dominant colour; then the dominant colour of the whole clip. Change is told by the
    histograms of a region's frames, 256 bins a channel: the intersection of all of them over their union, mean of the
    channels. A colour is an octant of the RGB cube, numbered as officially.

    Args:
        clip: uint8 ``[B, 3, T, S, S]``, RGB.
        patterns: blocks, rings and triangles.
        dominant: ``"octant"``, the octant that holds most pixels, as the paper has it; ``"colour"``: the octant of the
            one colour that most pixels have exactly, as the official code computes it for speed.

    Returns:
        int64 ``[B, 13]``.
    """
    pixels = clip.flatten(3).to(torch.int64)
    octant = _octant(*pixels.unbind(1))
    # Of each pixel in how many frames it has each colour: float32, which matrices are multiplied in.
    votes = torch.stack([(octant == number).sum(dim=1) for number in range(_BINS)], dim=1).to(torch.float32)
    labels = []
    for pattern in patterns:
        alike = _overlap(pixels, pattern)
        by_region = (votes @ pattern.weights).argmax(dim=1)
        for region in (alike.argmin(dim=1), alike.argmax(dim=1)):
            if dominant == "octant":
                colour = by_region.gather(1, region[:, None])[:, 0]
            else:
                colour = _exact(pixels, pattern.masks.flatten(1)[region])
            labels += [region + 1, colour + 1]
    everywhere = torch.ones_like(pixels[:, 0, 0], dtype=torch.bool)
    overall = votes.sum(dim=2).argmax(dim=1) if dominant == "octant" else _exact(pixels, everywhere)
    return torch.stack([*labels, overall + 1], dim=1)


def _directions(summed: Tensor, strength: Tensor) -> Tensor:
    """Return how much each pixel counts for each direction, float ``[B, 2, 8, S, S]``."""
    angle = torch.atan2(summed[:, :, 1], summed[:, :, 0]) / (2 * math.pi / _BINS)
    angle = torch.where(angle < 0, angle + _BINS, angle)
    # A tiny negative angle rounds up to the full circle.
    lower = angle.floor().clamp(max=_BINS - 1)
    share = angle - lower
    near = torch.arange(_BINS, device=summed.device).view(1, 1, _BINS, 1, 1)
    bins = lower.to(torch.int64)[:, :, None]
    lower_votes = torch.where(near == bins, (strength * (1 - share))[:, :, None], 0.0)
    return lower_votes + torch.where(near == (bins + 1) % _BINS, (strength * share)[:, :, None], 0.0)


def _overlap(pixels: Tensor, pattern: Pattern) -> Tensor:
    """Return intersection over union of the histograms of each region's frames: float32 ``[B, R]``, channels' mean."""
    batch, channels, frames, _ = pixels.shape
    n_regions = pattern.masks.shape[0]
    bins = n_regions * _LEVELS
    begin = torch.arange(batch * frames, device=pixels.device).view(batch, frames, 1) * bins
    pixel, region = pattern.again
    shares = []
    for channel in range(channels):  # one by one: their indices together would be large
        values = begin + pixels[:, channel]
        index = torch.cat([values + pattern.region * _LEVELS, values[:, :, pixel] + region * _LEVELS], dim=2)
        counts = torch.bincount(index.flatten(), minlength=batch * frames * bins).to(torch.float32)
        counts = counts.view(batch, frames, n_regions, _LEVELS)
        shares.append(counts.amin(dim=1).sum(dim=2) / counts.amax(dim=1).sum(dim=2))
    return torch.stack(shares).mean(dim=0)


def _octant(red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    """Number octants as officially: dark blue adds 4, bright red 2, bright green 1."""
    half = _LEVELS // 2
    return (blue < half) * 4 + (red >= half) * 2 + (green >= half) * 1


def _exact(pixels: Tensor, mask: Tensor) -> Tensor:
    """Return the octant of the most frequent exact colour where bool ``mask`` ``[B, S * S]``, int64 ``[B]``."""
    # As one number, blue first: among colours equally frequent the official code takes the smallest.
    code = (pixels[:, 2] * _LEVELS + pixels[:, 1]) * _LEVELS + pixels[:, 0]
    most = torch.stack([_most_frequent(row[:, keep]) for row, keep in zip(code, mask, strict=True)])
    return _octant(most % _LEVELS, most // _LEVELS % _LEVELS, most // _LEVELS**2)


def _most_frequent(values: Tensor) -> Tensor:
    """Return the most frequent of some whole numbers, the smallest of several: a scalar."""
    found, counts = values.unique(return_counts=True)
    return found[counts.argmax()]
