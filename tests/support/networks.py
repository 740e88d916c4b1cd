"""Networks whose features can be worked out by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vssl_core.contracts import Features

__all__ = ["Blank", "FirstPixel"]


class FirstPixel(nn.Module):
    """Features of a clip: the first ``embed_dim`` channels of its first pixel."""

    def __init__(self, embed_dim: int = 3) -> None:
        super().__init__()
        self.embed_dim = embed_dim

    def forward(self, clips: Tensor) -> Features:
        pooled = clips[:, : self.embed_dim, 0, 0, 0]
        return Features(pooled[..., None, None, None], pooled)


class Blank(nn.Module):
    """Whatever the clip is, four zeros."""

    embed_dim = 4

    def forward(self, clip: Tensor) -> Features:
        return Features(torch.zeros(len(clip), 4, 1, 1, 1), torch.zeros(len(clip), 4))
