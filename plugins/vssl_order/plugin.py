"""What this package offers: tasks that ask for the order of clips."""

from __future__ import annotations

from collections.abc import Iterable

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_tasks"]


@hookimpl
def vssl_tasks() -> Iterable[Spec]:
    """Offer ``clip-order``."""
    yield Spec(
        name="clip-order",
        target="vssl_order.clip_order:ClipOrder",
        config="vssl_order.config:ClipOrderConfig",
        summary="in which order were these clips of one video (VCOP)",
        paper="10.1109/CVPR.2019.01058",
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 1,
                "gap": 2,
                "size": 32,
                "read_size": 0,
                "fit": "short-side-crop",
                "hidden": 128,
            }
        },
    )
