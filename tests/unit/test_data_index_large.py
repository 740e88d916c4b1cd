"""A large index: opened without reading it, looked up without unpacking it, cheap to hand to workers."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from vssl_core.data.index import FRAME_FOLDER, Index, write_index, write_sorted_rows
from vssl_core.data.videos import IndexedVideos
from vssl_core.errors import DataError

N_ROWS = 20_000
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "speed" / "index.py"
UNEVEN = np.cumsum(np.random.default_rng(1).integers(1, 9, 50))
MOTION = np.random.default_rng(2).random(50, dtype=np.float32)
#: as bytes they sort as here; by the rules of languages, and as UTF-16, they would not
NAMES = [
    "A/z.mp4",
    "Z.mp4",
    "a.mp4",
    "a/b.mp4",
    "a0.mp4",
    "z.mp4",
    "ä.mp4",
    "é.mp4",
    "日本.mp4",
    "\uffee.mp4",
    "😀.mp4",
]


def cells(path: str, number: int = 0, **changed: Any) -> dict[str, Any]:
    """A row as ``write_index`` takes it: 50 frames, evenly timed, of which every tenth is a key frame."""
    row = {
        "path": path,
        "bytes": 1000 + number,
        "mtime_ns": 10**18 + number,
        "inode": number,
        "content_hash": f"{number:032x}",
        "origin_hash": "",
        "reason": "",
        "damage": "",
        "checked": "packets",
        "codec": "h264",
        "n_frames": 50,
        "fps": 25.0,
        "varies": False,
        "duration_s": 2.0,
        "height": 48,
        "width": 64,
        "has_audio": False,
        "rotation": 0,
        "mirrored": False,
        "pixel_aspect": 1.0,
        "plain": True,
        "n_pts": 50,
        "first_pts": number,
        "step_pts": 512,
        "pts_steps": None,
        "key_pts": [number + 5120 * key for key in range(5)],
        "key_dts": [number + 5120 * key - 1024 for key in range(5)],
        "motion": None,
    }
    assert changed.keys() <= row.keys()
    return row | changed


def generated() -> Iterator[dict[str, Any]]:
    """Rows in no order of their names."""
    for number in np.random.default_rng(0).permutation(N_ROWS - len(NAMES)).tolist():
        yield cells(f"class {number % 100}/clip ü{number}.mp4", number)
    yield from (cells(name, N_ROWS + at) for at, name in enumerate(NAMES))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("index") / "large.index"
    write_index(generated(), file)
    return file


def test_sorted_rows_are_written_as_they_come(large: Path, tmp_path: Path) -> None:
    """Of a million files no more may be held than a batch."""
    held: list[int] = []
    alive: weakref.WeakSet[Any] = weakref.WeakSet()

    class Watched(dict[str, Any]):
        __hash__ = object.__hash__  # type: ignore[assignment]

    def rows() -> Iterator[dict[str, Any]]:
        for row in sorted(generated(), key=lambda row: row["path"]):
            watched = Watched(row)
            alive.add(watched)
            held.append(len(alive))
            yield watched

    write_sorted_rows(rows(), tmp_path / "again.index")
    assert (tmp_path / "again.index").read_bytes() == large.read_bytes()
    assert max(held) < N_ROWS / 4


def test_opening_reads_no_rows(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = pa.RecordBatchFileReader.get_batch

    def noted(self: pa.RecordBatchFileReader, number: int) -> pa.RecordBatch:
        read.append(number)
        return real(self, number)

    monkeypatch.setattr(pa.RecordBatchFileReader, "get_batch", noted)
    began = time.perf_counter()
    index = Index(large)
    assert time.perf_counter() - began < 0.5
    assert len(index) == N_ROWS
    assert len(read) <= 1, "only the last batch, for its length"
    read.clear()
    assert index.row(N_ROWS // 2).n_frames == 50
    assert len(read) == 1
    read.clear()
    assert "class 7/clip ü1007.mp4" in index
    assert len(read) <= 16, "look-up halves what is left"


def test_every_row_is_found_by_path_and_by_number(large: Path) -> None:
    index = Index(large)
    paths = list(index)
    assert len(paths) == len(set(paths)) == N_ROWS
    rng = np.random.default_rng(3)
    for number in [0, 63, 64, 127, N_ROWS - 1, *rng.integers(0, N_ROWS, 200).tolist()]:
        row = index.row(number)
        assert row.path == paths[number]
        assert index.number(paths[number]) == number
        assert index[paths[number]].content_hash == row.content_hash
        if row.path.startswith("class"):
            stated = int(row.path.removesuffix(".mp4").rpartition("ü")[2])
            assert (row.bytes, row.mtime_ns, int(row.content_hash, 16)) == (1000 + stated, 10**18 + stated, stated)
            assert row.table is not None
            np.testing.assert_array_equal(row.table.pts, stated + 512 * np.arange(50))
            assert row.table.key_dts[-1] == stated + 5120 * 4 - 1024


def test_order_is_that_of_bytes(large: Path) -> None:
    index = Index(large)
    paths = list(index)
    assert paths == sorted(paths)
    assert [path.encode() for path in paths] == sorted(path.encode() for path in paths)
    assert [path for path in paths if path in NAMES] == NAMES
    for at, name in enumerate(NAMES):
        assert index[name].bytes == 1000 + N_ROWS + at


@pytest.mark.parametrize("path", ["", "0", "class 7/clip ü1007.mp", "class 7/clip ü1007.mp4 ", "~", "🤷", "é.mp4"[:1]])
def test_what_is_not_there(path: str, large: Path) -> None:
    index = Index(large)
    assert path not in index
    with pytest.raises(DataError, match=f"is not in the index of {N_ROWS} videos"):
        index.number(path)


def test_handing_it_to_a_worker_costs_its_name(large: Path) -> None:
    index = Index(large)
    index.row(5)
    data = pickle.dumps(index)
    assert len(data) < 500
    other = pickle.loads(data)
    assert len(other) == N_ROWS
    assert other.row(77).path == index.row(77).path
    videos = IndexedVideos(index, Path("/set"), np.arange(100), np.arange(100))
    assert videos[42].video_id == index.row(42).path
    assert len(pickle.dumps(IndexedVideos(index, Path("/set"), np.arange(100), np.arange(100)))) < 4000


def test_a_relative_name_is_found_from_elsewhere(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(large.parent)
    data = pickle.dumps(Index(large.name))
    monkeypatch.chdir("/")
    assert len(pickle.loads(data)) == N_ROWS


def test_every_kind_of_row_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "a.index"
    steps = np.diff(UNEVEN).tolist()
    rows = [
        cells("uneven.mp4", first_pts=int(UNEVEN[0]), step_pts=0, pts_steps=steps, varies=True, motion=MOTION.tolist()),
        cells("one.mp4", n_frames=1, n_pts=1, step_pts=0, first_pts=-7, key_pts=[-7], key_dts=[-9]),
        cells("untimed.avi", n_pts=0, first_pts=0, step_pts=0, key_pts=[], key_dts=[]),
        cells("cut.mp4", n_frames=20, damage="20 of 50 frames can be decoded", checked="decode"),
        cells("turned.mp4", rotation=90, mirrored=True, pixel_aspect=16 / 11, plain=False, has_audio=True),
        cells("bad.mp4", n_frames=0, n_pts=0, key_pts=[], key_dts=[], fps=0.0, reason="bad.mp4: not a readable video"),
        cells("pictures", codec=FRAME_FOLDER, n_pts=0, key_pts=[], key_dts=[]),
    ]
    write_index(rows, file)
    index = Index(file)
    assert list(index) == sorted(row["path"] for row in rows)
    uneven = index["uneven.mp4"]
    assert uneven.table is not None and uneven.motion is not None and uneven.varies
    np.testing.assert_array_equal(uneven.table.pts, UNEVEN)
    assert uneven.table.pts.dtype == np.int64
    np.testing.assert_array_equal(uneven.motion, MOTION)
    assert uneven.motion.dtype == np.float32
    one, untimed, cut, turned = (index[name].table for name in ("one.mp4", "untimed.avi", "cut.mp4", "turned.mp4"))
    assert one is not None and untimed is not None and cut is not None and turned is not None
    assert (one.pts.tolist(), one.key_pts.tolist(), one.key_dts.tolist()) == ([-7], [-7], [-9])
    assert (len(untimed.pts), untimed.n_frames) == (0, 50)
    assert (len(cut.pts), cut.n_frames) == (50, 20)
    assert (turned.rotation, turned.mirrored, turned.plain, turned.pixel_aspect) == (90, True, False, 16 / 11)
    assert index["cut.mp4"].damage.startswith("20 of 50") and index["cut.mp4"].checked == "decode"
    for name in ("bad.mp4", "pictures"):
        assert index[name].table is None
    # What is stored is what was given, so that one index can be made from another.
    again = tmp_path / "again.index"
    write_index(index.cells(), again)
    assert again.read_bytes() == file.read_bytes()


def test_an_empty_index(tmp_path: Path) -> None:
    write_index([], tmp_path / "empty.index")
    index = Index(tmp_path / "empty.index")
    assert (len(index), list(index), "a.mp4" in index) == (0, [], False)


def test_a_failure_leaves_the_old_index_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.index"
    write_index([cells("a.mp4")], file)
    with pytest.raises(DataError, match="not valid Unicode"):
        write_index([cells("a.mp4"), cells("b\udcff.mp4")], file)
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        write_index([cells("a.mp4", n_frames="many")], file)
    assert list(Index(file)) == ["a.mp4"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.index"]


def test_files_that_are_no_index(tmp_path: Path) -> None:
    (tmp_path / "text.index").write_text("no index")
    with pa.OSFile(str(tmp_path / "old.index"), "wb") as sink:
        schema = pa.schema([("path", pa.string())], metadata={b"vssl_index": b"1"})
        pa.ipc.new_file(sink, schema).close()
    for name, message in (
        ("text.index", "is no index of videos"),
        ("absent.index", "is no index of videos"),
        ("old.index", "was made by another version of vssl"),
    ):
        with pytest.raises(DataError, match=message):
            Index(tmp_path / name)


def test_the_benchmark_runs_at_its_smallest(tmp_path: Path) -> None:
    """Its figures mean nothing here. In a process of its own: what it measures is fresh processes that import it."""
    small = ["--rows=300", "--reads=20", "--processes=1", f"--work={tmp_path / 'work'}"]
    command = [sys.executable, str(SCRIPT), *small]
    first = subprocess.run([*command, f"--json={tmp_path / 'a.json'}"], capture_output=True, text=True, timeout=60)
    assert first.returncode == 0, first.stderr
    assert "an index of 300 videos" in first.stdout
    report = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert (report["rows"], report["reads"], report["processes"]) == (300, 20, 1)
    assert report["write_s"] > 0 and report["open_s"] > 0 and report["read_us"] > 0
    assert len(Index(tmp_path / "work" / "generated-300.index")) == 300
    second = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60)
    assert json.loads(second.stdout)["write_s"] is None, "what was generated is used again"
