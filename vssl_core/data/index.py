"""The index of a set of files: what every video really holds, found once, kept in one file and mapped into memory."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vssl_core.data.probe import FrameTable
from vssl_core.errors import DataError

__all__ = ["COLUMNS", "FRAME_FOLDER", "Index", "IndexRow", "write_index", "write_sorted_rows"]

#: ``IndexRow.codec`` of a folder of pictures
FRAME_FOLDER = "frames"

# Raised whenever the same file would get another row.
_VERSION = b"3"
_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("inode", pa.int64()),
        ("content_hash", pa.string()),
        ("origin_hash", pa.string()),
        ("reason", pa.string()),
        ("damage", pa.string()),
        ("checked", pa.string()),
        ("codec", pa.string()),
        ("n_frames", pa.int64()),
        ("fps", pa.float64()),
        ("varies", pa.bool_()),
        ("duration_s", pa.float64()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("has_audio", pa.bool_()),
        ("rotation", pa.int32()),
        ("mirrored", pa.bool_()),
        ("pixel_aspect", pa.float64()),
        ("plain", pa.bool_()),
        ("n_pts", pa.int64()),
        ("first_pts", pa.int64()),
        ("step_pts", pa.int64()),
        # Only where the steps differ: a list a frame would be most of the file.
        ("pts_steps", pa.list_(pa.int64())),
        ("key_pts", pa.list_(pa.int64())),
        ("key_dts", pa.list_(pa.int64())),
        ("motion", pa.list_(pa.float32())),
    ],
    metadata={b"vssl_index": _VERSION},
)
#: what a stored row holds
COLUMNS: tuple[str, ...] = tuple(_SCHEMA.names)
_PLACE = {name: place for place, name in enumerate(_SCHEMA.names)}
_TIMES = frozenset({"rotation", "mirrored", "pixel_aspect", "plain", "n_pts", "first_pts", "step_pts", "pts_steps"})
_TIMES |= {"key_pts", "key_dts"}
_FACTS = [name for name in _SCHEMA.names if name not in _TIMES]
# A row is read by mapping the pages of its batch: small batches keep what one row costs small.
_ROWS_A_BATCH = 64
# Linux maps sixteen pages around every page that is touched. Letting go of them now and then keeps a worker that reads
# rows all over a large index from holding all of it; the pages stay in the system's cache.
_LET_GO_EVERY = 256


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One file.

    Attributes:
        path: relative to the root, with forward slashes.
        n_frames: frames that can be read, as far as is known; 0 for an unreadable file.
        fps: mean frames a second; 0 for an unreadable file.
        duration_s: seconds.
        size: height and width as shown.
        content_hash: BLAKE2b of the file's bytes; ``"absent"`` for a file that is not there.
        reason: why the file is unreadable; empty for a readable one.
        table: what reading needs; ``None`` for an unreadable file and for a folder of pictures.
        damage: what of a readable file cannot be read.
        checked: how it was looked at, one of ``probe.CHECKS``.
        codec: the decoder's name, or ``FRAME_FOLDER``.
        varies: whether the frame rate does.
        has_audio: whether there is a sound track.
        bytes: size of the file.
        mtime_ns: when it was last changed.
        origin_hash: of a copy that ``prepare`` wrote, the ``content_hash`` of the file that it was made of; else empty.
        motion: float32 ``[n_frames]`` of motion energy, where it was asked for.
    """

    path: str
    n_frames: int
    fps: float
    duration_s: float
    size: tuple[int, int]
    content_hash: str
    reason: str
    table: FrameTable | None
    damage: str = ""
    checked: str = ""
    codec: str = ""
    varies: bool = False
    has_audio: bool = False
    bytes: int = 0
    mtime_ns: int = 0
    origin_hash: str = ""
    motion: np.ndarray | None = None


class Index:
    """Rows of an index file, sorted by path. Opening reads no rows; picklable by the name of its file.

    Args:
        file: written by ``write_index``.

    Raises:
        DataError: there is no such file, or it is none of this version.
    """

    def __init__(self, file: Path | str) -> None:
        self.file = Path(file)
        try:
            with self.file.open("rb") as handle:
                self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
                # Written once and then replaced as a whole, never changed.
                found = os.fstat(handle.fileno())
                self._identity = (found.st_ino, found.st_mtime_ns)
            self._reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(self._map)))
        except (OSError, ValueError, pa.ArrowInvalid) as error:
            raise DataError(f"{self.file} is no index of videos ({error}); make it with 'vssl data index'") from error
        if not self._reader.schema.equals(_SCHEMA, check_metadata=True):
            raise DataError(f"{self.file} was made by another version of vssl; make it again with 'vssl data index'")
        last = self._reader.num_record_batches - 1
        self._length = _ROWS_A_BATCH * last + self._reader.get_batch(last).num_rows if last >= 0 else 0
        self._batch: tuple[int, pa.RecordBatch] | None = None
        self._touched = 0

    def __getstate__(self) -> tuple[str, tuple[int, int]]:
        """Pickle the file's name, and which file it is: every process maps the file itself."""
        return str(self.file.absolute()), self._identity

    def __setstate__(self, state: tuple[str, tuple[int, int]]) -> None:
        """Map the file.

        Raises:
            DataError: another index stands in its place, whose rows may be others.
        """
        file, identity = state
        self.__init__(file)  # type: ignore[misc]
        if self._identity != identity:
            raise DataError(
                f"{file} was made anew while it was in use; start the run again, which goes on where it was"
            )

    def __len__(self) -> int:
        """Return the number of files, the unreadable ones counted."""
        return self._length

    def __iter__(self) -> Iterator[str]:
        """Iterate over relative paths, sorted."""
        yield from (path for (path,) in self.columns("path"))

    def __contains__(self, path: object) -> bool:
        """Tell whether a relative path is in the index."""
        return isinstance(path, str) and self._find(path) is not None

    def __getitem__(self, path: str) -> IndexRow:
        """Return the row of a relative path.

        Raises:
            DataError: the index has no such file.
        """
        return self.row(self.number(path))

    def number(self, path: str) -> int:
        """Return the position of a relative path.

        Raises:
            DataError: the index has no such file.
        """
        found = self._find(path)
        if found is None:
            raise DataError(f"{path!r} is not in the index of {len(self)} videos; build the index again")
        return found

    def row(self, number: int, *, times: bool = True) -> IndexRow:
        """Return the row at a position; without ``times`` its table is left out, which is most of the work."""
        batch, at = self._at(number)
        names = _SCHEMA.names if times else _FACTS
        cells = {name: batch.column(_PLACE[name])[at].as_py() for name in names}
        return _row(cells, times)

    def columns(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """Iterate over some cells of every row."""
        for batch in range(self._reader.num_record_batches):
            rows = self._reader.get_batch(batch)
            yield from zip(*(rows.column(name).to_pylist() for name in names), strict=True)

    def cells(self) -> Iterator[dict[str, Any]]:
        """Iterate over rows as they are stored, for ``write_index``."""
        for batch in range(self._reader.num_record_batches):
            yield from self._reader.get_batch(batch).to_pylist()

    def cells_of(self, number: int) -> dict[str, Any]:
        """Return the row at a position as it is stored."""
        batch, at = self._at(number)
        return {name: batch.column(_PLACE[name])[at].as_py() for name in _SCHEMA.names}

    def _at(self, number: int) -> tuple[pa.RecordBatch, int]:
        which, at = divmod(number, _ROWS_A_BATCH)
        if self._batch is None or self._batch[0] != which:
            self._batch = None
            self._touched += 1
            if self._touched % _LET_GO_EVERY == 0 and hasattr(mmap, "MADV_DONTNEED"):
                self._map.madvise(mmap.MADV_DONTNEED)
            self._batch = (which, self._reader.get_batch(which))
        return self._batch[1], at

    def _find(self, path: str) -> int | None:
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            batch, at = self._at(middle)
            # As bytes of UTF-8: the order in which Python sorts the text too.
            here = batch.column(0)[at].as_py()
            if here == path:
                return middle
            low, high = (middle + 1, high) if here < path else (low, middle)
        return None


def write_index(rows: Iterable[Mapping[str, Any]], file: Path) -> None:
    """Write rows, as ``Index.cells`` gives them, sorted by path; the file is replaced as a whole.

    Raises:
        DataError: a path is not valid Unicode.
    """
    write_sorted_rows(sorted(rows, key=lambda row: row["path"]), file)


def write_sorted_rows(rows: Iterable[Mapping[str, Any]], file: Path) -> None:
    """Write rows that come sorted by path, of which no more than a batch is held in memory; as ``write_index``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")
    try:
        with os.fdopen(handle, "wb") as sink:
            with pa.ipc.new_file(sink, _SCHEMA) as writer:
                left = iter(rows)
                while batch := list(islice(left, _ROWS_A_BATCH)):
                    writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=_SCHEMA))
            sink.flush()
            os.fsync(sink.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would shut out others who share the folder
        os.replace(temporary, file)
    except UnicodeEncodeError as error:
        Path(temporary).unlink(missing_ok=True)
        raise DataError(f"a file's name is not valid Unicode ({error}); rename it") from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _row(cells: Mapping[str, Any], times: bool) -> IndexRow:
    table = None
    if times and not cells["reason"] and cells["codec"] != FRAME_FOLDER:
        table = FrameTable(
            cells["n_frames"],
            _pts(cells),
            np.array(cells["key_pts"], dtype=np.int64),
            np.array(cells["key_dts"], dtype=np.int64),
            cells["rotation"],
            cells["pixel_aspect"],
            cells["mirrored"],
            cells["plain"],
        )
    motion = cells["motion"]
    return IndexRow(
        path=cells["path"],
        n_frames=cells["n_frames"],
        fps=cells["fps"],
        duration_s=cells["duration_s"],
        size=(cells["height"], cells["width"]),
        content_hash=cells["content_hash"],
        reason=cells["reason"],
        table=table,
        damage=cells["damage"],
        checked=cells["checked"],
        codec=cells["codec"],
        varies=cells["varies"],
        has_audio=cells["has_audio"],
        bytes=cells["bytes"],
        mtime_ns=cells["mtime_ns"],
        origin_hash=cells["origin_hash"],
        motion=None if motion is None else np.array(motion, dtype=np.float32),
    )


def _pts(cells: Mapping[str, Any]) -> np.ndarray:
    if cells["pts_steps"] is None:
        return cells["first_pts"] + cells["step_pts"] * np.arange(cells["n_pts"], dtype=np.int64)
    return cells["first_pts"] + np.concatenate([[0], np.cumsum(np.array(cells["pts_steps"], dtype=np.int64))])
