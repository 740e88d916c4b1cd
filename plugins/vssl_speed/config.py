"""Options of the tasks in this package."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import ClipOptions, option

__all__ = [
    "PaceConfig",
    "PrpConfig",
    "RspnetConfig",
    "RttConfig",
    "SpeedNetConfig",
    "TransRankConfig",
    "VthclConfig",
]


@dataclass(kw_only=True, slots=True)
class RttConfig(ClipOptions):
    """Recognise the temporal transformation."""

    stride: int = option(1, "distance between two frames at speed 1, in frames of the video", minimum=1)
    read_size: int = option(128, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    crop_scale: float = option(
        0.766, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    per_frame_jitter: bool = option(
        True, "draw the jitter, and what turns grey, for every frame by itself instead of once a clip", before=False
    )
    grey: float = option(0.2, "probability of a grey frame, or clip", minimum=0.0, maximum=1.0, before=0.0)
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
    crop_scale: float = option(
        0.766, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    jitter: float = option(
        0.8, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    per_frame_jitter: bool = option(True, "draw the jitter for every frame by itself instead of once a clip")
    short_video: str = option(
        "loop",
        "a video shorter than the fastest clip: error (left out and named), loop or pad (at every rate alike)",
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


@dataclass(kw_only=True, slots=True)
class SpeedNetConfig(ClipOptions):
    """Tell normal speed from sped up."""

    frames: int = option(64, "frames a clip", minimum=2)
    stride: int = option(1, "distance between two frames of the stretch that frames are skipped in", minimum=1)
    size: int = option(224, "height and width of clips, before resize=batch and in evaluation, in pixels", minimum=8)
    crop_scale: float = option(
        1.0, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    jitter: float = option(
        0.0, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    short_video: str = option(
        "error",
        "a video shorter than the stretch: error (left out and named), loop or pad; these two show cuts or still "
        "frames in sped up clips more often, which gives them away",
        choices=("error", "loop", "pad"),
    )
    window: int = option(3, "length of the stretch that both versions come from, in clips", minimum=2)
    normal_speed: list[float] = option([1.0, 1.2], "range of the factor of clips at normal speed")
    fast_speed: list[float] = option([1.7, 2.2], "range of the factor of sped up clips; not above window")
    random_skip: bool = option(True, "skip frames at random; else every frame or every second one is shown")
    same_batch: bool = option(True, "both versions of a video in one batch; else one of them, drawn")
    resize: str = option(
        "batch",
        "batch (in training all clips of a batch are scaled to one random side), clip (each clip is shrunk and "
        "enlarged again, for networks of a fixed input size) or none",
        choices=("batch", "clip", "none"),
    )
    smallest: int = option(64, "smallest side that resize draws, in pixels", minimum=1)
    largest: int = option(336, "largest side that resize draws, in pixels", minimum=1)
    side_step: int = option(1, "sides are multiples of this, and of the backbone's patches where it has any", minimum=1)
    max_pool: bool = option(True, "the maximum over space of the map, else its mean; the mean over time follows")


@dataclass(kw_only=True, slots=True)
class PrpConfig(ClipOptions):
    """Playback rate perception: name the rate, rebuild the clip at twice that rate."""

    frames: int = option(16, "frames a clip", minimum=4)
    stride: int = option(1, "distance between two frames at stride 1 of strides, in frames of the video", minimum=1)
    crop_scale: float = option(
        1.0, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    jitter: float = option(
        0.0, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    short_video: str = option(
        "error",
        "a video shorter than the longest stretch: error (left out and named), loop or pad; these two show cuts or "
        "still frames at large strides alone, which gives them away",
        choices=("error", "loop", "pad"),
    )
    strides: list[int] = option(
        [1, 2, 4, 8], "the classes; each 1 or an even number that divides the largest, which divides twice the frames"
    )
    classification: float = option(0.1, "weight of the cross-entropy of the stride", minimum=0.0)
    reconstruction: float = option(1.0, "weight of the reconstruction's error; 0: nothing is rebuilt", minimum=0.0)
    motion_attention: bool = option(True, "errors count more where more moves")
    attention_low: float = option(0.8, "weight of the error where least moves", minimum=0.0)
    attention_high: float = option(2.0, "weight of the error where most moves", minimum=0.0)
    classifier_rate: float = option(
        10.0, "learning rate of the classifier's linear layer over that of the rest", minimum=0.0
    )


@dataclass(kw_only=True, slots=True)
class TransRankConfig(ClipOptions):
    """Rank clips of one video by the transformations that they went through."""

    stride: int = option(2, "distance between two frames at speed 1, in frames of the video", minimum=1)
    read_size: int = option(128, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    short_video: str = option(
        "error",
        "a video too short for one of the transformations: error (left out and named), loop or pad; these two show "
        "cuts or still frames at high speeds alone, which gives them away",
        choices=("error", "loop", "pad"),
    )
    transforms: list[str] = option(
        ["speed-1", "speed-2", "reversed-1"],
        "one clip of a video for each: speed-K (K times the stride), random, periodic, warp, palindrome, reversed, "
        "each also with -K",
    )
    margin: float = option(1.0, "by how much the right clip's score has to exceed the others'", minimum=0.0)
    formulation: str = option(
        "rank",
        "rank (clips of a video among each other, by each transformation) or classify (each clip by itself)",
        choices=("rank", "classify"),
    )
    shared_draw: bool = option(False, "one crop, flip and colour for all clips of a video")


@dataclass(kw_only=True, slots=True)
class RspnetConfig(ClipOptions):
    """Compare speeds, and tell videos apart. Defaults are those of the official base configuration."""

    stride: int = option(1, "distance between two frames at speed 1, in frames of the video", minimum=1)
    read_size: int = option(128, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    crop_scale: float = option(
        0.4, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    jitter: float = option(
        0.4, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    short_video: str = option(
        "loop",
        "a video shorter than the fastest clip's stretch: error (left out and named), loop or pad; these two, of which "
        "loop is the official one, show cuts or still frames in fast clips alone, which gives them away",
        choices=("error", "loop", "pad"),
    )
    speeds: list[int] = option([2], "the fast speed is drawn among these; the slow one is 1")
    grey: float = option(0.2, "probability of a grey clip", minimum=0.0, maximum=1.0)
    hue: float = option(0.4, "largest turn of the hue, as part of the circle; 0: none", minimum=0.0, maximum=0.5)
    shared_draw: bool = option(False, "one crop, flip and colour for all three clips; false: the query has its own")
    queue: int = option(16384, "earlier keys that appearance is told apart from", minimum=1)
    temperature: float = option(0.07, "divides the cosine similarities of both losses", minimum=1e-3)
    momentum: float = option(0.999, "part of its weights that the key encoder keeps a step", minimum=0.0, maximum=1.0)
    projection: int = option(128, "dimensions in which clips are compared", minimum=1)
    head: str = option("linear", "each head: linear, or mlp (one hidden layer with ReLU)", choices=("linear", "mlp"))
    margin: float = option(
        2.0, "by how much the right speed's similarity, over temperature, has to exceed the wrong one's", minimum=0.0
    )
    appearance_weight: float = option(1.0, "weight of the appearance loss", minimum=0.0)
    speed_weight: float = option(1.0, "weight of the relative speed loss", minimum=0.0)


@dataclass(kw_only=True, slots=True)
class VthclConfig(ClipOptions):
    """Attract the slow and the fast reading of a video, at several depths."""

    frames: int = option(8, "frames of the slow clip; the fast one has ratio times as many", minimum=1)
    stride: int = option(8, "distance between two frames of the slow clip; ratio divides it", minimum=1)
    size: int = option(224, "height and width of the network's input, in pixels", minimum=8)
    read_size: int = option(256, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    crop_scale: float = option(
        0.2, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    jitter: float = option(
        0.4, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    ratio: int = option(4, "frame rate of the fast clip over that of the slow one", minimum=1)
    levels: int = option(
        2,
        "depths at which clips are compared: the output of the network and those of the stages before it; networks "
        "without a sequence of stages have one",
        minimum=1,
    )
    encoders: str = option(
        "separate", "separate (the fast clip has an encoder of its own) or shared", choices=("separate", "shared")
    )
    grey: float = option(0.2, "probability of a grey clip", minimum=0.0, maximum=1.0)
    hue: float = option(0.4, "largest turn of the hue, as part of the circle; 0: none", minimum=0.0, maximum=0.5)
    shared_draw: bool = option(False, "one crop, flip and colour for both clips of a video")
    bank: int = option(16384, "videos that the memory bank holds at most; all of them are negatives", minimum=1)
    bank_momentum: float = option(
        0.5, "part of its old feature that a video keeps in the bank", minimum=0.0, maximum=0.999
    )
    temperature: float = option(0.07, "divides the cosine similarities", minimum=1e-3)
    projection: int = option(128, "dimensions in which clips are compared", minimum=1)
