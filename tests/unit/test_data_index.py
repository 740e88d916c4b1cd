"""The index is built once per file and tells the truth about it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.videos import decode_all, pictures, write_video

import vssl_core.data.scan as scan_module
from vssl_core.contracts import Video, View
from vssl_core.data.index import Index
from vssl_core.data.reader import FileReader
from vssl_core.data.scan import build_index
from vssl_core.errors import ClipError, DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_video(tmp_path / "set" / "a.mp4", pictures(12))
    write_video(tmp_path / "set" / "sub" / "b ü&.mp4", pictures(7, 32, 32))
    (tmp_path / "set" / "bad.mp4").write_text("no video")
    return tmp_path


PATHS = ["a.mp4", "sub/b ü&.mp4", "bad.mp4", "gone.mp4"]


def _build(
    folder: Path, paths: list[str] | None = None, name: str = "a.index", **options: Any
) -> tuple[Index, list[tuple[int, int]]]:
    calls: list[tuple[int, int]] = []
    cache_file = folder / "cache" / name
    built = build_index(
        folder / "set", paths or PATHS, cache_file=cache_file, progress=lambda *at: calls.append(at), **options
    )
    return built, calls


def _video(folder: Path, built: Index, path: str) -> Video:
    row = built[path]
    return Video(0, path, str(folder / "set" / path), row.n_frames, row.fps, row.duration_s, row.size)


def test_rows(folder: Path) -> None:
    built, calls = _build(folder)
    assert list(built) == sorted(PATHS)
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    row = built["sub/b ü&.mp4"]
    assert (row.n_frames, row.size, row.fps, row.duration_s, row.reason) == (7, (32, 32), 25.0, 7 / 25, "")
    bad, gone = built["bad.mp4"], built["gone.mp4"]
    assert (bad.n_frames, bad.table, gone.n_frames, gone.table) == (0, None, 0, None)
    assert bad.reason.startswith("bad.mp4: not a readable video")
    assert "No such file" in gone.reason
    assert len({built[path].content_hash for path in PATHS}) == 4
    for path in ("bad.mp4", "gone.mp4"):
        assert str(folder) not in built[path].reason, (
            "reasons stand in records: they must not name this machine's folders"
        )


def test_known_files_are_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = _build(folder)
    monkeypatch.setattr(scan_module, "guarded_map", lambda *_, **__: pytest.fail("files were read again"))
    second, calls = _build(folder)
    assert calls == []
    for path in PATHS:
        assert second[path].content_hash == first[path].content_hash
        assert second[path].reason == first[path].reason
    np.testing.assert_array_equal(second["a.mp4"].table.pts, first["a.mp4"].table.pts)  # type: ignore[union-attr]


def test_changed_new_and_removed_files(folder: Path) -> None:
    before, _ = _build(folder)
    write_video(folder / "set" / "a.mp4", pictures(15, seed=3))
    os.utime(folder / "set" / "a.mp4", ns=(1, 1))
    write_video(folder / "set" / "c.mp4", pictures(5))
    after, calls = _build(folder, ["a.mp4", "sub/b ü&.mp4", "c.mp4"])
    assert calls == [(1, 2), (2, 2)]
    assert (before["a.mp4"].n_frames, after["a.mp4"].n_frames, after["c.mp4"].n_frames) == (12, 15, 5)
    assert before["a.mp4"].content_hash != after["a.mp4"].content_hash
    with pytest.raises(DataError, match=r"'bad\.mp4' is not in the index of 3 videos"):
        after["bad.mp4"]
    _, calls = _build(folder, ["a.mp4", "c.mp4"], "b.index")
    assert calls == [], "sets over one root share what is known of their files"


def test_equal_bytes_have_equal_hashes_whatever_their_names(folder: Path) -> None:
    (folder / "set" / "copy.mp4").write_bytes((folder / "set" / "a.mp4").read_bytes())
    built, _ = _build(folder, ["a.mp4", "copy.mp4"])
    assert built["a.mp4"].content_hash == built["copy.mp4"].content_hash


@pytest.mark.parametrize("content", [b"", b"junk", b"ARROW1\0\0" + bytes(100)])
def test_a_broken_cache_file_is_built_anew(content: bytes, folder: Path) -> None:
    _build(folder)
    (folder / "cache" / "a.index").write_bytes(content)
    built, calls = _build(folder)
    assert len(calls) == 4
    assert built["a.mp4"].n_frames == 12
    leftovers = {path.name for path in (folder / "cache").iterdir()}
    assert leftovers == {"a.index", ".a.index.lock"}


def test_a_path_twice_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match=r"'a\.mp4' is listed twice"):
        _build(folder, ["a.mp4", "bad.mp4", "a.mp4"])


def test_reader_reads_and_refuses_by_index(folder: Path) -> None:
    built, _ = _build(folder)
    reader = pickle.loads(pickle.dumps(FileReader(built)))
    frames = np.array([11, 0, 5])
    read = reader(_video(folder, built, "a.mp4"), [View(frames, (48, 64))])[0]
    np.testing.assert_array_equal(read, decode_all(folder / "set" / "a.mp4")[frames])
    with pytest.raises(ClipError, match=r"bad\.mp4: not a readable video"):
        reader(_video(folder, built, "bad.mp4"), [])
    with pytest.raises(ClipError, match=r"^a\.mp4: frame 12 is wanted"):
        reader(_video(folder, built, "a.mp4"), [View(np.array([12]), (8, 8))])
