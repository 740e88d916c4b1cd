"""A memory of the features of past batches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FeatureQueue"]


class FeatureQueue(nn.Module):
    """The newest ``size`` keys, first in, first out (MoCo, arXiv 1911.05722, section 3.2).

    It starts with random unit vectors, as officially, drawn from a generator of its own: the same in every run, and no
    draw of anybody else's is moved. Content and position are buffers: a resumed run goes on with the same negatives.

    Args:
        dim: D of the keys.
        size: how many are kept.
    """

    items: Tensor
    position: Tensor

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("items", F.normalize(torch.randn(size, dim, generator=generator), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Put float ``[B, D]`` in the place of the oldest; of more keys than ``size`` the last ones stay.

        Where ``size`` is no multiple of the batch the end wraps, unlike officially, where that is an error.
        """
        size = self.items.shape[0]
        kept = keys.detach()[-size:].to(self.items.dtype)
        at = (self.position + torch.arange(len(kept), device=kept.device)) % size
        self.items.index_copy_(0, at, kept)
        self.position.copy_((self.position + len(kept)) % size)
