"""Real processes, really killed: what they go on to is bit-equal to what they would have done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.damage import overwrite_packets
from support.videos import pictures, write_video

TINY = ["data=toy-motion", "data.n_train=64", "data.n_test=24", "batch_size=8", "log_every=1", "checkpoint_every_s=0"]
STEPS = 24


def vssl(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "vssl_core.cli.main", *arguments]


def pretrain(out: Path, *more: str, steps: int = STEPS) -> list[str]:
    return vssl("pretrain", "task=rtt@tiny", f"steps={steps}", f"out={out}", *TINY, *more)


def check(command: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def steps_logged(out: Path) -> list[int]:
    lines = (out / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    return [row["step"] for row in rows if "step" in row]


def wait_for_checkpoint(out: Path, process: subprocess.Popen[bytes], at_least: int) -> int:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        assert process.poll() is None, "the run ended before it could be killed: raise STEPS"
        found = [int(path.name[5:]) for path in (out / "checkpoint").glob("step-*")]
        if found and max(found) >= at_least:
            return max(found)
        time.sleep(0.01)
    raise AssertionError("no checkpoint was written within 180 s")


def encoder_sha(out: Path) -> str:
    return str(json.loads((out / "encoder.json").read_text())["weights_sha"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    check(pretrain(out))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_run_goes_on_to_the_same_bits_and_the_same_probe(
    tmp_path: Path, undisturbed: Path, stop: signal.Signals
) -> None:
    out = tmp_path / "killed"
    process = subprocess.Popen(pretrain(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_checkpoint(out, process, at_least=5)
    os.kill(process.pid, stop)
    code = process.wait(timeout=60)
    assert code == (-signal.SIGKILL if stop == signal.SIGKILL else 130)
    assert not (out / "record.json").exists(), "what has not ended has no record"

    check(pretrain(out))
    record = json.loads((out / "record.json").read_text())
    assert record["status"] == "done" and record["cost"]["steps"] == STEPS
    assert record["cost"]["clips"] == STEPS * 8, "clips of both sessions are counted, none twice"
    assert encoder_sha(out) == encoder_sha(undisturbed)
    assert record["heldout"] == json.loads((undisturbed / "record.json").read_text())["heldout"]
    assert steps_logged(out)[-1] == STEPS

    if stop == signal.SIGKILL:
        numbers = []
        for run in (undisturbed, out):
            check(vssl("evaluate", str(run), "protocol=linear-probe@tiny", "label=motion"))
            (path,) = (run / "transfer").glob("*/record.json")
            numbers.append([(metric["name"], metric["value"]) for metric in json.loads(path.read_text())["metrics"]])
        assert numbers[0] == numbers[1]


@pytest.fixture(scope="module")
def own_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files with B-frames, two of them damaged: batches differ in size, and what is damaged is found while training."""
    root = tmp_path_factory.mktemp("own") / "videos"
    for number in range(30):
        frames = pictures(40 + number, 32, 32, seed=number)
        write_video(root / f"v{number:02d}.mp4", frames, options={"g": "12", "bf": "2"})
    for number in (7, 19):
        overwrite_packets(root / f"v{number:02d}.mp4", range(1, 40 + number))
    return root


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_while_decoding_goes_on_to_the_same_batches(tmp_path: Path, own_videos: Path, workers: int) -> None:
    options = ["data=folder", f"data.root={own_videos}", "loader.cache=never", "loader.max_bad=0.5"]

    def command(out: Path, workers: int) -> list[str]:
        # Later words win over those of the toy set.
        words = [word for word in pretrain(out, steps=60) if not word.startswith("data")]
        return [*words, *options, f"loader.workers={workers}"]

    undisturbed, out = tmp_path / "undisturbed", tmp_path / "killed"
    # The other number of workers, so that one run compares with both.
    check(command(undisturbed, 2 - workers))
    process = subprocess.Popen(command(out, workers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    reached = wait_for_checkpoint(out, process, at_least=8)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert reached < 60
    check(command(out, workers))
    records = [json.loads((run / "record.json").read_text()) for run in (undisturbed, out)]
    assert encoder_sha(out) == encoder_sha(undisturbed)
    assert records[0]["unreadable"] == records[1]["unreadable"]
    assert {bad["video_id"] for bad in records[1]["unreadable"]} <= {"v07.mp4", "v19.mp4"}
    assert records[1]["unreadable"], "damaged videos were met"
    for name in ("steps", "clips", "frames_decoded"):
        assert records[0]["cost"][name] == records[1]["cost"][name], name
    assert records[1]["cost"]["clips"] < 60 * 8, "slots of damaged videos are left out"
    assert records[0]["heldout"] == records[1]["heldout"]


@pytest.mark.slow
def test_finished_run_is_not_repeated(undisturbed: Path) -> None:
    before = (undisturbed / "record.json").stat().st_mtime_ns
    check(pretrain(undisturbed))
    assert (undisturbed / "record.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_loader_workers_change_nothing(tmp_path: Path, undisturbed: Path) -> None:
    check(pretrain(tmp_path / "workers", "loader.workers=2", "loader.cache=never"))
    assert encoder_sha(tmp_path / "workers") == encoder_sha(undisturbed)


@pytest.mark.slow
def test_diverged_run_leaves_a_failed_record_and_advice(tmp_path: Path) -> None:
    out = tmp_path / "diverged"
    command = pretrain(out, "optim.lr=1e30", "optim.clip_grad=0", "optim.warmup=0")
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    assert "not finite" in done.stderr and "optim.lr" in done.stderr and "Traceback" not in done.stderr
    record = json.loads((out / "record.json").read_text())
    assert record["status"] == "failed" and record["error"]["type"] == "TrainingError"
