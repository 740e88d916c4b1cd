"""What a recording gives away at its border and by its camera, and how to take it out of a clip.

The three ways here are those of D. Wei, J. Lim, A. Zisserman, W. Freeman, "Learning and Using the Arrow of Time" (CVPR
2018, section on artificial cues) as far as they need no more than the clip. Each is a function of the clip alone that
does not change when it is played backward, but for the order of its frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vssl_core.data.transforms import crop_resize

__all__ = ["camera_shifts", "crop_border", "without_black_frame", "without_camera_shifts"]

# Weights of red, green and blue in a grey value (ITU-R BT.601).
_GREY = (0.299, 0.587, 0.114)
# Frequencies with less than this part of the strongest one's power say nothing: dividing by them would amplify noise.
_QUIET = 1e-3


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
    total = video.to(torch.int64).sum(dim=(1, 4))
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

    By phase correlation with the middle frame: the shift that most of the picture agrees on. Turns, zoom and what
    stands nearer than the rest are not seen.

    Args:
        video: uint8 ``[B, T, H, W, 3]``.
        largest: shifts beyond this many pixels either way are not looked for.

    Returns:
        int64 ``[B, T, 2]``, rows first, each in [-largest, largest]; the largest and the smallest of a clip are as far
        from 0.
    """
    grey = (video.to(torch.float32) * video.new_tensor(_GREY, dtype=torch.float32)).sum(dim=4)
    height, width = grey.shape[2:]
    taper = torch.hann_window(height, periodic=False, device=video.device)[:, None]
    taper = taper * torch.hann_window(width, periodic=False, device=video.device)
    spectrum = torch.fft.rfft2((grey - grey.mean(dim=(2, 3), keepdim=True)) * taper)
    cross = spectrum * spectrum[:, video.shape[1] // 2, None].conj()
    power = cross.abs()
    phase = cross / (power + _QUIET * power.amax(dim=(2, 3), keepdim=True)).clamp(min=1e-12)
    agreement = torch.fft.irfft2(phase, s=(height, width)).roll((largest, largest), dims=(2, 3))
    side = 2 * largest + 1
    best = agreement[:, :, :side, :side].flatten(2).argmax(dim=2)
    shifts = torch.stack([best // side, best % side], dim=2) - largest
    return shifts - (shifts.amax(dim=1, keepdim=True) + shifts.amin(dim=1, keepdim=True)) // 2


def without_camera_shifts(video: Tensor, largest: int) -> Tensor:
    """Move every frame so that the background stands still, and cut ``largest`` pixels off each side for it.

    Args:
        video: uint8 ``[B, T, H, W, 3]``, more than ``2 * largest`` pixels a side.
        largest: see ``camera_shifts``.

    Returns:
        uint8 ``[B, T, H - 2 * largest, W - 2 * largest, 3]``: the pixels themselves, none resampled.
    """
    batch, frames, height, width = video.shape[:4]
    tall, wide = height - 2 * largest, width - 2 * largest
    corner = largest + camera_shifts(video, largest)
    rows = corner[..., :1] + torch.arange(tall, device=video.device)
    columns = corner[..., 1:] + torch.arange(wide, device=video.device)
    sample = torch.arange(batch, device=video.device)[:, None, None, None]
    frame = torch.arange(frames, device=video.device)[None, :, None, None]
    return video[sample, frame, rows[:, :, :, None], columns[:, :, None, :]]


def _as_read(clip: Tensor) -> Tensor:
    """Turn float ``[B, 3, T, H, W]`` in [0, 1] back into uint8 ``[B, T, H, W, 3]``."""
    return (clip * 255.0).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 4, 1)
