"""Trackers, which get a copy of what happens, and launchers, which run jobs somewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Job", "JobState", "Launcher", "RunInfo", "Tracker"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """Who a run is, for trackers: nothing secret, nothing large."""

    run_id: str
    name: str
    suite: str
    job_type: str
    folder: Path
    config: Mapping[str, Any]
    tags: tuple[str, ...] = ()


class Tracker(Protocol):
    """Gets a copy of what happens. What it raises is logged, never fatal; the record is the truth."""

    def start(self, run: RunInfo) -> None: ...
    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...
    def summary(self, values: Mapping[str, Any]) -> None: ...
    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None: ...
    def artifact(self, name: str, path: Path) -> None: ...
    def finish(self, status: str) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Work for a launcher: ``target`` (``"module:function"``), called with ``payload`` (plain JSON) elsewhere."""

    job_id: str
    target: str
    payload: Mapping[str, Any]
    log: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class JobState:
    """``status`` is ``"waiting"``, ``"running"``, ``"done"``, ``"failed"`` or ``"cancelled"``; ``message`` says why."""

    status: str
    message: str = ""
    result: Mapping[str, Any] | None = None


class Launcher(Protocol):
    """Runs jobs somewhere. ``capacity`` jobs run at a time; submitting more queues them."""

    capacity: int

    def submit(self, job: Job) -> None: ...
    def poll(self) -> Mapping[str, JobState]:
        """State of every submitted job by ``job_id``; returns at once."""
        ...

    def cancel(self, job_id: str) -> None: ...
    def close(self) -> None:
        """End every process; running jobs are stopped and keep their checkpoints."""
        ...
