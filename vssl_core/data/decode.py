"""Reading exactly the frames asked for, all views of a video in one pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from vssl_core.contracts import Video, View
from vssl_core.data.container import decoded, open_video
from vssl_core.data.droppable import droppable_test
from vssl_core.data.fit import FrameFitter
from vssl_core.data.frames import read_pictures
from vssl_core.data.probe import FrameTable, probe
from vssl_core.data.yuv import YuvClip, rgb_matrix
from vssl_core.errors import ClipError, ConfigError

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame

    from vssl_core.data.index import Index, IndexRow

__all__ = ["FileReader", "decode_frames", "read_views"]

# Up to this many frames between what is wanted and the next key frame are decoded rather than jumped over; where every
# frame is a key frame they are only read, which costs little.
_DECODE_RATHER_THAN_SEEK, _READ_RATHER_THAN_SEEK = 4, 64
# Decoders return frames in display order but for a few at the start of some streams; look this much further.
_LOOK_FURTHER = 16

# A stream that has shown this many packets in a row that are needed has no others: looking costs what it cannot save.
_TESTS_IN_VAIN = 24

Emit = Callable[[int, "VideoFrame"], None]
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
                return _read_folder(video.source, row.n_frames, views, self.pixels)
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


def _read_folder(source: str, n_frames: int, views: Sequence[View], pixels: str) -> list[Any]:
    """Read views from a folder of pictures: as ``read_views`` does from a file."""
    from av.video.frame import VideoFrame

    places = _Places(views, _UPRIGHT, pixels)

    def put(frame: int, picture: np.ndarray) -> None:
        places.put(frame, VideoFrame.from_ndarray(picture, format="rgb24"))

    missing = read_pictures(source, n_frames, places.frames, put)
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


def decode_frames(source: str, table: FrameTable, wanted: np.ndarray, emit: Emit) -> dict[int, str]:
    """Decode the frames ``wanted`` and pass each to ``emit``, in display order.

    What is decoded is no more than these frames need: from the key frame before them on, the frames that nobody asked
    for and that no other frame refers to are left out, and nothing is read behind the last packet that is needed.

    Args:
        source: path of a local file.
        table: its frame table.
        wanted: int64, rising, without repeats.
        emit: called with a frame's index and its picture.

    Returns:
        The frames that could not be had, with their reasons. Whether a frame can be had does not depend on what else
        is wanted: it and what it refers to must decode from the last key frame before it, undamaged.

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
        for key, frames in _stretches(table, wanted):
            missing.update(decoder.stretch(key, frames, emit))
        return missing


def _stretches(table: FrameTable, wanted: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Divide wanted frames into what is decoded in one go: (number of the key frame, frames).

    Frames before the first key frame have key number -1. Neighbouring groups of pictures are taken together where
    decoding what lies between is cheaper than seeking.
    """
    key_of = np.searchsorted(table.key_pts, table.pts[wanted], side="right") - 1
    near = _READ_RATHER_THAN_SEEK if _intra(table) else _DECODE_RATHER_THAN_SEEK
    stretches: list[tuple[int, np.ndarray]] = []
    for key in np.unique(key_of).tolist():
        frames = wanted[key_of == key]
        begin = int(np.searchsorted(table.pts, table.key_pts[key])) if key >= 0 else 0
        if stretches and begin - int(stretches[-1][1][-1]) <= near:
            stretches[-1] = (stretches[-1][0], np.concatenate([stretches[-1][1], frames]))
        else:
            stretches.append((key, frames))
    return stretches


def _intra(table: FrameTable) -> bool:
    """Tell whether every frame is a key frame, which needs no other to be decoded."""
    return len(table.key_pts) == len(table.pts)


class _Decoder:
    """An open file and where its decoder stands."""

    def __init__(self, source: str, table: FrameTable) -> None:
        self._source = source
        self._table = table
        self._intra = _intra(table)
        self._stack = ExitStack()
        self._packets: Iterator[Packet] = iter(())
        #: whether the decoder stands at the beginning of the file, with nothing decoded yet
        self._fresh = True

    def __enter__(self) -> _Decoder:
        self._open()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        self._stack.close()
        opened = open_video(self._source, analyse=not self._table.plain)
        self._container, self._stream = self._stack.enter_context(opened)
        self._packets = self._container.demux(self._stream)
        context = self._stream.codec_context
        self._droppable = droppable_test(context.name, context.extradata)
        self._in_vain = 0
        self._fresh = True

    def count(self, wanted: np.ndarray, emit: Emit) -> dict[int, str]:
        """Count frames from the start: for files without usable timestamps."""
        import av

        left = set(wanted.tolist())
        missing: dict[int, str] = {}
        reason = "the file ends before it"
        try:
            for at, picture in enumerate(decoded(self._container, self._stream)):
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

    def stretch(self, key: int, wanted: np.ndarray, emit: Emit) -> dict[int, str]:
        """Decode frames from key frame number ``key`` on (-1: from the start)."""
        left = {int(self._table.pts[frame]): int(frame) for frame in wanted}
        missing: dict[int, str] = {}
        while left:
            self._place(key)
            self._fresh = False
            broken = self._run(left, missing, emit)
            if broken is None:
                break
            # A frame that is damaged harms others only if they refer to it. Whether they do shows when it is no longer
            # wanted: the decoder then leaves it out, or stumbles over it again.
            missing[left.pop(broken[0])] = broken[1]
        return missing

    def _run(self, left: dict[int, int], missing: dict[int, str], emit: Emit) -> tuple[int, str] | None:
        """Decode on until ``left`` (timestamp -> frame) is empty.

        Frames that cannot be had are moved to ``missing``.

        Returns:
            Timestamp and reason of a wanted frame whose packet cannot be decoded: the rest is to be tried without it.
        """
        import av

        context = self._stream.codec_context
        to_send, last = set(left), max(left)
        passed = 0
        reason = "the file ends before it"
        broken: tuple[int, str] | None = None

        def take(pictures: Sequence[VideoFrame]) -> None:
            nonlocal passed
            for picture in pictures:
                frame = None if picture.pts is None else left.pop(picture.pts, None)
                if frame is None:
                    passed += picture.pts is not None and picture.pts > last
                elif picture.is_corrupt:
                    missing[frame] = "it is damaged"
                else:
                    emit(frame, picture)

        try:
            for packet in self._packets:
                # The last packet of a truncated file: it would decode to half a picture.
                if packet.is_corrupt:
                    continue
                wanted = packet.pts in to_send
                if packet.size and not wanted and self._needless(packet):
                    continue
                try:
                    take(packet.decode())
                except av.FFmpegError as error:
                    reason = str(error)
                    if wanted:
                        broken = (int(packet.pts or 0), reason)
                    break
                to_send.discard(packet.pts)
                if not to_send or passed > _LOOK_FURTHER:
                    reason = "the decoder leaves it out"
                    break
                if not left or not packet.size:
                    break
            # What waits in the decoder for its turn in display order is whole.
            if left and packet.size:
                take(context.decode(None))
        except av.FFmpegError as error:
            reason = str(error)
        if broken is not None and broken[0] in left:
            return broken
        missing.update(dict.fromkeys(sorted(left.values()), reason))
        left.clear()
        return None

    def _needless(self, packet: Packet) -> bool:
        """Tell whether no frame but its own needs a packet."""
        if self._intra:
            return True
        if self._droppable is None:
            return False
        if self._droppable(memoryview(packet)):
            self._in_vain = 0
            return True
        self._in_vain += 1
        if self._in_vain > _TESTS_IN_VAIN:
            self._droppable = None
        return False

    def _place(self, key: int) -> None:
        """Make the decoder begin at a key frame, or before it where the container cannot do better."""
        import av

        if key <= 0:
            if not self._fresh:
                self._open()
            return
        # Containers search by either timestamp; whichever lands at or before the key frame is right.
        for target in (self._table.key_pts[key], self._table.key_dts[key]):
            try:
                self._container.seek(int(target), stream=self._stream)
                packets = self._container.demux(self._stream)
                first = next(packet for packet in packets if not packet.is_corrupt)
            except (av.FFmpegError, StopIteration):
                continue
            if first.pts is not None and first.is_keyframe and first.pts <= self._table.key_pts[key]:
                self._packets = chain([first], packets)
                return
        self._open()
