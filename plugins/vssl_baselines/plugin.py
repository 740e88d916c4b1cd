"""What this package offers: floors, the placebo, sums of tasks and supervised training."""

from __future__ import annotations

from collections.abc import Iterable

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_tasks"]


@hookimpl
def vssl_tasks() -> Iterable[Spec]:
    """Offer ``random-init``, ``random-labels``, ``multi``, ``pixel-baseline``, ``motion-energy`` and ``supervised``."""
    yield Spec(
        name="random-init",
        target="vssl_baselines.floors:RandomInit",
        config="vssl_baselines.config:RandomInitConfig",
        summary="floor: the backbone as initialised, not trained at all",
        trains=False,
    )
    yield Spec(
        name="random-labels",
        target="vssl_baselines.random_labels:RandomLabels",
        config="vssl_baselines.config:RandomLabelsConfig",
        summary="placebo: another task's views, steps and batches, its targets permuted within the batch",
        paper="2006.10455",
        provides=frozenset({"inner"}),
    )
    yield Spec(
        name="multi",
        target="vssl_baselines.multi:Multi",
        config="vssl_baselines.config:MultiConfig",
        summary="a weighted sum of tasks that share one backbone and one decode: task.of.pace=1 task.of.simclr=0.5",
        paper="2010.15464",
        provides=frozenset({"inner"}),
        recipes={"tiny": {"of": {"pace@tiny": 1.0, "simclr@tiny": 0.5}}},
    )
    yield Spec(
        name="pixel-baseline",
        target="vssl_baselines.pixels:PixelBaseline",
        config="vssl_baselines.config:PixelBaselineConfig",
        summary="floor: small frames and maps of where frames differ, no network",
        trains=False,
        uses_backbone=False,
        recipes={
            "frames": {"part": "frames", "frames": 1, "grid": 16, "colour": True},
            "differences": {"part": "differences", "frames": 3, "grid": 8},
        },
    )
    yield Spec(
        name="motion-energy",
        target="vssl_baselines.motion_energy:MotionEnergy",
        config="vssl_baselines.config:MotionEnergyConfig",
        summary="floor: the curve of mean absolute frame difference over the whole video, no network",
        trains=False,
        uses_backbone=False,
    )
    yield Spec(
        name="supervised",
        target="vssl_baselines.supervised:Supervised",
        config="vssl_baselines.config:SupervisedConfig",
        summary="ceiling: the backbone trained on labels alone; frames=1: on single frames",
        provides=frozenset({"accuracy"}),
        needs_labels=True,
        recipes={
            "tiny": {"frames": 8, "stride": 2, "size": 32, "read_size": 0},
            "one-frame": {"frames": 1, "stride": 1, "size": 32, "read_size": 0},
        },
    )
