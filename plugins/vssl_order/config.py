"""Options of the tasks in this package."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import ClipOptions, option

__all__ = [
    "ArrowOfTimeConfig",
    "ClipOrderConfig",
    "OddOneOutConfig",
    "OpnConfig",
    "ShuffleLearnConfig",
    "SkipClipConfig",
]

_SHORT = "a video too short: error (left out and named), or fitting (read at the largest stride that fits)"
_SHORT_CHOICES = ("error", "fitting")
_SELECT = (
    "frames come from: motion (windows the more probable the more moves in them; videos need their motion, which "
    "'vssl data index --motion' measures), or uniform (any window)"
)
_SELECT_CHOICES = ("motion", "uniform")
_READ_SIZE = "height and width that are decoded, before the random crop; 0: as size"
_JITTER = "strength of brightness, contrast and saturation jitter; 0: none"
_FIT_CHOICES = ("short-side-crop", "stretch", "pad")


@dataclass(kw_only=True, slots=True)
class ClipOrderConfig(ClipOptions):
    """Put shuffled clips in order."""

    stride: int = option(1, "distance between two frames of a clip, in frames of the video", minimum=1)
    read_size: int = option(128, _READ_SIZE, minimum=0)
    crop_scale: float = option(
        0.766, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    jitter: float = option(0.0, _JITTER, minimum=0.0, maximum=1.0)
    short_video: str = option("error", _SHORT, choices=_SHORT_CHOICES)
    clips: int = option(3, "clips that are shuffled; their orders are the classes", minimum=2, maximum=5)
    gap: int = option(8, "frames left out between one clip and the next", minimum=0)
    shared_draw: bool = option(False, "one crop, flip and colour draw for all clips of a video instead of one a clip")
    hidden: int = option(512, "features of a pair of clips", minimum=1)
    dropout: float = option(0.5, "dropout before the last layer", minimum=0.0, maximum=0.99)


@dataclass(kw_only=True, slots=True)
class ShuffleLearnConfig(ClipOptions):
    """Verify the order of three frames."""

    frames: int = option(3, "frames of a tuple; three it is", minimum=3, maximum=3)
    stride: int = option(
        15, "unit of the distances between frames, and the smallest of them, in frames of the video", minimum=1
    )
    size: int = option(227, "height and width of the network's input, in pixels", minimum=8)
    fit: str = option("stretch", "how a frame comes to read_size", choices=_FIT_CHOICES)
    crop_scale: float = option(
        1.0, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    jitter: float = option(0.0, _JITTER, minimum=0.0, maximum=1.0)
    short_video: str = option("error", _SHORT, choices=_SHORT_CHOICES)
    spread: int = option(4, "distance between the first and the last frame of a tuple, in strides", minimum=2)
    positive: float = option(0.25, "part of the tuples that is in order", minimum=0.05, maximum=0.95)
    backward: bool = option(True, "show half of the tuples backward, with the same label")
    select: str = option("motion", _SELECT, choices=_SELECT_CHOICES)
    hidden: int = option(
        0, "width of a layer between the frames' features and the answer; 0: none, as in the paper", minimum=0
    )


@dataclass(kw_only=True, slots=True)
class OpnConfig(ClipOptions):
    """Sort shuffled frames."""

    frames: int = option(4, "frames that are sorted; half of their orders are the classes", minimum=2, maximum=5)
    stride: int = option(15, "distance between one frame and the next in time, in frames of the video", minimum=1)
    size: int = option(80, "height and width of the network's input, in pixels", minimum=8)
    read_size: int = option(240, "height and width that are decoded, before the region is cut; 0: as size", minimum=0)
    crop_scale: float = option(
        0.64,
        "smallest part of the region's area that the random crop keeps; 1: no crop, which frame_shift=0 must go with",
        minimum=0.05,
        maximum=1.0,
    )
    flip: float = option(0.5, "probability of a horizontal flip of all frames", minimum=0.0, maximum=1.0)
    jitter: float = option(0.0, _JITTER, minimum=0.0, maximum=1.0)
    short_video: str = option("error", _SHORT, choices=_SHORT_CHOICES)
    reversal: bool = option(True, "an order and its reversal are one class")
    select: str = option("motion", _SELECT, choices=_SELECT_CHOICES)
    region: int = option(
        100, "side of the square of the decoded frame that is looked at, in pixels; 0: the whole frame", minimum=0
    )
    region_select: str = option(
        "motion", "the region is where the frames differ most (motion) or anywhere (uniform)", choices=_SELECT_CHOICES
    )
    frame_shift: float = option(
        5.0, "the crop moves in every frame by itself up to so many pixels each way; 0: it stands still", minimum=0.0
    )
    split_channels: float = option(
        1.0, "probability, of each frame, that one channel takes the place of all three", minimum=0.0, maximum=1.0
    )
    frame_width: int = option(
        1024, "width of the fully connected layer behind each frame's features; 0: no such layer", minimum=0
    )
    hidden: int = option(512, "features of a pair of frames", minimum=1)
    dropout: float = option(0.5, "dropout behind each frame's layer and before the last one", minimum=0.0, maximum=0.99)


@dataclass(kw_only=True, slots=True)
class OddOneOutConfig(ClipOptions):
    """Find the clip whose frames are out of order."""

    frames: int = option(6, "frames a clip", minimum=2)
    stride: int = option(1, "distance between one frame of the video that may be drawn and the next", minimum=1)
    read_size: int = option(128, _READ_SIZE, minimum=0)
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    jitter: float = option(0.0, _JITTER, minimum=0.0, maximum=1.0)
    short_video: str = option("error", _SHORT, choices=_SHORT_CHOICES)
    clips: int = option(6, "clips, one of them out of order", minimum=2)
    sampling: str = option(
        "constrained",
        "frames of a clip: consecutive (successive ones), random (from the whole video) or constrained (from one "
        "window for all clips)",
        choices=("consecutive", "random", "constrained"),
    )
    window: float = option(1.5, "sampling=constrained: length of the window, in clips", minimum=1.0)
    fusion: str = option(
        "difference",
        "how clips come together: difference (sum of their pairwise differences) or concat (one behind the other)",
        choices=("difference", "concat"),
    )
    shared_draw: bool = option(False, "one crop, flip and colour draw for all clips of a video instead of one a clip")
    hidden: int = option(128, "width of the layers behind each clip's features and behind the fusion", minimum=1)
    dropout: float = option(0.5, "dropout before the last layer", minimum=0.0, maximum=0.99)


@dataclass(kw_only=True, slots=True)
class ArrowOfTimeConfig(ClipOptions):
    """Tell whether a clip runs forward."""

    frames: int = option(20, "frames a clip, a multiple of groups", minimum=2)
    stride: int = option(1, "distance between two of them, in frames of the video", minimum=1)
    size: int = option(224, "height and width of the network's input, in pixels", minimum=8)
    read_size: int = option(256, _READ_SIZE, minimum=0)
    crop_scale: float = option(
        0.766, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    jitter: float = option(0.0, _JITTER, minimum=0.0, maximum=1.0)
    short_video: str = option("error", _SHORT, choices=_SHORT_CHOICES)
    groups: int = option(
        2,
        "parts of the clip that the network sees by themselves before they are fused; 1: the whole clip, by a network "
        "that provides 'temporal'",
        minimum=1,
    )
    hidden: int = option(1024, "width of the layers that fuse them", minimum=1)
    dropout: float = option(0.5, "dropout behind each of these layers", minimum=0.0, maximum=0.99)
    border: float = option(0.0, "part of each side that is cut off; 0: none", minimum=0.0, maximum=0.4)
    black_level: float = option(
        10.0,
        "rows and columns at the rim that are darker, of 255, are cut off; 0: black frames stay",
        minimum=0.0,
        maximum=255.0,
    )
    stabilise: int = option(
        12, "largest shift of the camera that is undone, in decoded pixels; 0: the camera may move", minimum=0
    )


@dataclass(kw_only=True, slots=True)
class SkipClipConfig(ClipOptions):
    """Rank later clips by how soon they follow."""

    stride: int = option(1, "distance between two frames of a clip, in frames of the video", minimum=1)
    read_size: int = option(128, _READ_SIZE, minimum=0)
    flip: float = option(0.5, "probability of a horizontal flip of all clips of a video", minimum=0.0, maximum=1.0)
    short_video: str = option("error", _SHORT, choices=_SHORT_CHOICES)
    targets: int = option(3, "clips that follow the context and are ranked", minimum=2)
    gap: int = option(8, "frames left out between one clip and the next, in strides", minimum=0)
    margin: float = option(0.1, "by which the score of the sooner of two clips is to lead", minimum=1e-6)
    turning: float = option(
        1.0, "weight of naming the quarter turn that all clips of a video are given; 0: none is turned", minimum=0.0
    )
    shared_draw: bool = option(True, "one crop, flip and colour draw for all clips of a video instead of one a clip")
