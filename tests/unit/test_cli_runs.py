"""``vssl pretrain``, ``evaluate``, ``preview`` and ``doctor``, on fake videos."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vssl_bench import execute
from vssl_core.api import pretrain
from vssl_core.cli.main import cli
from vssl_core.cli.state import State
from vssl_core.cli.terminal import _lines
from vssl_core.config.schema import PretrainConfig
from vssl_core.contracts import Spec
from vssl_core.engine import pretrain as engine
from vssl_core.engine import rehearsal
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_core.hookspecs import hookimpl
from vssl_core.plugins import Registry

SMALL = ["data=fake-videos", "loader.workers=0", "loader.cache=never", "loader.max_bad=0.2", "device=cpu"]
RTT = ["task=rtt@tiny", "steps=2", "batch_size=4", "heldout_batches=1", *SMALL]


class FakeVideos:
    @hookimpl
    def vssl_datasets(self) -> Iterable[Spec]:
        yield Spec(name="fake-videos", target="vssl_core.testing:FakeDataset", summary="videos that exist nowhere")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover(plugins={"fake": FakeVideos()}, disable=())


@pytest.fixture
def run(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, list(arguments), obj=State(registry))

    return invoke


def test_plan_shows_the_resolved_configuration_and_trains_nothing(run: Any, tmp_path: Path) -> None:
    result = run("pretrain", *RTT, "task.jitter=0.1", "--plan")
    assert result.exit_code == 0, result.output
    assert "rtt with r2plus1d-tiny on fake-videos: 2 steps of 4 videos, seed 0" in result.stdout
    assert "jitter: 0.1" in result.stdout and "recipe: tiny" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_plan_as_json_from_a_file(run: Any, tmp_path: Path) -> None:
    (tmp_path / "conf.yaml").write_text("task: {name: rtt@tiny, jitter: 0.3}\nsteps: 9\n", encoding="utf-8")
    plan = json.loads(run("pretrain", "conf.yaml", *SMALL, "--dry-run", "--json").stdout)
    assert (plan["steps"], plan["config"]["task"]["jitter"], plan["config"]["task"]["frames"]) == (9, 0.3, 8)
    assert plan["status"] == "new"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*RTT, "task=colorization@tiny", "backbone=timm/test_resnet", "--plan"], "points at places"),
        ([*RTT, "task.frmes=1"], "task.frmes"),
        ([*RTT, "optim.lr=fast"], "optim.lr='fast' (command line): expected float"),
        (["task=rtt@tiny", *SMALL], "steps=N or as epochs=N"),
        ([*RTT, "task=videomae@tiny"], "needs a backbone that offers masking"),
        ([*RTT, "task=colorization@tiny", "backbone=timm/test_resnet"], "points at places"),
        (["missing.yaml"], "missing.yaml: no such file"),
        (["pretrian"], "neither a YAML file nor key=value"),
    ],
)
def test_wrong_configurations_exit_with_2_before_anything_is_written(
    run: Any, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = run("pretrain", *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_python_refuses_what_the_command_refuses(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="points at places"):
        pretrain(task="colorization@tiny", backbone="timm/test_resnet", data="fake-videos", steps=1, registry=registry)
    assert list(tmp_path.iterdir()) == []


def test_one_rehearsal_a_run(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a run that goes on nor one that is done is tried again, however it is started."""
    rehearsed: list[str] = []
    monkeypatch.setattr(rehearsal, "rehearse", lambda config, _: rehearsed.append(str(config.out)))
    arguments = ["pretrain", *RTT, "out=once"]
    with monkeypatch.context() as patched:
        patched.setattr(engine, "export_encoder", interrupt)
        assert run(*arguments).exit_code == 130
    assert "(begun)" in run(*arguments, "--plan").stdout
    assert run(*arguments).exit_code == 0, "goes on, then ends"
    assert run(*arguments).exit_code == 0, "is done already"
    assert "(done)" in run(*arguments, "--plan").stdout
    assert rehearsed == ["once"]
    run("pretrain", *RTT, "out=other", "--no-rehearsal")
    assert rehearsed == ["once"]


def test_a_rehearsal_supposes_a_set_of_usual_size(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs nine videos, or more steps than one, is not refused for a batch of two."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(BaseTask, "setup", lambda _, n_videos, total_steps: told.append((n_videos, total_steps)))
    assert rehearsal.rehearse(PretrainConfig(task="rtt@tiny", steps=7), registry) is None
    ((n_videos, total_steps),) = told
    assert n_videos >= 100 and total_steps == 7


def test_jobs_of_a_suite_were_rehearsed_by_its_plan(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rehearsal, "rehearse", lambda *_: pytest.fail("once is enough"))
    monkeypatch.setattr(execute, "_registry", lambda: registry)
    loader = {"workers": 0, "cache": "never", "max_bad": 0.2}
    config = {"task": "rtt@tiny", "data": "fake-videos", "steps": 1, "batch_size": 4, "device": "cpu", "loader": loader}
    job = {"kind": "pretrain", "config": {**config, "heldout_batches": 1, "out": "job"}, "suite": "s"}
    assert execute.run_job(job, lambda _: None)["status"] == "done"


def test_the_folder_of_another_run_is_left_as_it_is(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(engine, "export_encoder", interrupt)
        assert run("pretrain", *RTT, "out=mine").exit_code == 130
    before = (tmp_path / "mine/config.yaml").read_bytes()
    for extra in ([], ["--plan"]):
        result = run("pretrain", *RTT, "out=mine", "seed=9", *extra)
        assert (result.exit_code, "another task, option, budget or seed" in result.stderr) == (1, True)
    assert (tmp_path / "mine/config.yaml").read_bytes() == before
    assert not (tmp_path / "mine/record.json").exists()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_pretrain_and_evaluate(run: Any, tmp_path: Path) -> None:
    result = run("pretrain", *RTT, "out=first")
    assert result.exit_code == 0, result.output
    assert "accuracy" in result.stdout and "(chance 0.200)" in result.stdout
    assert "vssl evaluate first protocol=linear-probe@tiny label=kind" in result.stdout
    assert "train: 2/2" in result.stderr
    again = json.loads(run("pretrain", *RTT, "out=first", "--json", "--quiet").stdout)
    assert again["cost"]["steps"] == 2
    assert "(done)" in run("pretrain", *RTT, "out=first", "--plan").stdout

    words = ["protocol=knn@tiny", "label=kind", "device=cpu", "loader.workers=0", "loader.cache=never"]
    result = run("evaluate", "first", *words)
    assert result.exit_code == 0, result.output
    assert "knn@tiny of rtt@tiny on fake, label kind: 24 test videos" in result.stdout
    assert any(line.startswith("top1 *") for line in result.stdout.splitlines())
    record = json.loads(run("evaluate", "first", *words, "-q", "--json").stdout)
    assert record["kind"] == "transfer"


def test_evaluate_of_a_folder_that_is_not_there_suggests_a_near_one(run: Any, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    result = run("evaluate", "frist", "protocol=knn")
    assert (result.exit_code, "did you mean 'first'" in result.stderr) == (2, True)
    assert run("evaluate", "first", "protocol=kmm").exit_code == 2


def test_interrupted_training_says_how_to_go_on(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import vssl_core.api

    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(vssl_core.api, "pretrain", stopped)
    result = run("pretrain", *RTT)
    assert (result.exit_code, "run the same command to go on" in result.stderr) == (130, True)


# Task, clips drawn a sample, and what the page says.
PREVIEWS = [
    ("videomae@tiny", 2, ["What is behind the mask?", "192 of 256 patches are hidden", "what the network sees"]),
    ("simclr@tiny", 2, ["Which clips of the batch are of one video?", "clip 2 of 2"]),
    ("supervised@tiny", 1, ["label: "]),
]


@pytest.mark.parametrize(("task", "views", "words"), PREVIEWS)
def test_preview_draws_every_view_and_says_what_is_asked(
    run: Any, tmp_path: Path, task: str, views: int, words: list[str]
) -> None:
    from PIL import Image

    result = run("preview", f"task={task}", *SMALL, "--samples", "3", "--html", "--out", "sheet.png")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[0] > 700 and sheet.size[1] > 300
        assert len(sheet.getcolors(1 << 24)) > 1000
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3 * views
    assert all(word in page for word in [*words, "fake-0"])


@pytest.mark.parametrize("task", ["videomae@tiny", "simclr@tiny"])
def test_explanations_are_one_a_sample(registry: Registry, task: str) -> None:
    from vssl_core.preview.samples import preview_task

    preview = preview_task(PretrainConfig(task=task, data="fake-videos"), registry, 3)
    assert preview.question
    assert [bool(sample.answer) for sample in preview.samples] == [True] * 3
    for sample in preview.samples:
        captions = [view.caption for view in sample.views]
        assert all(captions) and len(set(captions)) == len(captions)


def test_preview_shows_the_frames_that_the_loader_reads(registry: Registry) -> None:
    """The numbers written below the frames are those of the pixels above them."""
    import numpy as np

    from vssl_core.contracts import View
    from vssl_core.preview.samples import preview_task
    from vssl_core.testing import FakeDataset

    plain = {"name": "rtt@tiny", "crop_scale": 1.0, "flip": 0.0, "jitter": 0.0}
    preview = preview_task(PretrainConfig(task=plain, data="fake-videos", seed=3), registry, 4)
    dataset = FakeDataset()
    videos = {video.video_id: video for video in dataset.videos("train")}
    assert len(preview.samples) == 4
    for sample in preview.samples:
        (view,) = sample.views
        asked = View(np.array(view.frames), (32, 32))
        (pixels,) = dataset.reader()(videos[sample.video_id], [asked])
        assert np.abs(view.pixels.astype(int) - pixels).max() <= 1


def test_preview_says_how_its_picture_is_named(run: Any, tmp_path: Path) -> None:
    result = run("preview", "task=rtt@tiny", *SMALL, "out=order.png")
    assert (result.exit_code, "--out FILE" in result.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_preview_refuses_floors(run: Any) -> None:
    result = run("preview", "task=random-init", *SMALL)
    assert (result.exit_code, "is never trained" in result.stderr) == (2, True)


def test_doctor(run: Any) -> None:
    findings = {finding["name"]: finding for finding in json.loads(run("doctor", "--json").stdout)}
    assert {"python", "torch", "video", "VSSL_HOME", "here", "wandb", "plugins"} <= set(findings)
    assert findings["video"]["status"] == "ok", findings["video"]


def test_doctor_fails_where_nothing_can_be_written(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vssl_core import health

    monkeypatch.setattr(health, "_writable", lambda folder: False)
    monkeypatch.setattr(health, "_torch", lambda: 1 / 0)
    result = run("doctor")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert any(line.startswith("fail VSSL_HOME") and "not writable" in line for line in lines)
    assert any(line.startswith("fail torch") and "ZeroDivisionError" in line for line in lines)
    assert any(line.startswith("ok   video") for line in lines)


def test_doctor_never_shows_a_key(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789secret")
    result = run("doctor", "--json")
    assert "in WANDB_API_KEY" in result.stdout and "secret" not in result.stdout


def test_progress_without_a_terminal_is_a_line_now_and_then() -> None:
    stream = io.StringIO()
    progress = _lines(stream)
    for done in range(101):
        progress("train", done, 100, {"loss": 1.0 / (done + 1)})
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("train: 0/100  loss 1") and lines[1].startswith("train: 100/100  loss 0.0099")
