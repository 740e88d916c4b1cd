"""The NT-Xent loss over clips of videos, as a pure function of tensors."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["NTXent", "nt_xent"]

#: far below every similarity, so that its exponential is 0
_NOTHING = -1e9


class NTXent(NamedTuple):
    """Attributes: ``loss`` scalar; ``top1`` and ``chance`` scalars in [0, 1], detached means over clips."""

    loss: Tensor
    top1: Tensor
    chance: Tensor


def nt_xent(embedding: Tensor, video: Tensor, temperature: float) -> NTXent:
    """Return the normalised, temperature-scaled cross-entropy of clips (SimCLR eq. 1, CVRL eq. 1).

    For every clip i and every other clip p of its video: ``-log(exp(s_ip) / (exp(s_ip) + sum over clips k of other
    videos of exp(s_ik)))``, s the cosine similarity over ``temperature``; the mean over all such pairs (i, p). Further
    clips of the same video are no negatives (SlowFast's ``neg_mask``); with two clips a video this is SimCLR's loss.

    ``top1`` is how often the most similar other clip is of the same video, ``chance`` how often a random other clip
    would be.

    Args:
        embedding: float ``[N, D]``; computed in float32 also under autocast.
        video: int64 ``[N]``, which video each clip is of. A video that stands in the batch twice is one video.
        temperature: above 0.
    """
    unit = F.normalize(embedding.float(), dim=1)
    similarity = unit @ unit.T / temperature
    same = video[:, None] == video[None, :]
    itself = torch.eye(len(video), dtype=torch.bool, device=video.device)
    positive = same & ~itself
    # A large negative number instead of -inf: a batch of one video leaves nothing to repel, and its gradient must be 0.
    repelled = similarity.masked_fill(same, _NOTHING).logsumexp(dim=1, keepdim=True)
    pairs = torch.logaddexp(similarity, repelled.expand_as(similarity)) - similarity
    loss = torch.where(positive, pairs, torch.zeros_like(pairs)).sum() / positive.sum().clamp(min=1)
    with torch.no_grad():
        nearest = similarity.masked_fill(itself, -torch.inf).argmax(dim=1, keepdim=True)
        top1 = positive.gather(1, nearest).float().mean()
        chance = positive.float().sum(dim=1).mean() / max(1, len(video) - 1)
    return NTXent(loss, top1, chance)
