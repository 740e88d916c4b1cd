"""From features back to pixels, whatever network they come from: no stride of its map is assumed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssl_core.contracts import Features

__all__ = ["ClipDecoder", "FrameDecoder", "between", "narrowing"]

_NARROWEST = 8
# Slots of time in which FrameDecoder keeps a map: enough to tell earlier from later.
_SLOTS = 4


def between(start: Sequence[int], end: Sequence[int], steps: int) -> list[tuple[int, ...]]:
    """Return ``steps`` sizes from ``start`` (left out) to ``end``, each side growing by equal factors, rounded."""
    return [
        tuple(max(1, round(a * (b / a) ** (step / steps))) for a, b in zip(start, end, strict=True))
        for step in range(1, steps + 1)
    ]


def narrowing(width: int, n: int) -> list[int]:
    """Return ``n`` widths, ``width`` first, each half of the one before but 8 at least."""
    return [max(_NARROWEST, width >> at) for at in range(n)]


class ClipDecoder(nn.Module):
    """Turns features into a clip of any size: its map is enlarged and convolved ``stages`` times.

    Each place also sees the pooled features, so that it can reason about the whole clip: what the channel-wise fully
    connected layer does in context encoders (arXiv 1604.07379, section 3.1), which would fix the size of the map.

    Args:
        embed_dim: D of the features.
        width: channels at the map's own size; they are halved at each stage.
        stages: how many.
    """

    def __init__(self, embed_dim: int, width: int, stages: int) -> None:
        super().__init__()
        widths = narrowing(width, stages + 1)
        self.place = nn.Conv3d(embed_dim, width, 1)
        self.context = nn.Linear(embed_dim, width, bias=False)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv3d(a, b, 3, padding=1, bias=False), nn.BatchNorm3d(b), nn.ReLU())
            for a, b in pairwise(widths)
        )
        self.out = nn.Conv3d(widths[-1], 3, 3, padding=1)

    def forward(self, features: Features, size: Sequence[int]) -> Tensor:
        """Return float ``[B, 3, T, H, W]`` in (-1, 1), ``size`` being T, H and W."""
        x = self.place(features.map) + self.context(features.pooled)[:, :, None, None, None]
        for stage, enlarged in zip(self.stages, between(x.shape[2:], size, len(self.stages)), strict=True):
            x = stage(F.interpolate(x, size=enlarged, mode="nearest"))
        return torch.tanh(self.out(x))


class FrameDecoder(nn.Module):
    """Turns features of a clip into frames that are not in it, at several scales, each on top of the coarser one.

    As in Mathieu et al. (arXiv 1511.05440, section 3.1; official ``getPyrModel``): a scale's network sees the frames of
    the coarser scale, enlarged, and adds to them what is missing; a tanh follows. Beside them it sees the coarser
    scale's channels, enlarged, where officially it sees the past at its own scale.

    Args:
        embed_dim: D of the features.
        frames: how many are made.
        width: channels at the coarsest scale; they are halved at each finer one.
        scales: how many; each is twice as large as the one before, the last has the size of the frames.
    """

    def __init__(self, embed_dim: int, frames: int, width: int, scales: int) -> None:
        super().__init__()
        widths = narrowing(width, scales + 1)
        self.frames = frames
        seen = [0] + [3 * frames] * (scales - 1)  # channels of the coarser frames; the coarsest scale has none
        self.place = nn.Conv2d(embed_dim * _SLOTS, width, 1)
        self.context = nn.Linear(embed_dim, width, bias=False)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a + more, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for (a, b), more in zip(pairwise(widths), seen, strict=True)
        )
        self.outs = nn.ModuleList(nn.Conv2d(b, 3 * frames, 3, padding=1) for b in widths[1:])

    def forward(self, features: Features, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Return float ``[B, 3, frames, h, w]`` in (-1, 1) for each of ``sizes``, coarsest first."""
        slots = F.adaptive_avg_pool3d(features.map, (_SLOTS, *features.map.shape[3:]))
        x = self.place(slots.flatten(1, 2)) + self.context(features.pooled)[:, :, None, None]
        guesses: list[Tensor] = []
        for stage, out, size in zip(self.stages, self.outs, sizes, strict=True):
            x = F.interpolate(x, size=size, mode="nearest")
            coarse = F.interpolate(guesses[-1], size=(self.frames, *size), mode="nearest") if guesses else None
            x = stage(x if coarse is None else torch.cat((x, coarse.flatten(1, 2)), 1))
            missing = out(x).unflatten(1, (3, self.frames))
            guesses.append(torch.tanh(missing if coarse is None else missing + coarse))
        return guesses
