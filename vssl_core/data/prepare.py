"""Writing a training copy of a set: small frames, upright, in files of which any frame is cheap to read."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from filelock import FileLock

from vssl_core.data.container import decoded, open_video
from vssl_core.data.fit import FrameFitter
from vssl_core.data.guard import guarded_map
from vssl_core.data.origins import ORIGINS, content_hash, read_map
from vssl_core.data.probe import FrameTable, probe
from vssl_core.data.progress import Progress
from vssl_core.errors import ClipError, ConfigError, DataError
from vssl_core.store.runs import write_json

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["CODECS", "Prepared", "prepare", "prepared_path"]


@dataclass(frozen=True, slots=True)
class _Codec:
    """How a copy is written: encoder, pixel format, file ending, and the encoder's options."""

    encoder: str
    pixel_format: str
    ending: str
    options: dict[str, str]


#: ``"h264"``: a key frame every twelve frames and no B-frames; ``"mjpeg"``: every frame by itself, larger and quicker
CODECS = {
    "h264": _Codec("libx264", "yuv420p", ".mp4", {"preset": "medium", "crf": "18", "g": "12", "bf": "0"}),
    # One quantiser for all: 3 of 2 .. 31, on footage 37 to 38 dB; 2 is 1 dB nearer and a quarter larger.
    "mjpeg": _Codec("mjpeg", "yuvj420p", ".mov", {"qmin": "3", "qmax": "3", "flags": "+qscale"}),
}
# The header in front: a reader has it with the first bytes of the file.
_CONTAINER = {"movflags": "faststart"}
#: in the folder of the copies: how they are made; which originals they were made of; who is making them
_SETTINGS, _STAMPS, _LOCK = ".prepared.json", ".prepared-from.json", ".prepared.lock"
# What is known of the originals reaches the disk this often: the files are written as a whole.
_KEPT_EVERY_S = 60.0
# A copy in the making, as ``mkstemp`` names it.
_TORN = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.[a-z0-9]+")
# Copies are written at this many pixels a second or more; a file that takes longer hangs.
_LIMIT_S, _SLOWEST_BYTES = 120.0, 2e4


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of each file: relative paths of the copies that were written or there already, reasons of failure."""

    written: tuple[str, ...]
    known: tuple[str, ...]
    failed: dict[str, str]
    bytes_before: int
    bytes_after: int


def prepared_path(path: str, codec: str) -> str:
    """Return where the copy of a relative path lies: the same place, with the copy's file ending added.

    Added, not put in its place: ``a.avi`` and ``a.mp4`` are two videos.
    """
    ending = CODECS[codec].ending
    return path if PurePosixPath(path).suffix == ending else f"{path}{ending}"


def prepare(
    root: Path,
    paths: Sequence[str],
    destination: Path,
    *,
    short_side: int = 128,
    codec: str = "h264",
    workers: int = 0,
    progress: Progress | None = None,
) -> Prepared:
    """Write a copy of every video; the originals are only read. Copies of originals that did not change are left alone.

    Which file each copy was made of is noted beside the copies: size and time, by which a change is seen, and the hash
    of its bytes (``ORIGINS``), by which a copy and its original are known as one video. A second process that prepares
    into the same folder waits for the first.

    Frame count and timestamps stay as they are. Frames become upright with square pixels and are scaled down until
    their short side is ``short_side``; smaller ones keep their size. Sound is left out.

    Args:
        root: folder that the paths are relative to.
        paths: of the videos, with forward slashes.
        destination: folder of the copies, outside of ``root``.
        short_side: pixels, even.
        codec: one of ``CODECS``.
        workers: processes; 0: as many as the machine has cores.
        progress: called with (files done, files to do).

    Raises:
        ConfigError: an unknown codec or an odd size.
        DataError: the destination is the source or lies within it, holds copies of another size or codec, or two copies
            would have one name.
    """
    if codec not in CODECS:
        raise ConfigError(f"codec={codec!r} is not one of {', '.join(map(repr, CODECS))}")
    if short_side < 16 or short_side % 2:
        raise ConfigError(f"short_side={short_side} must be even and at least 16")
    root, destination = root.resolve(), destination.resolve()
    if destination == root or root in destination.parents or destination in root.parents:
        raise DataError(
            f"{destination} and {root} lie within one another: copies would be taken for originals; choose another "
            "folder"
        )
    targets: dict[str, str] = {}
    for path in paths:
        other = targets.setdefault(prepared_path(path, codec), path)
        if other != path:
            raise DataError(f"the copies of {other!r} and {path!r} would have one name; rename one of them")
    destination.mkdir(parents=True, exist_ok=True)
    with FileLock(destination / _LOCK):
        _keep_apart(destination, {"short_side": short_side, "codec": codec})
        # Nobody else is at work here: whatever is torn was left by a process that is no more.
        _remove_torn(destination, targets)
        return _prepare(root, targets, destination, short_side, codec, workers or os.cpu_count() or 1, progress)


def _prepare(
    root: Path,
    targets: Mapping[str, str],
    destination: Path,
    short_side: int,
    codec: str,
    workers: int,
    progress: Progress | None,
) -> Prepared:
    """Write the copies that are missing, and note what all of them were made of; ``targets``: copy -> original."""
    origins, inherited = _Origins(destination), read_map(root / ORIGINS)
    known = {t for t, path in targets.items() if _is_current(destination / t, root / path, origins.stamps.get(t))}
    todo = [(path, target, target in known) for target, path in targets.items()]
    # Copies whose originals are noted, or gone, need nothing.
    todo = [job for job in todo if not (job[2] and (job[1] in origins or not (root / job[0]).is_file()))]
    work = partial(_copy, str(root), str(destination), short_side, codec)
    limits = [_LIMIT_S + _size(root / path) / _SLOWEST_BYTES for path, _, _ in todo]
    written, failed = [], {}
    jobs = guarded_map(work, todo, limits_s=limits, workers=workers)
    try:
        for done, ((path, target, is_there), job) in enumerate(zip(todo, jobs, strict=True), start=1):
            copied = job.value or _Copied(job.failure)
            if job.failure:
                # Its process could not clean up behind itself.
                _remove_torn(destination, [target])
            if copied.reason:
                failed[path] = copied.reason
                known.discard(target)
            else:
                # A copy of a copy is of the first original.
                origins.note(target, inherited.get(path, copied.content), copied.stamp)
                if not is_there:
                    written.append(target)
            if progress is not None:
                progress(done, len(todo))
    finally:
        origins.keep()
    left = tuple(target for target in targets if target in known)
    before = sum(_size(root / path) for path in targets.values() if path not in failed)
    after = sum(_size(destination / target) for target in (*written, *left))
    return Prepared(tuple(written), left, failed, before, after)


class _Copied(NamedTuple):
    """What came of one copy: why there is none, or the original's hash and its size and time."""

    reason: str
    content: str = ""
    stamp: tuple[int, int] = (-1, -1)


class _Origins:
    """What the copies of a folder were made of: hash of the original's bytes; its size and time in nanoseconds."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._kept, self._changed = folder, time.monotonic(), False
        self.hashes: dict[str, str] = read_map(folder / ORIGINS)
        stamps = read_map(folder / _STAMPS).items()
        self.stamps: dict[str, tuple[int, int]] = {target: (stamp[0], stamp[1]) for target, stamp in stamps}

    def __contains__(self, target: str) -> bool:
        return target in self.hashes and target in self.stamps

    def note(self, target: str, content: str, stamp: tuple[int, int]) -> None:
        self.hashes[target], self.stamps[target], self._changed = content, stamp, True
        if time.monotonic() - self._kept > _KEPT_EVERY_S:
            self.keep()

    def keep(self) -> None:
        if self._changed:
            # Hashes first: a hash whose stamp is missing is taken anew, a stamp vouches for its hash.
            write_json(self._folder / ORIGINS, self.hashes)
            write_json(self._folder / _STAMPS, self.stamps)
        self._kept, self._changed = time.monotonic(), False


def _keep_apart(destination: Path, settings: Mapping[str, Any]) -> None:
    """Note how the copies of a folder are made; refuse to add others of another kind.

    Raises:
        DataError: its copies were made otherwise.
    """
    file = destination / _SETTINGS
    if not file.is_file():
        write_json(file, dict(settings))
        return
    there = json.loads(file.read_text(encoding="utf-8"))
    if there != settings:
        words = [", ".join(f"{name}={value}" for name, value in way.items()) for way in (there, settings)]
        raise DataError(f"{destination} holds copies made with {words[0]}, not {words[1]}; choose another folder")


def _is_current(copy: Path, original: Path, stamp: tuple[int, int] | None) -> bool:
    """Tell whether a copy is there and is of its original as it is; an original that is gone is no reason.

    Where no stamp is noted, as of copies of former versions, it must have been written after its original.
    """
    try:
        written = copy.stat().st_mtime_ns
    except OSError:
        return False
    try:
        now = _stamp(original)
    except OSError:
        return True
    return written >= now[1] if stamp is None else stamp == now


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _copy(root: str, destination: str, short_side: int, codec: str, job: tuple[str, str, bool]) -> _Copied:
    """Write one copy, unless it is there, and hash its original."""
    path, place, is_there = job
    source, target = Path(root, path), Path(destination, place)
    try:
        # Before the first byte is read: an original that changes meanwhile does not match and is copied again.
        stamp = _stamp(source)
        content = content_hash(source)
    except OSError as error:
        return _Copied(f"{path}: {error.strerror or type(error).__name__}")
    reason = "" if is_there else _write(source, target, short_side, codec)
    return _Copied(reason.replace(str(source), path), content, stamp)


def _write(source: Path, target: Path, short_side: int, codec: str) -> str:
    """Write one copy; return why it could not be written, or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place and moved there when whole: a copy that is there is a copy that is finished.
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=CODECS[codec].ending)
    os.close(handle)
    try:
        _encode(str(source), temporary, short_side, CODECS[codec])
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except ClipError as error:
        Path(temporary).unlink(missing_ok=True)
        return str(error)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return ""


def _remove_torn(destination: Path, targets: Iterable[str]) -> None:
    """Remove what processes that were killed left of these copies."""
    names: dict[Path, set[str]] = {}
    for target in targets:
        place = destination / target
        names.setdefault(place.parent, set()).add(place.name)
    for folder, within in names.items():
        for name in os.listdir(folder) if folder.is_dir() else ():
            match = _TORN.fullmatch(name)
            if match and match["name"] in within:
                (folder / name).unlink(missing_ok=True)


def _encode(source: str, target: str, short_side: int, codec: _Codec) -> None:
    """Decode a whole file and write it anew.

    Raises:
        ClipError: the file cannot be read to its end.
    """
    import av

    found = probe(source)
    if found.damage:
        raise ClipError(f"{source}: {found.damage}")
    table = found.table
    height, width = _even_size(found.size, short_side)
    with open_video(source) as (container, stream), av.open(target, "w", container_options=_CONTAINER) as output:
        time_base = stream.time_base or Fraction(1, 90000)
        out = _add_stream(output, codec, height, width, found.fps, time_base)
        pictures = _Pictures(height, width, codec.pixel_format, table)
        count = 0
        try:
            for frame in decoded(container, stream):
                if frame.is_corrupt:
                    raise ClipError(f"{source}: frame {count} is damaged")
                picture = pictures(frame)
                # Files without trusted timestamps get even ones, in the same units.
                ticks = round(count / (found.fps * float(time_base)))
                picture.pts = int(table.pts[count] - table.pts[0]) if len(table.pts) else ticks
                picture.time_base = time_base
                count += 1
                output.mux(out.encode(picture))
        except av.FFmpegError as error:
            raise ClipError(f"{source}: frame {count} cannot be decoded ({error})") from error
        except IndexError as error:
            raise ClipError(f"{source}: it decodes to more than its {table.n_frames} frames") from error
        output.mux(out.encode(None))
    if count != table.n_frames:
        raise ClipError(f"{source}: {count} of {table.n_frames} frames can be decoded")


class _Pictures:
    """Turns decoded frames of one file into upright ones of the copy's size and format."""

    def __init__(self, height: int, width: int, pixel_format: str, table: FrameTable) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self._size, self._format = (height, width), pixel_format
        self._turned = FrameFitter((height, width), "stretch", table) if table.rotation or table.mirrored else None
        self._scaler = VideoReformatter()
        self._how = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        from av.video.frame import VideoFrame as Frame

        if self._turned is not None:
            pixels = np.empty((*self._size, 3), dtype=np.uint8)
            self._turned.into(frame, pixels)
            frame = Frame.from_ndarray(pixels, format="rgb24")
        height, width = self._size
        return self._scaler.reformat(frame, width, height, self._format, interpolation=self._how, threads=1)


def _add_stream(
    output: OutputContainer, codec: _Codec, height: int, width: int, fps: float, time_base: Fraction
) -> VideoStream:
    rate = Fraction(fps).limit_denominator(60000)
    stream = cast("VideoStream", output.add_stream(codec.encoder, rate=rate, options=dict(codec.options)))
    stream.height, stream.width, stream.pix_fmt = height, width, codec.pixel_format
    context = stream.codec_context
    context.time_base = time_base
    context.thread_count = 1
    return stream


def _even_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Return height and width after scaling down, both even, as 4:2:0 needs them."""
    scale = min(1.0, short_side / min(size))
    height, width = (max(2, 2 * round(side * scale / 2)) for side in size)
    return height, width
