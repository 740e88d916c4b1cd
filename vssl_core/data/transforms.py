"""Augmentation on the device: whole batches of clips, drawn from ``Batch.seeds`` alone and constant over a clip's time.

``augment_clip`` is what most tasks need. Tasks that need other things compose them of its parts, importable from here:
``resample`` (crop, resize, blur), ``colour``, ``geometry`` (boxes, flips, turns, pieces), ``temporal``. Each says how
near it comes to torchvision's result for the same parameters. Draws come from ``draws``: functions of (seed, stream).

Why not kornia or torchvision.transforms.v2: both draw from the global generator, so that a sample's look would depend
on its batch. benchmarks/speed/augment.py compares the speed of the three.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vssl_core.data.colour import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    channel_split,
    colour_jitter,
    normalise,
    to_grey,
)
from vssl_core.data.draws import permutations, split_seeds, uniform
from vssl_core.data.geometry import (
    crop_pieces,
    grid_boxes,
    horizontal_flip,
    join_pieces,
    quarter_turns,
    random_boxes,
    shift_boxes,
)
from vssl_core.data.layout import to_float
from vssl_core.data.resample import Rim, Size, crop_resize, gaussian_blur, lower_resolution
from vssl_core.data.temporal import random_temporal_reverse, temporal_reverse
from vssl_core.errors import ConfigError

__all__ = [
    "Rim",
    "Size",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "augment_clip",
    "centre_clip",
    "channel_split",
    "colour_jitter",
    "crop_pieces",
    "crop_resize",
    "gaussian_blur",
    "grid_boxes",
    "horizontal_flip",
    "join_pieces",
    "lower_resolution",
    "normalise",
    "permutations",
    "quarter_turns",
    "random_boxes",
    "random_temporal_reverse",
    "shift_boxes",
    "split_seeds",
    "temporal_reverse",
    "to_float",
    "to_grey",
    "uniform",
]

# Range of the blur's deviation, in pixels (SimCLR, appendix A).
_SIGMA_LOW, _SIGMA_HIGH = 0.1, 2.0
# augment_clip's own draws take the streams stream * _STREAMS + 0, 1, ... of two blocks; callers' streams stay apart.
_STREAMS = 8
_AUGMENT_STREAM = 1 << 20
_CROP, _FLIP, _JITTER, _GREY, _BLUR = range(5)
_OPTION_STREAM = 1 << 21
_SHIFT, _HUE, _ORDER, _JITTERED, _SPLIT = range(5)


def augment_clip(
    video: Tensor,
    seeds: Tensor,
    *,
    size: Size,
    crop_scale: float,
    flip: float,
    jitter: float,
    stream: int = 0,
    per_frame_jitter: bool = False,
    grey: float = 0.0,
    per_frame_grey: bool = False,
    blur: float = 0.0,
    hue: float = 0.0,
    jitter_probability: float = 1.0,
    random_order: bool = False,
    channel_split_probability: float = 0.0,
    per_frame_flip: bool = False,
    per_frame_shift: float = 0.0,
    rim: Rim = "frame",
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
        per_frame_jitter: draw the jitter's factors, the hue's too, for every frame by itself.
        grey: probability of turning the clip grey.
        per_frame_grey: draw that for every frame by itself.
        blur: probability of a Gaussian blur, its deviation uniform in 0.1 .. 2 pixels.
        hue: the hue is turned by a part of the circle uniform in [-hue, hue], 0.5 at most; 0: none.
        jitter_probability: of the jitter, the hue with it; clips without it keep their colours.
        random_order: brightness, contrast, saturation and hue in an order drawn per clip, as torchvision's ColorJitter;
            else in this one.
        channel_split_probability: of one channel, drawn for the clip, in the place of all three.
        per_frame_flip: draw the flip for every frame by itself.
        per_frame_shift: move the crop in every frame by itself, up to this many pixels of ``video`` each way.
        rim: what a crop that shrinks reads at its edges, see ``crop_resize``; ``"box"`` is torchvision's way.

    Returns:
        float32 ``[B, 3, T, height, width]`` in [0, 1], up to rounding (1e-6).

    Raises:
        ConfigError: a hue above 0.5, or shifts of a crop that is the whole frame.
    """
    frames, height, width = video.shape[1:4]
    base, options = _AUGMENT_STREAM + stream * _STREAMS, _OPTION_STREAM + stream * _STREAMS
    box = random_boxes(seeds, height, width, scale=(crop_scale, max(1.0, crop_scale)), stream=base + _CROP)
    if per_frame_shift > 0:
        if crop_scale >= 1.0:
            raise ConfigError(f"per_frame_shift={per_frame_shift} needs a crop that can move; set crop_scale below 1")
        box = shift_boxes(
            box, seeds, frames, height=height, width=width, pixels=per_frame_shift, stream=options + _SHIFT
        )
    flipped = uniform(seeds, frames if per_frame_flip else 1, stream=base + _FLIP) < flip
    clip = crop_resize(video, box, size, flipped if per_frame_flip else flipped[:, 0], rim=rim)
    if jitter > 0 or hue > 0:
        factors = _jitter_factors(
            seeds,
            base,
            options,
            jitter=jitter,
            hue=hue,
            probability=jitter_probability,
            n=frames if per_frame_jitter else 1,
        )
        order = permutations(seeds, 4, stream=options + _ORDER) if random_order else None
        clip = colour_jitter(clip, **factors, order=order)
    if grey > 0:
        chosen = uniform(seeds, frames if per_frame_grey else 1, stream=base + _GREY) < grey
        clip = torch.where(chosen[:, None, :, None, None], to_grey(clip), clip)
    if channel_split_probability > 0:
        draws = uniform(seeds, 2, stream=options + _SPLIT)
        channel = (3 * draws[:, 1]).to(torch.int64)
        clip = channel_split(clip, torch.where(draws[:, 0] < channel_split_probability, channel, -1))
    if blur > 0:
        draws = uniform(seeds, 2, stream=base + _BLUR)
        sigma = _SIGMA_LOW + draws[:, 1] * (_SIGMA_HIGH - _SIGMA_LOW)
        clip = gaussian_blur(clip, sigma, chosen=draws[:, 0] < blur)
    return clip


def centre_clip(video: Tensor, size: Size) -> Tensor:
    """Scale each clip until it just covers ``size`` and cut the centre, without randomness.

    Args:
        video: uint8 ``[B, T, H, W, 3]``.
        size: height and width of the result, in pixels.

    Returns:
        float32 ``[B, 3, T, height, width]`` in [0, 1], up to rounding (1e-6).
    """
    height, width = video.shape[2:4]
    tall, wide = (size, size) if isinstance(size, int) else size
    box_height, box_width = (
        (height, height * wide / tall) if height * wide <= width * tall else (width * tall / wide, width)
    )
    place = [(height - box_height) / 2, (width - box_width) / 2, box_height, box_width]
    box = torch.tensor(place, dtype=torch.float32, device=video.device)
    return crop_resize(video, box.expand(video.shape[0], 4), size)


def _jitter_factors(
    seeds: Tensor, base: int, options: int, *, jitter: float, hue: float, probability: float, n: int
) -> dict[str, Tensor]:
    """Return ``colour_jitter``'s factors, float ``[B, n]`` each."""
    if hue > 0.5:
        raise ConfigError(f"hue={hue} is more than half of the circle; 0.5 draws every hue")
    factors: dict[str, Tensor] = {}
    if jitter > 0:
        low, high = max(0.0, 1.0 - jitter), 1.0 + jitter
        drawn = uniform(seeds, 3 * n, stream=base + _JITTER, low=low, high=high).unflatten(1, (3, n))
        factors = {"brightness": drawn[:, 0], "contrast": drawn[:, 1], "saturation": drawn[:, 2]}
    if hue > 0:
        factors["hue"] = uniform(seeds, n, stream=options + _HUE, low=-hue, high=hue)
    if probability < 1.0:
        jittered = uniform(seeds, 1, stream=options + _JITTERED) < probability
        factors = {
            name: torch.where(jittered, factor, 0.0 if name == "hue" else 1.0) for name, factor in factors.items()
        }
    return factors
