"""Asking a planner what it does, before there is any video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vssl_core.contracts import Planner, Video, View

__all__ = ["ask_planner"]

_FRAMES = 100_000


def ask_planner(planner: Planner) -> tuple[Sequence[View], Mapping[str, Any]]:
    """Return the views and targets that a planner makes of a video that is long enough for anything and moves evenly.

    Raises:
        ClipError: it takes no video at all.
    """
    video = Video(
        index=0,
        video_id="long",
        source="",
        n_frames=_FRAMES,
        fps=25.0,
        duration_s=_FRAMES / 25.0,
        size=(64, 64),
        motion=np.ones(_FRAMES, dtype=np.float32),
    )
    return planner(video, np.random.default_rng(0))
