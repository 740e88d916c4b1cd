"""Running plans: what is done stays done, what fails is recorded, what is killed goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.bench_fakes import FakeSet, InlineLauncher, fake_registry

from vssl_bench.board import make_board
from vssl_bench.estimate import Estimator, duration_text
from vssl_bench.jobs import Plan, state_of
from vssl_bench.plan import make_plan
from vssl_bench.rows import join_records
from vssl_bench.run import Listener, Outcome, exclusive, run_plan
from vssl_bench.suite import parse_suite
from vssl_core.errors import ConfigError
from vssl_core.store.records import read_records
from vssl_launchers.local import LocalLauncher


def _plan(out: Path, root: str = "here") -> Plan:
    suite = {
        "name": "test",
        "defaults": {"backbone": "r2plus1d-tiny", "steps": 10},
        "data": [{"data": {"name": "fake-set", "root": root}, "labels": ["motion"]}],
        "pretrain": ["random-init", {"task": "rtt@tiny", "seeds": 2}],
        "transfer": {"protocols": ["knn@tiny"]},
    }
    return make_plan(parse_suite(suite, "test"), fake_registry(), out)


def _run(plan: Plan, launcher: Any = None, **options: Any) -> Outcome:
    return run_plan(
        plan,
        launcher or InlineLauncher(),
        fake_registry(),
        target="support.bench_fakes:write_done",
        prepare="support.bench_fakes:prepare",
        **options,
    )


def _calls(out: Path) -> list[str]:
    return (out / "calls.txt").read_text().split()


def test_a_second_call_does_nothing(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    first = _run(plan, records=tmp_path / "kept")
    assert sorted(first.done) == sorted(job.run_id for job in plan.jobs) and not first.failed
    assert len(_calls(tmp_path)) == 6
    launcher = InlineLauncher()
    assert _run(plan, launcher) == Outcome() and launcher.jobs == []
    assert {path.stem for path in (tmp_path / "kept").glob("*.json")} == {"plan", *(job.run_id for job in plan.jobs)}
    assert json.loads((tmp_path / "plan.json").read_text())["suite"] == "test"


def test_data_is_prepared_once_before_any_job_that_reads_it(tmp_path: Path) -> None:
    launcher = InlineLauncher()
    plan = _plan(tmp_path)
    _run(plan, launcher)
    prepared = [i for i, job in enumerate(launcher.jobs) if job.startswith("prepare")]
    assert len(prepared) == 1
    before = launcher.jobs[: prepared[0]]
    assert before == [plan.jobs[0].run_id], "random-init is not trained: it need not wait for videos"


def test_a_failure_is_recorded_stops_what_depends_on_it_and_is_tried_again(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    (tmp_path / "fail-pretrain").touch()
    outcome = _run(plan)
    assert len(outcome.failed) == 3 and len(outcome.blocked) == 3 and not outcome.done
    records, problems = read_records([tmp_path])
    assert not problems and {record["status"] for record in records} == {"failed"}
    record = next(record for record in records if record["name"] == "rtt@tiny")
    assert record["error"]["message"] == "RuntimeError: asked to fail"
    assert (
        record["components"]["task"]["recipe"] == "tiny" and record["components"]["backbone"]["name"] == "r2plus1d-tiny"
    )
    (tmp_path / "fail-pretrain").unlink()
    assert len(_run(plan).done) == 6


def test_a_failure_is_noted_when_its_data_can_no_longer_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record calls the set what it calls itself, as records of success do; else what the plan calls it."""
    plan = _plan(tmp_path, root="there")
    (tmp_path / "fail-transfer").touch()
    _run(plan)
    assert {record["data"]["name"] for record in _failed(tmp_path)} == {"fake-set"}

    def gone(self: FakeSet, *, root: str = "here") -> None:
        raise FileNotFoundError(root)

    monkeypatch.setattr(FakeSet, "__init__", gone)
    for record in _failed(tmp_path):
        shutil.rmtree(tmp_path / record["run_id"])
    assert len(_run(plan).failed) == 3
    assert {record["data"]["name"] for record in _failed(tmp_path)} == {"fake-set(root=there)"}


def _failed(folder: Path) -> list[Any]:
    return [record for record in read_records([folder])[0] if record["status"] == "failed"]


def test_a_failed_transfer_leaves_the_others_alone(tmp_path: Path) -> None:
    (tmp_path / "fail-transfer").touch()
    plan = _plan(tmp_path)
    outcome = _run(plan)
    assert len(outcome.done) == 3 and len(outcome.failed) == 3 and not outcome.blocked
    failed = [record for record in read_records([tmp_path])[0] if record["status"] == "failed"]
    assert all(record["kind"] == "transfer" and record["pretrain_run_id"] for record in failed)


def test_data_that_cannot_be_prepared_fails_its_jobs_with_the_reason(tmp_path: Path) -> None:
    outcome = _run(_plan(tmp_path, root="nowhere"))
    assert outcome.failed and all("there is no folder nowhere" in reason for reason in outcome.failed.values())
    assert len(outcome.done) == 1, "random-init needs no videos"


def test_failed_records_are_kept_until_the_job_succeeds(tmp_path: Path) -> None:
    out, kept = tmp_path / "runs", tmp_path / "kept"
    plan = _plan(out)
    out.mkdir()
    (out / "fail-transfer").touch()
    _run(plan, records=kept)
    records, problems = read_records([kept])
    assert not problems and len(records) == 6, "plan.json is no record"
    assert sorted(record["status"] for record in records) == ["done"] * 3 + ["failed"] * 3
    (out / "fail-transfer").unlink()
    assert len(_run(plan, records=kept).done) == 3
    assert {record["status"] for record in read_records([kept])[0]} == {"done"}


def test_a_later_failure_does_not_replace_a_kept_finished_record(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    _run(_plan(tmp_path / "a"), records=kept)
    plan = _plan(tmp_path / "b")
    transfer = next(job for job in plan.jobs if job.kind == "transfer")
    (kept / f"{transfer.run_id}.json").unlink()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "fail-pretrain").touch()
    assert list(_run(plan, records=kept).failed) == list(transfer.needs)
    assert {record["status"] for record in read_records([kept])[0]} == {"done"}


def test_on_a_fresh_machine_only_what_is_missing_runs(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    _run(_plan(tmp_path / "a"), records=kept)
    plan = _plan(tmp_path / "b")
    launcher = InlineLauncher()
    assert _run(plan, launcher, records=kept) == Outcome() and launcher.jobs == []
    missing = [job for job in plan.jobs if job.kind == "transfer"][1]
    (kept / f"{missing.run_id}.json").unlink()
    assert _run(plan, records=kept).done == [missing.needs[0], missing.run_id], "its encoder is not here: trained again"
    (kept / f"{missing.run_id}.json").unlink()
    shutil.rmtree(tmp_path / "b" / missing.run_id)
    assert _run(plan, records=kept).done == [missing.run_id], "now the encoder is"
    pretrained = kept / f"{plan.jobs[0].run_id}.json"
    pretrained.unlink()
    assert _run(plan, records=kept).done == [plan.jobs[0].run_id], "a missing run is made, its measurement stays"


def test_a_run_whose_encoder_is_gone_is_trained_again_only_if_it_is_still_needed(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    _run(plan)
    for path in tmp_path.glob("*/encoder.json"):
        path.unlink()
    assert _run(plan) == Outcome()
    transfer = next(job for job in plan.jobs if job.kind == "transfer")
    shutil.rmtree(tmp_path / transfer.run_id)
    assert _run(plan).done == [transfer.needs[0], transfer.run_id]


@pytest.mark.parametrize("kind", ["pretrain", "transfer"])
def test_records_of_dead_workers_make_a_board(tmp_path: Path, kind: str) -> None:
    plan = _plan(tmp_path)
    (tmp_path / f"fail-{kind}").touch()
    _run(plan)
    records = [record for record in read_records([tmp_path])[0] if record["status"] == "failed"]
    board = make_board(records)
    assert not board.cells and len(board.notes) == (2 if kind == "pretrain" else 3)
    if kind == "pretrain":
        assert all("no run of" in note for note in board.notes)
        rows, _, problems = join_records(records)
        assert not problems and {row.role for row in rows.values()} == {"floor", "task"}
        by_task = {record["name"]: record for record in records}
        assert by_task["rtt@tiny"]["trains"] and not by_task["random-init"]["trains"]
        assert all(r["needs_labels"] is False and r["heldout"] == {} and r["chance"] is None for r in records)


def test_a_dead_workers_record_without_what_it_could_not_know_is_no_crash(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    (tmp_path / "fail-pretrain").touch()
    _run(plan)
    records = read_records([tmp_path])[0]
    for record in records:
        for key in ("needs_labels", "trains", "heldout", "chance", "data", "label"):
            record.pop(key, None)
        record["components"] = {"task": None, "backbone": None, "data": None}
    assert len(make_board(records).notes) == 2


def test_a_damaged_record_is_no_finished_job(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    _run(plan)
    (tmp_path / plan.jobs[0].run_id / "record.json").write_text('{"schema": 1, "run')
    assert state_of(tmp_path, plan.jobs[0]) == "open"
    assert _run(plan).done == [plan.jobs[0].run_id]


def test_two_calls_at_once_on_one_folder_are_refused(tmp_path: Path) -> None:
    with exclusive(tmp_path), pytest.raises(ConfigError, match="another 'vssl bench run'"), exclusive(tmp_path):
        pass
    with exclusive(tmp_path):
        pass


def test_in_real_workers_a_crash_is_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    (tmp_path / "crash-transfer").touch()
    launcher = LocalLauncher(workers=2, threads=1, gpus=0, grace_s=2.0)
    try:
        outcome = _run(plan, launcher)
    finally:
        launcher.close()
    assert len(outcome.done) == 3 and len(outcome.failed) == 3
    assert all("SIGKILL" in reason for reason in outcome.failed.values())


def test_after_sigkill_the_same_command_goes_on(tmp_path: Path) -> None:
    # A child that runs the plan slowly is killed in the middle; the next call repeats no finished job.
    script = f"""
import sys, time
sys.path[:0] = {[path for path in sys.path if path]!r}
from pathlib import Path
from support import bench_fakes
from vssl_bench.plan import make_plan
from vssl_bench.run import exclusive, run_plan
from vssl_bench.suite import load_suite
quick = bench_fakes.write_done
def slow(payload):
    time.sleep(0.3)
    return quick(payload)
bench_fakes.write_done = slow
registry = bench_fakes.fake_registry()
out = Path({str(tmp_path / "runs")!r})
plan = make_plan(load_suite({str(tmp_path / "s.yaml")!r}, (), registry), registry, out)
with exclusive(out):
    names = {{"target": "support.bench_fakes:write_done", "prepare": "support.bench_fakes:prepare"}}
    run_plan(plan, bench_fakes.InlineLauncher(), registry, **names)
"""
    (tmp_path / "s.yaml").write_text(
        "defaults: {steps: 10}\ndata: [{data: fake-set, labels: [motion]}]\n"
        "pretrain: [{task: rtt@tiny, seeds: 4}]\ntransfer: {protocols: [knn@tiny]}\n"
    )
    out = tmp_path / "runs"
    command = [sys.executable, "-c", script]
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    child = subprocess.Popen(command, env=environment)
    while not (out / "calls.txt").exists() or len(_calls(out)) < 3:
        assert child.poll() is None
        time.sleep(0.02)
    child.kill()
    child.wait()
    done_before = set(_calls(out)) & {path.parent.name for path in out.glob("*/record.json")}
    assert 0 < len(done_before) < 8
    subprocess.run(command, env=environment, check=True)
    calls = _calls(out)
    assert len(set(calls)) == 8 and all(calls.count(run_id) == 1 for run_id in done_before)


def test_the_listener_hears_of_every_job(tmp_path: Path) -> None:
    class Ear(Listener):
        def __init__(self) -> None:
            self.lines: list[tuple[str, int]] = []
            self.ticks = 0

        def finished(self, name: str, seconds: float, error: str, left: int, eta_s: float) -> None:
            self.lines.append((name, left))

        def tick(self, running: Any, ended: int, total: int, eta_s: float) -> None:
            self.ticks += 1

    ear = Ear()
    _run(_plan(tmp_path), listener=ear)
    assert len(ear.lines) == 7 and ear.lines[-1][1] == 0 and ear.ticks
    assert "rtt@tiny r2plus1d-tiny on fake-set(root=here), seed 0" in [name for name, _ in ear.lines]


def test_estimates_learn_and_scale_with_steps(tmp_path: Path) -> None:
    jobs = _plan(tmp_path).jobs
    rtt = [job for job in jobs if job.task == "rtt@tiny" and job.kind == "pretrain"]
    estimator = Estimator()
    guess = estimator.seconds(rtt[0])
    assert guess > 0 and not estimator.measured
    estimator.learn(rtt[0], 20.0)
    assert estimator.seconds(rtt[1]) == pytest.approx(20.0) and estimator.measured
    assert estimator.wall_s(rtt, 2) == pytest.approx(20.0) and estimator.wall_s(rtt, 1) == pytest.approx(40.0)
    assert [duration_text(s) for s in (12, 100, 4800)] == ["12 s", "2 min", "80 min"]
    assert duration_text(6000) == "1 h 40 min"
