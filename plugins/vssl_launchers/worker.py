"""A warm worker process: jobs come in as JSON lines, what happens goes out as JSON lines.

In:  ``{"job_id", "target": "module:function", "payload", "log"}``, one line a job.
Out: ``{"event": "ready"}``, ``{"event": "progress", "job_id", "message"}`` and
``{"event": "done" | "failed", "job_id", "message", "result"}``.

Nothing is pickled. What a job prints, C libraries included, goes to its log file. When the parent is gone (end of file
on standard input) the whole process group ends at once, so that no orphan keeps training.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

__all__ = ["main"]

_PROGRESS_EVERY_S = 0.25


class _Stopped(BaseException):
    """The launcher asked this worker to stop; not an ``Exception``, so that no job swallows it."""


def main() -> int:
    """Serve jobs until standard input ends; return the exit status."""
    # The protocol keeps a private copy of stdout: whatever a job prints must never reach the parent's parser.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # Nor may the thread that waits for jobs hold the lock of sys.stdin: a forked child closes that first of all, and
    # would wait for a thread that it does not have.
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    lines: queue.Queue[str] = queue.Queue()
    # Ctrl-C reaches the whole terminal group; only the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _on_terminate)
    threading.Thread(target=_read, args=(requests, lines), daemon=True, name="vssl-worker-stdin").start()
    try:
        _reply(replies, event="ready")
        while True:
            _serve(json.loads(lines.get()), replies)
    except (_Stopped, KeyboardInterrupt):  # training turns the signal into KeyboardInterrupt once it has a checkpoint
        return 128 + signal.SIGTERM


def _on_terminate(signum: int, frame: FrameType | None) -> None:
    raise _Stopped


def _read(requests: TextIO, lines: queue.Queue[str]) -> None:
    for line in requests:
        if line.strip():
            lines.put(line)
    _end_group()


def _end_group() -> None:
    """End this process and the children of its job (loader workers), without any clean-up that could hang."""
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _serve(job: Mapping[str, Any], replies: TextIO) -> None:
    job_id, log = str(job["job_id"]), Path(job["log"])
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    try:
        function = _load(str(job["target"]))
        options = {}
        if "report" in inspect.signature(function).parameters:
            options["report"] = _reporter(job_id, replies)
        result = function(dict(job["payload"]), **options)
        answer = {"event": "done", "message": "", "result": json.loads(json.dumps(result))}
    except Exception as error:
        traceback.print_exc()
        answer = {"event": "failed", "message": f"{type(error).__name__}: {error}", "result": None}
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    _reply(replies, job_id=job_id, **answer)


def _load(target: str) -> Callable[..., Any]:
    module, _, attribute = target.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


def _reporter(job_id: str, replies: TextIO) -> Callable[[str], None]:
    last = -_PROGRESS_EVERY_S

    def report(message: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_EVERY_S:
            last = now
            _reply(replies, event="progress", job_id=job_id, message=message)

    return report


def _reply(replies: TextIO, **fields: Any) -> None:
    try:
        replies.write(json.dumps(fields) + "\n")
        replies.flush()
    except BrokenPipeError:  # the parent is gone
        _end_group()


if __name__ == "__main__":
    sys.exit(main())
