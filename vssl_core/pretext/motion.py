"""Where in a video something moves, for planners; NumPy alone, it runs in loader workers."""

from __future__ import annotations

from typing import Any

import numpy as np

from vssl_core.contracts import Dataset, Planner, Video
from vssl_core.errors import ClipError

__all__ = ["measure_motion", "motion_curve", "motion_window"]


def measure_motion(planner: Planner, dataset: Dataset) -> None:
    """Let a data set measure the motion of its videos where ``planner.needs_motion`` is true; called by the engine.

    Data sets that can have a method ``measure_motion()``; what it costs is decoding every frame once, and it is kept.
    """
    measure: Any = getattr(dataset, "measure_motion", None)
    if getattr(planner, "needs_motion", False) and measure is not None:
        measure()


def motion_curve(video: Video, task: str, option: str) -> np.ndarray:
    """Return float64 ``[n_frames]``: how much each frame differs from the one before.

    Planners that ask for it say so by an attribute ``needs_motion = True``: ``measure_motion`` then has it measured.

    Args:
        video: a row.
        task: name of the task, for the message.
        option: the setting by which the task does without, such as ``"task.select=uniform"``.

    Raises:
        ClipError: the index holds no curve.
    """
    if video.motion is None:
        raise ClipError(
            f"{task} looks for motion, and the index of video {video.video_id!r} holds none: make the index with 'vssl "
            f"data index ... --motion', or set {option}"
        )
    return np.asarray(video.motion, dtype=np.float64)


def motion_window(curve: np.ndarray, length: int, rng: np.random.Generator) -> int:
    """Draw the first frame of a stretch of ``length`` frames, the more probable the more moves in it.

    The probability of a stretch is proportional to the sum of the differences inside it; where nothing moves at all,
    every stretch is as probable.

    Args:
        curve: float ``[n_frames]``, see ``motion_curve``; entry t belongs to frames t-1 and t.
        length: 1 to ``n_frames``.
        rng: the sample's own generator.
    """
    # The first frame's entry compares it with a frame outside the stretch.
    total = np.concatenate([[0.0], np.cumsum(curve)])
    weight = total[length:] - total[1 : len(total) - length + 1]
    if not weight.sum() > 0:
        return int(rng.integers(len(weight)))
    return int(rng.choice(len(weight), p=weight / weight.sum()))
