"""The videos that could not give a clip: named, counted, limited."""

from __future__ import annotations

from collections.abc import Mapping

from vssl_core.errors import DataError

__all__ = ["Quarantine"]

_NAMED = 10


class Quarantine:
    """Collects unreadable videos with their reasons and stops above a limit.

    Args:
        max_bad: part of the videos that may be bad, in [0, 1].
        n_videos: videos that the part is of.
    """

    def __init__(self, max_bad: float, n_videos: int) -> None:
        self.max_bad = max_bad
        self.n_videos = n_videos
        self._reasons: dict[str, str] = {}

    @property
    def reasons(self) -> Mapping[str, str]:
        """``video_id`` -> why it gave no clip, in the order in which they were found."""
        return self._reasons

    def __len__(self) -> int:
        """Return the number of different bad videos."""
        return len(self._reasons)

    def add(self, video_id: str, reason: str) -> None:
        """Note a bad video; a video counts once.

        Raises:
            DataError: more than ``max_bad`` of the videos are bad; the first ten are named.
        """
        self._reasons.setdefault(video_id, reason)
        if len(self._reasons) <= self.max_bad * self.n_videos:
            return
        shown = [f"  {name}: {why}" for name, why in list(self._reasons.items())[:_NAMED]]
        raise DataError(
            f"{len(self._reasons)} of {self.n_videos} videos gave no clip so far, more than "
            f"loader.max_bad={self.max_bad:g} allows; repair or remove them, or raise loader.max_bad:\n"
            + "\n".join(shown)
        )
