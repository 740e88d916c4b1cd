"""Options of the tasks in this package."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import ClipOptions, option

__all__ = ["ClipOrderConfig"]


@dataclass(kw_only=True, slots=True)
class ClipOrderConfig(ClipOptions):
    """Put shuffled clips in order."""

    stride: int = option(1, "distance between two frames of a clip, in frames of the video", minimum=1)
    read_size: int = option(128, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    jitter: float = option(
        0.0, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    clips: int = option(3, "clips that are shuffled; their orders are the classes", minimum=2, maximum=5)
    gap: int = option(8, "frames left out between one clip and the next", minimum=0)
    shared_draw: bool = option(False, "one crop, flip and colour draw for all clips of a video instead of one a clip")
    hidden: int = option(512, "features of a pair of clips", minimum=1)
    dropout: float = option(0.5, "dropout before the last layer", minimum=0.0, maximum=0.99)
