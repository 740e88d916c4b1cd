"""Checks of trackers and launchers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vssl_core.contracts import Job, JobState, Launcher, RunInfo
from vssl_core.plugins import Entry, Registry
from vssl_core.testing.components import check_component, pick
from vssl_core.testing.expect import Expect

__all__ = ["check_launcher", "check_tracker"]

_JOBS = "vssl_core.testing.jobs"
_STATES = {"waiting", "running", "done", "failed", "cancelled"}


def check_tracker(component: Entry | str | Mapping[str, Any], registry: Registry, folder: Path) -> None:
    """Check that a tracker takes everything the engine tells it, in a first session and in one that goes on.

    Args:
        component: an ``Entry``, or what configurations say.
        registry: where it is looked up.
        folder: stands for the run's folder; empty.

    Raises:
        ConformanceError: it does not keep its contract.
    """
    check_component("trackers", component, registry)
    entry, value = pick("trackers", component, registry)
    expect = Expect(entry)
    attachment = folder / "attachment.txt"
    attachment.write_text("attached", encoding="utf-8")
    run = RunInfo(
        run_id="check-0",
        name="check-0",
        suite="check",
        job_type="pretrain",
        folder=folder,
        config={"task": {"name": "rtt"}, "seed": 0, "nested": {"list": [1, 2.5, "x", None, True]}},
        tags=("rtt", "fake"),
    )
    for first in (0, 2):
        tracker = registry.build("trackers", value)
        result = tracker.start(run)
        expect(result is None, f"start returns {result!r}; expected None")
        for step in (first, first + 1):
            tracker.log(step, {"loss": 1.0 / (step + 1), "lr": 1e-3})
        tracker.log(first + 1, {"heldout/accuracy": float("nan")})
        tracker.summary({"heldout": {"accuracy": {"value": 0.5, "n": 8}}, "status": "done"})
        tracker.table("board", ["task", "top1"], [["rtt", 0.5], ["pace", None]])
        tracker.artifact("attachment", attachment)
        tracker.finish("done")
    expect(attachment.read_text(encoding="utf-8") == "attached", "changes the files that it is told of")


def check_launcher(
    component: Entry | str | Mapping[str, Any], registry: Registry, folder: Path, *, timeout_s: float = 120.0
) -> None:
    """Check that a launcher runs jobs elsewhere, reports what became of each, cancels, and ends its processes.

    Args:
        component: an ``Entry``, or what configurations say.
        registry: where it is looked up.
        folder: for the jobs' logs.
        timeout_s: seconds that a small job may take, the start of a process included.

    Raises:
        ConformanceError: it does not keep its contract.
    """
    check_component("launchers", component, registry)
    entry, value = pick("launchers", component, registry)
    expect = Expect(entry)
    launcher: Launcher = registry.build("launchers", value)
    expect(launcher.capacity >= 1, f"capacity is {launcher.capacity}; expected 1 or more")

    def job(name: str, function: str, **payload: Any) -> Job:
        return Job(job_id=name, target=f"{_JOBS}:{function}", payload=payload, log=folder / f"{name}.log")

    def wait(name: str) -> JobState:
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            began = time.monotonic()
            states = launcher.poll()
            expect(time.monotonic() - began < 5, "poll waits; it must return at once")
            expect(name in states, f"poll does not know job '{name}'")
            expect(
                states[name].status in _STATES, f"status is {states[name].status!r}; expected one of {sorted(_STATES)}"
            )
            if states[name].status not in ("waiting", "running"):
                return states[name]
            time.sleep(0.02)
        expect(False, f"job '{name}' has not ended after {timeout_s} s; its log is {folder / name}.log")
        raise AssertionError  # not reached

    try:
        for name in ("first", "second"):
            launcher.submit(job(name, "double", x=21))
        launcher.submit(job("bad", "fail", message="this job was meant to fail"))
        for name in ("first", "second"):
            state = wait(name)
            expect(state.status == "done", f"job '{name}' is {state.status}: {state.message}")
            expect(
                state.result is not None and state.result["y"] == 42, f"job '{name}' gave {state.result}; expected y=42"
            )
        bad = wait("bad")
        expect(bad.status == "failed", f"a job that raises is {bad.status}; expected failed")
        expect(
            "meant to fail" in bad.message, f"a job that raises is reported as {bad.message!r}; its reason is missing"
        )
        launcher.submit(job("long", "sleep", seconds=600))
        launcher.cancel("long")
        expect(wait("long").status == "cancelled", "a job that was cancelled is reported otherwise")
        launcher.submit(job("after", "double", x=1))
        expect(wait("after").status == "done", "no job runs after one was cancelled")
    finally:
        launcher.close()
