"""Resampling on the device: crop, resize and blur, each clip by its own numbers and all of them together.

All three are linear in rows and in columns, so each is a pair of small matrices per sample and costs two batched
products; antialiasing comes with it.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from vssl_core.data.layout import frame_size, frames_as_clips, to_float
from vssl_core.errors import ConfigError

__all__ = ["Rim", "Size", "crop_resize", "gaussian_blur", "lower_resolution"]

#: Height and width in pixels; one number: both.
Size: TypeAlias = int | tuple[int, int]
#: What a shrinking crop reads at its edges: pixels of the ``"frame"`` beyond the box too, or of the ``"box"`` alone.
Rim: TypeAlias = Literal["frame", "box"]

# Smallest side of a result whose clips are multiplied one by one on a CPU: below it libraries add up a single clip in
# another order than a batch, and the last bit of a result would change.
_SINGLY = 12


def crop_resize(clip: Tensor, box: Tensor, size: Size, flipped: Tensor | None = None, *, rim: Rim = "frame") -> Tensor:
    """Cut a box out of every clip or frame and scale it, bilinear with antialiasing.

    With ``rim="box"`` and boxes of whole pixels equal to torchvision's ``resized_crop(..., BILINEAR, antialias=True)``
    within 2e-6 on float input and 1/255 on uint8, where torchvision rounds; with ``rim="frame"`` only whole frames are.

    Args:
        clip: float ``[B, 3, T, H, W]``, or uint8 ``[B, T, H, W, 3]``, which is scaled to [0, 1].
        box: float ``[B, 4]``, or ``[B, T, 4]`` for a box per frame: top, left, height, width in pixels, inside the
            frame, 1 pixel or more a side; fractions are allowed.
        size: height and width of the result.
        flipped: bool ``[B]`` or ``[B, T]``: mirror these left to right; ``None``: none.
        rim: ``"frame"``: where a box shrinks, its outermost pixels blend with those beyond it, as if the frame were
            scaled and then cut; ``"box"``: no pixel whose centre is outside counts, as if it were cut and then scaled.

    Returns:
        float ``[B, 3, T, height, width]``, in the range of the input up to rounding (1e-6). A box of the whole frame at
        its own size leaves the values as they are.

    Raises:
        ConfigError: an unknown ``rim``, or a size below 1.
    """
    result_height, result_width = _pair(size)
    if rim not in get_args(Rim):
        raise ConfigError(f"rim={rim!r} is not one of {', '.join(map(repr, get_args(Rim)))}")
    height, width = frame_size(clip)
    batch, frames = clip.shape[0], clip.shape[1 if clip.dtype == torch.uint8 else 2]
    per_frame = box.dim() == 3 or (flipped is not None and flipped.dim() == 2)
    if per_frame:
        box = (box if box.dim() == 3 else box[:, None].expand(-1, frames, -1)).reshape(-1, 4)
        if flipped is not None:
            flipped = (flipped if flipped.dim() == 2 else flipped[:, None].expand(-1, frames)).reshape(-1)
        clip = frames_as_clips(clip)
    rows = _resize_matrix(box[:, 0], box[:, 2], height, result_height, rim)
    columns = _resize_matrix(box[:, 1], box[:, 3], width, result_width, rim)
    if flipped is not None:
        columns = torch.where(flipped.view(-1, 1, 1), columns.flip(1), columns)
    result = _apply(clip, rows, columns)
    if per_frame:
        result = result.view(batch, frames, 3, result_height, result_width).transpose(1, 2).contiguous()
    return result


def lower_resolution(clip: Tensor, side: Tensor) -> Tensor:
    """Shrink every clip's frames and enlarge them again: detail goes, the shape stays.

    What is left of scaling each clip to a size of its own (SpeedNet, arXiv 2004.06130) where clips of one batch share a
    shape. Equal to torchvision's ``resize`` to the smaller size and back (BILINEAR, antialias=True) within 2e-6 on
    float input and 2/255 on uint8, where torchvision rounds both times.

    Args:
        clip: float ``[B, 3, T, H, W]``.
        side: float or int ``[B]``: the shorter side in between, in pixels; the longer one follows, rounded. Sides
            from that of the frame on change nothing.

    Returns:
        float ``[B, 3, T, H, W]``.
    """
    height, width = clip.shape[-2:]
    share = side.to(torch.float32) / min(height, width)
    matrices = []
    for length in (height, width):
        between = (share * length).round().clamp(min=1.0, max=float(length))
        zero = torch.zeros_like(between)
        # Rows past ``between`` hold nothing of use; the way back reads none of them.
        shrink = _weights(zero, zero + length, length / between, length, length, "frame")
        enlarge = _weights(zero, between, between / length, length, length, "box")
        matrices.append(torch.bmm(enlarge, shrink))
    return _apply(clip, *matrices)


def gaussian_blur(clip: Tensor, sigma: Tensor, chosen: Tensor | None = None, *, kernel: Size | None = None) -> Tensor:
    """Blur frames, each clip with its own deviation, the rim reflected.

    Equal to torchvision's ``gaussian_blur`` of the same kernel and deviation within 1e-5 on float input and 1/255 on
    uint8, where torchvision rounds.

    Args:
        clip: float ``[B, 3, T, H, W]``.
        sigma: float ``[B]``, in pixels, > 0.
        chosen: bool ``[B]``: the clips to blur, the others stay as they are; ``None``: all.
        kernel: odd size of the kernel in pixels, height first (torchvision's takes the width first); ``None``: an odd
            tenth of the side, 3 pixels or more (SimCLR).

    Raises:
        ConfigError: frames of fewer than 2 pixels a side, an even kernel, or one that reaches past the reflected frame.
    """
    height, width = clip.shape[-2:]
    tall, wide = (_tenth(height), _tenth(width)) if kernel is None else _pair(kernel)
    if chosen is not None and clip.device.type == "cpu":
        # Elsewhere the host would wait for the device here; identity matrices cost less.
        at = chosen.nonzero()[:, 0]
        return clip.index_copy(0, at, gaussian_blur(clip[at], sigma[at], kernel=(tall, wide)))
    rows, columns = _blur_matrix(sigma, height, tall), _blur_matrix(sigma, width, wide)
    if chosen is not None:
        keep = ~chosen.view(-1, 1, 1)
        rows = torch.where(keep, torch.eye(height, device=clip.device), rows)
        columns = torch.where(keep, torch.eye(width, device=clip.device), columns)
    return _apply(clip, rows, columns)


def _pair(size: Size) -> tuple[int, int]:
    """Return height and width."""
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ConfigError(f"a size of {height} x {width} pixels is impossible; give 1 or more")
    return height, width


def _resize_matrix(start: Tensor, length: Tensor, source: int, size: int, rim: Rim) -> Tensor:
    """Return float32 ``[B, size, source]``: the weights of source pixels in each result pixel, rows sum to 1."""
    return _weights(start, length, length / size, source, size, rim)


def _weights(start: Tensor, length: Tensor, scale: Tensor, source: int, size: int, rim: Rim) -> Tensor:
    """Return the matrix of ``size`` result pixels, each ``scale`` source pixels wide, from ``start`` on."""
    start, length, scale = start[:, None, None], length[:, None, None], scale[:, None, None]
    at = torch.arange(size, dtype=torch.float32, device=start.device)[None, :, None]
    pixel = torch.arange(source, dtype=torch.float32, device=start.device)[None, None, :]
    first, last = start, (start + length) - 1.0
    if rim == "box":
        first, last = (start - 0.5).ceil().clamp(min=0.0), (start + length - 0.5).floor().clamp(max=source - 1.0)
        # Counted from the box on: float32 is finer there, and torchvision knows nothing but the box.
        pixel, first, last, start = pixel - start, first - start, last - start, torch.zeros_like(start)
    # Samples past the box's rim repeat the outermost pixel of the box, as a resize of the cut box does.
    centre = torch.minimum(torch.maximum(start + (at + 0.5) * scale - 0.5, first), last)
    # A triangle as wide as a result pixel when shrinking, as wide as a source pixel when enlarging.
    weights = (1.0 - (pixel - centre).abs() / scale.clamp(min=1.0)).clamp(min=0.0)
    if rim == "box":
        weights = weights * ((pixel >= first) & (pixel <= last))
    return weights / weights.sum(dim=2, keepdim=True)


def _tenth(side: int) -> int:
    """Return the odd kernel size nearest below a tenth of the side, 3 or more."""
    return 2 * max(1, math.ceil(side / 10) // 2) + 1


def _blur_matrix(sigma: Tensor, side: int, size: int) -> Tensor:
    """Return float32 ``[B, side, side]``: a Gaussian kernel whose overhang is reflected at the rim."""
    if side < 2:
        raise ConfigError(f"a frame of {side} pixels a side cannot be blurred; set blur=0 or a larger size")
    radius = size // 2
    if size % 2 == 0 or radius >= side:
        raise ConfigError(f"a blur kernel of {size} pixels does not fit {side}: give an odd size below {2 * side}")
    offset = torch.arange(-radius, radius + 1, device=sigma.device)
    kernel = torch.exp(-0.5 * (offset.to(torch.float32)[None] / sigma[:, None]) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    at = torch.arange(side, device=sigma.device)[:, None] + offset[None]
    at = at.abs()
    at = torch.where(at > side - 1, 2 * (side - 1) - at, at)
    matrix = torch.zeros(sigma.shape[0], side, side, device=sigma.device)
    # One-hot sum instead of scatter_add_, which is not deterministic on CUDA.
    for tap in range(2 * radius + 1):
        matrix = matrix + torch.nn.functional.one_hot(at[:, tap], side)[None] * kernel[:, tap].view(-1, 1, 1)
    return matrix


def _apply(clip: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Multiply every frame by ``rows`` ``[B, h, H]`` from the left and by ``columns`` ``[B, w, W]`` from the right.

    float ``[B, 3, T, H, W]`` or uint8 ``[B, T, H, W, 3]``, scaled to [0, 1], -> float ``[B, 3, T, h, w]``.
    """
    # Autocast would round pixels to half precision here.
    with torch.autocast(clip.device.type, enabled=False):
        if clip.device.type == "cpu" and clip.shape[0] and min(rows.shape[1], columns.shape[1]) >= _SINGLY:
            # A clip at a time stays in the processor's cache, and only what its box reads is converted and multiplied.
            spans = zip(_span(rows), _span(columns), strict=True)
            cut = [
                _multiply(clip[at : at + 1], rows[at : at + 1], columns[at : at + 1], *span)
                for at, span in enumerate(spans)
            ]
            return torch.cat(cut)
        return _multiply(clip, rows, columns, (0, rows.shape[2]), (0, columns.shape[2]))


def _span(matrix: Tensor) -> list[tuple[int, int]]:
    """Return per sample the first source pixel of ``[B, size, source]`` that counts and the one after the last."""
    used = (matrix != 0).any(dim=1).to(torch.uint8)
    first, after = used.argmax(dim=1), used.shape[1] - used.flip(1).argmax(dim=1)
    return list(zip(first.tolist(), after.tolist(), strict=True))


def _multiply(clip: Tensor, rows: Tensor, columns: Tensor, tall: tuple[int, int], wide: tuple[int, int]) -> Tensor:
    """Do the two products of ``_apply`` over the pixels ``tall`` of each column and ``wide`` of each row."""
    top, bottom, left, right = *tall, *wide
    if clip.dtype == torch.uint8:
        clip = to_float(clip[:, :, top:bottom, left:right])
    else:
        clip = clip[..., top:bottom, left:right]
    batch, channels, frames, height, width = clip.shape
    flat = clip.reshape(batch, channels * frames * height, width)
    flat = torch.bmm(flat, columns[:, :, left:right].transpose(1, 2))
    flat = flat.view(batch, channels * frames, height, columns.shape[1])
    result = torch.matmul(rows[:, None, :, top:bottom], flat)
    return result.view(batch, channels, frames, rows.shape[1], columns.shape[1])
