"""Options of the heads."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import option

__all__ = ["LinearConfig", "MLPConfig"]


@dataclass(kw_only=True, slots=True)
class LinearConfig:
    """Options of ``linear``."""

    dropout: float = option(0.0, "probability that a feature is dropped in training", minimum=0.0, maximum=0.95)
    batch_norm: bool = option(False, "standardise the features by the batch first, without learnt scale")


@dataclass(kw_only=True, slots=True)
class MLPConfig:
    """Options of ``mlp``."""

    hidden: int = option(512, "width of a hidden layer", minimum=1)
    layers: int = option(1, "hidden layers", minimum=1)
    dropout: float = option(0.0, "probability that a hidden unit is dropped in training", minimum=0.0, maximum=0.95)
    batch_norm: bool = option(False, "batch norm before each ReLU")
