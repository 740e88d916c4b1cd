"""Decoded frames of small sets, kept on disk as plain uint8 and mapped into memory."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from vssl_core.contracts import Reader, Video, View
from vssl_core.data.fit import DECODING
from vssl_core.data.guard import guarded_map, read_blamed
from vssl_core.data.progress import Progress
from vssl_core.errors import ClipError, DataError

__all__ = ["CachedReader", "Picture", "PixelCache", "estimate_bytes", "open_cache"]

#: a size (height, width) and the way of coming to it, as in ``View``
Picture = tuple[tuple[int, int], str]

_PIXELS, _TABLE = "frames.u8", "cache.json"
# A cache in the making: the cache's name, and what ``mkdtemp`` adds.
_TORN = re.compile(r"(?P<name>.+)\.[a-z0-9_]{8}")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# A video that is not decoded by then hangs: seconds, and seconds a frame on top.
_LIMIT_S, _SLOWEST_FRAME_S = 60.0, 1.0


def estimate_bytes(videos: Sequence[Video], sizes: Sequence[Picture], *, most: float = math.inf) -> int:
    """Return the disk space in bytes that a cache of every frame of ``videos`` at ``sizes`` takes.

    Counting ends once it is more than ``most``: a million videos need not be looked at to know that.
    """
    frame = sum(height * width * 3 for (height, width), _ in set(sizes))
    total = 0
    for video in videos:
        total += video.n_frames * frame
        if total > most:
            break
    return total


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a video's frames begin, how many there are, and which of them could not be decoded."""

    offset: int
    n_frames: int
    reason: str
    missing: dict[int, str]


class PixelCache:
    """One finished cache: every frame of its videos at one size, uint8 ``[total, H, W, 3]``. Picklable.

    Attributes:
        seconds: what building it cost, whenever that was.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        table = json.loads((folder / _TABLE).read_text(encoding="utf-8"))
        self.picture: Picture = ((table["height"], table["width"]), table["fit"])
        self.seconds: float = table["seconds"]
        self._total: int = table["total"]
        self._entries = {
            name: _Entry(
                entry["offset"], entry["n_frames"], entry["reason"], {int(at): why for at, why in entry["missing"]}
            )
            for name, entry in table["videos"].items()
        }
        self._pixels: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the mapping: every process maps the file itself."""
        return {**self.__dict__, "_pixels": None}

    def __contains__(self, video: Video) -> bool:
        """Tell whether the video is in this cache."""
        return video.video_id in self._entries

    def check(self, video: Video) -> None:
        """Raise the reason for which a video could not be read when the cache was built.

        Raises:
            ClipError: the video is unreadable.
        """
        reason = self._entries[video.video_id].reason
        if reason:
            raise ClipError(reason)

    def read(self, video: Video, frames: np.ndarray) -> np.ndarray:
        """Return uint8 RGB ``[T, H, W, 3]``, a copy.

        Raises:
            ClipError: the video or one of the frames could not be decoded, or is not there.
        """
        self.check(video)
        entry = self._entries[video.video_id]
        if len(frames) and (frames.min() < 0 or frames.max() >= entry.n_frames):
            raise ClipError(f"{video.video_id}: frames {frames.min()} to {frames.max()} are wanted of {entry.n_frames}")
        if entry.missing:
            lost = [int(frame) for frame in frames if int(frame) in entry.missing]
            if lost:
                raise ClipError(f"{video.video_id}: frame {lost[0]} cannot be read: {entry.missing[lost[0]]}")
        if self._pixels is None:
            height, width = self.picture[0]
            mapped = np.memmap(self.folder / _PIXELS, np.uint8, "r", shape=(self._total, height, width, 3))
            # As a plain array: indexing np.memmap itself costs more than the copy of a small clip.
            self._pixels = mapped.view(np.ndarray)
        return self._pixels[entry.offset + frames]


class CachedReader:
    """A ``Reader`` that takes what it can from caches and asks another reader for the rest. Picklable.

    Attributes:
        seconds: what building the caches cost, whenever that was.
    """

    def __init__(self, reader: Reader, caches: Sequence[PixelCache]) -> None:
        self.reader = reader
        self.caches = {cache.picture: cache for cache in caches}
        self.seconds = sum(cache.seconds for cache in caches)

    def __call__(self, video: Video, views: Sequence[View]) -> list[np.ndarray]:
        """Return uint8 RGB ``[T, H, W, 3]`` per view, equal to what decoding gives.

        Raises:
            ClipError: as the other reader does.
        """
        pictures = {((int(view.size[0]), int(view.size[1])), view.fit) for view in views}
        caches = {picture: self.caches[picture] for picture in pictures & self.caches.keys()}
        if len(caches) < len(pictures) or not views or any(video not in cache for cache in caches.values()):
            return self.reader(video, views)
        return [caches[((int(view.size[0]), int(view.size[1])), view.fit)].read(video, view.frames) for view in views]


def open_cache(
    reader: Reader,
    videos: Sequence[Video],
    sizes: Sequence[Picture],
    folder: Path | str,
    progress: Progress | None = None,
    *,
    workers: int = 0,
) -> CachedReader:
    """Open the cache of ``videos`` at ``sizes`` under ``folder``; build it first where it is missing.

    A cache is known by the content of its files, the size, and the libraries that decode, so any number of sets can
    share a folder. It is built beside its place and moved there when finished; other processes wait. Unreadable videos
    stand in it with their reasons.

    Args:
        reader: decodes; where it has ``content_key(video)`` that names a file's content, else size and time do.
        videos: the videos whose frames are kept, all of them.
        sizes: sizes and fits, as views ask for them.
        folder: where caches are kept.
        progress: called with (videos done, videos to do) while building.
        workers: decoding processes; 0: as many as the machine has cores.

    Raises:
        DataError: the disk is too full for a cache that has to be built.
    """
    folder = Path(folder)
    caches = []
    for picture in dict.fromkeys(((int(height), int(width)), fit) for (height, width), fit in sizes):
        place = folder / _key(reader, videos, picture)
        if not (place / _TABLE).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{place}.lock"):
                if not (place / _TABLE).is_file():
                    _remove_torn(folder, place.name)
                    _build(reader, videos, picture, place, progress, workers)
        caches.append(PixelCache(place))
    return CachedReader(reader, caches)


def _key(reader: Reader, videos: Sequence[Video], picture: Picture) -> str:
    import av

    digest = hashlib.blake2b(digest_size=12)
    libraries = [av.library_versions[name] for name in ("libavcodec", "libswscale")]
    digest.update(json.dumps([DECODING, picture, libraries]).encode())
    named = getattr(reader, "content_key", None)
    for video in videos:
        content = named(video) if named is not None else _stat_key(video)
        digest.update(json.dumps([video.video_id, content, video.n_frames]).encode())
    (height, width), fit = picture
    return f"{height}x{width}-{fit}-{digest.hexdigest()}"


def _stat_key(video: Video) -> str:
    stat = os.stat(video.source)
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _remove_torn(folder: Path, held: str) -> None:
    """Remove what builds that were killed left behind; ``held``: the cache whose lock is ours."""
    for torn in folder.iterdir():
        match = _TORN.fullmatch(torn.name)
        if match is None or not torn.is_dir():
            continue
        if match["name"] == held:
            shutil.rmtree(torn, ignore_errors=True)
            continue
        # Of another set: whoever is still building it holds its lock.
        try:
            with FileLock(folder / f"{match['name']}.lock", timeout=0):
                shutil.rmtree(torn, ignore_errors=True)
        except Timeout:
            pass


def _build(
    reader: Reader, videos: Sequence[Video], picture: Picture, place: Path, progress: Progress | None, workers: int
) -> None:
    """Decode every frame into a temporary folder beside ``place`` and move it there.

    Raises:
        DataError: the disk is too full.
    """
    began = time.perf_counter()
    (height, width), fit = picture
    offsets = np.cumsum([0, *(video.n_frames for video in videos)])
    total = int(offsets[-1])
    temporary = Path(tempfile.mkdtemp(dir=place.parent, prefix=f"{place.name}."))
    try:
        # An empty file cannot be mapped; then there is nothing to read either.
        shape = (max(total, 1), height, width, 3)
        _allocate(temporary / _PIXELS, math.prod(shape))
        entries: dict[str, dict[str, Any]] = {}
        decode = partial(_decode_into, reader, picture, str(temporary / _PIXELS), shape)
        items = [(video, int(offset)) for video, offset in zip(videos, offsets, strict=False)]
        limits = [_LIMIT_S + video.n_frames * _SLOWEST_FRAME_S for video in videos]
        jobs = guarded_map(decode, items, limits_s=limits, workers=workers or os.cpu_count() or 1)
        for at, (video, job) in enumerate(zip(videos, jobs, strict=True)):
            reason, missing = (job.failure, {}) if job.failure else job.value
            entries[video.video_id] = {
                "offset": int(offsets[at]),
                "n_frames": video.n_frames,
                "reason": reason,
                "missing": sorted(missing.items()),
            }
            if progress is not None:
                progress(at + 1, len(videos))
        with (temporary / _PIXELS).open("rb") as handle:
            os.fsync(handle.fileno())
        table = {
            "height": height,
            "width": width,
            "fit": fit,
            "total": shape[0],
            "seconds": round(time.perf_counter() - began, 3),
            "videos": entries,
        }
        with (temporary / _TABLE).open("w", encoding="utf-8") as handle:
            json.dump(table, handle)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.chmod(0o755)  # mkdtemp's 0700 would shut out others who share the folder
        # What is left of a build that was killed between its two files.
        shutil.rmtree(place, ignore_errors=True)
        os.replace(temporary, place)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            n_bytes = math.prod(shape)
            raise DataError(
                f"{place.parent}: the cache of decoded frames takes {n_bytes} bytes ({n_bytes / 2**30:.1f} GiB), and "
                "the disk has no space for it; make room, or decode while training with loader.cache=never"
            ) from error
        raise


def _allocate(file: Path, n_bytes: int) -> None:
    """Make a file of zeros that has its place on the disk: writing to a mapping of it cannot fail for want of space.

    A hole would be filled on the way, and a full disk then kills the process that decodes, over some video or other.
    """
    with file.open("wb") as handle:
        handle.truncate(n_bytes)
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(handle.fileno(), 0, n_bytes)
            except OSError as error:
                # Not every file system can.
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                    raise


def _decode_into(
    reader: Reader, picture: Picture, file: str, shape: tuple[int, ...], item: tuple[Video, int]
) -> tuple[str, dict[int, str]]:
    """Decode a video into its place in the file of pixels; runs in a process that can be killed."""
    video, offset = item
    pixels = np.memmap(file, np.uint8, "r+", shape=shape).view(np.ndarray)
    return _decode_video(reader, video, picture, pixels[offset : offset + video.n_frames])


def _decode_video(reader: Reader, video: Video, picture: Picture, out: np.ndarray) -> tuple[str, dict[int, str]]:
    """Fill ``out`` uint8 ``[n_frames, H, W, 3]``; return why the video is unreadable, and which frames are missing."""
    size, fit = picture
    try:
        if not video.n_frames:
            read_blamed(reader, video, ())
            return f"video {video.video_id!r} has no readable frames", {}
        out[:] = read_blamed(reader, video, [View(np.arange(video.n_frames, dtype=np.int64), size, fit)])[0]
    except ClipError as error:
        reason = str(error)
    else:
        return "", {}
    # Damaged somewhere: keep what can be read, so that the cache refuses exactly what decoding refuses.
    missing: dict[int, str] = {}
    for frame in range(video.n_frames):
        try:
            out[frame] = read_blamed(reader, video, [View(np.array([frame], dtype=np.int64), size, fit)])[0][0]
        except ClipError as error:
            missing[frame] = str(error)
    return ("", missing) if len(missing) < video.n_frames else (reason, {})
