"""Colour on the device: jitter, grey and normalising, each clip or frame by its own factors.

Clips are float ``[B, 3, T, H, W]``, RGB in [0, 1]; factors ``[B]`` hold for a whole clip, ``[B, T]`` frame by frame.
What torchvision.transforms.v2.functional makes of each frame is equal within 2e-6 on float input. On uint8 it rounds or
cuts off to steps of 1/255 after each operation: equal within 1/255 for hue, brightness and grey, and within 2/255 for
contrast and saturation by factors up to 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vssl_core.data.layout import over_time
from vssl_core.errors import ConfigError

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "channel_split",
    "colour_jitter",
    "normalise",
    "to_grey",
]

# Weights of R, G and B in luma (ITU-R BT.601), as torchvision rounds them.
_LUMA = (0.2989, 0.587, 0.114)
# The four operations of colour_jitter, by their numbers in ``order``; as torchvision's ColorJitter numbers them.
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)


def adjust_brightness(clip: Tensor, factor: Tensor) -> Tensor:
    """Multiply float ``[B, 3, T, H, W]`` by ``factor`` ``[B]`` or ``[B, T]``, clamped; as torchvision does."""
    return (clip * over_time(factor)).clamp_(0.0, 1.0)


def adjust_contrast(clip: Tensor, factor: Tensor) -> Tensor:
    """Blend float ``[B, 3, T, H, W]`` with each frame's mean grey; ``factor`` ``[B]`` or ``[B, T]``; as torchvision."""
    mean = _luma(clip).mean(dim=(-2, -1), keepdim=True)
    return torch.lerp(mean.expand_as(clip), clip, over_time(factor)).clamp_(0.0, 1.0)


def adjust_saturation(clip: Tensor, factor: Tensor) -> Tensor:
    """Blend float ``[B, 3, T, H, W]`` with its grey version; ``factor`` ``[B]`` or ``[B, T]``; as torchvision."""
    return torch.lerp(_luma(clip).expand_as(clip), clip, over_time(factor)).clamp_(0.0, 1.0)


def adjust_hue(clip: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue of float ``[B, 3, T, H, W]`` in HSV, as torchvision; ``turn`` ``[B]`` or ``[B, T]`` in [-0.5, 0.5].

    A turn of 1 would be the full circle.
    """
    red, green, blue = clip.unbind(1)
    high = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    chroma = high - low
    is_red, is_green = high == red, high == green
    # In sixths of the circle. Grey pixels get some hue, of no effect with a chroma of 0.
    hue = torch.where(is_red, green - blue, torch.where(is_green, blue - red, red - green))
    hue.div_(chroma.clamp(min=torch.finfo(chroma.dtype).tiny))
    hue.add_(torch.where(is_red, 0.0, torch.where(is_green, 2.0, 4.0)))
    hue.add_(6.0 * over_time(turn)[:, 0])
    channels = []
    for shift in (0.0, 4.0, 2.0):
        # Distance from the hue that a channel is darkest at; floor because torch.remainder is many times slower.
        share = hue + shift
        share.sub_((share / 6.0).floor_(), alpha=6.0)
        channels.append(torch.addcmul(low, chroma, share.sub_(3.0).abs_().sub_(1.0).clamp_(0.0, 1.0)))
    return torch.stack(channels, dim=1)


def to_grey(clip: Tensor) -> Tensor:
    """Return float ``[B, 3, T, H, W]`` with its luma in all three channels."""
    return _luma(clip).expand_as(clip)


def channel_split(clip: Tensor, channel: Tensor) -> Tensor:
    """Put one channel in the place of all three (OPN, arXiv 1708.01246).

    Args:
        clip: float ``[B, 3, T, H, W]``.
        channel: int64 ``[B]`` or ``[B, T]`` of 0, 1 or 2; a negative number: leave the clip or frame as it is.
    """
    at = over_time(channel)
    picked = torch.where(at == 0, clip[:, :1], torch.where(at == 1, clip[:, 1:2], clip[:, 2:]))
    return torch.where(at < 0, clip, picked)


def normalise(clip: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Subtract ``mean`` from float ``[B, 3, T, H, W]`` and divide by ``std``, per channel; as torchvision does.

    Raises:
        ConfigError: not one number a channel, or a deviation of 0.
    """
    channels = clip.shape[1]
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
        raise ConfigError(f"mean={list(mean)}, std={list(std)}: give {channels} numbers each, std above 0")
    shape = (1, channels, 1, 1, 1)
    centred = clip - torch.tensor(mean, dtype=clip.dtype, device=clip.device).view(shape)
    return centred.div_(torch.tensor(std, dtype=clip.dtype, device=clip.device).view(shape))


def colour_jitter(
    clip: Tensor,
    *,
    brightness: Tensor | None = None,
    contrast: Tensor | None = None,
    saturation: Tensor | None = None,
    hue: Tensor | None = None,
    order: Tensor | None = None,
) -> Tensor:
    """Adjust brightness, contrast, saturation and hue, in this order or in that of each sample.

    Args:
        clip: float ``[B, 3, T, H, W]`` in [0, 1].
        brightness: factors ``[B]`` or ``[B, T]``, >= 0; ``None``: leave it out.
        contrast: likewise.
        saturation: likewise.
        hue: ``[B]`` or ``[B, T]`` in [-0.5, 0.5]; ``None``: leave it out.
        order: int64 ``[B, 4]``: every row a permutation of 0 (brightness), 1 (contrast), 2 (saturation) and 3 (hue), as
            torchvision's ColorJitter draws it; ``None``: 0, 1, 2, 3 for all.

    Returns:
        float ``[B, 3, T, H, W]`` in [0, 1].
    """
    factors = [brightness, contrast, saturation, hue]
    if order is None:
        return _in_turn(clip, factors, range(4))
    if clip.device.type == "cpu" and clip.shape[0]:
        rows = order.tolist()
        one = [[None if f is None else f[at : at + 1] for f in factors] for at in range(len(rows))]
        return torch.cat([_in_turn(clip[at : at + 1], one[at], row) for at, row in enumerate(rows)])
    return _by_slots(clip, factors, order)


def _in_turn(clip: Tensor, factors: Sequence[Tensor | None], order: Sequence[int]) -> Tensor:
    """Do the four operations in one order for all samples."""
    adjust = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
    for number in order:
        factor = factors[number]
        if factor is not None:
            clip = adjust[number](clip, factor)
    return clip


def _by_slots(clip: Tensor, factors: Sequence[Tensor | None], order: Tensor) -> Tensor:
    """Do every sample's operations in its own order, without the host having to know it.

    Brightness, contrast and saturation all blend with something, so that one blend does any of them. What a sample does
    before its hue takes three blends and what it does after it three more, those it has no use for with a factor of 1.
    """
    hue = factors[_HUE]
    hue_at = (order == _HUE).to(torch.uint8).argmax(dim=1)
    for slot in range(3):
        clip = _blend(clip, factors, torch.where(slot < hue_at, order[:, slot], _HUE))
    if hue is not None:
        clip = adjust_hue(clip, hue)
    for slot in range(1, 4):
        clip = _blend(clip, factors, torch.where(slot > hue_at, order[:, slot], _HUE))
    return clip


def _blend(clip: Tensor, factors: Sequence[Tensor | None], number: Tensor) -> Tensor:
    """Do operation ``number`` int64 ``[B]`` of every sample; 3, the hue, and those without factors change nothing."""
    weight = torch.ones(1, 1, 1, 1, 1, dtype=clip.dtype, device=clip.device)
    chosen = [over_time(number == at) for at in range(3)]
    for at, factor in enumerate(factors[:_HUE]):
        if factor is not None:
            weight = torch.where(chosen[at], over_time(factor), weight)
    luma = _luma(clip)
    mean = luma.mean(dim=(-2, -1), keepdim=True)
    other = torch.where(chosen[_CONTRAST], mean, luma * chosen[_SATURATION])
    return torch.lerp(other.expand_as(clip), clip, weight).clamp_(0.0, 1.0)


def _luma(clip: Tensor) -> Tensor:
    """Return grey values ``[B, 1, T, H, W]``."""
    red, green, blue = clip.unbind(1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue).unsqueeze(1)
