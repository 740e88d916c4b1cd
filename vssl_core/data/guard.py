"""Work on strangers' files in processes that can be killed: a decoder that hangs or crashes costs one file, not a run.

Each process has a pipe of its own, so that whoever dies, it is known over which item. Pools of a shared queue (those of
the standard library and of Pebble) break as a whole when a process dies before it has said what it is working on.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from vssl_core.errors import ClipError, VsslError

if TYPE_CHECKING:
    from vssl_core.contracts import Reader, Video, View

__all__ = ["Outcome", "end_with_parent", "guarded_map", "read_blamed", "reason_of_death"]

Item = TypeVar("Item")
# How far work may run ahead of the item that is waited for: a million results are not kept at once.
_AHEAD = 256
# What a process sends when it can work; how long that may take.
_READY = "vssl-ready"
_START_S = 120.0
# Nothing tells that a limit has passed but looking at the clock.
_LOOK_EVERY_S = 0.5


class Outcome(NamedTuple):
    """What came of one item: ``value``, or why its process ended in ``failure``."""

    value: Any
    failure: str


def guarded_map(
    function: Callable[[Item], Any], items: Sequence[Item], *, limits_s: Sequence[float], workers: int
) -> Iterator[Outcome]:
    """Yield what ``function`` makes of each item, in their order, worked on by processes.

    Args:
        function: picklable; what it raises is raised here.
        items: picklable.
        limits_s: per item, the seconds after which its process is killed.
        workers: processes.

    Raises:
        VsslError: a process was killed from outside.
    """
    outcomes: dict[int, Outcome] = {}
    todo, turn = 0, 0
    pool = [_Worker(function) for _ in range(min(workers, len(items)))]
    try:
        while turn < len(items):
            for place, worker in enumerate(pool):
                if worker.failure:
                    outcomes[worker.item] = Outcome(None, worker.failure)
                    pool[place] = worker = _Worker(function)
                if worker.item < 0 and todo < min(len(items), turn + _AHEAD):
                    worker.start(todo, items[todo], limits_s[todo])
                    todo += 1
            while turn in outcomes:
                yield outcomes.pop(turn)
                turn += 1
            busy = [worker for worker in pool if worker.item >= 0]
            if busy and turn not in outcomes:
                wait([worker.pipe for worker in busy], timeout=_LOOK_EVERY_S)
            for worker in busy:
                done = worker.collect()
                if done is not None:
                    outcomes[done[0]] = Outcome(done[1], "")
    finally:
        # Also when the caller stops half-way: nobody waits for what is still being worked on.
        for worker in pool:
            worker.end()


class _Worker:
    """One process and the item that it is working on."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=_serve, args=(function, theirs), daemon=True)
        self._process.start()
        # Closed here, so that the pipe ends when the process does.
        theirs.close()
        #: number of the item in work, -1: none
        self.item = -1
        #: why the process is no more
        self.failure = ""
        self._limit_s, self._began, self._ready = 0.0, 0.0, False

    def start(self, number: int, item: Any, limit_s: float) -> None:
        self.item, self._limit_s, self._began = number, limit_s, time.monotonic()
        self.pipe.send(item)

    @property
    def _patience_s(self) -> float:
        return self._limit_s if self._ready else _START_S

    def collect(self) -> tuple[int, Any] | None:
        """Return (number, value) of an item that is finished; note it where the process is finished."""
        if self.pipe.poll():
            try:
                raised, value = self.pipe.recv()
            except EOFError:
                self._process.join()
                if self._process.exitcode == -signal.SIGKILL:
                    raise VsslError(
                        "a worker process was killed from outside, as systems do that run out of memory; use fewer "
                        "workers"
                    ) from None
                self.failure = reason_of_death(self._process.exitcode)
                return None
            if not raised and isinstance(value, str) and value == _READY:
                # The item's time begins here: a slow start of its process is not its fault.
                self._ready, self._began = True, time.monotonic()
                return None
            if raised:
                raise value
            number, self.item = self.item, -1
            return number, value
        if time.monotonic() - self._began > self._patience_s:
            self.end()
            if not self._ready:
                raise VsslError(
                    f"a worker process did not start within {_START_S:.0f} s; is the machine out of memory?"
                )
            self.failure = f"reading it did not end within {self._limit_s:.0f} s"
        return None

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _serve(function: Callable[[Any], Any], pipe: Connection) -> None:
    """Answer items until the pipe ends."""
    # Ctrl-C reaches the whole group: the parent decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A parent that is killed closes nothing, forked siblings hold its ends of the pipes too; and work that hangs would
    # never get to look.
    end_with_parent()
    pipe.send((False, _READY))
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            answer = (False, function(item))
        except Exception as error:
            answer = (True, error)
        pipe.send(answer)


def end_with_parent(worker: int = 0) -> None:
    """End this process when the one that started it is gone, however it went; also a ``worker_init_fn`` of torch.

    Torch's own check compares the ids of parents, and sees nothing where a server forks the workers: a run that was
    killed would leave them, and the server, behind.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        # No handlers: what they would flush or join belongs to a process that is no more.
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="vssl-parent").start()


def read_blamed(reader: Reader, video: Video, views: Sequence[View]) -> list[Any]:
    """Read a video; what a library raises over it is the video's own fault, as its death would be.

    Raises:
        ClipError: the video cannot be read, for whatever reason.
    """
    try:
        return list(reader(video, views))
    except VsslError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        # Without the root: the reason stands in records, which must not differ between machines.
        reason = reason.replace(video.source, video.video_id) if video.source else reason
        raise ClipError(f"{video.video_id}: reading it raised {reason}") from error


def reason_of_death(exit_code: int | None) -> str:
    """Say what an exit code of a process that was reading a video tells about the video."""
    if exit_code is not None and exit_code < 0:
        return f"reading it crashed the decoder ({signal.Signals(-exit_code).name})"
    return f"reading it ended the process (exit code {exit_code})"
