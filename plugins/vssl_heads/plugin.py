"""Offers the heads."""

from __future__ import annotations

from collections.abc import Iterator

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_heads"]


@hookimpl
def vssl_heads() -> Iterator[Spec]:
    """Yield the heads."""
    yield Spec(
        name="linear",
        target="vssl_heads.heads:Linear",
        config="vssl_heads.config:LinearConfig",
        summary="one linear layer on the pooled features",
    )
    yield Spec(
        name="mlp",
        target="vssl_heads.heads:MLP",
        config="vssl_heads.config:MLPConfig",
        summary="hidden layers with ReLU on the pooled features",
    )
