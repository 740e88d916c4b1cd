"""Masks and targets of masked autoencoding, as pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from vssl_core.data.transforms import permutations
from vssl_core.errors import ConfigError

__all__ = ["normalise_patches", "patches", "sinusoid_table", "tube_mask"]


def tube_mask(seeds: Tensor, grid: tuple[int, int, int], ratio: float, *, stream: int) -> tuple[Tensor, Tensor]:
    """Mask the same places in every time step (Tong et al. 2022, section 3.3; official ``TubeMaskingGenerator``).

    ``int(ratio * h * w)`` of the places are masked, drawn uniformly per sample.

    Args:
        seeds: int64 ``[B]``.
        grid: tokens in time, height and width.
        ratio: part masked, in [0, 1].
        stream: stream of the draw.

    Returns:
        ``(visible, masked)``: int64 ``[B, K]`` and ``[B, M]``, ascending token numbers, time slowest; ``K + M =
        t*h*w``.

    Raises:
        ConfigError: nothing or everything would be masked.
    """
    t, h, w = grid
    places = h * w
    n_masked = int(ratio * places)
    if not 0 < n_masked < places:
        raise ConfigError(
            f"task.mask_ratio={ratio} masks {n_masked} of {places} places ({h} x {w}); mask at least one, not all"
        )
    order = permutations(seeds, places, stream=stream)
    steps = torch.arange(t, device=seeds.device)[None, :, None] * places
    masked, visible = (part.sort(dim=1).values[:, None, :] for part in (order[:, :n_masked], order[:, n_masked:]))
    return (visible + steps).flatten(1), (masked + steps).flatten(1)


def patches(video: Tensor, patch_size: tuple[int, int, int]) -> Tensor:
    """Cut a video into the patches that tokens stand for.

    Args:
        video: float ``[B, C, T, H, W]``.
        patch_size: frames, rows and columns of a patch; they divide the video.

    Returns:
        float ``[B, N, P, C]``: token number (time slowest, then row), pixel within the patch (the same order), channel.
    """
    batch, channels, frames, height, width = video.shape
    pt, ph, pw = patch_size
    cut = video.reshape(batch, channels, frames // pt, pt, height // ph, ph, width // pw, pw)
    return cut.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(batch, -1, pt * ph * pw, channels)


def normalise_patches(target: Tensor) -> Tensor:
    """Standardise every channel of every patch over its pixels, as official ``train_one_epoch`` does.

    Args:
        target: float ``[B, N, P, C]``; P of 2 or more.

    Returns:
        the same shape; mean 0, unbiased deviation 1 up to the ``1e-6`` that is added to it.
    """
    mean = target.mean(dim=2, keepdim=True)
    deviation = target.var(dim=2, unbiased=True, keepdim=True).sqrt()
    return (target - mean) / (deviation + 1e-6)


def sinusoid_table(length: int, dim: int) -> Tensor:
    """Return the fixed positions of the decoder, float32 ``[length, dim]`` in [-1, 1].

    Column 2i is ``sin(n / 10000^(2i/dim))`` and column 2i+1 the cosine of the same angle, n the token's number (Vaswani
    et al. 2017, section 3.5; official ``get_sinusoid_encoding_table``).
    """
    column = torch.arange(dim, dtype=torch.float64)
    angle = torch.arange(length, dtype=torch.float64)[:, None] / 10_000 ** (2 * (column // 2) / dim)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos()).float()
