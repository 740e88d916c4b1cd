"""What this package offers: tasks that ask for the order of frames and clips."""

from __future__ import annotations

from collections.abc import Iterable

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_tasks"]


@hookimpl
def vssl_tasks() -> Iterable[Spec]:
    """Offer the tasks, the eldest first."""
    yield Spec(
        name="shuffle-learn",
        target="vssl_order.shuffle_learn:ShuffleLearn",
        config="vssl_order.config:ShuffleLearnConfig",
        summary="are these three frames in the order of time (Shuffle & Learn)",
        paper="1603.08561",
        requires=frozenset({"frames"}),
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "stride": 8,
                "spread": 4,
                "size": 32,
                "read_size": 0,
                "crop_scale": 0.7,
                "positive": 0.5,
                "hidden": 128,
                "short_video": "fitting",
            }
        },
    )
    yield Spec(
        name="opn",
        target="vssl_order.opn:OrderPrediction",
        config="vssl_order.config:OpnConfig",
        summary="in which order were these frames filmed, up to reversal (OPN)",
        paper="1708.01246",
        requires=frozenset({"frames"}),
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "stride": 16,
                "size": 32,
                "read_size": 0,
                "region": 0,
                "crop_scale": 0.8,
                "flip": 0.0,
                "frame_shift": 1.0,
                "frame_width": 128,
                "hidden": 128,
                "dropout": 0.0,
                "short_video": "fitting",
            }
        },
    )
    yield Spec(
        name="odd-one-out",
        target="vssl_order.odd_one_out:OddOneOut",
        config="vssl_order.config:OddOneOutConfig",
        summary="which of several clips of one video is out of order (O3N)",
        paper="1611.06646",
        requires=frozenset({"temporal"}),
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 1,
                "size": 32,
                "read_size": 0,
                "clips": 3,
                "flip": 0.0,
                "short_video": "error",
            }
        },
    )
    yield Spec(
        name="clip-order",
        target="vssl_order.clip_order:ClipOrder",
        config="vssl_order.config:ClipOrderConfig",
        summary="in which order were these clips of one video (VCOP)",
        paper="10.1109/CVPR.2019.01058",
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 1,
                "gap": 2,
                "size": 32,
                "read_size": 0,
                "fit": "short-side-crop",
                "crop_scale": 0.6,
                "hidden": 128,
            }
        },
    )
    yield Spec(
        name="arrow-of-time",
        target="vssl_order.arrow_of_time:ArrowOfTime",
        config="vssl_order.config:ArrowOfTimeConfig",
        summary="is this clip played forward or backward (T-CAM)",
        paper="10.1109/CVPR.2018.00840",
        requires=frozenset({"map"}),
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 2,
                "size": 32,
                "read_size": 0,
                "fit": "stretch",
                "crop_scale": 0.6,
                "hidden": 128,
                "stabilise": 0,
                "short_video": "error",
            }
        },
    )
    yield Spec(
        name="skip-clip",
        target="vssl_order.skip_clip:SkipClip",
        config="vssl_order.config:SkipClipConfig",
        summary="which of several later clips follows a clip soonest (Skip-Clip)",
        paper="1910.12770",
        requires=frozenset({"map"}),
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 1,
                "size": 32,
                "read_size": 0,
                "targets": 2,
                "gap": 2,
                "flip": 0.0,
                "short_video": "error",
            }
        },
    )
