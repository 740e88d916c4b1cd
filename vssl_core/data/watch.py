"""Watching loader workers: which sample each is at, since when, and which of them has to be killed for it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import RawArray
from typing import Any

from vssl_core.data.guard import reason_of_death
from vssl_core.errors import DataError

__all__ = ["Heartbeats", "Watchdog"]

_LOOK_EVERY_S = 0.25
# From the first sign of a death to when the system says so.
_DYING_S = 2.0
_ROW, _SINCE, _PID, _WIDTH = 0, 1, 2, 3
_RESTING = -1.0


class Heartbeats:
    """What each worker is at, in memory that it shares with the training process. Inherited or pickled by workers."""

    def __init__(self, workers: int) -> None:
        self._cells: Any = RawArray("d", _WIDTH * workers)
        for worker in range(workers):
            self._cells[worker * _WIDTH + _ROW] = _RESTING
        self.workers = workers

    def begin(self, worker: int, row: int) -> None:
        """Note that a worker begins to read a row."""
        at = worker * _WIDTH
        self._cells[at + _PID] = os.getpid()
        # The clock of all processes of a machine; written before the row, so that no row has the time of another.
        self._cells[at + _SINCE] = time.monotonic()
        self._cells[at + _ROW] = row

    def rest(self, worker: int) -> None:
        """Note that a worker is done with its samples."""
        self._cells[worker * _WIDTH + _ROW] = _RESTING

    def reading(self) -> list[tuple[int, float, int]]:
        """Return (row, seconds so far, process id) of every worker that is reading."""
        found = []
        for worker in range(self.workers):
            row, since, pid = self._cells[worker * _WIDTH : (worker + 1) * _WIDTH]
            if row != _RESTING:
                found.append((int(row), time.monotonic() - since, int(pid)))
        return found


class Watchdog:
    """Kills workers that are at one sample for too long, and says of dead workers what they died of.

    Args:
        beats: of the workers.
        limit_s: how long one sample may take.
    """

    def __init__(self, beats: Heartbeats, limit_s: float) -> None:
        self._beats, self._limit_s = beats, limit_s
        self._processes: dict[int, BaseProcess] = {}
        self._killed: set[int] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="vssl-watchdog")

    def start(self) -> None:
        """Begin to watch; to be called when the workers run."""
        self._processes = {process.pid: process for process in multiprocessing.active_children() if process.pid}
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def victims(self) -> list[tuple[int, str]]:
        """Return (row, reason) for the samples that dead workers were at; waits a little for one that is dying.

        Raises:
            DataError: a worker was killed from outside.
        """
        patience = time.monotonic() + _DYING_S
        while time.monotonic() < patience:
            found = self._dead()
            if found:
                return found
            time.sleep(_DYING_S / 20)
        return []

    def _dead(self) -> list[tuple[int, str]]:
        found = []
        for row, _, pid in self._beats.reading():
            process = self._processes.get(pid)
            if process is None or process.is_alive():
                continue
            if pid in self._killed:
                found.append((row, f"reading it did not end within {self._limit_s:g} s"))
            elif process.exitcode == -signal.SIGKILL:
                raise DataError(
                    "a loader worker was killed from outside, as systems do that run out of memory; lower "
                    "loader.workers or loader.prefetch"
                )
            else:
                found.append((row, reason_of_death(process.exitcode)))
        return found

    def _watch(self) -> None:
        while not self._end.wait(_LOOK_EVERY_S):
            for _, seconds, pid in self._beats.reading():
                process = self._processes.get(pid)
                if seconds > self._limit_s and process is not None and pid not in self._killed and process.is_alive():
                    self._killed.add(pid)
                    process.kill()
