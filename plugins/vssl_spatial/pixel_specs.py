"""What is said of the tasks that predict pixels."""

from __future__ import annotations

from collections.abc import Iterator

from vssl_core.contracts import Spec

__all__ = ["pixel_tasks"]


def pixel_tasks() -> Iterator[Spec]:
    """Yield ``colorization``, ``inpainting`` and ``future-frames``."""
    yield Spec(
        name="colorization",
        target="vssl_spatial.colorization:Colorization",
        config="vssl_spatial.pixel_config:ColorizationConfig",
        summary="which colours a grey clip has, copied from earlier clips by pointing at them",
        paper="1806.09594",
        requires=frozenset({"map"}),
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 4,
                "stride": 1,
                "size": 32,
                "references": 1,
                "gap": 4,
                "hidden": 64,
                "embedding": 32,
                "short_video": "error",
            }
        },
    )
    yield Spec(
        name="inpainting",
        target="vssl_spatial.inpainting:Inpainting",
        config="vssl_spatial.pixel_config:InpaintingConfig",
        summary="what is behind a hole in space and time",
        paper="1604.07379",
        requires=frozenset({"map"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 2,
                "size": 32,
                "read_size": 0,
                "flip": 0.0,
                "width": 32,
                "stages": 3,
                "short_video": "error",
            }
        },
    )
    yield Spec(
        name="future-frames",
        target="vssl_spatial.future_frames:FutureFrames",
        config="vssl_spatial.pixel_config:FutureFramesConfig",
        summary="what the next frames look like",
        paper="1511.05440",
        requires=frozenset({"map"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 2,
                "size": 32,
                "read_size": 0,
                "future": 2,
                "width": 64,
                "scales": 3,
                "short_video": "error",
            }
        },
    )
