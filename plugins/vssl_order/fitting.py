"""How far apart the frames of a plan can be in a video that is too short for it."""

from __future__ import annotations

from typing import Any

from vssl_core.contracts import Video
from vssl_core.data.plan import span
from vssl_core.pretext.clips import require_frames

__all__ = ["fit_stride"]


def fit_stride(
    task: str, video: Video, positions: int, stride: int, short_video: str, *, apart: int = 0, **options: Any
) -> int:
    """Return the stride at which ``positions`` frames are read.

    A clip that starts over, or whose last frame stands still, has no order any more, or gives it away: short videos are
    read at a smaller stride or not at all.

    Args:
        task: its name, for the message.
        video: the row.
        positions: frames from the first to the last that the plan may use, the skipped ones counted.
        stride: as configured.
        short_video: ``"error"``, or ``"fitting"``: the largest stride at which the plan fits, at most ``stride``.
        apart: frames that the plan reaches over besides, whatever the stride.
        **options: the task's options that ``positions`` and ``apart`` follow from, for the message.

    Raises:
        ClipError: the video is too short, with ``"fitting"`` even at stride 1.
    """
    if short_video == "fitting":
        require_frames(task, video, positions + apart, "use longer videos", **options)
        return min(stride, (video.n_frames - apart - 1) // max(1, positions - 1))
    way_out = "set task.short_video=fitting" if stride > 1 else "use longer videos"
    require_frames(task, video, span(positions, stride) + apart, way_out, **options, stride=stride)
    return stride
