"""What this package offers: tasks that ask how a clip was played."""

from __future__ import annotations

from collections.abc import Iterable

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_tasks"]


@hookimpl
def vssl_tasks() -> Iterable[Spec]:
    """Offer ``rtt`` and ``pace``."""
    yield Spec(
        name="rtt",
        target="vssl_speed.rtt:RecognizeTransformation",
        config="vssl_speed.config:RttConfig",
        summary="which temporal transformation was applied: speeds, random order, periodic, warp, ...",
        paper="2007.10730",
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 1,
                "size": 32,
                "read_size": 0,
                "transforms": ["speed-1", "speed-3", "random", "palindrome-3", "reversed"],
                "crop_scale": 0.6,
                "flip": 0.0,
                "jitter": 0.2,
                "short_video": "error",
            }
        },
    )
    yield Spec(
        name="pace",
        target="vssl_speed.pace:Pace",
        config="vssl_speed.config:PaceConfig",
        summary="how fast a clip was played, among rates 1..4",
        paper="2008.05861",
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 1,
                "size": 32,
                "read_size": 0,
                "rates": 4,
                "crop_scale": 0.6,
                "flip": 0.0,
                "jitter": 0.2,
                "per_frame_jitter": False,
                "short_video": "error",
            }
        },
    )
