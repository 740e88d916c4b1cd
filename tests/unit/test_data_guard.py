"""Files that hang or crash their reader cost themselves alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from vssl_core.data.guard import guarded_map
from vssl_core.errors import VsslError


def _work(item: int) -> int:
    if item == 3:
        time.sleep(60)
    if item == 5:
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == 7:
        raise ValueError("seven")
    if item == 11:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def test_the_others_are_not_harmed() -> None:
    items = [0, 1, 2, 3, 4, 5, 6]
    began = time.monotonic()
    found = list(guarded_map(_work, items, limits_s=[1.0] * len(items), workers=2))
    assert time.monotonic() - began < 30
    assert [outcome.value for outcome in found] == [0, 1, 4, None, 16, None, 36]
    assert found[3].failure == "reading it did not end within 1 s"
    assert found[5].failure == "reading it crashed the decoder (SIGSEGV)"
    assert {outcome.failure for at, outcome in enumerate(found) if at not in (3, 5)} == {""}


def test_what_is_raised_is_raised_here() -> None:
    with pytest.raises(ValueError, match="seven"):
        list(guarded_map(_work, [1, 7], limits_s=[9.0, 9.0], workers=1))


def test_a_process_that_is_killed_from_outside_blames_no_file() -> None:
    with pytest.raises(VsslError, match="run out of memory"):
        list(guarded_map(_work, [11], limits_s=[9.0], workers=1))


def _hang(file: str) -> None:
    Path(file).write_text(str(os.getpid()))
    time.sleep(60)


def _map_hanging(file: str) -> None:
    # Two workers: a forked sibling keeps the parent's ends of the other's pipes open.
    list(guarded_map(_hang, [f"{file}-0", f"{file}-1"], limits_s=[60.0, 60.0], workers=2))


def test_work_that_hangs_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = multiprocessing.get_context("spawn").Process(target=_map_hanging, args=(str(tmp_path / "pid"),))
    parent.start()
    files = [tmp_path / "pid-0", tmp_path / "pid-1"]
    patience = time.monotonic() + 60
    while not all(file.is_file() and file.read_text() for file in files):
        assert time.monotonic() < patience
        time.sleep(0.05)
    workers = [int(file.read_text()) for file in files]
    parent.kill()
    parent.join()
    try:
        patience = time.monotonic() + 10
        while any(_runs(worker) for worker in workers):
            assert time.monotonic() < patience, "workers outlive their parent"
            time.sleep(0.05)
    finally:
        for worker in filter(_runs, workers):
            os.kill(worker, signal.SIGKILL)


def _runs(process: int) -> bool:
    """Whether a process is there and no zombie: whoever inherits orphans may be slow to collect them."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_nothing_to_do_starts_nothing() -> None:
    assert list(guarded_map(_work, [], limits_s=[], workers=2)) == []
