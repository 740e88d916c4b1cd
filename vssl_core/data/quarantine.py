"""The videos that could not give a clip: named, counted, limited."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from vssl_core.errors import DataError

__all__ = ["Quarantine"]

_logger = logging.getLogger(__name__)
_NAMED = 10


class Quarantine:
    """Collects unreadable videos with their reasons and stops above a limit.

    Args:
        max_bad: part of the videos that may be bad, in [0, 1].
        n_videos: videos that the part is of.
        file: where each bad video is noted at once, one line of JSON (``video_id``, ``reason``); ``None``: nowhere.
    """

    def __init__(self, max_bad: float, n_videos: int, file: Path | None = None) -> None:
        self.max_bad = max_bad
        self.n_videos = n_videos
        self.file = file
        self._reasons: dict[str, str] = {}

    @property
    def reasons(self) -> Mapping[str, str]:
        """``video_id`` -> why it gave no clip, in the order in which they were found."""
        return self._reasons

    def __len__(self) -> int:
        """Return the number of different bad videos."""
        return len(self._reasons)

    def add(self, video_id: str, reason: str) -> None:
        """Note a bad video, in the log and in the file; a video counts once.

        Raises:
            DataError: more than ``max_bad`` of the videos are bad; the first ten are named.
        """
        if video_id not in self._reasons:
            self._reasons[video_id] = reason
            self._note(video_id, reason)
        if len(self._reasons) <= self.max_bad * self.n_videos:
            return
        shown = [f"  {name}: {why}" for name, why in list(self._reasons.items())[:_NAMED]]
        raise DataError(
            f"{len(self._reasons)} of {self.n_videos} videos gave no clip so far, more than "
            f"loader.max_bad={self.max_bad:g} allows; mend what each line says, remove them, or raise loader.max_bad:\n"
            + "\n".join(shown)
        )

    def restore(self, reasons: Mapping[str, str]) -> None:
        """Take back what an earlier session of the run noted; it stands in log and file already."""
        self._reasons |= reasons

    def _note(self, video_id: str, reason: str) -> None:
        _logger.warning("left out %s: %s", video_id, reason)
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps({"video_id": video_id, "reason": reason}) + "\n")
