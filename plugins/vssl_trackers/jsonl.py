"""``jsonl``: a run's metrics as lines of JSON, for people, pandas and ``tail -f``."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from vssl_core.contracts import RunInfo
from vssl_core.errors import VsslError
from vssl_core.store.runs import write_text

__all__ = ["JsonLines"]


class JsonLines:
    """Appends to ``metrics.jsonl`` in the run's folder.

    A logged step is ``{"step": 10, "time": 1763820000.125, "loss": 0.7, ...}`` (``time`` in Unix seconds; numbers that
    are not finite are null). Other lines have no ``step``: ``{"summary": {...}}``, ``{"table": NAME, "columns": [...],
    "rows": [...]}``, ``{"artifact": NAME, "path": "..."}``, ``{"status": "done"}``.

    A run that goes on from a checkpoint logs some steps again: their old lines, and a last line that was cut short, are
    removed when its first step arrives, so that the file reads as if nothing had happened. The file is synced to the
    disk when the run finishes.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._stream: TextIO | None = None
        self._first = True

    def start(self, run: RunInfo) -> None:
        """Open the run's file for appending.

        Raises:
            OSError: the folder cannot be written.
        """
        run.folder.mkdir(parents=True, exist_ok=True)
        self._path = run.folder / "metrics.jsonl"
        _drop_cut_line(self._path)
        self._open()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write one line of metrics; on a run's first one, drop the lines of the steps that come again."""
        if self._first:
            self._first = False
            self._rewind(step, set(metrics))
        self._write({"step": step, "time": round(time.time(), 3), **metrics})

    def summary(self, values: Mapping[str, Any]) -> None:
        """Write the figures that stand for the whole run."""
        self._write({"summary": values})

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Write a table."""
        self._write({"table": name, "columns": list(columns), "rows": [list(row) for row in rows]})

    def artifact(self, name: str, path: Path) -> None:
        """Write where a file lies."""
        self._write({"artifact": name, "path": str(path)})

    def finish(self, status: str) -> None:
        """Write the status, sync the file to the disk and close it; without a start there is nothing to do."""
        if self._stream is None:
            return
        self._write({"status": status})
        os.fsync(self._stream.fileno())
        self._close()

    def _open(self) -> None:
        assert self._path is not None
        # Line-buffered: a killed process leaves every line that it logged.
        self._stream = self._path.open("a", buffering=1, encoding="utf-8")

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _write(self, row: Mapping[str, Any]) -> None:
        if self._stream is None:
            raise VsslError("tracker 'jsonl': start(run) comes before everything else")
        self._stream.write(json.dumps(_plain(row), allow_nan=False, ensure_ascii=False) + "\n")

    def _rewind(self, step: int, names: set[str]) -> None:
        """Remove the lines of later steps, and of this one where they hold the same metrics."""
        assert self._path is not None
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not _comes_again(line, step, names)]
        if len(kept) < len(lines):
            self._close()
            write_text(self._path, "".join(kept))
            self._open()


def _comes_again(line: str, step: int, names: set[str]) -> bool:
    try:
        row = json.loads(line)
    except ValueError:
        return True
    if not isinstance(row, dict) or "step" not in row:
        return False
    return bool(row["step"] > step or (row["step"] == step and names & row.keys()))


def _drop_cut_line(path: Path) -> None:
    """Cut the file back to its last whole line."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def _plain(value: Any) -> Any:
    """JSON has no NaN and knows no numpy or tensor scalars."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
