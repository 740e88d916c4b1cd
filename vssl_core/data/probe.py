"""What a video file really holds: every packet is counted, one frame is decoded, headers are not believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vssl_core.data.container import decoded, open_video
from vssl_core.errors import ClipError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["FrameTable", "Probe", "probe", "shown_size"]


@dataclass(frozen=True, slots=True)
class FrameTable:
    """What is needed to read any frame of a file exactly. Frame ``i`` is the ``i``-th in display order.

    Attributes:
        n_frames: frames of the file.
        pts: int64 ``[n_frames]``, rising, in units of the stream; empty where timestamps are missing or not to be
            trusted: frames are then counted from the start.
        key_pts: int64 ``[K]``, rising: timestamps of the key frames, where decoding can begin.
        key_dts: int64 ``[K]``: their decoding timestamps.
        rotation: how far a decoded frame must be turned counter-clockwise to be upright: 0, 90, 180 or 270 degrees.
        pixel_aspect: width of a pixel by its height.
    """

    n_frames: int
    pts: np.ndarray
    key_pts: np.ndarray
    key_dts: np.ndarray
    rotation: int
    pixel_aspect: float


@dataclass(frozen=True, slots=True)
class Probe:
    """A readable file: frame table, mean frames a second, seconds, and height and width as shown."""

    table: FrameTable
    fps: float
    duration_s: float
    size: tuple[int, int]


def probe(source: str) -> Probe:
    """Count a file's frames and decode the first.

    Raises:
        ClipError: the file is no video, or not even its first frame can be decoded.
    """
    with open_video(source) as (container, stream):
        time_base = float(stream.time_base or 0)
        # A lone picture may state no rate; libav's own default keeps its duration finite.
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        pixel_aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        # AVI stores no presentation times: with reordered frames what libav makes up does not belong to them.
        guessed = container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
        shown, keys, first = _scan(source, container, stream)
    pts = np.array(sorted(stamp for stamp in shown if stamp is not None), dtype=np.int64)
    if guessed or len(pts) < len(shown) or len(np.unique(pts)) < len(pts) or not len(pts) or first.pts != pts[0]:
        pts, keys = pts[:0], []
        n_frames = _count_decoded(source)
    else:
        n_frames = len(pts)
    rotation = round(first.rotation / 90) * 90 % 360
    table = FrameTable(
        n_frames,
        pts,
        np.array([key for key, _ in keys], dtype=np.int64),
        np.array([dts for _, dts in keys], dtype=np.int64),
        rotation,
        pixel_aspect,
    )
    if len(pts) > 1:
        rate = (len(pts) - 1) / (float(pts[-1] - pts[0]) * time_base)
    size = shown_size(first.height, first.width, rotation, pixel_aspect)
    return Probe(table, rate, n_frames / rate, size)


def _scan(
    source: str, container: InputContainer, stream: VideoStream
) -> tuple[list[int | None], list[tuple[int, int]], VideoFrame]:
    """Read every packet once.

    Returns:
        The timestamp of every packet that is shown, (timestamp, decoding timestamp) of every key frame in rising order,
        and the first frame.
    """
    import av

    vp8 = stream.codec_context.name == "vp8"
    shown: list[int | None] = []
    keys: list[tuple[int, int]] = []
    frames: list[VideoFrame] = []
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                continue
            if not frames:
                try:
                    frames = packet.decode()
                except av.FFmpegError as error:
                    raise ClipError(f"{source}: its first frame cannot be decoded ({error})") from error
            if not packet.size:
                continue
            # VP8's alternate reference frames are packets of their own that are never shown (RFC 6386, section 9.1).
            if not packet.is_discard and not (vp8 and not bytes(packet)[0] >> 4 & 1):
                shown.append(packet.pts)
            if packet.is_keyframe and packet.pts is not None:
                keys.append((packet.pts, packet.pts if packet.dts is None else packet.dts))
    except av.FFmpegError:
        # A truncated file: what came before can be read.
        pass
    if not frames:
        raise ClipError(f"{source}: it holds no frame that can be decoded")
    return shown, sorted(keys), frames[0]


def shown_size(height: int, width: int, rotation: int, pixel_aspect: float) -> tuple[int, int]:
    """Return height and width as a player shows them: pixels made square by their width, then turned upright."""
    width = max(1, round(width * pixel_aspect))
    return (width, height) if rotation % 180 else (height, width)


def _count_decoded(source: str) -> int:
    import av

    count = 0
    with open_video(source) as (container, stream):
        try:
            for _ in decoded(container, stream):
                count += 1
        except av.FFmpegError:
            pass
    return count
