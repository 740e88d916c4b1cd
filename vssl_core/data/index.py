"""The index of a folder of videos: what every file really holds, found once and kept."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock

from vssl_core.data.probe import FrameTable, probe
from vssl_core.errors import ClipError, DataError

__all__ = ["Index", "IndexRow", "Progress", "build_index"]

#: called with (done, total)
Progress = Callable[[int, int], None]

# Raised whenever the same file would get another row.
_VERSION = b"1"
_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("content_hash", pa.string()),
        ("reason", pa.string()),
        ("n_frames", pa.int64()),
        ("fps", pa.float64()),
        ("duration_s", pa.float64()),
        ("height", pa.int64()),
        ("width", pa.int64()),
        ("rotation", pa.int64()),
        ("pixel_aspect", pa.float64()),
        ("pts", pa.large_list(pa.int64())),
        ("key_pts", pa.list_(pa.int64())),
        ("key_dts", pa.list_(pa.int64())),
    ],
    metadata={b"vssl_index": _VERSION},
)
_LISTS = ("pts", "key_pts", "key_dts")


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One file.

    Attributes:
        path: relative to the root, with forward slashes.
        n_frames: frames that the container holds, counted; 0 for an unreadable file.
        fps: mean frames a second; 0 for an unreadable file.
        duration_s: seconds.
        size: height and width as shown.
        content_hash: BLAKE2b of the file's bytes; ``"absent"`` for a file that is not there.
        reason: why the file is unreadable; empty for a readable one.
        table: what reading needs; ``None`` for an unreadable file.
    """

    path: str
    n_frames: int
    fps: float
    duration_s: float
    size: tuple[int, int]
    content_hash: str
    reason: str
    table: FrameTable | None


class Index:
    """Rows by relative path. Picklable; rows are made from a compact table when they are asked for."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table.combine_chunks()
        self._plain = {name: table[name].to_pylist() for name in table.column_names if name not in _LISTS}
        self._at = {path: at for at, path in enumerate(table["path"].to_pylist())}

    def __getstate__(self) -> pa.Table:
        """Pickle the table alone."""
        return self._table

    def __setstate__(self, table: pa.Table) -> None:
        """Rebuild the look-up."""
        self.__init__(table)  # type: ignore[misc]

    def __len__(self) -> int:
        """Return the number of files, the unreadable ones counted."""
        return len(self._at)

    def __iter__(self) -> Iterator[str]:
        """Iterate over relative paths, in the order in which they were given."""
        return iter(self._at)

    def __getitem__(self, path: str) -> IndexRow:
        """Return the row of a relative path.

        Raises:
            DataError: the index has no such file.
        """
        if path not in self._at:
            raise DataError(f"{path!r} is not in the index of {len(self)} videos; build the index again")
        at = self._at[path]
        plain = {name: values[at] for name, values in self._plain.items()}
        table = None
        if not plain["reason"]:
            pts, key_pts, key_dts = (np.array(self._table[name][at].values, dtype=np.int64) for name in _LISTS)
            table = FrameTable(plain["n_frames"], pts, key_pts, key_dts, plain["rotation"], plain["pixel_aspect"])
        size = (plain["height"], plain["width"])
        told = (plain["content_hash"], plain["reason"])
        return IndexRow(path, plain["n_frames"], plain["fps"], plain["duration_s"], size, *told, table)


def build_index(
    root: Path | str,
    relative_paths: Sequence[str],
    *,
    cache_file: Path | str,
    workers: int = 0,
    progress: Progress | None = None,
) -> Index:
    """Index files, reusing what ``cache_file`` knows of those whose size and modification time have not changed.

    Args:
        root: folder that the paths are relative to.
        relative_paths: files, with forward slashes, each once.
        cache_file: Arrow IPC file, replaced as a whole; processes that index the same set wait for each other.
        workers: threads; 0: as many as the machine has cores.
        progress: called with (files done, files to do) for those that have to be read.

    Returns:
        An index in the order of ``relative_paths``. Unreadable files stand in it with their reasons.

    Raises:
        DataError: a path is given twice.
    """
    if len(set(relative_paths)) != len(relative_paths):
        seen: set[str] = set()
        twice = next(path for path in relative_paths if path in seen or seen.add(path))  # type: ignore[func-returns-value]
        raise DataError(f"{twice!r} is listed twice; every video must stand in one place of one split")
    root, cache_file = Path(root), Path(cache_file)
    cache_file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{cache_file}.lock"):
        known = _load(cache_file)
        stats = [_stat(root / path) for path in relative_paths]
        rows: list[dict[str, Any] | None] = []
        for path, stat in zip(relative_paths, stats, strict=True):
            row = known.get(path)
            rows.append(row if row is not None and (row["bytes"], row["mtime_ns"]) == stat else None)
        todo = [at for at, row in enumerate(rows) if row is None]
        if todo:
            with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
                jobs = pool.map(lambda at: _examine(root, relative_paths[at], stats[at]), todo)
                for done, (at, row) in enumerate(zip(todo, jobs, strict=True), start=1):
                    rows[at] = row
                    if progress is not None:
                        progress(done, len(todo))
        if todo:
            # Other sets over the same root keep their rows.
            wanted = set(relative_paths)
            others = [row for path, row in known.items() if path not in wanted]
            _save(pa.Table.from_pylist([*rows, *others], schema=_SCHEMA), cache_file)
    return Index(pa.Table.from_pylist(rows, schema=_SCHEMA))


def _stat(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (-1, -1)
    return (stat.st_size, stat.st_mtime_ns)


def _examine(root: Path, path: str, stat: tuple[int, int]) -> dict[str, Any]:
    """Return the stored row of one file."""
    row: dict[str, Any] = dict.fromkeys(_SCHEMA.names, 0)
    row.update(
        path=path, bytes=stat[0], mtime_ns=stat[1], content_hash="absent", reason="", pts=[], key_pts=[], key_dts=[]
    )
    try:
        with (root / path).open("rb") as handle:
            row["content_hash"] = hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        found = probe(str(root / path))
    except (ClipError, OSError) as error:
        # Without the root: the reason stands in records, which must not differ between machines.
        return {**row, "reason": str(error).replace(str(root / path), path)}
    table = found.table
    row.update(
        n_frames=table.n_frames,
        fps=found.fps,
        duration_s=found.duration_s,
        height=found.size[0],
        width=found.size[1],
        rotation=table.rotation,
        pixel_aspect=table.pixel_aspect,
        pts=table.pts,
        key_pts=table.key_pts,
        key_dts=table.key_dts,
    )
    return row


def _load(cache_file: Path) -> dict[str, dict[str, Any]]:
    """Return the stored rows by path; nothing where there is no file, or one of another version."""
    try:
        with pa.memory_map(str(cache_file)) as source:
            table = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid):
        return {}
    if not table.schema.equals(_SCHEMA, check_metadata=True):
        return {}
    return {row["path"]: row for row in table.to_pylist()}


def _save(table: pa.Table, cache_file: Path) -> None:
    handle, temporary = tempfile.mkstemp(dir=cache_file.parent, prefix=cache_file.name)
    try:
        with os.fdopen(handle, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would shut out others who share the folder
        os.replace(temporary, cache_file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
