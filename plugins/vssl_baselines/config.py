"""Options of the tasks in this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vssl_core.config.schema import ClipOptions, option

__all__ = [
    "MotionEnergyConfig",
    "MultiConfig",
    "PixelBaselineConfig",
    "RandomInitConfig",
    "RandomLabelsConfig",
    "SupervisedConfig",
]


@dataclass(kw_only=True, slots=True)
class RandomInitConfig:
    """The untrained backbone has no options."""


@dataclass(kw_only=True, slots=True)
class RandomLabelsConfig:
    """The placebo of another task."""

    of: Any = option(
        "pace",
        "the task whose targets are permuted: NAME[@RECIPE] or a mapping with name and options",
        component="tasks",
    )


@dataclass(kw_only=True, slots=True)
class MultiConfig:
    """A weighted sum of tasks."""

    of: dict[str, Any] = option(
        {},
        "the tasks: NAME[@RECIPE] to its weight, or to a mapping with weight, recipe and options; naming some starts "
        "the sum afresh",
        components="tasks",
    )
    draws: str = option(
        "alone",
        "alone: every task draws what it would draw as the only one; independent: from a stream of its own",
        choices=("alone", "independent"),
    )


@dataclass(kw_only=True, slots=True)
class PixelBaselineConfig:
    """Small frames and difference maps."""

    part: str = option("both", "what is kept", choices=("both", "frames", "differences"))
    frames: int = option(3, "frames kept of a clip, and stretches of it whose differences are averaged", minimum=1)
    grid: int = option(8, "height and width to which they are averaged, in cells", minimum=1)
    colour: bool = option(False, "keep the frames' three channels instead of their grey value")


@dataclass(kw_only=True, slots=True)
class MotionEnergyConfig:
    """The curve of mean absolute frame difference."""

    frames: int = option(32, "frames spread over the whole video; the curve has one point less", minimum=2)


@dataclass(kw_only=True, slots=True)
class SupervisedConfig(ClipOptions):
    """Training on labels."""

    head: Any = option("linear", "head and its options", component="heads")
    label_smoothing: float = option(0.0, "part of the target spread over all classes", minimum=0.0, maximum=0.99)
