"""Options of the tasks in this package."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import ClipOptions, option

__all__ = ["CatchThePatchConfig"]


@dataclass(kw_only=True, slots=True)
class CatchThePatchConfig(ClipOptions):
    """Follow pasted patches. Defaults are those of the official configurations for UCF101 and Kinetics-400."""

    frames: int = option(16, "frames a clip", minimum=2)
    stride: int = option(
        1, "distance between two frames where 1 is drawn of strides, in frames of the video", minimum=1
    )
    read_size: int = option(144, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    jitter: float = option(
        0.0, "strength of brightness, contrast and saturation jitter of whole clips; 0: none", minimum=0.0, maximum=1.0
    )
    short_video: str = option(
        "pad",
        "a video shorter than the clip: error (left out and named), loop or pad",
        choices=("error", "loop", "pad"),
    )
    strides: list[int] = option([1, 2, 3, 4, 5], "one is drawn for each clip, times stride")
    temporal_jitter: bool = option(True, "every frame is taken up to one less than the stride later, drawn by itself")
    hue: float = option(0.067, "largest turn of a clip's hue, as part of the circle; 0: none", minimum=0.0, maximum=0.5)
    jitter_probability: float = option(
        0.25, "probability that a clip's hue turns, and that jitter is applied", minimum=0.0, maximum=1.0
    )
    light: float = option(
        0.5,
        "probability that the brightness changes over the clip's time, and by itself that of the contrast; 0: never",
        minimum=0.0,
        maximum=1.0,
    )
    patches: int = option(3, "patches a clip", minimum=1)
    scales: list[float] = option(
        [16.0, 24.0, 28.0, 32.0, 48.0, 64.0], "square root of a patch's area, in pixels of size; one is drawn"
    )
    ratios: list[float] = option([0.5, 0.67, 0.75, 1.0, 1.33, 1.5, 2.0], "width over height of a patch; one is drawn")
    scale_jitter: float = option(0.18, "logarithms of width and height change by up to this much", minimum=0.0)
    position_velocity: float = option(3.0, "largest speed along each axis, in pixels of size a frame", minimum=0.0)
    size_velocity: float = option(0.025, "largest change of the logarithm of a side, a frame", minimum=0.0)
    key_probabilities: list[float] = option(
        [0.5, 0.3, 0.2], "odds of 0, 1, 2, ... key frames between first and last: paths bend there; they sum to 1"
    )
    paste_probability: float = option(
        0.8,
        "probability that a patch is shown in a frame; where it is not, its place is asked for all the same; 1: always",
        minimum=0.0,
        maximum=1.0,
    )
    masks: bool = option(
        True, "patches are rectangles, ellipses or rhombi, half of them soft at the edge; false: plain rectangles"
    )
    position_std: float = option(0.8, "divides moves before they are regressed, in pixels", minimum=1e-3)
    size_std: float = option(0.04, "divides changes of the logarithms of the sides", minimum=1e-3)
    hidden: int = option(512, "width of the head's layers", minimum=1)
    roi_size: int = option(5, "rows and columns at which the head reads the map under a patch", minimum=1)
