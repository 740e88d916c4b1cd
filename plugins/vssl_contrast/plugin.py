"""What this package offers: tasks that contrast clips of one video with those of others."""

from __future__ import annotations

from collections.abc import Iterable

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_tasks"]


@hookimpl
def vssl_tasks() -> Iterable[Spec]:
    """Offer ``simclr``."""
    yield Spec(
        name="simclr",
        target="vssl_contrast.simclr:SimCLR",
        config="vssl_contrast.config:SimCLRConfig",
        summary="clips of one video attract, those of others repel (CVRL, rho-SimCLR)",
        paper="2008.03800",
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 2,
                "size": 32,
                "read_size": 0,
                "crop_scale": 0.6,
                "flip": 0.0,
                "jitter": 0.4,
                "grey": 0.0,
                "blur": 0.0,
                "hidden": 128,
                "layers": 1,
                "projection": 64,
            }
        },
    )
