"""Options of the tasks in this package."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import ClipOptions, option

__all__ = ["VideoMAEConfig"]


@dataclass(kw_only=True, slots=True)
class VideoMAEConfig(ClipOptions):
    """Masked autoencoding with tube masks."""

    stride: int = option(4, "distance between two of them, in frames of the video", minimum=1)
    size: int = option(224, "height and width of the network's input, in pixels", minimum=8)
    crop_scale: float = option(
        0.5, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    flip: float = option(0.5, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    jitter: float = option(
        0.0, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    mask_ratio: float = option(0.9, "part of the tubes that is masked, rounded down", minimum=0.0, maximum=1.0)
    normalise_target: bool = option(True, "standardise each patch of the target, channel by channel")
    decoder_dim: int = option(0, "width of the decoder; 0: half of the encoder's", minimum=0)
    decoder_depth: int = option(4, "blocks of the decoder", minimum=1)
    decoder_heads: int = option(
        0, "attention heads of the decoder, they divide its width; 0: one for each 64 of it", minimum=0
    )
