"""What this package offers: tasks that reconstruct what was masked."""

from __future__ import annotations

from collections.abc import Iterable

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_tasks"]


@hookimpl
def vssl_tasks() -> Iterable[Spec]:
    """Offer ``videomae``."""
    yield Spec(
        name="videomae",
        target="vssl_masked.videomae:VideoMAE",
        config="vssl_masked.config:VideoMAEConfig",
        summary="reconstruct the pixels behind a tube mask",
        paper="2203.12602",
        requires=frozenset({"masking"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 2,
                "size": 32,
                "read_size": 0,
                "flip": 0.0,
                "mask_ratio": 0.75,
                "decoder_dim": 48,
                "decoder_depth": 2,
                "decoder_heads": 3,
            }
        },
    )
