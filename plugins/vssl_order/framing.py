"""What a recording gives away at its border and by its camera, and how to take it out of a clip.

The three ways here are those of D. Wei, J. Lim, A. Zisserman, W. Freeman, "Learning and Using the Arrow of Time" (CVPR
2018, section on artificial cues) as far as they need no more than the clip. Each is a function of the clip alone that
does not change when it is played backward, but for the order of its frames: what it looks at lies symmetric in time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vssl_core.data.transforms import crop_resize

__all__ = ["camera_shifts", "crop_border", "without_black_frame", "without_camera_shifts"]

# Weights of red, green and blue in a grey value (ITU-R BT.601).
_GREY = (0.299, 0.587, 0.114)
# Frequencies with less than this part of the strongest one's power say nothing: dividing by them would amplify noise.
_QUIET = 1e-3
# Cells a side in which a shift is put to the vote; how much of the difference may be left in one that is for it; and
# the part of all cells by which those for it must outnumber those against. Pans over photographs come to 0.26 and more,
# noise and all, a thing that moves before a plain wall to 0.1 and rarely to 0.2, a still camera to -0.8 where there is
# texture.
_CELLS, _NEARER, _AGREED = 8, 0.75, 0.25


def crop_border(video: Tensor, part: float) -> Tensor:
    """Cut ``part`` of the height off the top and off the bottom, and of the width off either side.

    Args:
        video: uint8 ``[B, T, H, W, 3]``.
        part: in [0, 0.5); at least a pixel is left.
    """
    height, width = video.shape[2:4]
    rows, columns = min(int(part * height), (height - 1) // 2), min(int(part * width), (width - 1) // 2)
    return video[:, :, rows : height - rows, columns : width - columns]


def without_black_frame(video: Tensor, level: float) -> Tensor:
    """Enlarge what is inside a black frame until it fills the picture.

    A row or column belongs to the black frame if its mean over all frames and channels is below ``level`` and so is
    that of all rows or columns between it and the nearest rim (official tool_process/README.md). What is left is cut
    to the picture's shape about its middle. Clips without a black frame, and black ones, stay as they are.

    Args:
        video: uint8 ``[B, T, H, W, 3]``.
        level: of 255.

    Returns:
        uint8 ``[B, T, H, W, 3]``.
    """
    height, width = video.shape[2:4]
    # Whole numbers add up to the same sum in either order of time.
    total = video.sum(dim=(1, 4), dtype=torch.int64)
    samples = video.shape[1] * video.shape[4]
    top, bottom = _inside(total.sum(dim=2), level * samples * width)
    left, right = _inside(total.sum(dim=1), level * samples * height)
    tall, wide = (bottom - top).float(), (right - left).float()
    scale = torch.minimum(tall / height, wide / width)
    box_height, box_width = scale * height, scale * width
    box = torch.stack([top + (tall - box_height) / 2, left + (wide - box_width) / 2, box_height, box_width], dim=1)
    return _as_read(crop_resize(video, box, (height, width), rim="box"))


def _inside(total: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Return the first line of int64 ``[B, N]`` that reaches ``least`` and the one after the last: int64 ``[B]``."""
    bright = (total >= least).to(torch.uint8)
    first, after = bright.argmax(dim=1), bright.shape[1] - bright.flip(1).argmax(dim=1)
    # Where no line is bright argmax gives the first, from both sides: the whole picture.
    return first, after


def camera_shifts(video: Tensor, largest: int) -> Tensor:
    """Return by how many pixels each frame's content lies lower and further right than on average.

    By phase correlation with the middle frame, or with both middle ones of an even number: the shift that most of the
    picture agrees on. Turns, zoom and what stands nearer than the rest are not seen.

    It takes texture. Before a plain wall phase correlation follows whatever moves there, so that shifts of a clip are
    believed only where they bring many more cells of the picture nearer to the middle frame than further away, all
    shifted frames counted together; else the camera stood still, and all are 0.

    Args:
        video: uint8 ``[B, T, H, W, 3]``.
        largest: shifts beyond this many pixels either way are not looked for.

    Returns:
        int64 ``[B, T, 2]``, rows first, each in [-largest, largest]; the largest and the smallest of a clip add up to
        0, or to 1 where their distance is odd.
    """
    grey = (video.to(torch.float32) * video.new_tensor(_GREY, dtype=torch.float32)).sum(dim=4)
    height, width = grey.shape[2:]
    taper = torch.hann_window(height, periodic=False, device=video.device)[:, None]
    taper = taper * torch.hann_window(width, periodic=False, device=video.device)
    spectrum = torch.fft.rfft2((grey - grey.mean(dim=(2, 3), keepdim=True)) * taper)
    # Played backward the two change places, and everything below with them.
    middles = ((video.shape[1] - 1) // 2, video.shape[1] // 2)
    first, second = (_agreement(spectrum, middle, (height, width), largest) for middle in middles)
    apart = _best(first[:, middles[1]] + second[:, middles[0]].flip(1, 2), largest)
    from_first = _best(first + _moved(second, apart), largest)
    seen = [(middles[0], from_first), (middles[1], from_first - apart[:, None])]
    ballots = [_vote(grey, grey[:, middle, None], shifts, largest) for middle, shifts in seen]
    lead, cells = (torch.stack(counts).sum(dim=0) for counts in zip(*ballots, strict=True))
    shifts = from_first - (from_first.amax(dim=1, keepdim=True) + from_first.amin(dim=1, keepdim=True)) // 2
    return torch.where((lead > _AGREED * cells)[:, None, None], shifts, 0)


def _agreement(spectrum: Tensor, middle: int, size: tuple[int, int], largest: int) -> Tensor:
    """Return how well each frame agrees with frame ``middle``, shifted by -largest to largest: ``[B, T, S, S]``."""
    cross = spectrum * spectrum[:, middle, None].conj()
    power = cross.abs()
    phase = cross / (power + _QUIET * power.amax(dim=(2, 3), keepdim=True)).clamp(min=1e-12)
    side = 2 * largest + 1
    return torch.fft.irfft2(phase, s=size).roll((largest, largest), dims=(2, 3))[:, :, :side, :side]


def _best(agreement: Tensor, largest: int) -> Tensor:
    """Return the shift of most agreement, int64 ``[..., 2]`` of ``[..., S, S]``, rows first."""
    side = 2 * largest + 1
    best = agreement.flatten(-2).argmax(dim=-1)
    return torch.stack([best // side, best % side], dim=-1) - largest


def _moved(agreement: Tensor, by: Tensor) -> Tensor:
    """Move ``[B, T, S, S]`` by int64 ``[B, 2]`` places; what comes in from outside is minus infinity."""
    places = torch.arange(agreement.shape[-1], device=agreement.device)
    rows, columns = places - by[:, :1], places - by[:, 1:]
    last = len(places) - 1
    inside = ((rows >= 0) & (rows <= last))[:, :, None] & ((columns >= 0) & (columns <= last))[:, None]
    sample = torch.arange(len(by), device=by.device)[:, None, None]
    found = agreement.permute(0, 2, 3, 1)[sample, rows.clamp(0, last)[:, :, None], columns.clamp(0, last)[:, None]]
    return found.permute(0, 3, 1, 2).masked_fill(~inside[:, None], -torch.inf)


def _vote(grey: Tensor, middle: Tensor, shifts: Tensor, largest: int) -> tuple[Tensor, Tensor]:
    """Count the cells that the shifts bring nearer to the middle frame, less those that they take away from it.

    Args:
        grey: float ``[B, T, H, W]``.
        middle: float ``[B, 1, H, W]``.
        shifts: int64 ``[B, T, 2]``; frames without one have no vote.
        largest: of them.

    Returns:
        int64 ``[B]``: this lead, and the cells of all frames that have a vote.
    """
    still = torch.zeros_like(shifts)
    kept = _inside_at(middle, still[:, :1], largest)
    after, before = (_cells(_inside_at(grey, at, largest) - kept) for at in (shifts, still))
    lead = (after < _NEARER * before).sum(dim=2) - (before < _NEARER * after).sum(dim=2)
    voting = (shifts != 0).any(dim=2)
    return (lead * voting).sum(dim=1), after.shape[2] * voting.sum(dim=1)


def _cells(difference: Tensor) -> Tensor:
    """Return the mean absolute value in each cell, float ``[B, T, cells]`` of ``[B, T, H, W]``."""
    return F.adaptive_avg_pool2d(difference.abs(), _CELLS).flatten(2)


def _inside_at(frames: Tensor, shifts: Tensor, largest: int) -> Tensor:
    """Cut ``largest`` pixels off each side of ``[B, T, H, W, ...]``, ``shifts`` int64 ``[B, T, 2]`` further down."""
    batch, length, height, width = frames.shape[:4]
    corner = largest + shifts
    rows = corner[..., :1] + torch.arange(height - 2 * largest, device=frames.device)
    columns = corner[..., 1:] + torch.arange(width - 2 * largest, device=frames.device)
    sample = torch.arange(batch, device=frames.device)[:, None, None, None]
    frame = torch.arange(length, device=frames.device)[None, :, None, None]
    return frames[sample, frame, rows[:, :, :, None], columns[:, :, None, :]]


def without_camera_shifts(video: Tensor, largest: int) -> Tensor:
    """Move every frame so that the background stands still, and cut ``largest`` pixels off each side for it.

    Args:
        video: uint8 ``[B, T, H, W, 3]``, more than ``2 * largest`` pixels a side.
        largest: see ``camera_shifts``.

    Returns:
        uint8 ``[B, T, H - 2 * largest, W - 2 * largest, 3]``: the pixels themselves, none resampled.
    """
    return _inside_at(video, camera_shifts(video, largest), largest)


def _as_read(clip: Tensor) -> Tensor:
    """Turn float ``[B, 3, T, H, W]`` in [0, 1] back into uint8 ``[B, T, H, W, 3]``."""
    return (clip * 255.0).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 4, 1)
