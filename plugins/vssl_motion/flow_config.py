"""Options of ``motion-stats``, and of the optical flow that it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vssl_core.config.schema import ClipOptions, option

__all__ = ["DenseInverseSearchConfig", "MotionStatsConfig"]


@dataclass(kw_only=True, slots=True)
class DenseInverseSearchConfig:
    """Dense inverse search."""

    preset: str = option(
        "medium",
        "OpenCV's: medium (4 ms a pair of 128 x 128 pixels), fast (1 ms) or ultrafast (0.4 ms)",
        choices=("medium", "fast", "ultrafast"),
    )


@dataclass(kw_only=True, slots=True)
class MotionStatsConfig(ClipOptions):
    """Regress where most moves and colours change most. Defaults are those of the official PyTorch code."""

    frames: int = option(16, "frames a clip", minimum=2)
    stride: int = option(1, "distance between two of them, in frames of the video", minimum=1)
    size: int = option(112, "height and width of the network's input, in pixels; a multiple of 8", minimum=8)
    read_size: int = option(
        128, "height and width that are decoded and at which flow is computed, before the crop; 0: as size", minimum=0
    )
    crop_scale: float = option(
        0.766, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    jitter: float = option(
        0.0, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    flow: Any = option("dis", "what computes optical flow, and its options", component="flows")
    motion_weight: float = option(
        1.0, "weight of the error of the 14 motion numbers; 0: they are not asked", minimum=0.0
    )
    appearance_weight: float = option(
        0.1, "weight of the error of the 13 appearance numbers; 0: not asked", minimum=0.0
    )
    dominant: str = option(
        "octant",
        "a region's dominant colour: octant (that of the RGB cube with most pixels, as in the paper) or colour (the "
        "octant of the most frequent exact colour, as in the official code)",
        choices=("octant", "colour"),
    )
