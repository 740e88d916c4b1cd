"""A suite that is killed and started again ends with the numbers of one that was not, and repeats nothing finished."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SUITE = """
name: small
defaults: {backbone: r2plus1d-tiny, steps: 12, batch_size: 8, checkpoint_every_s: 0.0}
data:
  - {data: {name: toy-motion, n_train: 64, n_test: 24}, labels: [motion]}
pretrain:
  - {task: random-init}
  - {task: rtt@tiny, seeds: 2, placebo: own}
transfer:
  protocols: [linear-probe@tiny, knn@tiny]
"""


def bench(suite: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "vssl_core.cli.main", "bench", "run", str(suite), "--out", str(out)]


def records(out: Path) -> dict[str, dict]:
    found = [json.loads(path.read_text()) for path in out.rglob("record.json")]
    return {record["run_id"]: record for record in found}


def numbers(out: Path) -> dict[str, object]:
    return {run_id: record.get("metrics", record.get("heldout")) for run_id, record in records(out).items()}


@pytest.mark.slow
def test_killed_suite_ends_with_the_same_numbers(tmp_path: Path) -> None:
    suite = tmp_path / "small.yaml"
    suite.write_text(SUITE)
    done = subprocess.run(bench(suite, tmp_path / "whole"), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr

    out = tmp_path / "killed"
    process = subprocess.Popen(bench(suite, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 300
    while not records(out) or not list(out.rglob("checkpoint/step-*")):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    finished = {path: path.stat().st_mtime_ns for path in out.rglob("record.json")}
    assert finished

    done = subprocess.run(bench(suite, out), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished} == finished, "a finished job was done again"
    assert numbers(out) == numbers(tmp_path / "whole")
    assert all(record["status"] == "done" for record in records(out).values())
