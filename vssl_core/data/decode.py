"""Reading exactly the frames asked for, all views of a video in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from vssl_core.contracts import Video, View
from vssl_core.data.container import decoded, open_video
from vssl_core.data.fit import FrameFitter
from vssl_core.data.probe import FrameTable, probe
from vssl_core.errors import ClipError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from vssl_core.data.index import Index

__all__ = ["FileReader", "decode_frames", "read_views"]

# Up to this many frames between what is wanted and the next key frame are decoded rather than jumped over.
_DECODE_RATHER_THAN_SEEK = 4
# Decoders return frames in display order but for a few at the start of some streams; look this much further.
_LOOK_FURTHER = 16

Emit = Callable[[int, "VideoFrame"], None]


class FileReader:
    """The ``Reader`` of an index: decodes from the files themselves. Picklable.

    Args:
        index: what ``build_index`` made of the data set; ``Video.video_id`` is its key.
    """

    def __init__(self, index: Index) -> None:
        self.index = index

    def __call__(self, video: Video, views: Sequence[View]) -> list[np.ndarray]:
        """Return uint8 RGB ``[T, H, W, 3]`` per view.

        Raises:
            ClipError: the file could not be indexed, has changed, or does not hold the frames asked for.
        """
        try:
            return read_views(video.source, views, table=self.table(video))
        except ClipError as error:
            # Reasons stand in records, which name no folder of this machine.
            raise ClipError(str(error).replace(video.source, video.video_id)) from error

    def table(self, video: Video) -> FrameTable:
        """Return the frame table of a video.

        Raises:
            ClipError: the file is unreadable; says why.
        """
        row = self.index[video.video_id]
        if row.table is None:
            raise ClipError(row.reason)
        return row.table

    def content_key(self, video: Video) -> str:
        """Return the hash of the file's bytes, by which a cache of its pixels is kept."""
        return self.index[video.video_id].content_hash


def read_views(source: str, views: Sequence[View], *, table: FrameTable | None = None) -> list[np.ndarray]:
    """Read views from a file in one pass over the union of their frames; equal to decoding the whole file.

    Args:
        source: path of a local file.
        views: what to read; any order of frames, repeats allowed.
        table: the file's frame table; ``None``: it is probed first.

    Returns:
        uint8 RGB ``[T, H, W, 3]`` per view.

    Raises:
        ClipError: the file cannot be read, or does not hold a frame that is asked for.
    """
    table = probe(source).table if table is None else table
    out = [np.empty((len(view.frames), *view.size, 3), dtype=np.uint8) for view in views]
    fitters: dict[tuple[tuple[int, int], str], FrameFitter] = {}
    # frame -> kind of picture -> where it goes
    slots: dict[int, dict[tuple[tuple[int, int], str], list[np.ndarray]]] = {}
    for view, pixels in zip(views, out, strict=True):
        kind = ((int(view.size[0]), int(view.size[1])), view.fit)
        if kind not in fitters:
            fitters[kind] = FrameFitter(*kind, table)
        for frame, slot in zip(view.frames.tolist(), pixels, strict=True):
            slots.setdefault(frame, {}).setdefault(kind, []).append(slot)

    def emit(frame: int, picture: VideoFrame) -> None:
        for kind, places in slots[frame].items():
            fitters[kind].into(picture, places[0])
            for place in places[1:]:
                place[:] = places[0]

    missing = decode_frames(source, table, np.array(sorted(slots), dtype=np.int64), emit)
    if missing:
        frame, reason = next(iter(missing.items()))
        raise ClipError(f"{source}: {len(missing)} of {len(slots)} frames cannot be read; frame {frame}: {reason}")
    return out


def decode_frames(source: str, table: FrameTable, wanted: np.ndarray, emit: Emit) -> dict[int, str]:
    """Decode the frames ``wanted`` and pass each to ``emit``, in display order.

    Args:
        source: path of a local file.
        table: its frame table.
        wanted: int64, rising, without repeats.
        emit: called with a frame's index and its picture.

    Returns:
        The frames that could not be had, with their reasons. Whether a frame can be had does not depend on what else
        is wanted: it must decode from the last key frame before it, undamaged.

    Raises:
        ClipError: the file cannot be opened, or a frame outside of it is wanted.
    """
    if not len(wanted):
        return {}
    if wanted[0] < 0 or wanted[-1] >= table.n_frames:
        outside = wanted[0] if wanted[0] < 0 else wanted[-1]
        raise ClipError(f"{source}: frame {outside} is wanted, but it has {table.n_frames} frames")
    with _Decoder(source, table) as decoder:
        if not len(table.pts):
            return decoder.count(wanted, emit)
        missing: dict[int, str] = {}
        key_of = np.searchsorted(table.key_pts, table.pts[wanted], side="right") - 1
        for key in np.unique(key_of):
            missing.update(decoder.group(int(key), wanted[key_of == key], emit))
        return missing


class _Decoder:
    """An open file and where its decoder stands."""

    def __init__(self, source: str, table: FrameTable) -> None:
        self._source = source
        self._table = table
        self._stack = ExitStack()
        self._pictures: Iterator[VideoFrame] = iter(())
        #: the next frame that the decoder returns; -1: it must be placed anew
        self._next = 0

    def __enter__(self) -> _Decoder:
        self._open()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        self._stack.close()
        self._container, self._stream = self._stack.enter_context(open_video(self._source))
        self._pictures = decoded(self._container, self._stream)
        self._next = 0

    def count(self, wanted: np.ndarray, emit: Emit) -> dict[int, str]:
        """Count frames from the start: for files without usable timestamps."""
        import av

        left = set(wanted.tolist())
        missing: dict[int, str] = {}
        reason = "the file ends before it"
        try:
            for at, picture in enumerate(self._pictures):
                if at in left:
                    left.remove(at)
                    if picture.is_corrupt:
                        missing[at] = "it is damaged"
                    else:
                        emit(at, picture)
                if not left:
                    break
        except av.FFmpegError as error:
            reason = str(error)
        return {**missing, **dict.fromkeys(sorted(left), reason)}

    def group(self, key: int, wanted: np.ndarray, emit: Emit) -> dict[int, str]:
        """Decode frames that depend on key frame number ``key`` (-1: those before the first)."""
        begin = int(np.searchsorted(self._table.pts, self._table.key_pts[key])) if key >= 0 else 0
        left = {int(self._table.pts[frame]): int(frame) for frame in wanted}
        if self._next >= 0 and begin - self._next <= _DECODE_RATHER_THAN_SEEK:
            fresh = self._next == 0
            missing = self._run(left, emit)
            if fresh or not missing:
                return missing
        # Running on failed, or would decode frames that nobody wants: begin at the key frame itself.
        self._place(key)
        return self._run(left, emit)

    def _run(self, left: dict[int, int], emit: Emit) -> dict[int, str]:
        """Decode on until ``left`` (timestamp -> frame) is empty; return what stays with its reason."""
        import av

        last = max(left)
        damaged: dict[int, str] = {}
        passed = 0
        reason = "the file ends before it"
        try:
            for picture in self._pictures:
                pts = picture.pts
                if pts is None:
                    continue
                frame = left.pop(pts, None)
                if frame is not None:
                    if picture.is_corrupt:
                        damaged[frame] = "it is damaged"
                    else:
                        emit(frame, picture)
                if not left:
                    self._next = int(np.searchsorted(self._table.pts, pts, side="right"))
                    return damaged
                passed += pts > last
                if passed > _LOOK_FURTHER:
                    reason = "the decoder leaves it out"
                    break
        except av.FFmpegError as error:
            reason = str(error)
        self._next = -1
        return {**damaged, **dict.fromkeys(sorted(left.values()), reason)}

    def _place(self, key: int) -> None:
        """Make the decoder begin at a key frame, or before it where the container cannot do better."""
        import av

        # Containers search by either timestamp; whichever lands at or before the key frame is right.
        for target in (self._table.key_pts[key], self._table.key_dts[key]) if key > 0 else ():
            try:
                self._container.seek(int(target), stream=self._stream)
                first = next(packet for packet in self._container.demux(self._stream) if not packet.is_corrupt)
            except (av.FFmpegError, StopIteration):
                continue
            if first.pts is not None and first.is_keyframe and first.pts <= self._table.key_pts[key]:
                self._container.seek(int(target), stream=self._stream)
                self._pictures = decoded(self._container, self._stream)
                self._next = int(np.searchsorted(self._table.pts, first.pts))
                return
        self._open()
