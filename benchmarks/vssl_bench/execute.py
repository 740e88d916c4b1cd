"""What a worker runs: one job, in a process of its own."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

from vssl_core.config.compose import typed
from vssl_core.config.schema import PretrainConfig, TransferConfig
from vssl_core.contracts import Dataset
from vssl_core.plugins import Registry

__all__ = ["prepare", "run_job"]

Report = Callable[[str], None]


def run_job(payload: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Pretrain or evaluate as the payload says and return what the harness shows of it.

    Args:
        payload: ``kind`` (``"pretrain"`` or ``"transfer"``), ``config`` (plain, with ``out``) and ``suite``.
        report: called with a line that says how far the job is.

    Raises:
        VsslError: the job failed; its record says why.
    """
    from vssl_core.api import evaluate
    from vssl_core.engine.pretrain import run_pretrain

    registry = _registry()
    progress = _Progress(report)
    if payload["kind"] == "pretrain":
        config = typed(PretrainConfig, payload["config"])
        # The planner has rehearsed it.
        run = run_pretrain(config, registry, suite=payload["suite"], progress=progress, rehearsed=True)
        record = run.record
    else:
        transfer = typed(TransferConfig, payload["config"])
        record = evaluate(config=transfer, registry=registry, suite=payload["suite"], progress=progress)
    return {"run_id": record["run_id"], "status": record["status"]}


@functools.cache
def _registry() -> Registry:
    """What is installed does not change while a worker lives, and looking it up once keeps warm jobs warm."""
    return Registry.discover()


class _Progress:
    """Turns the engine's progress calls into a line with a rate."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._phase = ""
        self._first = (0, 0.0)

    def __call__(self, phase: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._first = phase, (done, now)
        line = f"{phase} {done}/{total}" if total else f"{phase} {done}"
        steps, seconds = done - self._first[0], now - self._first[1]
        if steps > 0 and seconds > 0.5:
            line += f" · {steps / seconds:.1f}/s"
        loss = metrics.get("loss")
        if loss is not None:
            line += f" · loss {loss:.3f}"
        self._report(line)


def prepare(payload: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Make or index a data set, so that no two jobs do it at once; return the number of videos by split.

    Raises:
        DataError: the set is missing or malformed.
    """
    report("making or indexing the videos")
    dataset: Dataset = _registry().build("datasets", payload["data"])
    return {split: len(dataset.videos(split)) for split in dataset.splits()}
