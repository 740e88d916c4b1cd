"""Reading views: planned frames of a video, or of a folder of pictures, as arrays of the size asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vssl_core.contracts import Video, View
from vssl_core.data.decode import decode_frames
from vssl_core.data.fit import FrameFitter
from vssl_core.data.frames import read_pictures
from vssl_core.data.probe import FrameTable, probe
from vssl_core.data.yuv import YuvClip, rgb_matrix
from vssl_core.errors import ClipError, ConfigError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from vssl_core.data.index import Index, IndexRow

__all__ = ["FileReader", "read_views"]

#: a size (height, width) and the way of coming to it, as in ``View``
_Kind = tuple[tuple[int, int], str]
_NONE = np.empty(0, dtype=np.int64)
# Pictures are stored as they are shown.
_UPRIGHT = FrameTable(0, _NONE, _NONE, _NONE, 0, 1.0)


class FileReader:
    """The ``Reader`` of an index: decodes from the files themselves. Picklable.

    Args:
        index: what ``build_index`` made of the data set.
        rows: int ``[n]``: the row of the index that belongs to the video whose ``Video.index`` is ``i``; ``None``:
            rows are looked up by ``Video.video_id``.
        check_time: refuse files that have been written to since they were indexed; their size is compared always.
        pixels: ``"yuv420"``: return ``YuvClip`` instead of arrays, for the loader to hand to ``yuv.to_rgb``.
    """

    def __init__(
        self, index: Index, rows: np.ndarray | None = None, *, check_time: bool = True, pixels: str = "rgb24"
    ) -> None:
        self.index = index
        self.rows = rows
        self.check_time = check_time
        self.pixels = pixels

    def with_pixels(self, pixels: str) -> FileReader:
        """Return a reader of the same files that hands frames over in one of the ways of ``yuv.PIXELS``."""
        return FileReader(self.index, self.rows, check_time=self.check_time, pixels=pixels)

    def __call__(self, video: Video, views: Sequence[View]) -> list[Any]:
        """Return uint8 RGB ``[T, H, W, 3]`` per view, or ``YuvClip``.

        Raises:
            ClipError: the file could not be indexed, has changed, or does not hold the frames asked for.
        """
        row = self.row(video)
        if row.reason:
            raise ClipError(row.reason)
        for view in views:
            # A segment ends where its annotation says, not where its file does.
            if len(view.frames) and not 0 <= view.frames.min() <= view.frames.max() < video.n_frames:
                outside = view.frames.min() if view.frames.min() < 0 else view.frames.max()
                raise ClipError(f"{video.video_id}: frame {outside} is wanted, but it has {video.n_frames} frames")
        if video.first_frame:
            views = [view._replace(frames=view.frames + video.first_frame) for view in views]
        try:
            if row.table is None:
                newest = row.mtime_ns if self.check_time else None
                return _read_folder(video.source, row.n_frames, newest, views, self.pixels)
            self._check_unchanged(video, row)
            return read_views(video.source, views, table=row.table, pixels=self.pixels)
        except ClipError as error:
            # Reasons stand in records, which name no folder of this machine.
            raise ClipError(str(error).replace(video.source, row.path)) from error

    def row(self, video: Video) -> IndexRow:
        """Return the index's row of a video."""
        return self.index[video.video_id] if self.rows is None else self.index.row(int(self.rows[video.index]))

    def content_key(self, video: Video) -> str:
        """Return what the pixels of a video depend on, by which a cache of them is kept."""
        return f"{self.row(video).content_hash}+{video.first_frame}:{video.n_frames}"

    def _check_unchanged(self, video: Video, row: IndexRow) -> None:
        try:
            stat = os.stat(video.source)
        except OSError as error:
            raise ClipError(f"{video.source}: gone since it was indexed ({error.strerror})") from error
        if stat.st_size != row.bytes or (self.check_time and stat.st_mtime_ns != row.mtime_ns):
            raise ClipError(f"{video.source}: changed since it was indexed; start the run again to index it anew")


def read_views(
    source: str, views: Sequence[View], *, table: FrameTable | None = None, pixels: str = "rgb24"
) -> list[Any]:
    """Read views from a file in one pass over the union of their frames; equal to decoding the whole file.

    Args:
        source: path of a local file.
        views: what to read; any order of frames, repeats allowed.
        table: the file's frame table; ``None``: it is probed first.
        pixels: one of ``yuv.PIXELS``.

    Returns:
        uint8 RGB ``[T, H, W, 3]`` per view; with ``pixels="yuv420"`` a ``YuvClip``.

    Raises:
        ClipError: the file cannot be read, or does not hold a frame that is asked for.
        ConfigError: ``pixels="yuv420"`` and a view of odd sides.
    """
    table = probe(source).table if table is None else table
    places = _Places(views, table, pixels)
    missing = decode_frames(source, table, places.frames, places.put)
    return places.filled(source, missing)


def _read_folder(source: str, n_frames: int, newest_ns: int | None, views: Sequence[View], pixels: str) -> list[Any]:
    """Read views from a folder of pictures: as ``read_views`` does from a file."""
    from av.video.frame import VideoFrame

    places = _Places(views, _UPRIGHT, pixels)

    def put(frame: int, picture: np.ndarray) -> None:
        places.put(frame, VideoFrame.from_ndarray(picture, format="rgb24"))

    missing = read_pictures(source, n_frames, places.frames, put, newest_ns=newest_ns)
    return places.filled(source, missing)


class _Places:
    """Room for views, and where each frame goes in it."""

    def __init__(self, views: Sequence[View], table: FrameTable, pixels: str) -> None:
        self._yuv = pixels == "yuv420"
        self._matrix: np.ndarray | None = None
        self._fitters: dict[_Kind, FrameFitter] = {}
        self._out: list[np.ndarray] = []
        # frame -> kind of picture -> where it goes
        self._slots: dict[int, dict[_Kind, list[np.ndarray]]] = {}
        for view in views:
            kind = ((int(view.size[0]), int(view.size[1])), view.fit)
            if kind not in self._fitters:
                self._fitters[kind] = FrameFitter(*kind, table)
            room = np.empty((len(view.frames), *self._shape(kind[0])), dtype=np.uint8)
            self._out.append(room)
            for frame, slot in zip(view.frames.tolist(), room, strict=True):
                self._slots.setdefault(frame, {}).setdefault(kind, []).append(slot)

    def _shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        if not self._yuv:
            return (*size, 3)
        if size[0] % 2 or size[1] % 2:
            raise ConfigError(f"pixels=yuv420 needs even sides, a view has {size[0]}x{size[1]}; set task.read_size")
        return (size[0] * 3 // 2, size[1])

    @property
    def frames(self) -> np.ndarray:
        """The union of all frames, int64, rising."""
        return np.array(sorted(self._slots), dtype=np.int64)

    def put(self, frame: int, picture: VideoFrame) -> None:
        if self._yuv and self._matrix is None:
            self._matrix = rgb_matrix(picture)
        for kind, slots in self._slots[frame].items():
            fitter = self._fitters[kind]
            (fitter.into_yuv if self._yuv else fitter.into)(picture, slots[0])
            for slot in slots[1:]:
                slot[:] = slots[0]

    def filled(self, source: str, missing: Mapping[int, str]) -> list[Any]:
        """Return the views, once every frame has been put.

        Raises:
            ClipError: frames are missing.
        """
        if missing:
            frame, reason = next(iter(missing.items()))
            raise ClipError(
                f"{source}: {len(missing)} of {len(self._slots)} frames cannot be read; frame {frame}: {reason}"
            )
        if not self._yuv or self._matrix is None:
            return self._out
        return [YuvClip(planes, self._matrix) for planes in self._out]
