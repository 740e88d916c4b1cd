"""Options of the tasks that predict pixels: ``colorization``, ``inpainting`` and ``future-frames``."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import ClipOptions, option

__all__ = ["ColorizationConfig", "FutureFramesConfig", "InpaintingConfig"]


@dataclass(kw_only=True, slots=True)
class ColorizationConfig(ClipOptions):
    """Colour a grey clip by pointing at earlier ones. Defaults are the paper's, for networks of images."""

    frames: int = option(1, "frames of each reference and of the target; networks of clips need more", minimum=1)
    stride: int = option(1, "distance between two of them, in frames of the video", minimum=1)
    size: int = option(256, "height and width of the network's input, in pixels", minimum=8)
    crop_scale: float = option(
        1.0, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    jitter: float = option(
        0.0,
        "strength of brightness, contrast and saturation jitter, the same for all clips; 0: none",
        minimum=0.0,
        maximum=1.0,
    )
    references: int = option(3, "clips that colours are copied from", minimum=1)
    gap: int = option(4, "frames between one clip's end and the next one's start; 4 of 30 a second leave 6", minimum=0)
    clusters: int = option(16, "colours that are told apart", minimum=2)
    temperature: float = option(1.0, "divides the inner products in training", minimum=1e-3)
    test_temperature: float = option(0.5, "divides them on held-out videos", minimum=1e-3)
    hidden: int = option(256, "width of the layer between the map and the embeddings", minimum=1)
    embedding: int = option(64, "dimensions of the embeddings", minimum=1)


@dataclass(kw_only=True, slots=True)
class InpaintingConfig(ClipOptions):
    """Fill a block that is missing from a clip."""

    read_size: int = option(128, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    jitter: float = option(
        0.0, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    hole: float = option(0.5, "height and width of the hole, as parts of size", minimum=0.05, maximum=0.9)
    hole_time: float = option(0.5, "frames of the hole, as part of all; 1: all of them", minimum=0.05, maximum=1.0)
    place: str = option("random", "where the hole is: random or centre", choices=("random", "centre"))
    overlap: int = option(
        0, "pixels of the hole's rim that stay visible and count 10 times; the paper has 7 of 227", minimum=0
    )
    width: int = option(256, "channels of the decoder at the map's size, halved at each stage", minimum=8)
    stages: int = option(4, "stages of the decoder, from the map's size to the clip's", minimum=1)


@dataclass(kw_only=True, slots=True)
class FutureFramesConfig(ClipOptions):
    """Draw the frames that come next. Defaults are the paper's, but for the size."""

    frames: int = option(4, "frames that are seen", minimum=1)
    stride: int = option(1, "distance between two frames, seen or drawn, in frames of the video", minimum=1)
    read_size: int = option(128, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    jitter: float = option(
        0.0, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    future: int = option(1, "frames that are drawn", minimum=1)
    norm: int = option(1, "1: absolute errors, 2: squared errors", choices=(1, 2))
    norm_weight: float = option(1.0, "weight of these errors; 0: none", minimum=0.0)
    gradient_weight: float = option(1.0, "weight of the gradient difference loss; 0: none", minimum=0.0)
    gradient_exponent: float = option(1.0, "exponent of the gradient differences", minimum=1.0)
    scales: int = option(4, "scales at which the frames are drawn, each twice the one before", minimum=1)
    width: int = option(256, "channels of the decoder at the coarsest scale, halved at each finer one", minimum=8)
