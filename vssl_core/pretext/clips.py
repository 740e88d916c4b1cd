"""What planners say of videos that are too short."""

from __future__ import annotations

from typing import Any

from vssl_core.contracts import Video
from vssl_core.errors import ClipError

__all__ = ["require_frames"]

_LOOP = "set task.short_video=loop where the task has it"


def require_frames(task: str, video: Video, needed: int, otherwise: str = _LOOP, /, **options: Any) -> None:
    """Raise where ``video`` has fewer than ``needed`` frames.

    Args:
        task: its name, for the message.
        video: the row.
        needed: frames that the plan reaches over.
        otherwise: what to do instead of asking for fewer, for the message.
        **options: the task's options that ``needed`` follows from, by their names.

    Raises:
        ClipError: it is shorter; says by which options, and what to do.
    """
    if video.n_frames < needed:
        settings = ", ".join(f"task.{name}={value}" for name, value in options.items())
        raise ClipError(
            f"{task} needs {needed} frames ({settings}), video {video.video_id!r} has {video.n_frames}; lower one of "
            f"them, or {otherwise}"
        )
