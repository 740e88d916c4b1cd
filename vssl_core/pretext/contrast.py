"""InfoNCE with given negatives."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["InfoNCE", "info_nce"]


class InfoNCE(NamedTuple):
    """``loss`` (scalar, with gradient) and ``top1`` (detached scalar: how often the positive was the nearest)."""

    loss: Tensor
    top1: Tensor


def info_nce(query: Tensor, positive: Tensor, negatives: Tensor, temperature: float) -> InfoNCE:
    """Return the cross-entropy of the positive among it and the negatives (MoCo, arXiv 1911.05722, equation 1).

    All are compared by cosine similarity, divided by ``temperature``, in float32 under autocast too.

    Args:
        query: float ``[B, D]``.
        positive: float ``[B, D]``, one for each query.
        negatives: float ``[K, D]``, the same for all queries, or ``[B, K, D]``.
        temperature: above 0.
    """
    # Autocast would round the similarities of the negatives, and of them alone, to half precision.
    with torch.autocast(query.device.type, enabled=False):
        query, positive = F.normalize(query.float(), dim=1), F.normalize(positive.float(), dim=1)
        negatives = F.normalize(negatives.float(), dim=-1)
        near = (query * positive).sum(dim=1, keepdim=True)
        far = query @ negatives.T if negatives.ndim == 2 else torch.einsum("bd,bkd->bk", query, negatives)
        logits = torch.cat([near, far], dim=1) / temperature
        target = torch.zeros(len(query), dtype=torch.int64, device=query.device)
        return InfoNCE(F.cross_entropy(logits, target), (logits.argmax(dim=1) == 0).float().mean().detach())
