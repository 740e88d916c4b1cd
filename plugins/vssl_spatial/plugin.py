"""What this package offers: tasks of space, from puzzles to filling in."""

from __future__ import annotations

from collections.abc import Iterable

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl
from vssl_spatial.pixel_specs import pixel_tasks

__all__ = ["vssl_tasks"]


@hookimpl
def vssl_tasks() -> Iterable[Spec]:
    """Offer ``jigsaw``, ``cubic-puzzle``, ``rotation``, ``cloze``, and the tasks that predict pixels."""
    yield Spec(
        name="jigsaw",
        target="vssl_spatial.jigsaw:Jigsaw",
        config="vssl_spatial.config:JigsawConfig",
        summary="in which order were these nine tiles of a frame",
        paper="1603.09246",
        requires=frozenset({"frames"}),
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 4,
                "stride": 8,
                "size": 16,
                "gap": 4,
                "permutations": 20,
                "channel_shift": 1,
                "hidden": 128,
                "joint": 256,
                "dropout": 0.1,
                "short_video": "error",
            }
        },
    )
    yield Spec(
        name="cubic-puzzle",
        target="vssl_spatial.cubic_puzzle:CubicPuzzle",
        config="vssl_spatial.config:CubicPuzzleConfig",
        summary="in which order were these four pieces of a clip, in space or in time",
        paper="1811.09795",
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 6,
                "stride": 1,
                "size": 24,
                "gap": 4,
                "gap_frames": 1,
                "hidden": 128,
                "dropout": 0.1,
                "short_video": "error",
            }
        },
    )
    yield Spec(
        name="rotation",
        target="vssl_spatial.rotation:Rotation",
        config="vssl_spatial.config:RotationConfig",
        summary="by how many quarters of a circle was this clip turned",
        paper="1811.11387",
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 8,
                "stride": 1,
                "size": 32,
                "read_size": 0,
                "crop_scale": 0.6,
                "jitter": 0.2,
                "short_video": "error",
            }
        },
    )
    yield Spec(
        name="cloze",
        target="vssl_spatial.cloze:Cloze",
        config="vssl_spatial.config:ClozeConfig",
        summary="what was done to the middle one of three clips (VCP)",
        paper="2001.00294",
        # Parts of a clip exchanged in time have the same mean: without order ``adjacent`` is ``original``.
        requires=frozenset({"temporal"}),
        provides=frozenset({"accuracy"}),
        recipes={
            "tiny": {
                "frames": 6,
                "stride": 1,
                "size": 32,
                "read_size": 0,
                "crop_scale": 0.6,
                "gap": 1,
                "distance": 2,
                "hidden": 128,
                "short_video": "error",
            }
        },
    )
    yield from pixel_tasks()
