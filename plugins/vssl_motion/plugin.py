"""What this package offers: tasks that ask what moves, and where to."""

from __future__ import annotations

from collections.abc import Iterable

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_flows", "vssl_tasks"]


@hookimpl
def vssl_tasks() -> Iterable[Spec]:
    """Offer ``catch-the-patch`` and ``motion-stats``."""
    yield Spec(
        name="catch-the-patch",
        target="vssl_motion.catch_the_patch:CatchThePatch",
        config="vssl_motion.config:CatchThePatchConfig",
        summary="where patches go that were pasted onto a clip along random paths",
        paper="2105.01058",
        requires=frozenset({"map"}),
        recipes={
            "tiny": {
                "frames": 8,
                "size": 32,
                "read_size": 0,
                "flip": 0.0,
                "hue": 0.0,
                "short_video": "error",
                "strides": [1, 2, 3],
                "patches": 2,
                "scales": [10.0, 12.0, 14.0],
                "position_velocity": 2.0,
                "key_probabilities": [1.0],
                "paste_probability": 1.0,
                "masks": False,
                "hidden": 64,
                "roi_size": 3,
            }
        },
    )
    yield Spec(
        name="motion-stats",
        target="vssl_motion.motion_stats:MotionStats",
        config="vssl_motion.flow_config:MotionStatsConfig",
        summary="where most moves and which way, where colours change most and which they are",
        paper="1904.03597",
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 1,
                "size": 32,
                "read_size": 0,
                "crop_scale": 0.6,
                "flip": 0.0,
                "short_video": "error",
            }
        },
    )


@hookimpl
def vssl_flows() -> Iterable[Spec]:
    """Offer ``dis``."""
    yield Spec(
        name="dis",
        target="vssl_motion.dis:DenseInverseSearch",
        config="vssl_motion.flow_config:DenseInverseSearchConfig",
        summary="dense inverse search, from OpenCV: fast and classical",
        paper="1603.03590",
        extras=("flow",),
    )
