"""Options of the tasks in this package."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import ClipOptions, option

__all__ = ["PaceConfig", "RttConfig"]


@dataclass(kw_only=True, slots=True)
class RttConfig(ClipOptions):
    """Recognise the temporal transformation."""

    stride: int = option(1, "distance between two frames at speed 1, in frames of the video", minimum=1)
    read_size: int = option(128, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    short_video: str = option(
        "fitting",
        "a video too short for some of the classes: fitting (one that fits is drawn) or error (left out and named)",
        choices=("fitting", "error"),
    )
    transforms: list[str] = option(
        ["speed-1", "speed-2", "speed-4", "speed-8", "periodic", "random", "warp"],
        "the classes: speed-K (K times the stride), random, periodic, warp, palindrome, reversed, each also with -K; "
        "palindrome needs K times the stride of 2 or more",
    )


@dataclass(kw_only=True, slots=True)
class PaceConfig(ClipOptions):
    """Predict the pace."""

    stride: int = option(1, "distance between two frames at rate 1, in frames of the video", minimum=1)
    read_size: int = option(128, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    jitter: float = option(
        0.8, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    per_frame_jitter: bool = option(True, "draw the jitter for every frame by itself instead of once a clip")
    short_video: str = option(
        "loop",
        "a video shorter than the clip: error (left out and named), loop or pad",
        choices=("error", "loop", "pad"),
    )
    rates: int = option(4, "rates 1..rates are told apart", minimum=2)
    contrast: str = option(
        "none",
        "second loss: none, content (two clips of a video attract) or rate (clips of one rate attract)",
        choices=("none", "content", "rate"),
    )
    contrast_weight: float = option(0.1, "weight of the second loss; that of the classification is 1", minimum=0.0)
    temperature: float = option(0.1, "divides the cosine similarities of the second loss", minimum=1e-3)
    projection: int = option(128, "dimensions in which the second loss compares clips", minimum=1)
