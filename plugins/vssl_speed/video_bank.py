"""A memory of one feature a video, and the contrast against it."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BankContrast", "VideoBank", "bank_contrast"]


class VideoBank(nn.Module):
    """Features of the videos seen so far, several kinds of each (the memory bank of Wu et al., arXiv 1805.01978).

    A video that comes again moves its features to ``momentum * old + (1 - momentum) * new``, at length 1. Where there
    are more videos than slots, a new one takes the slot that was filled longest ago. Slots begin with random unit
    vectors, drawn from a generator of its own. All of it are buffers: a resumed run goes on with the same negatives.

    Args:
        kinds: features of a video.
        dim: D of each.
        size: slots.
        momentum: in [0, 1).
    """

    features: Tensor
    video: Tensor
    position: Tensor

    def __init__(self, kinds: int, dim: int, size: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("features", F.normalize(torch.randn(kinds, size, dim, generator=generator), dim=2))
        self.register_buffer("video", torch.full((size,), -1, dtype=torch.int64))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    def others(self, index: Tensor) -> Tensor:
        """Return bool ``[B, size]``: which slots hold another video than int64 ``[B]`` says, or none yet."""
        return self.video[None] != index[:, None]

    @torch.no_grad()
    def moved(self, index: Tensor, features: Tensor) -> Tensor:
        """Return what would be kept of a batch, float ``[kinds, B, D]`` of length 1; nothing is kept.

        Args:
            index: int64 ``[B]``, which videos.
            features: float ``[kinds, B, D]`` of length 1.
        """
        match = self.video[None] == index[:, None]
        old = self.features[:, match.int().argmax(dim=1)]
        mixed = F.normalize(self.momentum * old + (1.0 - self.momentum) * features, dim=2)
        return torch.where(match.any(dim=1)[None, :, None], mixed, features.to(mixed.dtype))

    @torch.no_grad()
    def update(self, index: Tensor, features: Tensor) -> None:
        """Keep the features of a batch.

        Args:
            index: int64 ``[B]``, which videos; of one that stands there twice the first counts.
            features: float ``[kinds, B, D]`` of length 1.
        """
        size = len(self.video)
        rows = torch.arange(len(index), device=index.device)
        first = (index[None] == index[:, None]).int().argmax(dim=1) == rows
        index, moved = index[first], self.moved(index, features)[:, first]
        match = self.video[None] == index[:, None]
        known = match.any(dim=1)
        self.features.index_copy_(1, match.int().argmax(dim=1)[known], moved[:, known])
        # Of more new videos than slots the last ones stay: every slot is then written once.
        fresh, kept = moved[:, ~known][:, -size:], index[~known][-size:]
        slots = (self.position + torch.arange(len(kept), device=kept.device)) % size
        self.features.index_copy_(1, slots, fresh)
        self.video.index_copy_(0, slots, kept)
        self.position.copy_((self.position + len(kept)) % size)


class BankContrast(NamedTuple):
    """``loss`` (scalar, with gradient), ``top1`` and ``chance`` (detached scalars, means over the queries)."""

    loss: Tensor
    top1: Tensor
    chance: Tensor


def bank_contrast(query: Tensor, positive: Tensor, bank: Tensor, others: Tensor, temperature: float) -> BankContrast:
    """Return the cross-entropy of the positive among it and the features of other videos.

    ``top1`` is how often the positive is the nearest, ``chance`` how often a random candidate would be the positive.
    All in float32, under autocast too.

    Args:
        query: float ``[B, D]`` of length 1.
        positive: float ``[B, D]`` of length 1, one for each query.
        bank: float ``[K, D]`` of length 1.
        others: bool ``[B, K]``: which of them are negatives of each query.
        temperature: divides the cosine similarities, above 0.
    """
    # Autocast would round the similarities of the bank, and of it alone, to half precision.
    with torch.autocast(query.device.type, enabled=False):
        near = (query * positive).sum(dim=1, keepdim=True)
        far = (query @ bank.T).masked_fill(~others, -torch.inf)
        logits = torch.cat([near, far], dim=1) / temperature
        target = torch.zeros(len(query), dtype=torch.int64, device=query.device)
        top1 = (logits.argmax(dim=1) == 0).float().mean()
        chance = (1.0 / (1 + others.sum(dim=1))).mean()
        return BankContrast(F.cross_entropy(logits, target), top1.detach(), chance)
