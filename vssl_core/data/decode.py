"""Decoding exactly the frames asked for, in one pass over a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from vssl_core.data.container import decoded, open_video
from vssl_core.data.droppable import droppable_test
from vssl_core.data.probe import FrameTable
from vssl_core.errors import ClipError

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame

__all__ = ["decode_frames"]

# Up to this many frames between what is wanted and the next key frame are decoded rather than jumped over; where every
# frame is a key frame they are only read, which costs little.
_DECODE_RATHER_THAN_SEEK, _READ_RATHER_THAN_SEEK = 4, 64
# Decoders return frames in display order but for a few at the start of some streams; look this much further.
_LOOK_FURTHER = 16

# A stream that has shown this many packets in a row that are needed has no others: looking costs what it cannot save.
_TESTS_IN_VAIN = 24

Emit = Callable[[int, "VideoFrame"], None]


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
    if _intra(table):
        apart = np.concatenate([[True], np.diff(wanted) > _READ_RATHER_THAN_SEEK])
        return list(zip(wanted[apart].tolist(), np.split(wanted, np.flatnonzero(apart)[1:]), strict=True))
    key_of = np.searchsorted(table.key_pts, table.pts[wanted], side="right") - 1
    firsts = np.concatenate([[0], np.flatnonzero(np.diff(key_of)) + 1])
    keys = key_of[firsts]
    begins = np.zeros(len(keys), dtype=np.int64)
    begins[keys >= 0] = np.searchsorted(table.pts, table.key_pts[keys[keys >= 0]])
    # Whole stretches begin where too much lies between the frame before and the next group's key frame.
    apart = np.concatenate([[True], begins[1:] - wanted[firsts[1:] - 1] > _DECODE_RATHER_THAN_SEEK])
    groups = np.split(wanted, firsts[apart][1:])
    stretches = list(zip(keys[apart].tolist(), groups, strict=True))
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
        to_send, last, asked = set(left), max(left), dict(left)
        order: list[Packet] = []
        corrupt: set[int] = set()
        passed = 0
        reason = "the file ends before it"
        broken: tuple[int, str] | None = None

        def take(pictures: Sequence[VideoFrame]) -> None:
            nonlocal passed
            for picture in pictures:
                frame = None if picture.pts is None else left.pop(picture.pts, None)
                if picture.is_corrupt and picture.pts is not None:
                    corrupt.add(picture.pts)
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
                order.append(packet)
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
            # What waits in the decoder for its turn in display order is whole. Also where nothing is wanted of it: it
            # may be damaged, and what was shown before may refer to it.
            if packet.size:
                take(context.decode(None))
        except av.FFmpegError as error:
            reason = str(error)
        if corrupt:
            for stamp in self._condemned(order, corrupt) & asked.keys():
                missing.setdefault(asked[stamp], "a frame that it refers to is damaged")
                left.pop(stamp, None)
        if broken is not None and broken[0] in left:
            return broken
        missing.update(dict.fromkeys(sorted(left.values()), reason))
        left.clear()
        return None

    def _condemned(self, order: Sequence[Packet], corrupt: set[int]) -> set[int]:
        """Return the timestamps of what may refer to damaged frames: libav marks those alone.

        That is whatever follows one in decoding order before the next key frame, unless no frame refers to it.
        """
        test = droppable_test(self._stream.codec_context.name, self._stream.codec_context.extradata)
        condemned: set[int] = set()
        spreading = False
        for packet in order:
            spreading = spreading and not packet.is_keyframe
            if packet.pts is None:
                continue
            if spreading:
                condemned.add(packet.pts)
            if packet.pts in corrupt and not self._intra:
                spreading = spreading or test is None or not test(memoryview(packet))
        return condemned

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
