"""Rows of large sets: made from the index when they are asked for, so that a million videos cost no memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from vssl_core.contracts import Video
from vssl_core.data.index import Index, IndexRow

__all__ = ["IndexedVideos", "JoinedVideos", "VideoSubset", "segment_frames", "segment_id"]

# Below this the rows themselves are kept: a few megabytes, and no look-up per access.
_KEPT_ROWS = 20_000


class _Rows(Sequence[Video]):
    """A sequence of videos that are made one by one."""

    def _make(self, at: int) -> Video:
        raise IndexError(at)

    @overload
    def __getitem__(self, at: int) -> Video: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Video]: ...
    def __getitem__(self, at: int | slice) -> Video | Sequence[Video]:
        if isinstance(at, slice):
            return VideoSubset(self, np.arange(len(self))[at])
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(f"video {at} of {len(self)}")
        return self._make(place)

    def __iter__(self) -> Iterator[Video]:
        return (self[at] for at in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(other) != len(self):
            return False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # compared by what it holds, like a list


class IndexedVideos(_Rows):
    """Videos of one split, from an index. Picklable.

    Segments are timed from the first video frame. Where the video track starts later than the container (the timestamp
    of the first frame is above 0), players count from the container's start; the index does not hold that.

    Args:
        index: of the files.
        root: folder that its paths are relative to.
        numbers: int ``[N]``: their rows in the index.
        positions: int ``[N]``: their ``Video.index``.
        segments: float ``[N, 2]``, seconds: where each begins and ends in its file; ``None``: whole files.
    """

    def __init__(
        self,
        index: Index,
        root: Path,
        numbers: np.ndarray,
        positions: np.ndarray,
        segments: np.ndarray | None = None,
    ) -> None:
        self._index, self._root = index, root
        self._numbers, self._positions, self._segments = numbers, positions, segments
        self._kept: dict[int, Video] = {}

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self._numbers)

    def _make(self, at: int) -> Video:
        if at in self._kept:
            return self._kept[at]
        start, end = (np.nan, np.nan) if self._segments is None else self._segments[at].tolist()
        row = self._index.row(int(self._numbers[at]), times=not np.isnan(start))
        first, n_frames, name = 0, row.n_frames, row.path
        if not np.isnan(start):
            first, n_frames = segment_frames(row, start, end)
            name = segment_id(row.path, start, end)
        motion = None if row.motion is None else row.motion[first : first + n_frames]
        duration_s = row.duration_s if n_frames == row.n_frames else n_frames / row.fps
        video = Video(
            index=int(self._positions[at]),
            video_id=name,
            source=str(self._root / row.path),
            n_frames=n_frames,
            fps=row.fps,
            duration_s=duration_s,
            size=row.size,
            motion=motion,
            first_frame=first,
        )
        if len(self) <= _KEPT_ROWS:
            self._kept[at] = video
        return video


class VideoSubset(_Rows):
    """Some videos of a sequence, by their places in it. Picklable where the sequence is."""

    def __init__(self, videos: Sequence[Video], rows: np.ndarray) -> None:
        self._videos, self._rows = videos, np.asarray(rows, dtype=np.int64)

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self._rows)

    def _make(self, at: int) -> Video:
        return self._videos[int(self._rows[at])]


class JoinedVideos(_Rows):
    """Several sequences as one."""

    def __init__(self, *parts: Sequence[Video]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        """Return the number of videos."""
        return sum(len(part) for part in self._parts)

    def _make(self, at: int) -> Video:
        for part in self._parts:
            if at < len(part):
                return part[at]
            at -= len(part)
        raise IndexError(at)


def segment_id(path: str, start_s: float, end_s: float) -> str:
    """Return the ``video_id`` of a segment."""
    return f"{path}#{start_s:.3f}-{end_s:.3f}"


def segment_frames(row: IndexRow, start_s: float, end_s: float) -> tuple[int, int]:
    """Return the first frame of a segment and how many it has: those shown at or after its start and before its end."""
    if not row.n_frames:
        return 0, 0
    times = np.arange(row.n_frames) / row.fps
    if row.table is not None and len(row.table.pts) > 1:
        ticks = row.table.pts - row.table.pts[0]
        # The mean rate is over all timestamps: it gives the length of a tick back.
        times = (ticks * (len(ticks) - 1) / (row.fps * float(ticks[-1])))[: row.n_frames]
    # A thousandth of a frame: annotations round.
    first, end = np.searchsorted(times, np.array([start_s, end_s]) - 1e-3 / row.fps)
    return int(first), int(end - first)
