"""Runs of the command line in processes of their own, which can be killed.

They are forked from a process that has imported everything: real processes, without the seconds that starting Python
and importing torch take.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

_LIMIT_S = 180.0
_DYING_S = 20.0


def _server() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vssl_core.cli.main", "vssl_core.engine.pretrain", "timm", "torchvision"])
    return context


def _run(arguments: Sequence[str], log: str, start_method: str) -> None:
    multiprocessing.set_start_method(start_method, force=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    import torch

    from vssl_core.cli.main import main

    torch.set_num_threads(1)
    main(list(arguments))


def start(arguments: Sequence[str], log: Path, start_method: str = "fork") -> BaseProcess:
    """Begin ``vssl ARGUMENTS``; what it prints goes to ``log``. ``start_method``: how it starts its loader workers."""
    # Not daemonic: loader workers are children of it.
    process = _server().Process(target=_run, args=(list(arguments), str(log), start_method))
    process.start()
    return process


def finish(process: BaseProcess, log: Path) -> None:
    """Wait for a run, which has to succeed."""
    process.join(_LIMIT_S)
    assert process.exitcode == 0, f"exit code {process.exitcode}\n{log.read_text()}"


def descendants(pid: int) -> set[int]:
    """Return the processes below one, where /proc tells."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # pid (name) state ppid ...; a name may hold anything.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    found: set[int] = set()
    level = {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level} - found
        found |= level
    return found


def _wait_until_gone(pids: set[int]) -> None:
    """Wait for what a killed run started: workers that it leaves behind would fill the machine's memory."""
    end = time.monotonic() + _DYING_S
    while time.monotonic() < end:
        if not any(Path("/proc", str(pid)).exists() for pid in pids):
            return
        time.sleep(0.05)
    raise AssertionError(f"{_DYING_S:g} s after their run was killed, processes still live")


def kill_at_checkpoint(process: BaseProcess, out: Path, log: Path, at_least: int) -> int:
    """Kill a run with SIGKILL once it has kept ``at_least`` steps; return how many it had kept."""
    end = time.monotonic() + _LIMIT_S
    while time.monotonic() < end:
        assert process.exitcode is None, f"it ended before it could be killed\n{log.read_text()}"
        kept = max((int(path.name.removeprefix("step-")) for path in (out / "checkpoint").glob("step-*")), default=0)
        if kept >= at_least:
            assert process.pid is not None
            left_behind = descendants(process.pid)
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            assert process.exitcode == -signal.SIGKILL
            _wait_until_gone(left_behind)
            return kept
        time.sleep(0.005)
    raise AssertionError(f"no checkpoint within {_LIMIT_S:g} s\n{log.read_text()}")
