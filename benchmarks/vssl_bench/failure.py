"""The record of a job that could not write one itself: its process died, or it failed before it knew what it was."""

from __future__ import annotations

from typing import Any

from vssl_bench.jobs import Plan, PlannedJob, record_path, state_of
from vssl_core.errors import VsslError
from vssl_core.plugins import Registry
from vssl_core.store.records import SCHEMA, component_record, config_record, now, write_record

__all__ = ["write_failure"]

_KINDS = {"task": "tasks", "backbone": "backbones", "data": "datasets", "protocol": "protocols"}


def write_failure(plan: Plan, job: PlannedJob, registry: Registry, message: str, seconds: float) -> None:
    """Write a failed record unless the job left one."""
    if state_of(plan.out, job) == "failed":
        return
    config = next((other.config for other in plan.jobs if other.run_id in job.needs), job.config)
    values: dict[str, Any] = {key: config.get(key) for key in ("task", "backbone")} | {"data": job.config["data"]}
    if job.kind == "transfer":
        values["protocol"] = job.config["protocol"]
    if not job.backbone:
        values["backbone"] = None
    components: dict[str, Any] = {}
    needs_labels, trains = False, bool(config.get("steps"))
    for key, value in values.items():
        try:
            resolved = None if value is None else registry.resolve(_KINDS[key], value)
        except VsslError:  # it may be just this that failed
            resolved = None
        components[key] = component_record(resolved)
        if key == "task" and resolved is not None:
            needs_labels, trains = resolved.spec.needs_labels, resolved.spec.trains
    fingerprint = (job.identity.get("data") or {}).get("fingerprint", "")
    record = {
        "schema": SCHEMA,
        "run_id": job.run_id,
        "kind": job.kind,
        "status": "failed",
        "suite": plan.suite,
        "name": job.task if job.kind == "pretrain" else job.protocol,
        "identity": dict(job.identity),
        "config": config_record(job.config),
        "components": components,
        "data": {"name": _data_name(job, registry), "fingerprint": fingerprint, "label": job.label},
        "needs_labels": needs_labels,
        "trains": trains,
        "label": job.label,
        "seed": job.seed,
        "cost": {"wall_s": round(seconds, 3)},
        "unreadable": [],
        "error": {"type": "JobError", "message": message, "traceback": ""},
        "environment": {},
        "started": now(),
        "finished": now(),
    }
    if job.kind == "transfer":
        record |= {"pretrain_run_id": job.needs[0], "metrics": []}
    else:
        record |= {"heldout": {}, "chance": None}
    write_record(record_path(plan.out, job.run_id), record)


def _data_name(job: PlannedJob, registry: Registry) -> str:
    """Return what the data set calls itself, as in a record of success; else the plan's name for it."""
    try:
        return str(registry.build("datasets", job.config["data"]).name)
    except Exception:  # a stranger's data set, whose folder may be gone: the failure is noted all the same
        return job.data
