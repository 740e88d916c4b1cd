"""How long jobs take: measured where something like them has run, else a declared guess."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from vssl_bench.jobs import PlannedJob, record_path
from vssl_core.errors import RecordError
from vssl_core.store.runs import read_json

__all__ = ["Estimator", "duration_text"]

#: guesses on one thread of a common core, for a machine on which nothing has run yet: 0.3 s a step of 48 tiny clips
_CLIPS_PER_S = 160.0
_FIXED_S = {"pretrain": 4.0, "transfer": 8.0}


class Estimator:
    """Seconds a job takes, learnt from the jobs that have ended."""

    def __init__(self) -> None:
        # From the most to the least alike; the first group that has been measured answers.
        self._seconds: dict[tuple[str, ...], list[float]] = defaultdict(list)

    @property
    def measured(self) -> bool:
        """Whether any job has been measured."""
        return bool(self._seconds)

    def learn_from(self, out: Path, jobs: Iterable[PlannedJob]) -> None:
        """Take in the times of the jobs whose records lie under ``out``."""
        for job in jobs:
            try:
                record: Mapping[str, Any] = read_json(record_path(out, job.run_id))
            except RecordError:
                continue
            if record.get("status") == "done":
                self.learn(job, float(record["cost"]["wall_s"]))

    def learn(self, job: PlannedJob, seconds: float) -> None:
        """Take in the time of one job, in seconds of one worker."""
        for key in _keys(job):
            self._seconds[key].append(seconds / _work(job))

    def seconds(self, job: PlannedJob) -> float:
        """Return the seconds that a job should take."""
        for key in _keys(job):
            if key in self._seconds:
                return median(self._seconds[key]) * _work(job)
        return _FIXED_S[job.kind] + job.steps * job.batch_size / _CLIPS_PER_S

    def wall_s(self, jobs: Iterable[PlannedJob], workers: int) -> float:
        """Return the seconds that ``workers`` workers should need for all of them; never less than the longest job."""
        seconds = [self.seconds(job) for job in jobs]
        return max(sum(seconds) / workers, max(seconds)) if seconds else 0.0


def _work(job: PlannedJob) -> float:
    """Times of trained runs scale with the clips; floors and transfers are taken as they are."""
    return float(job.steps * job.batch_size) if job.steps else 1.0


def _keys(job: PlannedJob) -> list[tuple[str, ...]]:
    trained = "trained" if job.steps else "fixed"
    if job.kind == "pretrain":
        alike = (job.kind, trained, job.task, job.backbone, job.data)
        return [alike, (job.kind, trained, job.backbone), (job.kind, trained)]
    return [
        (job.kind, job.protocol, job.backbone, job.data),
        (job.kind, job.protocol, job.data),
        (job.kind, job.protocol),
        (job.kind,),
    ]


def duration_text(seconds: float) -> str:
    """Return seconds as people say them: ``45 s``, ``3 min``, ``1 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
