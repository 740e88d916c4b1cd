"""What this package offers: tasks that ask how a clip was played."""

from __future__ import annotations

from collections.abc import Iterable

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_tasks"]


@hookimpl
def vssl_tasks() -> Iterable[Spec]:
    """Offer every task of this package."""
    yield Spec(
        name="rtt",
        target="vssl_speed.rtt:RecognizeTransformation",
        config="vssl_speed.config:RttConfig",
        summary="which temporal transformation was applied: speeds, random order, periodic, warp, ...",
        paper="2007.10730",
        requires=frozenset({"temporal"}),
        provides=frozenset({"accuracy"}),
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
                "per_frame_jitter": False,
                "grey": 0.0,
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
        provides=frozenset({"accuracy"}),
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
    yield Spec(
        name="speednet",
        target="vssl_speed.speednet:SpeedNet",
        config="vssl_speed.config:SpeedNetConfig",
        summary="is a clip played at normal speed or sped up, with shortcuts closed",
        paper="2004.06130",
        requires=frozenset({"map"}),
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 1,
                "size": 32,
                "crop_scale": 0.6,
                "flip": 0.0,
                "jitter": 0.2,
                "smallest": 24,
                "largest": 40,
                "side_step": 4,
                "short_video": "error",
            }
        },
    )
    yield Spec(
        name="prp",
        target="vssl_speed.prp:PlaybackRatePerception",
        config="vssl_speed.config:PrpConfig",
        summary="at which rate was a clip read, and what does it look like at twice that rate",
        paper="2006.11476",
        requires=frozenset({"map"}),
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 1,
                "size": 32,
                "strides": [1, 2, 4],
                "classification": 1.0,
                "classifier_rate": 1.0,
                "crop_scale": 0.6,
                "flip": 0.0,
                "jitter": 0.2,
                "short_video": "error",
            }
        },
    )
    yield Spec(
        name="transrank",
        target="vssl_speed.transrank:TransRank",
        config="vssl_speed.config:TransRankConfig",
        summary="which clip of a video is fastest, reversed, ...: ranked among each other, not classified",
        paper="2205.02028",
        requires=frozenset({"temporal"}),
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 1,
                "size": 32,
                "read_size": 0,
                "transforms": ["speed-1", "speed-3", "random", "palindrome-3"],
                "crop_scale": 0.6,
                "flip": 0.0,
                "jitter": 0.2,
                "short_video": "error",
            }
        },
    )
    yield Spec(
        name="rspnet",
        target="vssl_speed.rspnet:RelativeSpeed",
        config="vssl_speed.config:RspnetConfig",
        summary="which of two clips is played at the speed of a third; clips of one video attract",
        paper="2011.07949",
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 1,
                "size": 32,
                "read_size": 0,
                "speeds": [3],
                "crop_scale": 0.6,
                "flip": 0.0,
                "jitter": 0.2,
                "grey": 0.0,
                "hue": 0.0,
                "queue": 384,
                "momentum": 0.97,
                "short_video": "error",
            }
        },
    )
    yield Spec(
        name="vthcl",
        target="vssl_speed.vthcl:TempoConsistency",
        config="vssl_speed.config:VthclConfig",
        summary="a video read slowly and read fast attract, at several depths of the network",
        paper="2006.15489",
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 4,
                "ratio": 2,
                "size": 32,
                "read_size": 0,
                "crop_scale": 0.6,
                "flip": 0.0,
                "jitter": 0.4,
                "grey": 0.0,
                "hue": 0.0,
                "bank": 1024,
            }
        },
    )
