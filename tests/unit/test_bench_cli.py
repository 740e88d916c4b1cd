"""``vssl bench`` from the command line, with jobs that cost nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.bench_fakes import InlineLauncher, fake_registry
from support.bench_records import row, sample

from vssl_bench.board import make_board
from vssl_bench.cli import bench
from vssl_bench.jobs import Plan
from vssl_bench.plan import make_plan
from vssl_bench.publish import publish_board
from vssl_bench.run import run_plan
from vssl_bench.suite import load_suite
from vssl_core.cli.state import State
from vssl_core.contracts import RunInfo, Spec
from vssl_core.errors import ConfigError
from vssl_core.hookspecs import hookimpl
from vssl_core.plugins import Registry

SUITE = """
title: A small suite
defaults: {steps: 10}
data: [{data: fake-set, labels: [motion, colour]}]
pretrain: [random-init, rtt@tiny, videomae@tiny]
transfer: {protocols: [knn@tiny]}
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(run_plan.__kwdefaults__, "target", "support.bench_fakes:write_done")
    monkeypatch.setitem(run_plan.__kwdefaults__, "prepare", "support.bench_fakes:prepare")
    Path("small.yaml").write_text(SUITE)
    return "small.yaml"


class _Registry(Registry):
    """Runs jobs in this process."""

    def build(self, kind: str, value: object, *args: Any, **options: Any) -> Any:
        return InlineLauncher() if kind == "launchers" else super().build(kind, value, *args, **options)


def _invoke(*arguments: str) -> Result:
    found = fake_registry()
    entries = [entry for kind in found.kinds() for entry in found.entries(kind)]
    registry = _Registry(found.plugins, entries)
    return CliRunner().invoke(bench, list(arguments), obj=State(registry))


def test_plan_shows_jobs_refusals_and_time(suite: str) -> None:
    result = _invoke("plan", suite)
    assert result.exit_code == 0, result.output
    assert "4 jobs (2 pretrain, 2 transfer), 0 done, 4 to do" in result.output
    assert "needs a backbone that offers masking" in result.output and "label colour of fake-set" in result.output
    assert "About" in result.output and not Path("runs").exists(), "planning writes nothing"


def test_plan_as_json(suite: str) -> None:
    plain = json.loads(_invoke("plan", suite, "--json", "--only", "task=rtt").output)
    assert [job["kind"] for job in plain["jobs"]] == ["pretrain", "transfer"] and len(plain["refused"]) == 2


def test_run_then_run_again_then_status(suite: str) -> None:
    first = _invoke("run", suite, "--records", "kept")
    assert first.exit_code == 0, first.output
    assert first.output.count("done ") >= 4 and "vssl leaderboard runs/small kept --html" in first.output
    assert len(list(Path("kept").glob("*-*.json"))) == 4 and Path("kept/plan.json").exists()
    again = _invoke("run", suite)
    assert again.exit_code == 0 and "4 done, 0 to do" in again.output
    assert len((Path("runs/small/calls.txt")).read_text().split()) == 4
    status = _invoke("status", suite)
    assert "4 done, 0 to do" in status.output and "It is not running." in status.output


def test_on_a_fresh_machine_kept_records_count_as_done(suite: str) -> None:
    assert _invoke("run", suite, "--records", "kept").exit_code == 0
    Path("runs").rename("elsewhere")
    assert "4 done, 0 to do" in _invoke("plan", suite, "--records", "kept").output
    again = _invoke("run", suite, "--records", "kept")
    assert again.exit_code == 0 and "4 done, 0 to do" in again.output
    assert not Path("runs/small/calls.txt").exists(), "nothing ran"
    assert "4 done, 0 to do" in _invoke("status", suite, "--records", "kept").output
    assert "0 done, 4 to do" in _invoke("status", suite).output


def test_a_failed_job_makes_the_command_fail_and_is_named(suite: str) -> None:
    Path("runs/small").mkdir(parents=True)
    Path("runs/small/fail-transfer").touch()
    result = _invoke("run", suite)
    assert result.exit_code == 1 and "asked to fail" in result.output and "log:" in result.output
    assert "asked to fail" in _invoke("status", suite).output


def test_ctrl_c_ends_with_130_and_closes_the_launcher(suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def interrupt(self: InlineLauncher, job: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(InlineLauncher, "submit", interrupt)
    monkeypatch.setattr(InlineLauncher, "close", lambda self: closed.append(True))
    result = _invoke("run", suite)
    assert result.exit_code == 130 and closed and "goes on from here" in result.output


class _Tracker:
    """Keeps what it is told."""

    heard: list[tuple[str, Any]]

    def start(self, run: RunInfo) -> None:
        _Tracker.heard = [("start", run)]

    def table(self, name: str, columns: Any, rows: Any) -> None:
        _Tracker.heard.append(("table", (list(columns), list(rows))))

    def artifact(self, name: str, path: Path) -> None:
        _Tracker.heard.append(("artifact", path))

    def finish(self, status: str) -> None:
        _Tracker.heard.append(("finish", status))


class _TrackerPlugin:
    @hookimpl
    def vssl_trackers(self) -> list[Spec]:
        return [Spec(name=name, target=f"{__name__}:_Tracker") for name in ("jsonl", "ear")]


def test_the_board_goes_to_trackers_as_a_table(suite: str, tmp_path: Path) -> None:
    def plan(*overrides: str) -> Plan:
        registry = fake_registry()
        return make_plan(load_suite(suite, overrides, registry), registry, tmp_path / "runs")

    registry = Registry.discover(plugins={"ears": _TrackerPlugin()}, entry_points=False, disable=())
    board = make_board([*sample(), *row("rtt@tiny", [0.1], protocol="knn@tiny")])
    assert publish_board(plan(), board, registry) == [], "the records are on this disk already"
    assert publish_board(plan("trackers=[jsonl,ear]"), board, registry) == ["ear"]
    (_, run), (_, (columns, rows)), (_, page), end = _Tracker.heard
    assert run.job_type == "leaderboard" and run.suite == "small" and end == ("finish", "done")
    assert columns[:2] == ["row", "role"] and len(rows) == len(board.cells) and page.read_text().startswith("<!doctype")


def test_unknown_suites_and_options_say_so(suite: str) -> None:
    assert isinstance(_invoke("plan", "nothing").exception, ConfigError)
    assert isinstance(_invoke("plan", suite, "--only", "color=red").exception, ConfigError)


def test_a_suite_can_leave_its_rehearsal_out(suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vssl_bench.plan.rehearse", lambda config, _: f"{config.task}: cannot")
    assert "rtt@tiny: cannot" in _invoke("plan", suite).output
    result = _invoke("plan", suite, "--no-rehearsal")
    assert "cannot" not in result.output and "4 jobs (2 pretrain, 2 transfer)" in result.output
    assert "needs a backbone that offers masking" in result.output, "what is known without trying is still refused"
    assert _invoke("run", suite, "--no-rehearsal").exit_code == 0
    assert "4 done, 0 to do" in _invoke("status", suite, "--no-rehearsal").output
