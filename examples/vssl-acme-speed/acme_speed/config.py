"""Options of ``speed-pair``."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import option


@dataclass(kw_only=True, slots=True)
class SpeedPairConfig:
    """Which of two clips is played faster."""

    frames: int = option(16, "frames a clip", minimum=2)
    stride: int = option(2, "distance between two frames of the slower clip", minimum=1)
    ratio: int = option(3, "how much faster the other clip is", minimum=2)
    size: int = option(112, "height and width of the network's input, in pixels", minimum=8)
    crop_scale: float = option(0.6, "smallest part of the area that the crop keeps", minimum=0.05, maximum=1.0)
