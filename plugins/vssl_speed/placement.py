"""Where in a video a clip is put, so that its position tells nothing of its class."""

from __future__ import annotations

import numpy as np

__all__ = ["place"]


def place(rng: np.random.Generator, n_frames: int, extent: int, widest: int) -> int:
    """Return the first frame of a clip that covers ``extent`` frames of a video.

    The middle of the clip follows one law, whatever its extent: a window for the widest clip of the task is put
    anywhere in the video, and the clip in the middle of that window. Were every start drawn freely, short clips alone
    would come from near the ends of videos, where fades, logos and people who walk in give their class away.

    Args:
        rng: the sample's own generator.
        n_frames: frames of the video.
        extent: frames from the first to the last one of this clip, at most ``min(widest, n_frames)``.
        widest: frames that the widest clip of the task covers; cut to ``n_frames``.
    """
    window = min(widest, n_frames)
    start = int(rng.integers(0, n_frames - window + 1))
    # Half a frame is rounded either way: always down would bias short clips towards the beginning.
    return start + (window - extent + int(rng.integers(0, 2))) // 2
