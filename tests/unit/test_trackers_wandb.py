"""``wandb``: what an offline run holds, how it comes to be offline, and what it never writes."""

from __future__ import annotations

import dataclasses
import http.server
import json
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import wandb
from support import wandb_file

from vssl_core.contracts import RunInfo
from vssl_core.errors import VsslError
from vssl_trackers import wandb_server
from vssl_trackers.wandb_run import WandbRun

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Neither key nor settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "home" / "wandb-config"))
    wandb_server.server_problem.cache_clear()
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    return RunInfo(
        run_id="rtt-0123abcd",
        name="rtt seed 0",
        suite="quickstart",
        job_type="pretrain",
        folder=tmp_path / "runs" / "rtt-0123abcd",
        config={"task": {"name": "rtt", "speeds": [1, 2]}, "seed": 3, "data": {"api_key": "hush-hush", "tokens": 8}},
        tags=("rtt", "r2plus1d-tiny"),
    )


@contextmanager
def server(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[str]]]:
    """A local web server; yields its address and the paths asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        do_GET = do_POST

        def log_message(self, *args: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}", asked
    finally:
        httpd.shutdown()
        httpd.server_close()


def reply(handler: http.server.BaseHTTPRequestHandler, status: int, body: object) -> None:
    content = json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def test_an_offline_run_holds_everything(run: RunInfo, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = tmp_path / "encoder.safetensors"
    encoder.write_bytes(b"weights")
    tracker = WandbRun(mode="offline", project="films")
    with caplog.at_level(logging.WARNING):
        tracker.start(run)
        tracker.log(10, {"train/loss": 1.5, "train/accuracy": 0.25})
        tracker.log(20, {"train/loss": math.nan})
        tracker.summary({"heldout": {"accuracy": 0.75}, "status": "done"})
        tracker.table("leaderboard", ["task", "top1"], [["rtt", 0.625], ["pace", None]])
        tracker.artifact("encoder", encoder)
        tracker.finish("done")
    tracker.log(30, {"train/loss": 1.0})  # after the end: nothing, and no error

    offline = wandb_file.read(run.folder)
    assert offline.run.run_id == "rtt-0123abcd"
    assert offline.run.project == "films"
    assert offline.run.run_group == "quickstart"
    assert offline.run.job_type == "pretrain"
    assert offline.run.display_name == "rtt seed 0"
    assert list(offline.run.tags) == ["rtt", "r2plus1d-tiny"]
    assert offline.config["task"] == {"name": "rtt", "speeds": [1, 2]}
    assert offline.config["seed"] == 3

    logged = [row for row in offline.history if "train/loss" in row]
    assert [row["step"] for row in logged] == [10, 20]
    assert logged[0]["train/loss"] == 1.5
    assert logged[0]["train/accuracy"] == 0.25
    assert math.isnan(float(logged[1]["train/loss"]))
    assert offline.metrics["*"].step_metric == "step"
    assert offline.summary["status"] == "done"
    assert offline.summary["heldout"] == {"accuracy": 0.75}
    assert offline.exit_code == 0

    (table,) = [row for row in offline.history if "leaderboard/_type" in row]
    assert table["leaderboard/_type"] == "table-file"
    assert (table["leaderboard/nrows"], table["leaderboard/ncols"]) == (2, 2)
    (file,) = run.folder.rglob("*.table.json")
    assert json.loads(file.read_text()) == {"columns": ["task", "top1"], "data": [["rtt", 0.625], ["pace", None]]}
    (artifact,) = [item for item in offline.artifacts if item.type == "model"]
    assert artifact.name == "encoder-rtt-0123abcd"

    said = [record.getMessage() for record in caplog.records if "wandb sync" in record.getMessage()]
    assert len(said) == 1
    folder = Path(said[0].rsplit("wandb sync ", 1)[1])
    assert folder.is_dir()
    assert folder.is_relative_to(run.folder)


def test_a_long_run_and_a_resumed_one_keep_every_step(run: RunInfo) -> None:
    first = WandbRun(mode="offline")
    first.start(run)
    for step in range(400):
        first.log(step, {"loss": step / 8, "rate": 1 / (step + 1)})
    first.finish("interrupted")
    assert [row["loss"] for row in wandb_file.read(run.folder).history] == [step / 8 for step in range(400)]
    (file,) = run.folder.rglob("run-*.wandb")
    assert file.stat().st_size > 2 * wandb_file.BLOCK

    resumed_folder = run.folder.parent / "resumed"
    resumed = WandbRun(mode="offline")
    resumed.start(dataclasses.replace(run, folder=resumed_folder))
    resumed.log(390, {"loss": 1.0})  # a step that was logged before
    resumed.finish("done")
    offline = wandb_file.read(resumed_folder)
    assert offline.run.run_id == run.run_id
    assert [(row["step"], row["loss"]) for row in offline.history] == [(390, 1.0)]


def test_secrets_stay_here_and_all_files_in_the_run_folder(
    run: RunInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:1")
    before = dict(os.environ)
    tracker = WandbRun(mode="offline")
    tracker.start(run)
    tracker.log(1, {"loss": 1.0})
    tracker.table("board", ["a"], [[1]])
    tracker.finish("done")
    # WANDB_SERVICE is wandb's own, for child processes
    assert {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"} == before
    assert wandb_file.read(run.folder).config["data"] == {"api_key": "(not sent)", "tokens": 8}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert KEY.encode() not in content, path
        assert b"hush-hush" not in content, path
        assert path.is_relative_to(run.folder), path


def test_no_key_means_offline_at_once_and_no_prompt(
    run: RunInfo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("prompted"))
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("asked the network"))
    started = time.monotonic()
    tracker = WandbRun()
    tracker.start(run)
    tracker.log(1, {"loss": 0.5})
    tracker.finish("failed")
    assert time.monotonic() - started < 10
    assert "there is no API key" in caplog.text
    offline = wandb_file.read(run.folder)
    assert offline.run.project == "vssl"
    assert offline.exit_code == 1


def test_a_refused_key_means_offline(
    run: RunInfo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with server(lambda request: reply(request, 401, {"errors": ["no"]})) as (address, asked):
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", address)
        tracker = WandbRun(mode="online")
        tracker.start(run)
        tracker.log(1, {"loss": 0.5})
        tracker.finish("done")
        again = WandbRun(mode="online")
        again.start(run)
        again.finish("done")
    assert asked == ["/graphql"], "one question a process, and no telemetry"
    assert "refused the API key" in caplog.text
    assert KEY not in caplog.text


def test_a_silent_server_is_waited_for_no_longer_than_asked(
    run: RunInfo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with server(lambda request: time.sleep(30)) as (address, _):
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", address)
        started = time.monotonic()
        tracker = WandbRun(init_timeout_s=1.0)
        tracker.start(run)
        assert time.monotonic() - started < 8
        tracker.log(1, {"loss": 0.5})
        tracker.finish("done")
    assert "did not answer within 1 s" in caplog.text
    assert [row["loss"] for row in wandb_file.read(run.folder).history] == [0.5]


def test_a_server_that_fails_after_the_first_question(
    run: RunInfo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The key is accepted, then ``wandb.init`` fails: the run goes on offline under the same id."""

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        if len(asked) == 1:
            reply(request, 200, {"data": {"viewer": {"id": "me"}}})
        else:
            reply(request, 401, {"errors": ["no longer"]})

    with server(answer) as (address, asked):
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", address)
        tracker = WandbRun(init_timeout_s=3.0)
        tracker.start(run)
        tracker.log(1, {"loss": 0.5})
        tracker.finish("done")
    assert "wandb.init failed" in caplog.text
    offline = [path for path in run.folder.rglob("run-*.wandb") if path.parent.name.startswith("offline-run-")]
    assert [path.name for path in offline] == ["run-rtt-0123abcd.wandb"]


def test_an_unknown_host_means_offline(run: RunInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:1")
    tracker = WandbRun()
    tracker.start(run)
    tracker.finish("done")
    assert wandb_file.read(run.folder).run.run_id == "rtt-0123abcd"


@pytest.mark.parametrize(("option", "variable"), [("disabled", ""), ("auto", "disabled")])
def test_disabled_writes_nothing(run: RunInfo, monkeypatch: pytest.MonkeyPatch, option: str, variable: str) -> None:
    monkeypatch.setenv("WANDB_MODE", variable)
    tracker = WandbRun(mode=option)
    tracker.start(run)
    tracker.log(1, {"loss": 0.5})
    tracker.summary({"a": 1})
    tracker.table("t", ["a"], [[1]])
    tracker.artifact("x", run.folder / "missing")
    tracker.finish("done")
    assert not list(run.folder.iterdir())


def test_a_missing_artifact_is_named(run: RunInfo) -> None:
    tracker = WandbRun(mode="offline")
    tracker.start(run)
    with pytest.raises(VsslError, match=r"artifact 'encoder'.*missing"):
        tracker.artifact("encoder", run.folder / "missing")
    tracker.finish("done")


def test_the_key_in_netrc_is_found(tmp_path: Path) -> None:
    netrc = tmp_path / "home" / "netrc"
    netrc.parent.mkdir()
    netrc.write_text(f"machine films.example login user password {KEY}\n")
    netrc.chmod(0o600)
    assert wandb_server.find_key("https://films.example/api", None) == KEY
    assert wandb_server.find_key("https://other.example", None) is None
    assert wandb_server.find_key("https://other.example", "configured") == "configured"
