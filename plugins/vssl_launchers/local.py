"""The ``local`` launcher: warm worker processes that are spoken to in JSON lines.

A worker imports torch once and then runs job after job. One that dies takes only its job with it: the job is failed
with the exit code or signal, and a fresh worker takes the next one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vssl_core.contracts import Job, JobState
from vssl_core.errors import ConfigError
from vssl_launchers.machine import cores, visible_gpus, worker_environment

__all__ = ["LocalLauncher"]

_MOST_WORKERS = 8
_LOG_TAIL_BYTES = 4096


class LocalLauncher:
    """Run up to ``capacity`` jobs at a time in worker processes of this machine.

    Args:
        workers: jobs at a time; 0: one a GPU, or without GPU one a core (8 at most).
        threads: threads a worker; 0: cores // workers.
        gpus: GPUs dealt to the workers in turn; 0: none; -1: all that are visible.
        grace_s: seconds a worker has to end a job that is stopped, before it is killed.
    """

    def __init__(self, *, workers: int = 0, threads: int = 0, gpus: int = -1, grace_s: float = 10.0) -> None:
        devices = visible_gpus() if gpus else []
        self._devices = devices if gpus < 0 else devices[:gpus]
        # An explicit 0 hides the GPUs of the machine from the jobs; -1 without any leaves the environment alone.
        self._no_gpu = gpus == 0
        self.capacity = workers or len(self._devices) or min(cores(), _MOST_WORKERS)
        self.threads = threads or max(1, cores() // self.capacity)
        self._grace_s = grace_s
        self._lock = threading.RLock()
        self._queue: deque[Job] = deque()
        self._states: dict[str, JobState] = {}
        self._workers: list[_Worker | None] = [None] * self.capacity
        self._closed = False

    def submit(self, job: Job) -> None:
        """Queue a job; it starts at once where a worker is free.

        Raises:
            ConfigError: the launcher is closed, or the job's id is already waiting or running.
        """
        with self._lock:
            if self._closed:
                raise ConfigError(f"job {job.job_id} was submitted to a launcher that is closed; make a new launcher")
            state = self._states.get(job.job_id)
            if state is not None and state.status in ("waiting", "running"):
                raise ConfigError(f"job {job.job_id} is already {state.status}; wait for it or cancel it first")
            self._states[job.job_id] = JobState(status="waiting")
            self._queue.append(job)
            self._dispatch()

    def poll(self) -> Mapping[str, JobState]:
        """Return the state of every job that was submitted."""
        with self._lock:
            return dict(self._states)

    def cancel(self, job_id: str) -> None:
        """Take a waiting job off the queue, or stop the worker that runs it; nothing happens to one that has ended.

        Raises:
            ConfigError: no such job was submitted.
        """
        with self._lock:
            if job_id not in self._states:
                raise ConfigError(f"no job {job_id} was submitted to this launcher")
            self._queue = deque(job for job in self._queue if job.job_id != job_id)
            if self._states[job_id].status == "waiting":
                self._states[job_id] = JobState(status="cancelled", message="cancelled before it started")
            worker = next((w for w in self._workers if w is not None and w.running(job_id)), None)
            if worker is None:
                return
            self._states[job_id] = JobState(status="cancelled", message="cancelled while it ran")
        worker.stop(self._grace_s)

    def close(self) -> None:
        """Stop every worker and wait for it; running jobs keep their checkpoints and count as cancelled."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            for job_id, state in self._states.items():
                if state.status in ("waiting", "running"):
                    self._states[job_id] = JobState(status="cancelled", message="the launcher was closed")
            workers = [worker for worker in self._workers if worker is not None]
            for worker in workers:
                worker.terminate()
        for worker in workers:
            worker.stop(self._grace_s)

    # ------------------------------------------------------------------------------------------- inside

    def _dispatch(self) -> None:
        """Hand waiting jobs to free workers, starting those that are not there yet; the lock is held."""
        for slot in range(self.capacity):
            if not self._queue or self._closed:
                return
            worker = self._workers[slot]
            if worker is None:
                worker = self._workers[slot] = _Worker(slot, self.threads, self._gpu_of(slot), self)
            if worker.job is None:
                job = self._queue.popleft()
                self._states[job.job_id] = JobState(status="running")
                worker.give(job)

    def _gpu_of(self, slot: int) -> str | None:
        if self._no_gpu:
            return ""
        return self._devices[slot % len(self._devices)] if self._devices else None

    def on_event(self, worker: _Worker, event: Mapping[str, Any]) -> None:
        """Take in one line from a worker; called on its reader thread."""
        with self._lock:
            job = worker.job
            if job is None or event.get("job_id") != job.job_id:
                return
            if event["event"] == "progress":
                if self._states[job.job_id].status == "running":
                    self._states[job.job_id] = JobState(status="running", message=event["message"])
                return
            if self._states[job.job_id].status == "running":
                self._states[job.job_id] = JobState(
                    status=event["event"], message=event["message"], result=event["result"]
                )
            worker.job = None
            self._dispatch()

    def on_exit(self, worker: _Worker, code: int) -> None:
        """Fail the job of a worker that died and let a fresh one take its place; called on its reader thread."""
        with self._lock:
            self._workers[worker.slot] = None
            job, worker.job = worker.job, None
            if job is not None and self._states[job.job_id].status == "running":
                message = f"the worker process {_how(code)} while it ran this job; its log is {job.log}"
                self._states[job.job_id] = JobState(status="failed", message=message + _tail(job.log))
            self._dispatch()


class _Worker:
    """One worker process, the thread that listens to it, and the job it has."""

    def __init__(self, slot: int, threads: int, gpu: str | None, owner: LocalLauncher) -> None:
        self.slot = slot
        self.job: Job | None = None
        self._owner = owner
        self._terminated = False
        # The working folder must not shadow installed packages, and the job must find what this process finds.
        environment = worker_environment(threads, gpu)
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vssl_launchers.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
            # A group of its own: Ctrl-C stays with the parent, and what the job starts can be ended with it.
            start_new_session=True,
        )
        threading.Thread(target=self._listen, daemon=True, name=f"vssl-worker-{slot}").start()

    def running(self, job_id: str) -> bool:
        return self.job is not None and self.job.job_id == job_id

    def give(self, job: Job) -> None:
        self.job = job
        fields = {"job_id": job.job_id, "target": job.target, "payload": dict(job.payload), "log": str(job.log)}
        assert self._process.stdin is not None
        # A worker that died meanwhile is seen by its listener, which then fails the job.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(fields) + "\n")
            self._process.stdin.flush()

    def terminate(self) -> None:
        """Ask the process to end. Once: training takes a second signal as "at once, without a checkpoint"."""
        if not self._terminated:
            self._terminated = True
            self._process.terminate()

    def stop(self, grace_s: float) -> None:
        """End the process: politely, and after ``grace_s`` seconds with its whole group."""
        self.terminate()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._owner.on_event(self, json.loads(line))
        code = self._process.wait()
        # What the job had started (loader workers) must not outlive its worker.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._owner.on_exit(self, code)


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (often: out of memory)" if -code == signal.SIGKILL else ""
    return f"was killed by {name}{hint}"


def _tail(log: Path) -> str:
    """Return the end of a log, for a message."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
            lines = stream.read().decode("utf-8", "replace").strip().splitlines()[-5:]
    except OSError:
        return ""
    return "\n  last lines: " + "\n              ".join(lines) if lines else ""
