"""Building an index: stopped and gone on with, over files that hang or crash."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.scanning import build_set, indexed_video, note_examined
from support.videos import pictures, write_video

import vssl_core.data.scan as scan_module
from vssl_core.contracts import View
from vssl_core.data.index import Index
from vssl_core.data.probe import Probe, probe
from vssl_core.data.reader import FileReader
from vssl_core.errors import ClipError

N_COPIES = 150


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("tiny") / "tiny.mp4", pictures(4, 32, 32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    return tmp_path


def _copies(folder: Path, tiny: Path, count: int) -> list[str]:
    names = [f"v{number:03d}.mp4" for number in range(count)]
    for name in names:
        shutil.copy(tiny, folder / "set" / name)
    return names


@pytest.fixture
def examined(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    return note_examined(folder / "examined.txt", monkeypatch)


SLOW_BUILD = """
import sys, time
import vssl_core.data.scan as scan
real = scan.probe
def slow(source, **options):
    time.sleep(0.01)
    return real(source, **options)
scan.probe = slow
folder, count = sys.argv[1], int(sys.argv[2])
names = [f"v{number:03d}.mp4" for number in range(count)]
scan.build_index(f"{folder}/set", names, cache_file=f"{folder}/a.index", workers=2)
"""


def _killed_half_way(folder: Path, at_least: int) -> int:
    """Run a build in a process and kill it; return how many rows it had kept."""
    journal = folder / "a.index.journal"
    before = len(_lines(journal))
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SLOW_BUILD), str(folder), str(N_COPIES)])
    try:
        end = time.monotonic() + 60
        while len(_lines(journal)) < before + at_least:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < end
            time.sleep(0.005)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    return len(_lines(journal))


def _lines(journal: Path) -> list[str]:
    text = journal.read_text(encoding="utf-8") if journal.exists() else ""
    return [line for line in text.splitlines() if line]


def test_a_killed_build_goes_on_where_it_was(folder: Path, tiny: Path, examined: Any) -> None:
    names = _copies(folder, tiny, N_COPIES)
    kept = _killed_half_way(folder, 60)
    assert 60 <= kept < N_COPIES
    assert not (folder / "a.index").exists()
    known = [json.loads(line)["path"] for line in _lines(folder / "a.index.journal")[: kept - 1]]
    index = build_set(folder, names)
    again = examined()
    assert not set(again) & set(known), "what was finished is not read again"
    assert N_COPIES - kept <= len(again) <= N_COPIES - kept + 1, "the last line may be torn"
    assert list(index) == names
    assert {row["n_frames"] for row in index.cells()} == {4}
    assert not (folder / "a.index.journal").exists()
    build_set(folder, names)
    assert examined() == []


def test_a_torn_line_costs_its_own_file(folder: Path, tiny: Path, examined: Any) -> None:
    names = _copies(folder, tiny, 5)
    build_set(folder, names)
    rows = [json.dumps(row) for row in Index(folder / "a.index").cells()]
    examined()
    (folder / "a.index").unlink()
    journal = folder / "a.index.journal"
    for torn in (rows[3][:40], rows[3][:-1], "", '{"path": "v003'):
        journal.write_text("\n".join([*rows[:3], torn]), encoding="utf-8")
        index = build_set(folder, names)
        assert examined() == ["v003.mp4", "v004.mp4"], torn
        assert {row.n_frames for row in map(index.row, range(5))} == {4}
        (folder / "a.index").unlink()


def test_what_follows_a_torn_line_is_kept_too(folder: Path, tiny: Path, examined: Any) -> None:
    """Killed twice: what the second build appends must not hide behind what the first left torn."""
    names = _copies(folder, tiny, N_COPIES)
    build_set(folder, names[:3])
    rows = [json.dumps(row) for row in Index(folder / "a.index").cells()]
    examined()
    (folder / "a.index").unlink()
    (folder / "a.index.journal").write_text("\n".join([*rows[:2], rows[2][:50]]), encoding="utf-8")
    kept = _killed_half_way(folder, 60)
    build_set(folder, names)
    assert len(examined()) <= N_COPIES - kept + 3


@pytest.mark.parametrize("line", ['{"path": "v000.mp4"}', "[]"])
def test_a_journal_of_another_version_is_left_aside(line: str, folder: Path, tiny: Path, examined: Any) -> None:
    names = _copies(folder, tiny, 2)
    (folder / "a.index.journal").write_text(f"{line}\n", encoding="utf-8")
    assert build_set(folder, names)["v000.mp4"].n_frames == 4
    assert examined() == names


def test_files_that_hang_or_crash_stand_in_it_with_their_reasons(
    folder: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = _copies(folder, tiny, 6)
    real = probe

    def bad(source: str, **options: Any) -> Probe:
        number = Path(source).stem
        if number == "v001":
            time.sleep(600)
        if number == "v003":
            os.kill(os.getpid(), signal.SIGSEGV)
        if number == "v004":
            os._exit(7)
        return real(source, **options)

    monkeypatch.setattr(scan_module, "probe", bad)
    monkeypatch.setattr(scan_module, "_LIMIT_S", 1.0)
    began = time.monotonic()
    index = build_set(folder, names, workers=2)
    assert time.monotonic() - began < 20
    assert {path: index[path].reason for path in names} == {
        "v000.mp4": "",
        "v001.mp4": "reading it did not end within 1 s",
        "v002.mp4": "",
        "v003.mp4": "reading it crashed the decoder (SIGSEGV)",
        "v004.mp4": "reading it ended the process (exit code 7)",
        "v005.mp4": "",
    }
    reader = FileReader(index)
    for path in ("v001.mp4", "v003.mp4"):
        assert (index[path].n_frames, index[path].table) == (0, None)
        with pytest.raises(ClipError, match="reading it"):
            reader(indexed_video(folder, index, path), [View(np.array([0]), (8, 8))])
    assert len({index[path].content_hash for path in names}) == 4, "those that cannot be read are like no other"
    # They are not tried again.
    monkeypatch.setattr(scan_module, "guarded_map", lambda *_, **__: pytest.fail("files were read again"))
    assert build_set(folder, names)["v001.mp4"].reason == index["v001.mp4"].reason
