"""Augmentation on the device: whole batches of clips, drawn from ``Batch.seeds`` alone and constant over a clip's time.

Crop, flip and blur are linear in rows and in columns, so each is a pair of small matrices per sample and costs two
batched products; antialiasing comes with it. Draws come from ``draws``: pure functions of (seed, stream).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vssl_core.data.draws import permutations, uniform
from vssl_core.errors import ConfigError

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_saturation",
    "augment_clip",
    "centre_clip",
    "crop_resize",
    "gaussian_blur",
    "permutations",
    "to_float",
    "to_grey",
    "uniform",
]

# Aspect ratio of the crop, as in torchvision's RandomResizedCrop.
_RATIO_LOW, _RATIO_HIGH = 3 / 4, 4 / 3
# Range of the blur's deviation, in pixels (SimCLR, appendix A).
_SIGMA_LOW, _SIGMA_HIGH = 0.1, 2.0
# Weights of R, G and B in luma (ITU-R BT.601), as torchvision rounds them.
_LUMA = (0.2989, 0.587, 0.114)
# augment_clip's own draws take the streams stream * _STREAMS + 0, 1, ...; callers' streams stay apart.
_STREAMS = 8
_CROP, _FLIP, _JITTER, _GREY, _BLUR = range(5)
_AUGMENT_STREAM = 1 << 20


def to_float(video: Tensor) -> Tensor:
    """Turn uint8 ``[B, T, H, W, 3]`` into contiguous float32 ``[B, 3, T, H, W]`` in [0, 1]."""
    return video.permute(0, 4, 1, 2, 3).to(torch.float32, memory_format=torch.contiguous_format).div_(255.0)


def augment_clip(
    video: Tensor,
    seeds: Tensor,
    *,
    size: int,
    crop_scale: float,
    flip: float,
    jitter: float,
    stream: int = 0,
    per_frame_jitter: bool = False,
    grey: float = 0.0,
    blur: float = 0.0,
) -> Tensor:
    """Crop, flip, jitter, grey and blur every clip in its own way; the same for all frames of a clip.

    Args:
        video: uint8 ``[B, T, H, W, 3]``.
        seeds: int64 ``[B]``.
        size: height and width of the result, in pixels.
        crop_scale: smallest part of the area that the random crop keeps (aspect ratio 3/4 to 4/3); 1: no crop.
        flip: probability of a horizontal flip of the clip.
        jitter: brightness, contrast and saturation factors are uniform in [1 - jitter, 1 + jitter]; 0: none.
        stream: which independent augmentation of the same seed; two views of a sample need two streams.
        per_frame_jitter: draw the jitter's factors for every frame by itself.
        grey: probability of turning the clip grey.
        blur: probability of a Gaussian blur, its deviation uniform in 0.1 .. 2 pixels.

    Returns:
        float32 ``[B, 3, T, size, size]`` in [0, 1].
    """
    batch, frames = video.shape[:2]
    base = _AUGMENT_STREAM + stream * _STREAMS
    box = _random_box(seeds, base + _CROP, video.shape[2], video.shape[3], crop_scale)
    flipped = uniform(seeds, 1, stream=base + _FLIP)[:, 0] < flip
    clip = crop_resize(to_float(video), box, size, flipped)
    if jitter > 0:
        low, high = max(0.0, 1.0 - jitter), 1.0 + jitter
        n = frames if per_frame_jitter else 1
        factors = uniform(seeds, 3 * n, stream=base + _JITTER, low=low, high=high).view(batch, 3, n)
        clip = adjust_brightness(clip, factors[:, 0])
        clip = adjust_contrast(clip, factors[:, 1])
        clip = adjust_saturation(clip, factors[:, 2])
    if grey > 0:
        chosen = uniform(seeds, 1, stream=base + _GREY)[:, 0] < grey
        clip = torch.where(chosen.view(-1, 1, 1, 1, 1), to_grey(clip), clip)
    if blur > 0:
        draws = uniform(seeds, 2, stream=base + _BLUR)
        sigma = _SIGMA_LOW + draws[:, 1] * (_SIGMA_HIGH - _SIGMA_LOW)
        clip = gaussian_blur(clip, sigma, chosen=draws[:, 0] < blur)
    return clip


def centre_clip(video: Tensor, size: int) -> Tensor:
    """Scale the short side to ``size`` and cut the centre, without randomness.

    Args:
        video: uint8 ``[B, T, H, W, 3]``.
        size: height and width of the result, in pixels.

    Returns:
        float32 ``[B, 3, T, size, size]`` in [0, 1].
    """
    height, width = video.shape[2:4]
    side = min(height, width)
    box = torch.tensor([(height - side) / 2, (width - side) / 2, side, side], dtype=torch.float32, device=video.device)
    return crop_resize(to_float(video), box.expand(video.shape[0], 4), size)


def _random_box(seeds: Tensor, stream: int, height: int, width: int, crop_scale: float) -> Tensor:
    """Return the crop of every sample: float32 ``[B, 4]`` of top, left, height, width in pixels."""
    if crop_scale >= 1.0:
        whole = torch.tensor([0.0, 0.0, height, width], dtype=torch.float32, device=seeds.device)
        return whole.expand(seeds.shape[0], 4)
    draws = uniform(seeds, 4, stream=stream)
    area = crop_scale + draws[:, 0] * (1.0 - crop_scale)
    # torchvision draws until the box fits; here the ratio is drawn among those that fit at this area.
    narrowest, widest = area * (width / height), (width / height) / area
    low = torch.minimum(narrowest.clamp(min=_RATIO_LOW), widest).log()
    high = torch.maximum(widest.clamp(max=_RATIO_HIGH), narrowest).log()
    ratio = torch.exp(low + draws[:, 1] * (high - low))
    pixels = area * float(height * width)
    box_height = (pixels / ratio).sqrt().clamp(max=float(height))
    box_width = (pixels * ratio).sqrt().clamp(max=float(width))
    top = draws[:, 2] * (height - box_height)
    left = draws[:, 3] * (width - box_width)
    return torch.stack([top, left, box_height, box_width], dim=1)


def crop_resize(clip: Tensor, box: Tensor, size: int, flipped: Tensor | None = None) -> Tensor:
    """Cut a box out of every clip and scale it, bilinear with antialiasing.

    Args:
        clip: float ``[B, 3, T, H, W]``.
        box: float ``[B, 4]``: top, left, height, width in pixels, inside the frame; fractions are allowed.
        size: height and width of the result.
        flipped: bool ``[B]``: mirror these left to right; ``None``: none.

    Returns:
        float ``[B, 3, T, size, size]``. A box of the whole frame at ``size`` leaves the values as they are.
    """
    height, width = clip.shape[-2:]
    rows = _resize_matrix(box[:, 0], box[:, 2], height, size)
    columns = _resize_matrix(box[:, 1], box[:, 3], width, size)
    if flipped is not None:
        columns = torch.where(flipped.view(-1, 1, 1), columns.flip(1), columns)
    return _apply(clip, rows, columns)


def _resize_matrix(start: Tensor, length: Tensor, source: int, size: int) -> Tensor:
    """Return float32 ``[B, size, source]``: the weights of source pixels in each result pixel, rows sum to 1."""
    scale = (length / size)[:, None, None]
    at = torch.arange(size, dtype=torch.float32, device=start.device)[None, :, None]
    centre = start[:, None, None] + (at + 0.5) * scale - 0.5
    # Samples past the box's rim repeat the outermost pixel of the box, as a resize of the cut box does.
    centre = torch.minimum(torch.maximum(centre, start[:, None, None]), (start + length)[:, None, None] - 1.0)
    pixel = torch.arange(source, dtype=torch.float32, device=start.device)[None, None, :]
    # A triangle as wide as a result pixel when shrinking, as wide as a source pixel when enlarging.
    weights = (1.0 - (pixel - centre).abs() / scale.clamp(min=1.0)).clamp(min=0.0)
    return weights / weights.sum(dim=2, keepdim=True)


def _apply(clip: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Multiply every frame by ``rows`` ``[B, h, H]`` from the left and by ``columns`` ``[B, w, W]`` from the right."""
    batch, channels, frames, height, width = clip.shape
    # Autocast would round pixels to half precision here.
    with torch.autocast(clip.device.type, enabled=False):
        flat = clip.reshape(batch, channels * frames * height, width)
        flat = torch.bmm(flat, columns.transpose(1, 2))
        flat = flat.view(batch, channels * frames, height, columns.shape[1])
        result = torch.matmul(rows[:, None], flat)
    return result.view(batch, channels, frames, rows.shape[1], columns.shape[1])


def _over_time(factor: Tensor) -> Tensor:
    """Shape factors ``[B]`` or ``[B, T]`` for ``[B, 3, T, H, W]``."""
    return factor.view(factor.shape[0], 1, -1, 1, 1)


def _luma(clip: Tensor) -> Tensor:
    """Return grey values ``[B, 1, T, H, W]``."""
    red, green, blue = clip.unbind(1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue).unsqueeze(1)


def adjust_brightness(clip: Tensor, factor: Tensor) -> Tensor:
    """Multiply float ``[B, 3, T, H, W]`` by ``factor`` ``[B]`` or ``[B, T]``, clamped; as torchvision does."""
    return (clip * _over_time(factor)).clamp_(0.0, 1.0)


def adjust_contrast(clip: Tensor, factor: Tensor) -> Tensor:
    """Blend float ``[B, 3, T, H, W]`` with each frame's mean grey; ``factor`` ``[B]`` or ``[B, T]``; as torchvision."""
    mean = _luma(clip).mean(dim=(-2, -1), keepdim=True)
    return torch.lerp(mean.expand_as(clip), clip, _over_time(factor)).clamp_(0.0, 1.0)


def adjust_saturation(clip: Tensor, factor: Tensor) -> Tensor:
    """Blend float ``[B, 3, T, H, W]`` with its grey version; ``factor`` ``[B]`` or ``[B, T]``; as torchvision."""
    return torch.lerp(_luma(clip).expand_as(clip), clip, _over_time(factor)).clamp_(0.0, 1.0)


def to_grey(clip: Tensor) -> Tensor:
    """Return float ``[B, 3, T, H, W]`` with its luma in all three channels."""
    return _luma(clip).expand_as(clip)


def gaussian_blur(clip: Tensor, sigma: Tensor, chosen: Tensor | None = None) -> Tensor:
    """Blur frames, each clip with its own deviation; the kernel is an odd tenth of the side, 3 pixels or more (SimCLR).

    Args:
        clip: float ``[B, 3, T, H, W]``.
        sigma: float ``[B]``, in pixels, > 0.
        chosen: bool ``[B]``: the clips to blur, the others stay as they are; ``None``: all.

    Raises:
        ConfigError: frames of fewer than 2 pixels a side.
    """
    height, width = clip.shape[-2:]
    rows, columns = _blur_matrix(sigma, height), _blur_matrix(sigma, width)
    if chosen is not None:
        keep = ~chosen.view(-1, 1, 1)
        rows = torch.where(keep, torch.eye(height, device=clip.device), rows)
        columns = torch.where(keep, torch.eye(width, device=clip.device), columns)
    return _apply(clip, rows, columns)


def _blur_matrix(sigma: Tensor, side: int) -> Tensor:
    """Return float32 ``[B, side, side]``: a Gaussian kernel whose overhang is reflected at the rim."""
    if side < 2:
        raise ConfigError(f"a frame of {side} pixels a side cannot be blurred; set blur=0 or a larger size")
    radius = max(1, math.ceil(side / 10) // 2)
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
