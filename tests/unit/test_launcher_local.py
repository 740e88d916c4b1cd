"""The local launcher: jobs in real worker processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vssl_core.contracts import Job, JobState
from vssl_core.errors import ConfigError
from vssl_launchers.local import LocalLauncher

_JOBS = """
import os, signal, subprocess, sys, time

def double(payload):
    print("hello from", payload["x"])
    os.system("echo from a child process")
    return {"y": 2 * payload["x"], "pid": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"]}

def boom(payload):
    raise ValueError("no such luck")

def leave(payload):
    sys.exit(3)

def die(payload):
    os.kill(os.getpid(), signal.SIGKILL)

def forever(payload, report):
    open(payload["mark"], "w").write(str(os.getpid()))
    step = 0
    while True:
        step += 1
        report(f"step {step}")
        time.sleep(0.05)

def unjson(payload):
    return {"x": object()}

def fork(payload):
    import multiprocessing
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=theirs.send, args=("alive",))
    child.start()
    said = ours.recv() if ours.poll(20) else "nothing"
    child.kill()
    return {"child": said}

def gpu(payload):
    return {"gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    (tmp_path / "launcher_jobs.py").write_text(_JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))

    def job(job_id: str, function: str, **payload: object) -> Job:
        log = tmp_path / "logs" / f"{job_id}.txt"
        return Job(job_id=job_id, target=f"launcher_jobs:{function}", payload=payload, log=log)

    return job


@pytest.fixture
def launcher() -> Iterator[LocalLauncher]:
    made = LocalLauncher(workers=1, threads=1, gpus=0, grace_s=2.0)
    yield made
    made.close()


def _end(launcher: LocalLauncher, job_id: str, timeout_s: float = 60.0) -> JobState:
    return _until(lambda: launcher.poll()[job_id], lambda state: state.status not in ("waiting", "running"), timeout_s)


def _until(read, good, timeout_s: float = 60.0):  # type: ignore[no-untyped-def]
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = read()
        if good(value):
            return value
        time.sleep(0.02)
    raise AssertionError(f"still {read()!r} after {timeout_s} s")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def test_a_worker_stays_warm_and_what_jobs_print_goes_to_their_logs(launcher: LocalLauncher, jobs) -> None:  # type: ignore[no-untyped-def]
    for i in (1, 2):
        launcher.submit(jobs(f"j{i}", "double", x=i))
    first, second = _end(launcher, "j1"), _end(launcher, "j2")
    assert first.status == second.status == "done"
    assert first.result is not None and second.result is not None
    assert (first.result["y"], second.result["y"]) == (2, 4)
    assert first.result["pid"] == second.result["pid"] != os.getpid()
    assert first.result["threads"] == "1"
    text = jobs("j2", "double").log.read_text()
    assert "hello from 2" in text and "from a child process" in text and "hello from 1" not in text


def test_what_a_job_forks_runs(launcher: LocalLauncher, jobs) -> None:  # type: ignore[no-untyped-def]
    launcher.submit(jobs("f", "fork"))
    state = _end(launcher, "f")
    assert state.result == {"child": "alive"}, "a forked child must not wait for the thread that reads jobs"


def test_an_exception_fails_the_job_alone(launcher: LocalLauncher, jobs) -> None:  # type: ignore[no-untyped-def]
    launcher.submit(jobs("bad", "boom"))
    launcher.submit(jobs("odd", "unjson"))
    launcher.submit(jobs("good", "double", x=3))
    assert _end(launcher, "bad") == JobState(status="failed", message="ValueError: no such luck")
    assert "JSON serializable" in _end(launcher, "odd").message
    assert _end(launcher, "good").status == "done"
    assert "Traceback" in jobs("bad", "boom").log.read_text()


@pytest.mark.parametrize(("function", "how"), [("leave", "exit code 3"), ("die", "SIGKILL")])
def test_a_crash_fails_its_job_and_a_fresh_worker_goes_on(
    launcher: LocalLauncher, jobs, function: str, how: str
) -> None:  # type: ignore[no-untyped-def]
    launcher.submit(jobs("crash", function))
    launcher.submit(jobs("next", "double", x=1))
    crashed = _end(launcher, "crash")
    assert crashed.status == "failed" and how in crashed.message
    assert _end(launcher, "next").status == "done"


def test_progress_cancel_and_refusal_of_a_second_submit(launcher: LocalLauncher, jobs, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mark = tmp_path / "pid"
    launcher.submit(jobs("long", "forever", mark=str(mark)))
    launcher.submit(jobs("queued", "double", x=1))
    _until(lambda: launcher.poll()["long"].message, lambda message: message.startswith("step "))
    with pytest.raises(ConfigError, match="already running"):
        launcher.submit(jobs("long", "double", x=1))
    launcher.cancel("long")
    assert launcher.poll()["long"].status == "cancelled"
    assert _end(launcher, "queued").status == "done", "the queue goes on with a fresh worker"
    assert not _alive(int(mark.read_text()))


def test_close_ends_the_workers(jobs, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    launcher = LocalLauncher(workers=1, threads=1, gpus=0, grace_s=2.0)
    mark = tmp_path / "pid"
    launcher.submit(jobs("long", "forever", mark=str(mark)))
    launcher.submit(jobs("queued", "double", x=1))
    _until(lambda: mark.exists() and mark.read_text(), bool)
    launcher.close()
    assert {state.status for state in launcher.poll().values()} == {"cancelled"}
    assert not _alive(int(mark.read_text()))
    with pytest.raises(ConfigError, match="closed"):
        launcher.submit(jobs("late", "double", x=1))


def test_no_worker_outlives_a_parent_that_was_killed(jobs, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mark = tmp_path / "pid"
    script = f"""
import time
from pathlib import Path
from vssl_core.contracts import Job
from vssl_launchers.local import LocalLauncher
launcher = LocalLauncher(workers=1, threads=1, gpus=0)
payload, log = {{"mark": {str(mark)!r}}}, Path({str(tmp_path)!r}) / "log"
launcher.submit(Job(job_id="long", target="launcher_jobs:forever", payload=payload, log=log))
time.sleep(60)
"""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment)
    pid = int(_until(lambda: mark.exists() and mark.read_text(), bool))
    assert _alive(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _until(lambda: _alive(pid), lambda alive: not alive)


def test_gpus_are_dealt_in_turn(jobs, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    launcher = LocalLauncher()
    try:
        assert launcher.capacity == 2
        states = []
        for i in range(2):
            launcher.submit(jobs(f"g{i}", "gpu"))
        states = [_end(launcher, f"g{i}") for i in range(2)]
    finally:
        launcher.close()
    assert {json.dumps(state.result) for state in states} <= {'{"gpu": "4"}', '{"gpu": "7"}'}
    assert LocalLauncher(workers=3)._gpu_of(2) == "4" and LocalLauncher(gpus=1).capacity == 1


def test_the_launcher_imports_nothing_heavy() -> None:
    code = "import sys, vssl_launchers.local, vssl_launchers.plugin; print({'torch', 'numpy'} & set(sys.modules))"
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment).stdout.strip()
        == "set()"
    )
