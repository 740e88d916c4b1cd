"""Runs a plan: hands jobs to a launcher as they become ready, and leaves a record of each.

Everything that matters is on disk: the records say what is done. So the harness may be killed at any moment; a second
call takes up what is open, and training goes on from its checkpoints.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock

from vssl_bench.estimate import Estimator
from vssl_bench.expected import write_plan
from vssl_bench.failure import write_failure
from vssl_bench.jobs import Plan, PlannedJob, kept_path, record_path, state_of, status_in
from vssl_bench.states import job_states
from vssl_core.config.compose import save_yaml
from vssl_core.contracts import Job, JobState, Launcher
from vssl_core.errors import ConfigError
from vssl_core.plugins import Registry
from vssl_core.store.runs import write_text

__all__ = ["EXECUTE", "PREPARE", "Listener", "Outcome", "Running", "exclusive", "run_plan"]

EXECUTE = "vssl_bench.execute:run_job"
PREPARE = "vssl_bench.execute:prepare"

_POLL_S = 0.1


@dataclass(slots=True)
class Outcome:
    """What a call did, by run_id: jobs that ended well or badly, and those that a failure kept from starting."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """One job that runs now: its name, since when (``time.monotonic``), and how far it says it is."""

    name: str
    since: float
    message: str


class Listener:
    """Told what happens; the command line shows it."""

    def finished(self, name: str, seconds: float, error: str, left: int, eta_s: float) -> None:
        """A job ended; ``error`` is empty where it ended well."""

    def tick(self, running: list[Running], ended: int, total: int, eta_s: float) -> None:
        """Called several times a second."""


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Hold the folder of a suite for this process; the lock vanishes with the process, however that ends.

    Raises:
        ConfigError: another process holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise ConfigError(
            f"another 'vssl bench run' is at work in {out}; wait for it ('vssl bench status' shows how far it is), "
            "or give another folder with --out"
        ) from error
    try:
        yield
    finally:
        lock.release()


def run_plan(
    plan: Plan,
    launcher: Launcher,
    registry: Registry,
    *,
    suite: Mapping[str, Any] | None = None,
    estimator: Estimator | None = None,
    listener: Listener | None = None,
    records: Path | None = None,
    target: str = EXECUTE,
    prepare: str = PREPARE,
) -> Outcome:
    """Run what is open in a plan and return what became of it; the caller closes the launcher.

    Data sets are prepared first, each by one job, so that no two jobs make the same one. Jobs are handed over one by
    one as workers become free, in the order of the plan; the ones whose needs failed are left out.

    Args:
        plan: the jobs.
        launcher: where they run.
        registry: components, to describe a job whose process died before it could leave a record.
        suite: plain suite file, kept beside the runs.
        estimator: learns from every job that ends.
        listener: told what happens.
        records: folder that gets a flat copy of every record of the plan, also of jobs done before, and ``plan.json``.
            What is done there is not repeated (``states.job_states``). Failed records are kept too, until the job
            succeeds: a board without them would show only the seeds that went well.
        target: what a worker calls for a job.
        prepare: what a worker calls for a data set.
    """
    work = _Work(plan, launcher, registry, estimator or Estimator(), listener or Listener(), records, target, prepare)
    plan.out.mkdir(parents=True, exist_ok=True)
    for folder in (plan.out, records):
        if folder is not None:
            write_plan(plan, folder)
    if suite is not None:
        save_yaml(suite, plan.out / "suite.yaml")
    return work.run()


@dataclass(slots=True)
class _Work:
    plan: Plan
    launcher: Launcher
    registry: Registry
    estimator: Estimator
    listener: Listener
    records: Path | None
    target: str
    prepare: str
    open: dict[str, PlannedJob] = field(default_factory=dict)
    ready_data: set[str] = field(default_factory=set)
    preparing: dict[str, str] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    outcome: Outcome = field(default_factory=Outcome)
    total: int = 0

    def run(self) -> Outcome:
        before = job_states(self.plan, self.records)
        for job in self.plan.jobs:
            self._keep(job)
            if before[job.run_id] != "done":
                self.open[job.run_id] = job
        self.total = len(self.open)
        while self.open or self.started:
            states = self.launcher.poll()
            for job_id in list(self.started):
                if states[job_id].status not in ("waiting", "running"):
                    self._end(job_id, states[job_id])
            self._block()
            while len(self.started) < self.launcher.capacity and self._start_next():
                pass
            self._tick(states)
            if self.started:
                time.sleep(_POLL_S)
        return self.outcome

    # ---------------------------------------------------------------------------------------------- starting

    def _start_next(self) -> bool:
        """Start the first open job that can start, or prepare the data it waits for; False where there is none."""
        for job in self._ready():
            # Floors are not trained: they read no video before they are measured.
            data = job.config["data"] if job.kind == "transfer" or job.steps else None
            key = repr(data)
            if data is None or key in self.ready_data:
                payload = {"kind": job.kind, "config": dict(job.config), "suite": self.plan.suite}
                self._submit(job.run_id, self.target, payload)
                return True
            if key not in self.preparing.values():
                prepare_id = f"prepare {job.data}"
                if prepare_id in self.preparing:  # two sets of one name
                    prepare_id += f" ({len(self.preparing)})"
                self.preparing[prepare_id] = key
                self._submit(prepare_id, self.prepare, {"data": data})
                return True
        return False

    def _ready(self) -> list[PlannedJob]:
        """Jobs that could start, in the order of the plan.

        Measurements of a run that is being measured come last: protocols share features, and the second finds those
        that the first has extracted.
        """
        ready = [
            job
            for job in self.open.values()
            if job.run_id not in self.started and not any(needed in self.open for needed in job.needs)
        ]
        busy = {needed for job_id in self.started if job_id in self.open for needed in self.open[job_id].needs}
        return sorted(ready, key=lambda job: bool(busy.intersection(job.needs)))

    def _submit(self, job_id: str, target: str, payload: Mapping[str, Any]) -> None:
        folder = self.plan.out / job_id if job_id in self.open else self.plan.out / "prepare"
        folder.mkdir(parents=True, exist_ok=True)
        self.started[job_id] = time.monotonic()
        self.launcher.submit(Job(job_id=job_id, target=target, payload=payload, log=folder / "log.txt"))

    def _block(self) -> None:
        """Leave out what needs something that failed."""
        for job in list(self.open.values()):
            broken = next((n for n in job.needs if n in self.outcome.failed or n in self.outcome.blocked), None)
            if broken is not None:
                del self.open[job.run_id]
                self.outcome.blocked[job.run_id] = f"{broken} failed"

    # ------------------------------------------------------------------------------------------------ ending

    def _end(self, job_id: str, state: JobState) -> None:
        seconds = time.monotonic() - self.started.pop(job_id)
        if job_id in self.preparing:
            self._prepared(job_id, state, seconds)
            return
        job = self.open.pop(job_id)
        error = "" if state.status == "done" else state.message or state.status
        if not error and state_of(self.plan.out, job) != "done":
            error = f"the job ended without a finished record at {record_path(self.plan.out, job_id)}"
        if error:
            write_failure(self.plan, job, self.registry, error, seconds)
            self.outcome.failed[job_id] = error
        else:
            self.outcome.done.append(job_id)
            self.estimator.learn(job, seconds)
        self._keep(job)
        self.listener.finished(job.name, seconds, error, len(self.open), self._eta_s())

    def _prepared(self, job_id: str, state: JobState, seconds: float) -> None:
        key = self.preparing.pop(job_id)
        error = "" if state.status == "done" else state.message or state.status
        if error:
            for job in [job for job in self.open.values() if repr(job.config["data"]) == key]:
                del self.open[job.run_id]
                self.outcome.failed[job.run_id] = f"its data set could not be prepared: {error}"
                write_failure(self.plan, job, self.registry, self.outcome.failed[job.run_id], 0.0)
                self._keep(job)
        else:
            self.ready_data.add(key)
        self.listener.finished(job_id, seconds, error, len(self.open), self._eta_s())

    def _keep(self, job: PlannedJob) -> None:
        """Copy a record where it can be committed from; a failed one never takes the place of a finished one."""
        state = state_of(self.plan.out, job)
        if self.records is None or state == "open":
            return
        kept = kept_path(self.records, job.run_id)
        if state == "done" or status_in(kept, job.run_id) != "done":
            write_text(kept, record_path(self.plan.out, job.run_id).read_text(encoding="utf-8"))

    # --------------------------------------------------------------------------------------------- progress

    def _eta_s(self) -> float:
        now = time.monotonic()
        jobs = [(self.open[job_id], since) for job_id, since in self.started.items() if job_id in self.open]
        running = sum(min(now - since, self.estimator.seconds(job)) for job, since in jobs)
        total = self.estimator.wall_s(self.open.values(), self.launcher.capacity)
        return max(0.0, total - running / self.launcher.capacity)

    def _tick(self, states: Mapping[str, JobState]) -> None:
        running = []
        for job_id, since in self.started.items():
            job = self.open.get(job_id)
            state = states.get(job_id)
            message = state.message if state is not None and state.status == "running" else ""
            running.append(Running(job.name if job is not None else job_id, since, message))
        self.listener.tick(running, self.total - len(self.open), self.total, self._eta_s())
