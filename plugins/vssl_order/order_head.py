"""The head that names the order of several things from features of each pair of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["OrderHead"]


class OrderHead(nn.Module):
    """Features of n clips or frames to logits of their orders, by way of every pair of them.

    A shared linear layer and ReLU on each concatenated pair, all pairs concatenated, dropout, a linear layer: "pairwise
    feature extraction" of OPN (arXiv 1708.01246, section 3.3; official ``prototxt/train_opn_nobn.prototxt`` from fc7
    on, whose pairs stand in another order), taken over by VCOP (official ``models/vcopn.py``).

    Args:
        embed_dim: D of the features.
        clips: n.
        hidden: width of a pair's features.
        dropout: before the last layer.
        classes: orders told apart; ``None``: all n!.
    """

    def __init__(
        self, embed_dim: int, clips: int, hidden: int = 512, dropout: float = 0.5, classes: int | None = None
    ) -> None:
        super().__init__()
        self.pairs = list(itertools.combinations(range(clips), 2))
        self.pair = nn.Linear(2 * embed_dim, hidden)
        self.dropout = nn.Dropout(dropout)
        self.order = nn.Linear(hidden * len(self.pairs), math.factorial(clips) if classes is None else classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return float ``[B, classes]`` from n features float ``[B, D]``, in the order in which they are shown."""
        pairs = [F.relu(self.pair(torch.cat([features[i], features[j]], dim=1))) for i, j in self.pairs]
        logits: Tensor = self.order(self.dropout(torch.cat(pairs, dim=1)))
        return logits
