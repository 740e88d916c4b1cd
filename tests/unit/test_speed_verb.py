"""``vssl speed``: its stages, the bottleneck that it names, and what it says about it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.videos import pictures, write_video

from vssl_core.cli.main import cli
from vssl_core.cli.state import State
from vssl_core.plugins import Registry
from vssl_core.speed.advice import Measured, advise, explained_ms, find_bottleneck

STAGES = ["decode", "cache", "loader", "copy", "augment", "step", "together"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    for at in range(6):
        place = root / "train" / ("left", "right")[at % 2] / f"{at}.mp4"
        write_video(place, pictures(40, seed=at), options={"preset": "ultrafast"})
    return root


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover(disable=())


@pytest.fixture
def run(registry: Registry, videos: Path, tmp_path: Path, fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    small = ["task=rtt@tiny", "data=folder", f"data.root={videos}", "batch_size=2", "device=cpu", "loader.workers=0"]

    def invoke(*arguments: str) -> Result:
        words = ["speed", *small, *arguments, "--seconds", "0.05", "-q"]
        result = CliRunner().invoke(cli, words, obj=State(registry))
        assert list(place.iterdir()) == [], "no run is made"
        return result

    return invoke


def measured(run: Any, *arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def slowed(function: Any, seconds: float) -> Any:
    def slow(*arguments: Any, **options: Any) -> Any:
        time.sleep(seconds)
        return function(*arguments, **options)

    return slow


def test_every_stage_has_a_rate_with_the_cache_and_the_cache_is_built_only_when_asked_for(
    run: Any, fresh_home: Path
) -> None:
    found = measured(run)
    assert list(found["stages"]) == STAGES
    assert found["cache"] == "missing" and "--build-cache" in found["stages"]["cache"]["note"]
    assert not list(fresh_home.rglob("frames.u8"))
    assert [name for name in STAGES if found["stages"][name]["clips_per_s"] is None] == ["cache", "copy"]

    found = measured(run, "--build-cache", "task=clip-order@tiny")
    assert found["cache"] == "used" and list(fresh_home.rglob("frames.u8"))
    assert found["clips_a_batch"] == 3 * found["batch_size"] == 6
    for name in STAGES:
        stage = found["stages"][name]
        if name != "copy":
            assert stage["batch_ms"] > 0 and stage["n_clips"] >= 2
            assert stage["clips_per_s"] * stage["batch_ms"] == pytest.approx(6000, rel=0.01)
    assert found["stages"]["copy"]["note"] == "none: it is the CPU"
    alone = found["stages"]["augment"]["batch_ms"] + found["stages"]["step"]["batch_ms"]
    assert found["explained_ms"] == pytest.approx(alone + found["stages"]["loader"]["batch_ms"], rel=0.01)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_slow_reader_is_the_bottleneck(run: Any, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    from vssl_core.data import reader

    monkeypatch.setattr(reader, "read_views", slowed(reader.read_views, 0.15))
    found = measured(run, "loader.cache=never", f"loader.workers={workers}")
    assert (found["bottleneck"], found["workers"]) == ("loader", workers)
    # Two videos a batch, one after the other.
    assert found["stages"]["decode"]["batch_ms"] > 300 and found["stages"]["loader"]["batch_ms"] > 250
    assert found["stages"]["together"]["batch_ms"] > 150
    assert any(line.startswith("loader.cache=always") for line in found["advice"])


def test_batches_that_workers_deliver_in_turns_are_counted_together() -> None:
    import torch

    from vssl_core.contracts import Batch
    from vssl_core.speed.stages import Stages

    number = torch.arange(4)
    batch = Batch((torch.zeros(4, 1, 2, 2, 3, dtype=torch.uint8),), {}, number, number)

    def in_turns() -> Iterator[Batch]:
        while True:
            time.sleep(0.1)
            yield batch
            yield batch

    stages = Stages(seconds=0.3, batch_size=4, clips_a_batch=4, device=torch.device("cpu"), seed=0)
    rate, kept = stages.load(in_turns(), workers=2)
    assert 50 <= rate.batch_ms < 80
    assert rate.clips_per_s == pytest.approx(4000 / rate.batch_ms)
    assert len(kept) == 2


def test_a_slow_task_is_the_bottleneck_and_its_own_step_is_measured(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from vssl_speed.rtt import RecognizeTransformation

    monkeypatch.setattr(RecognizeTransformation, "forward", slowed(RecognizeTransformation.forward, 0.3))
    result = run("loader.cache=never")
    assert result.exit_code == 0, result.output
    row = next(line for line in result.stdout.splitlines() if line.startswith("model step"))
    assert "<- bottleneck" in row and "██" in row
    assert "bottleneck: model step" in result.stdout


def test_a_slow_augmentation_is_the_bottleneck(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from vssl_speed.rtt import RecognizeTransformation

    monkeypatch.setattr(RecognizeTransformation, "augment", slowed(RecognizeTransformation.augment, 0.3))
    assert measured(run, "loader.cache=never")["bottleneck"] == "augment"


def test_tasks_that_need_labels_get_the_first_label(run: Any) -> None:
    assert measured(run, "task=supervised@tiny", "loader.cache=never")["task"] == "supervised@tiny"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["task=random-init"], "task random-init is never trained and shows a network nothing; 'vssl list tasks'"),
        (["task.frmes=3"], "task.frmes"),
        (["task=supervised@tiny", "label=colour"], "label='colour' is none of them"),
        (["task=videomae@tiny"], "needs a backbone that offers masking"),
        (["task.frames=64"], "no video gives a sample"),
        (["seconds=3"], "seconds"),
    ],
)
def test_what_cannot_be_trained_is_refused(run: Any, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    assert message in result.stderr


def test_unconverted_frames_are_converted_on_the_device(run: Any) -> None:
    found = measured(run, "pixels=yuv420")
    assert found["cache"] == "not used" and found["stages"]["cache"]["note"] == "not used: pixels=yuv420"
    assert found["stages"]["copy"]["batch_ms"] > 0 and "RGB" in found["stages"]["copy"]["note"]
    refused = run("pixels=yuv420", "loader.cache=always")
    assert (refused.exit_code, "contradicts" in refused.stderr) == (2, True)


def test_a_bad_video_is_left_out_without_a_run_to_note_it_in(
    run: Any, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_bad = tmp_path / "videos"
    shutil.copytree(videos, with_bad)
    (with_bad / "train" / "left" / "bad.mp4").write_bytes(b"no video at all")
    found = measured(run, f"data.root={with_bad}", "loader.max_bad=0.5", "loader.cache=never")
    assert found["stages"]["together"]["clips_per_s"] > 0
    assert run(f"data.root={with_bad}", "loader.max_bad=0", "loader.cache=never").exit_code == 1


def test_unreadable_videos_are_an_error(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from vssl_core.data import reader
    from vssl_core.errors import ClipError

    def broken(*arguments: Any, **options: Any) -> Any:
        raise ClipError("the disk is wet")

    monkeypatch.setattr(reader, "read_views", broken)
    result = run("loader.cache=never")
    assert result.exit_code == 1
    assert "videos can be read; the last one: the disk is wet" in result.stderr


def measurements(batch_ms: dict[str, float], **other: Any) -> Measured:
    usual: dict[str, Any] = {
        "workers": 2,
        "cores": 8,
        "device": "cuda",
        "cache": "not used",
        "cache_bytes": 100 * 2**30,
        "pixels": "rgb24",
        "free_bytes": 50 * 2**30,
        "files": True,
        "short_side": 112.0,
        "read_side": 112,
        "size": 112,
        "batch_size": 32,
        "precision": "bf16",
        "has_bf16": True,
        "memory": 0.7,
        "has_cuda": True,
    }
    return Measured(batch_ms=batch_ms, **{**usual, **other})


SLOW_FILES = {"decode": 400.0, "loader": 200.0, "copy": 5.0, "augment": 15.0, "step": 60.0}


def test_workers_read_beside_the_device_and_without_them_all_wait() -> None:
    even = {"decode": 90.0, "loader": 100.0, "copy": 10.0, "augment": 70.0, "step": 80.0}
    beside = measurements(even)
    assert (find_bottleneck(beside), explained_ms(beside)) == ("step", 160.0)
    waiting = measurements(even, workers=0)
    assert (find_bottleneck(waiting), explained_ms(waiting)) == ("loader", 260.0)
    slow_copy = measurements({**even, "copy": 300.0}, workers=0, size=112, read_side=160)
    assert find_bottleneck(slow_copy) == "copy"
    assert [line.split(":")[0] for line in advise("copy", slow_copy)] == [
        "loader.workers=1",
        "pixels=yuv420",
        "a smaller task.read_size",
    ]


def test_workers_are_advised_only_where_cores_are_idle() -> None:
    assert advise("loader", measurements(SLOW_FILES)) == ["loader.workers=5: there are 8 cores"]
    few = advise("loader", measurements(SLOW_FILES, cores=4))
    assert few == ["loader.workers=4: there are 4 cores; 5 workers would keep up with the device"]
    assert advise("loader", measurements(SLOW_FILES, cores=2)) == []
    assert advise("loader", measurements(SLOW_FILES, cores=1, workers=0)) == []


def test_copies_and_caches_are_advised_only_where_reading_files_takes_the_time() -> None:
    large = {"short_side": 720.0, "cores": 2, "free_bytes": 500 * 2**30}
    always, copy = advise("loader", measurements(SLOW_FILES, **large))
    assert always.startswith("loader.cache=always: all decoded frames take 100.0 GiB, and 500 GiB are free")
    assert copy.startswith("vssl data prepare --short-side 112: the videos' short side is 720 pixels")
    assert advise("loader", measurements({**SLOW_FILES, "decode": 20.0}, **large)) == []
    assert advise("loader", measurements({**SLOW_FILES, "cache": 300.0}, **large, cache="used")) == []
    (missing,) = advise("loader", measurements(SLOW_FILES, **large, cache="missing"))
    assert "--build-cache" in missing


def test_numbers_and_batches_are_advised_only_on_a_gpu_that_has_room_for_them() -> None:
    step = {"decode": 10.0, "loader": 5.0, "copy": 1.0, "augment": 2.0, "step": 60.0}
    assert advise("step", measurements(step)) == []
    full = advise("step", measurements(step, precision="fp32", memory=0.2))
    assert [line.split(":")[0] for line in full] == ["precision=bf16", "batch_size=64"]
    on_cpu = measurements(step, device="cpu", has_bf16=False, memory=0.0, precision="fp32")
    assert advise("step", on_cpu) == ["device=cuda: this machine has a GPU"]


@pytest.mark.cuda
def test_copies_to_a_gpu_come_from_page_locked_memory_where_there_are_workers(run: Any) -> None:
    found = measured(run, "device=cuda", "loader.workers=1", "loader.cache=never")
    assert (found["device"], found["stages"]["copy"]["note"]) == ("cuda", "from page-locked memory")
    assert all(found["stages"][name]["clips_per_s"] > 0 for name in STAGES if name != "cache")
    assert measured(run, "device=cuda", "loader.cache=never")["stages"]["copy"]["note"] == "not from page-locked memory"
