"""What of a plan is done: in the folder of its runs, or in records that were kept from another machine."""

from __future__ import annotations

from pathlib import Path

from vssl_bench.jobs import Plan, PlannedJob, kept_path, state_of, status_in
from vssl_core.store.runs import RunFolder

__all__ = ["job_states"]


def job_states(plan: Plan, records: Path | None = None) -> dict[str, str]:
    """Return ``"done"``, ``"failed"`` or ``"open"`` for every job of a plan, by run_id.

    A measurement is done where its finished record lies. So is a pretraining, unless a measurement of it is still to be
    made and its encoder is not in the folder of the runs: then it has to be trained again.

    Args:
        plan: the jobs.
        records: folder of kept records; None: only the runs' own count.
    """
    here = {job.run_id: state_of(plan.out, job) for job in plan.jobs}
    states = {job.run_id: _either(here[job.run_id], records, job) for job in plan.jobs}
    needed = {run_id for job in plan.jobs if states[job.run_id] != "done" for run_id in job.needs}
    for run_id in needed.intersection(states):
        usable = here[run_id] == "done" and RunFolder(plan.out / run_id).encoder_info.exists()
        if states[run_id] == "done" and not usable:
            states[run_id] = "open"
    return states


def _either(here: str, records: Path | None, job: PlannedJob) -> str:
    if here == "done" or records is None:
        return here
    kept = status_in(kept_path(records, job.run_id), job.run_id)
    return kept if kept == "done" or here == "open" else here
