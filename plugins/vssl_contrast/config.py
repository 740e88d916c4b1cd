"""Options of the tasks in this package."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import ClipOptions, option

__all__ = ["SimCLRConfig"]


@dataclass(kw_only=True, slots=True)
class SimCLRConfig(ClipOptions):
    """Contrast of clips."""

    size: int = option(224, "height and width of the network's input, in pixels", minimum=8)
    read_size: int = option(256, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    crop_scale: float = option(
        0.3, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    jitter: float = option(
        0.8, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    clips: int = option(2, "clips of a video (rho); all pairs of them attract", minimum=2)
    distance_power: float = option(
        1.0, "density of the distance t of two clips' starts, up to T: 1 - (t/T)^power; 1: falls linearly", minimum=0.01
    )
    grey: float = option(0.2, "probability of a grey clip", minimum=0.0, maximum=1.0)
    blur: float = option(0.5, "probability of a Gaussian blur of the clip", minimum=0.0, maximum=1.0)
    temperature: float = option(0.1, "divides the cosine similarities", minimum=1e-3)
    hidden: int = option(2048, "width of the projection's hidden layers", minimum=1)
    layers: int = option(3, "hidden layers of the projection, each with batch norm and ReLU", minimum=0)
    projection: int = option(128, "dimensions in which clips are compared", minimum=1)
