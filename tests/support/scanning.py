"""Building indexes of the folder ``set``, and noting which files are examined for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vssl_core.data.scan as scan_module
from vssl_core.contracts import Video
from vssl_core.data.index import Index
from vssl_core.data.scan import build_index


def build_set(folder: Path, paths: list[str], **options: Any) -> Index:
    options = {"cache_file": folder / "a.index", "workers": 1, **options}
    return build_index(folder / "set", paths, **options)


def indexed_video(folder: Path, index: Index, path: str) -> Video:
    row = index[path]
    return Video(0, path, str(folder / "set" / path), row.n_frames, row.fps, row.duration_s, row.size)


def note_examined(log: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return what tells the files that have been examined since it was last called; noted in the forked processes."""
    real = scan_module._examine

    def noted(*arguments: Any) -> dict[str, Any]:
        with log.open("a", encoding="utf-8") as handle:
            handle.write(f"{arguments[-1]}\n")
        return real(*arguments)

    def since() -> list[str]:
        found = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return sorted(found)

    monkeypatch.setattr(scan_module, "_examine", noted)
    return since
