"""Heads on pooled features."""

from __future__ import annotations

from torch import Tensor, nn

from vssl_core.contracts import Features

__all__ = ["MLP", "Linear"]


class Linear(nn.Module):
    """One linear layer: ``Features.pooled`` ``[B, D]`` -> float ``[B, n_outputs]``.

    Args:
        embed_dim: D.
        n_outputs: classes or numbers.
        dropout: probability that a feature is dropped in training.
        batch_norm: standardise the features by the batch first, without learnt scale and shift; the head then does not
            depend on the scale of the features.
    """

    def __init__(self, embed_dim: int, n_outputs: int, *, dropout: float = 0.0, batch_norm: bool = False) -> None:
        super().__init__()
        self.norm: nn.Module = nn.BatchNorm1d(embed_dim, affine=False) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(embed_dim, n_outputs)

    def forward(self, features: Features) -> Tensor:
        """Return outputs ``[B, n_outputs]``."""
        outputs: Tensor = self.linear(self.dropout(self.norm(features.pooled)))
        return outputs


class MLP(nn.Module):
    """Hidden layers with ReLU, then a linear layer: ``Features.pooled`` ``[B, D]`` -> float ``[B, n_outputs]``.

    Args:
        embed_dim: D.
        n_outputs: classes or numbers.
        hidden: width of a hidden layer.
        layers: hidden layers.
        dropout: probability that a hidden unit is dropped in training.
        batch_norm: batch norm before each ReLU.
    """

    def __init__(
        self,
        embed_dim: int,
        n_outputs: int,
        *,
        hidden: int = 512,
        layers: int = 1,
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        stack: list[nn.Module] = []
        width = embed_dim
        for _ in range(layers):
            stack.append(nn.Linear(width, hidden, bias=not batch_norm))
            if batch_norm:
                stack.append(nn.BatchNorm1d(hidden))
            stack += [nn.ReLU(inplace=True), nn.Dropout(dropout)]
            width = hidden
        self.layers = nn.Sequential(*stack, nn.Linear(width, n_outputs))

    def forward(self, features: Features) -> Tensor:
        """Return outputs ``[B, n_outputs]``."""
        outputs: Tensor = self.layers(features.pooled)
        return outputs
