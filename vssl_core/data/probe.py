"""What a video file really holds: every packet is counted, one frame is decoded, headers are not believed."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vssl_core.data.container import decoded, open_video
from vssl_core.data.promised import cut_short
from vssl_core.errors import ClipError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["CHECKS", "FrameTable", "Probe", "grey_reader", "probe", "shown_size"]

#: ``"packets"``: all are counted and the first frame is decoded; ``"decode"``: every frame is decoded
CHECKS = ("packets", "decode")
# Motion is measured on frames of this many pixels a side: finer detail is noise of the encoder.
_MOTION_SIDE = 64


@dataclass(frozen=True, slots=True)
class FrameTable:
    """What is needed to read any frame of a file exactly. Frame ``i`` is the ``i``-th in display order.

    Attributes:
        n_frames: frames of the file.
        pts: int64 ``[n_frames]`` or longer, rising, in units of the stream; empty where timestamps are missing or not
            to be trusted: frames are then counted from the start.
        key_pts: int64 ``[K]``, rising: timestamps of the key frames, where decoding can begin.
        key_dts: int64 ``[K]``: their decoding timestamps.
        rotation: how far a decoded frame must be turned counter-clockwise to be upright: 0, 90, 180 or 270 degrees.
        pixel_aspect: width of a pixel by its height.
        mirrored: the decoded frame must be mirrored left to right before it is turned.
        plain: opening the file without analysing its streams gives the same timestamps.
    """

    n_frames: int
    pts: np.ndarray
    key_pts: np.ndarray
    key_dts: np.ndarray
    rotation: int
    pixel_aspect: float
    mirrored: bool = False
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """A readable file.

    Attributes:
        table: where its frames are.
        fps: mean frames a second.
        varies: whether the time between two frames varies by more than a tenth.
        duration_s: seconds.
        size: height and width as shown.
        codec: the decoder's name.
        has_audio: whether there is a sound track.
        damage: what cannot be decoded; empty where nothing was found. Only ``check="decode"`` looks at every frame.
        motion: float32 ``[n_frames]`` in [0, 1]: mean absolute difference of grey values to the frame before (0 for the
            first); ``None`` unless it was asked for.
    """

    table: FrameTable
    fps: float
    duration_s: float
    size: tuple[int, int]
    varies: bool = False
    codec: str = ""
    has_audio: bool = False
    damage: str = ""
    motion: np.ndarray | None = None


@dataclass(slots=True)
class _Scan:
    """What the packets say: timestamps of those that are shown, (timestamp, decoding timestamp) of the key frames."""

    shown: list[int | None] = field(default_factory=list)
    keys: list[tuple[int, int]] = field(default_factory=list)
    first: VideoFrame | None = None
    error: str = ""
    #: timestamps of packets that are marked as key frames and cannot be decoded by themselves
    mismarked: set[int] = field(default_factory=set)


def probe(source: str, *, check: str = "packets", motion: bool = False) -> Probe:
    """Count a file's frames and decode the first.

    Args:
        source: path of a local file.
        check: ``"decode"`` decodes every frame: a damaged file then ends before its first frame that cannot be decoded.
        motion: measure the motion curve, which decodes every frame too.

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
        # Their headers list every sample; other containers state a guess, or nothing.
        promised = stream.frames if "mp4" in container.format.name else 0
        codec, has_audio = stream.codec_context.name, bool(container.streams.audio)
        scan = _scan(source, container, stream, try_keys=True)
    first = scan.first
    if first is None:
        raise ClipError(f"{source}: it holds no frame that can be decoded")
    pts = np.array(sorted(stamp for stamp in scan.shown if stamp is not None), dtype=np.int64)
    keys = sorted(key for key in scan.keys if key[0] not in scan.mismarked)
    trusted = not guessed and 0 < len(pts) == len(scan.shown) == len(np.unique(pts)) and first.pts == int(pts[0])
    damage = f"the file is damaged behind frame {len(pts) - 1} ({scan.error})" if scan.error else ""
    if not damage and len(scan.shown) < promised:
        damage = f"the file holds {len(scan.shown)} of the {promised} frames that its header promises"
    damage = damage or cut_short(source)
    energy: np.ndarray | None = None
    if not trusted:
        pts, keys = pts[:0], []
    n_frames = len(pts)
    if not trusted or check == "decode" or motion:
        decodable, error, energy = _decode_all(source, pts if trusted else None, motion)
        if not trusted or decodable < n_frames:
            damage = f"{decodable} of {n_frames or 'its'} frames can be decoded ({error})" if error else damage
            n_frames = decodable
        if not n_frames:
            raise ClipError(f"{source}: it is damaged from its first frame on ({error})")
    rotation, mirrored = _orientation(first)
    table = FrameTable(
        n_frames,
        pts,
        np.array([key for key, _ in keys], dtype=np.int64),
        np.array([dts for _, dts in keys], dtype=np.int64),
        rotation,
        pixel_aspect,
        mirrored,
        trusted and _opens_plain(source, scan),
    )
    if trusted and n_frames < len(pts):
        table = _shortened(source, table)
        n_frames = table.n_frames
        if not n_frames:
            raise ClipError(f"{source}: it is damaged from its first frame on")
    varies = False
    if len(pts) > 1:
        steps = np.diff(pts)
        rate = len(steps) / (float(pts[-1] - pts[0]) * time_base)
        varies = bool((np.abs(steps * (rate * time_base) - 1) > 0.1).any())
    size = shown_size(first.height, first.width, rotation, pixel_aspect)
    motion_curve = None if energy is None else energy[:n_frames]
    return Probe(table, rate, n_frames / rate, size, varies, codec, has_audio, damage, motion_curve)


def _scan(source: str, container: InputContainer, stream: VideoStream, *, try_keys: bool = False) -> _Scan:
    """Read every packet once and decode until there is a frame; with ``try_keys`` also each key frame by itself."""
    import av

    vp8 = stream.codec_context.name == "vp8"
    try_keys = try_keys and not stream.codec_context.codec.intra_only
    found = _Scan()
    # Trying them resets the decoder, which has to come to a first frame undisturbed.
    untried: list[Packet] = []
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                found.error = "it ends within a frame"
                continue
            if try_keys and packet.is_keyframe and packet.pts is not None and packet.size:
                untried.append(packet)
            if found.first is not None:
                found.mismarked |= {key.pts or 0 for key in untried if not _decodes_alone(stream, key)}
                untried.clear()
            else:
                try:
                    found.first = next(iter(packet.decode()), None)
                except av.FFmpegError as error:
                    raise ClipError(f"{source}: its first frame cannot be decoded ({error})") from error
            if not packet.size:
                continue
            # VP8's alternate reference frames are packets of their own that are never shown (RFC 6386, section 9.1).
            if not packet.is_discard and not (vp8 and not bytes(packet)[0] >> 4 & 1):
                found.shown.append(packet.pts)
            if packet.is_keyframe and packet.pts is not None:
                found.keys.append((packet.pts, packet.pts if packet.dts is None else packet.dts))
    except av.FFmpegError as error:
        # A truncated file: what came before can be read.
        found.error = getattr(error, "strerror", "") or str(error)
    found.mismarked |= {key.pts or 0 for key in untried if not _decodes_alone(stream, key)}
    return found


def _decodes_alone(stream: VideoStream, packet: Packet) -> bool:
    """Tell whether decoding can begin at a packet that is marked as a key frame.

    Marks are the container's: some files mark every packet (mp4 without a table of key frames, AVI of careless flags),
    and H.264 marks where a picture that is refreshed bit by bit will be whole some frames later.
    """
    import av
    from av.video.frame import PictureType

    context = stream.codec_context
    context.flush_buffers()
    try:
        pictures = [*packet.decode(), *context.decode(None)]
    except av.FFmpegError:
        pictures = []
    # Drained decoders take nothing more.
    context.flush_buffers()
    whole = (PictureType.I, PictureType.SI, PictureType.BI)
    return any(p.key_frame and p.pict_type in whole and not p.is_corrupt for p in pictures)


def _opens_plain(source: str, scan: _Scan) -> bool:
    """Tell whether opening without analysis gives the same packets and the same first frame."""
    try:
        with open_video(source, analyse=False) as (container, stream):
            plain = _scan(source, container, stream)
    except ClipError:
        return False
    if plain.first is None or scan.first is None:
        return False
    same_frame = plain.first.pts == scan.first.pts and plain.first.format.name == scan.first.format.name
    return same_frame and (plain.shown, plain.keys) == (scan.shown, scan.keys)


def _decode_all(source: str, pts: np.ndarray | None, motion: bool) -> tuple[int, str, np.ndarray | None]:
    """Decode a whole file.

    Returns:
        Frames before the first that cannot be had, why that one cannot, and the motion of those before it.
    """
    import av

    energy: list[float] = []
    before: np.ndarray | None = None
    count, reason, grey = 0, "", grey_reader()
    with open_video(source) as (container, stream):
        try:
            for picture in decoded(container, stream):
                if pts is not None and (count >= len(pts) or picture.pts != pts[count]):
                    reason = "a frame is missing"
                    break
                if picture.is_corrupt:
                    reason = "a frame is damaged"
                    break
                count += 1
                if motion:
                    now = grey(picture)
                    energy.append(0.0 if before is None else float(np.abs(now - before).mean()) / 255)
                    before = now
        except av.FFmpegError as error:
            reason = getattr(error, "strerror", "") or str(error)
    return count, reason, np.array(energy, dtype=np.float32) if motion else None


def _shortened(source: str, table: FrameTable) -> FrameTable:
    """Leave out frames at the end that refer to the damage behind them: they are shown before it, but decoded after."""
    from vssl_core.data.decode import decode_frames

    n_frames = table.n_frames
    whole = replace(table, n_frames=len(table.pts))
    while n_frames and decode_frames(source, whole, np.array([n_frames - 1]), lambda frame, picture: None):
        n_frames -= 1
    return replace(table, n_frames=n_frames)


def grey_reader() -> Callable[[VideoFrame], np.ndarray]:
    """Return a function from a frame to its grey values, float32 ``[64, 64]``; it keeps its scaler between frames."""
    from av.video.reformatter import Interpolation, VideoReformatter

    scaler = VideoReformatter()
    how = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT

    def grey(frame: VideoFrame) -> np.ndarray:
        small = scaler.reformat(frame, _MOTION_SIDE, _MOTION_SIDE, "gray", interpolation=how, threads=1)
        return small.to_ndarray().astype(np.float32)

    return grey


def _orientation(frame: VideoFrame) -> tuple[int, bool]:
    """Return how a frame is turned counter-clockwise, in degrees, and whether it is mirrored first."""
    from av.sidedata.sidedata import Type

    # Its stubs say that names are looked up by text; they are enumeration members.
    side: Any = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    if side is None:
        return 0, False
    # Row-major 3 x 3 in 16.16 fixed point (ISO/IEC 14496-12, section 8.3.2); a negative determinant mirrors.
    a, b, _, c, d = struct.unpack("=5i", bytes(side)[:20])
    mirrored = a * d - b * c < 0
    if mirrored:
        # What is left after mirroring the picture's columns is a rotation.
        a, b = -a, -b
    return round(float(np.degrees(np.arctan2(-b, a))) / 90) * 90 % 360, mirrored


def shown_size(height: int, width: int, rotation: int, pixel_aspect: float) -> tuple[int, int]:
    """Return height and width as a player shows them: pixels made square by their width, then turned upright."""
    width = max(1, round(width * pixel_aspect))
    return (width, height) if rotation % 180 else (height, width)
