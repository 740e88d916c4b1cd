"""``jsonl``: lines that survive a kill and read the same after a resume."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from vssl_core.contracts import RunInfo
from vssl_core.errors import VsslError
from vssl_trackers.jsonl import JsonLines


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    return RunInfo(run_id="a", name="a", suite="", job_type="pretrain", folder=tmp_path / "a", config={})


def rows(run: RunInfo) -> list[dict]:
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "time"} for line in lines]


def test_every_kind_of_line(run: RunInfo) -> None:
    tracker = JsonLines()
    tracker.start(run)
    tracker.log(10, {"loss": 0.5, "accuracy": np.float32(0.25)})
    assert rows(run) == [{"step": 10, "loss": 0.5, "accuracy": 0.25}], "a line is there as soon as it is logged"
    tracker.log(20, {"loss": math.nan})
    tracker.summary({"heldout": {"accuracy": 1.0}})
    tracker.table("board", ["task", "top1"], [("rtt", np.int64(3))])
    tracker.artifact("encoder", Path("encoder.safetensors"))
    tracker.finish("done")
    tracker.finish("done")
    assert rows(run)[1:] == [
        {"step": 20, "loss": None},
        {"summary": {"heldout": {"accuracy": 1.0}}},
        {"table": "board", "columns": ["task", "top1"], "rows": [["rtt", 3]]},
        {"artifact": "encoder", "path": "encoder.safetensors"},
        {"status": "done"},
    ]


def test_killed_and_resumed_reads_as_never_killed(run: RunInfo) -> None:
    killed = JsonLines()
    killed.start(run)
    for step in (10, 20, 30):
        killed.log(step, {"loss": step / 10})
    with (run.folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 40, "lo')  # cut in the middle of a line

    resumed = JsonLines()
    resumed.start(run)  # from a checkpoint at step 15
    for step in (20, 30, 40):
        resumed.log(step, {"loss": step / 10})
    resumed.log(40, {"heldout": 0.5})
    resumed.finish("done")
    assert [row.get("step") for row in rows(run)] == [10, 20, 30, 40, 40, None]
    assert [row["loss"] for row in rows(run)[:4]] == [1.0, 2.0, 3.0, 4.0]


def test_other_metrics_of_the_same_step_stay(run: RunInfo) -> None:
    first = JsonLines()
    first.start(run)
    first.log(10, {"loss": 1.0})
    first.finish("interrupted")
    second = JsonLines()
    second.start(run)
    second.log(10, {"heldout": 0.5})
    second.finish("done")
    assert rows(run) == [
        {"step": 10, "loss": 1.0},
        {"status": "interrupted"},
        {"step": 10, "heldout": 0.5},
        {"status": "done"},
    ]


def test_before_the_start(run: RunInfo) -> None:
    with pytest.raises(VsslError, match="start"):
        JsonLines().summary({"a": 1})
    JsonLines().finish("done")
    assert not run.folder.exists()
