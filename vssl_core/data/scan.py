"""Building an index: every file is looked at once, in processes that can be killed, and nothing is done twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from stat import S_ISDIR
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock

from vssl_core.data.frames import PICTURE_ENDINGS, picture_entries, picture_names, picture_size, read_pictures
from vssl_core.data.guard import guarded_map
from vssl_core.data.index import COLUMNS, FRAME_FOLDER, Index, write_sorted_rows
from vssl_core.data.origins import ORIGINS, content_hash, read_map
from vssl_core.data.probe import CHECKS, Probe, grey_reader, probe
from vssl_core.data.progress import Progress
from vssl_core.errors import ClipError, ConfigError, DataError

__all__ = ["build_index"]

# A file that is not examined by then hangs: seconds, and bytes a second on top for hashing (and decoding) large files.
_LIMIT_S = 60.0
_SLOWEST_READ, _SLOWEST_DECODE = 5e6, 5e4
# Of folders of pictures, where nobody says.
_FRAMES_FPS = 25.0
# Stands in a row that is not to be trusted the next time, until it is kept.
_UNSETTLED = "unsettled"
# Finished rows reach the disk at least this often.
_KEPT_EVERY = 64


def build_index(
    root: Path | str,
    relative_paths: Sequence[str],
    *,
    cache_file: Path | str,
    workers: int = 0,
    progress: Progress | None = None,
    check: str = "packets",
    motion: bool = False,
    frames_fps: float = 0.0,
    retry: bool = False,
) -> Index:
    """Index files; those whose size, modification time and inode are known from before are not read again.

    Known is what stands in ``cache_file``, in other indexes (``*.index``) beside it, and in the journal of a build that
    was stopped. A path that is a folder is a video of its pictures.

    Args:
        root: folder that the paths are relative to.
        relative_paths: files, with forward slashes, each once.
        cache_file: the index, replaced as a whole; processes that build the same one wait for each other.
        workers: processes; 0: as many as the machine has cores.
        progress: called with (files done, files to do) for those that have to be read.
        check: ``"packets"``, or ``"decode"`` to decode every frame and so find damage.
        motion: measure the motion curve of every video, too.
        frames_fps: frames a second of folders of pictures.
        retry: read files again that could not be read before; those that could not even be opened are always.

    Returns:
        An index sorted by path. Unreadable files stand in it with their reasons.

    Raises:
        ConfigError: an unknown check.
        DataError: a path is given twice.
    """
    if check not in CHECKS:
        raise ConfigError(f"check={check!r} is not one of {', '.join(map(repr, CHECKS))}")
    if len(set(relative_paths)) != len(relative_paths):
        seen: set[str] = set()
        twice = next(path for path in relative_paths if path in seen or seen.add(path))  # type: ignore[func-returns-value]
        raise DataError(f"{twice!r} is listed twice; every video must stand in one place of one split")
    root, cache_file = Path(root), Path(cache_file)
    cache_file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(cache_file.with_name(f".{cache_file.name}.lock")):
        stats = {path: _stat(root / path) for path in relative_paths}
        origins = read_map(root / ORIGINS)
        wanted = _Wanted(check, motion, frames_fps, retry, origins)
        built = _opened(cache_file)
        if built is not None and _up_to_date(built, stats, wanted):
            return built
        journal = cache_file.with_name(f"{cache_file.name}.journal")
        rows = _Rows(journal)
        rows.take_known(cache_file, stats, wanted)
        todo = sorted(path for path in relative_paths if path not in rows)
        examine = partial(_examine, str(root), check, motion, frames_fps)
        limits = [_limit_s(stats[path], check, motion) for path in todo]
        with journal.open("ab") as kept:
            # The line before may be torn.
            kept.write(b"\n")
            jobs = guarded_map(examine, todo, limits_s=limits, workers=workers or os.cpu_count() or 1)
            for done, (path, job) in enumerate(zip(todo, jobs, strict=True), start=1):
                row = job.value if job.failure == "" else _failed(path, job.failure)
                row |= {**stats[path]._asdict(), "origin_hash": origins.get(path, "")}
                # Whatever kept the file from being looked at may be gone the next time.
                row["checked"] = "" if row.pop(_UNSETTLED, False) else check
                rows.note(path, kept.tell())
                kept.write(f"{json.dumps(row)}\n".encode())
                if done % _KEPT_EVERY == 0:
                    kept.flush()
                if progress is not None:
                    progress(done, len(todo))
        write_sorted_rows(rows.sorted(), cache_file)
        journal.unlink()
    return Index(cache_file)


def _stat(path: Path) -> _Stat:
    try:
        stat = path.stat()
        if not S_ISDIR(stat.st_mode):
            return _Stat(stat.st_size, stat.st_mtime_ns, stat.st_ino)
        # A folder's own time tells of pictures that come and go, not of one that is written over.
        pictures = [entry.stat() for entry in picture_entries(str(path))]
    except OSError:
        return _ABSENT
    newest = max((picture.st_mtime_ns for picture in pictures), default=0)
    return _Stat(sum(picture.st_size for picture in pictures), max(stat.st_mtime_ns, newest), stat.st_ino)


def _limit_s(stat: _Stat, check: str, motion: bool) -> float:
    return _LIMIT_S + max(stat.bytes, 0) / (_SLOWEST_DECODE if motion or check == "decode" else _SLOWEST_READ)


def _opened(file: Path) -> Index | None:
    """Open an index; ``None`` where there is none, or a broken one, or one of another version."""
    try:
        return Index(file)
    except DataError:
        return None


class _Wanted(NamedTuple):
    """How closely files are to be looked at."""

    check: str
    motion: bool
    frames_fps: float
    retry: bool
    origins: Mapping[str, str]


class _Stat(NamedTuple):
    """What tells that a file is the one that was looked at; of a folder: of its pictures together."""

    bytes: int
    mtime_ns: int
    inode: int


_ABSENT = _Stat(-1, -1, -1)


def _serves(row: Mapping[str, Any], stat: _Stat, wanted: _Wanted) -> bool:
    """Tell whether a stored row is of the file as it is, and looked at as closely as is asked for."""
    check, motion, frames_fps, retry, origins = wanted
    if row["origin_hash"] != origins.get(row["path"], ""):
        return False
    if (row["bytes"], row["mtime_ns"], row["inode"]) != stat or (retry and row["reason"]):
        return False
    if stat == _ABSENT:
        return True
    if not row["checked"] or (check == "decode" and row["checked"] != "decode"):
        return False
    if row["codec"] == FRAME_FOLDER and row["fps"] != (frames_fps or _FRAMES_FPS):
        return False
    return not motion or row["motion"] is not None or bool(row["reason"])


def _up_to_date(built: Index, stats: Mapping[str, _Stat], wanted: _Wanted) -> bool:
    if len(built) != len(stats):
        return False
    names: tuple[str, ...] = ("path", "bytes", "mtime_ns", "inode", "origin_hash", "checked", "reason", "codec", "fps")
    names += ("motion",) if wanted.motion else ()
    for cells in built.columns(*names):
        row = dict(zip(names, cells, strict=True))
        if row["path"] not in stats or not _serves(row, stats[row["path"]], wanted):
            return False
    return True


class _Rows:
    """Where the rows of files lie: in the journal or in an index. They are too many to be held in memory."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        #: path -> where its line of the journal begins, or an index and its place there
        self._places: dict[str, int | tuple[Index, int]] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._places

    def note(self, path: str, offset: int) -> None:
        """Note that the row of ``path`` is a line of the journal."""
        self._places[path] = offset

    def take_known(self, cache_file: Path, stats: Mapping[str, _Stat], wanted: _Wanted) -> None:
        """Take what earlier builds found of these files."""
        for offset, row in _journal(self._journal):
            if self._usable(row, stats, wanted):
                self._places[row["path"]] = offset
        for file in sorted({cache_file, *cache_file.parent.glob("*.index")}):
            index = _opened(file)
            for number, row in enumerate(index.cells() if index is not None else ()):
                if index is not None and self._usable(row, stats, wanted):
                    self._places[row["path"]] = (index, number)

    def _usable(self, row: Mapping[str, Any], stats: Mapping[str, _Stat], wanted: _Wanted) -> bool:
        path = row["path"]
        if path not in stats or path in self._places:
            return False
        # Of a file that is absent nothing is known, least of all from the index of another folder.
        return stats[path] != _ABSENT and _serves(row, stats[path], wanted)

    def sorted(self) -> Iterator[dict[str, Any]]:
        """Read them one after the other, sorted by path."""
        with self._journal.open("rb") as journal:
            for path in sorted(self._places):
                place = self._places[path]
                if isinstance(place, int):
                    journal.seek(place)
                    yield json.loads(journal.readline())
                else:
                    index, number = place
                    yield index.cells_of(number)


def _journal(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a build that was stopped, with where their lines begin; the last line may be torn."""
    if not file.is_file():
        return
    with file.open("rb") as lines:
        at = 0
        for line in lines:
            offset, at = at, at + len(line)
            try:
                row = json.loads(line)
            except ValueError:
                continue
            # Of this version, that is: another's rows would not fit into the index.
            if isinstance(row, dict) and row.keys() == set(COLUMNS):
                yield offset, row


def _empty(path: str) -> dict[str, Any]:
    return {
        "path": path,
        "content_hash": "absent",
        "origin_hash": "",
        "inode": -1,
        "reason": "",
        "damage": "",
        "codec": "",
        "n_frames": 0,
        "fps": 0.0,
        "varies": False,
        "duration_s": 0.0,
        "height": 0,
        "width": 0,
        "has_audio": False,
        "rotation": 0,
        "mirrored": False,
        "pixel_aspect": 1.0,
        "plain": False,
        "n_pts": 0,
        "first_pts": 0,
        "step_pts": 0,
        "pts_steps": None,
        "key_pts": [],
        "key_dts": [],
        "motion": None,
    }


def _failed(path: str, reason: str) -> dict[str, Any]:
    """Return the row of a file that took its process with it."""
    # Of its name: it cannot be read, and no other file is this one.
    return {
        **_empty(path),
        "content_hash": hashlib.blake2b(path.encode(), digest_size=16).hexdigest(),
        "reason": reason,
    }


def _examine(root: str, check: str, motion: bool, frames_fps: float, path: str) -> dict[str, Any]:
    """Return the stored row of one file, but for its size and time."""
    row, source = _empty(path), os.path.join(root, path)
    try:
        if os.path.isdir(source):
            return row | _folder(source, frames_fps, check == "decode" or motion, motion)
        row["content_hash"] = content_hash(source)
        return row | _cells(probe(source, check=check, motion=motion))
    except ClipError as error:
        # Without the root: the reason stands in records, which must not differ between machines.
        return row | {"reason": str(error).replace(source, path)}
    except OSError as error:
        return row | {"reason": f"{path}: {error.strerror or type(error).__name__}", _UNSETTLED: True}
    except Exception as error:
        # A library's surprise at one file must not end the search through all the others.
        return row | {"reason": f"{path}: {type(error).__name__}: {str(error).replace(source, path)}"}


def _cells(found: Probe) -> dict[str, Any]:
    table = found.table
    steps = np.diff(table.pts)
    regular = len(steps) == 0 or bool((steps == steps[0]).all())
    return {
        "damage": found.damage,
        "codec": found.codec,
        "n_frames": table.n_frames,
        "fps": found.fps,
        "varies": found.varies,
        "duration_s": found.duration_s,
        "height": found.size[0],
        "width": found.size[1],
        "has_audio": found.has_audio,
        "rotation": table.rotation,
        "mirrored": table.mirrored,
        "pixel_aspect": table.pixel_aspect,
        "plain": table.plain,
        "n_pts": len(table.pts),
        "first_pts": int(table.pts[0]) if len(table.pts) else 0,
        "step_pts": int(steps[0]) if len(steps) and regular else 0,
        "pts_steps": None if regular else steps.tolist(),
        "key_pts": table.key_pts.tolist(),
        "key_dts": table.key_dts.tolist(),
        "motion": None if found.motion is None else found.motion.tolist(),
    }


def _folder(source: str, fps: float, read_all: bool, motion: bool) -> dict[str, Any]:
    """Return the cells of a folder of pictures.

    Raises:
        ClipError: it holds none, or its first cannot be read.
    """
    names = picture_names(source)
    if not names:
        raise ClipError(f"{source}: a folder without pictures ({', '.join(sorted(PICTURE_ENDINGS))})")
    digest = hashlib.blake2b(digest_size=16)
    for name in names:
        digest.update(bytes.fromhex(content_hash(os.path.join(source, name))))
    height, width = picture_size(os.path.join(source, names[0]))
    rate = fps or _FRAMES_FPS
    damage, energy = _all_pictures(source, names) if read_all else ("", [])
    return {
        "content_hash": digest.hexdigest(),
        "damage": damage,
        "codec": FRAME_FOLDER,
        "n_frames": len(names),
        "fps": rate,
        "duration_s": len(names) / rate,
        "height": height,
        "width": width,
        "motion": energy if motion else None,
    }


def _all_pictures(source: str, names: Sequence[str]) -> tuple[str, list[float]]:
    """Read all pictures of a folder; return what cannot be read, and the motion curve, 0 where one is missing."""
    from av.video.frame import VideoFrame

    energy = [0.0] * len(names)
    grey = grey_reader()
    before: dict[int, np.ndarray] = {}

    def take(frame: int, pixels: np.ndarray) -> None:
        now = grey(VideoFrame.from_ndarray(pixels, format="rgb24"))
        if frame - 1 in before:
            energy[frame] = float(np.abs(now - before[frame - 1]).mean()) / 255
        before.clear()
        before[frame] = now

    missing = read_pictures(source, len(names), np.arange(len(names)), take)
    if not missing:
        return "", energy
    first, reason = next(iter(missing.items()))
    return f"{len(missing)} of {len(names)} pictures cannot be read, such as {names[first]!r}: {reason}", energy
