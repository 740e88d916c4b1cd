"""The conformance kit on backbones, heads, data sets, protocols, trackers, launchers and imports: faults are found."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vssl_core.contracts import ClipRecipe, Features, FeatureSet, Job, JobState, Metric, Spec, Targets, Video
from vssl_core.errors import PluginError
from vssl_core.hookspecs import hookimpl
from vssl_core.plugins import Registry
from vssl_core.testing import (
    ConformanceError,
    FakeBackbone,
    FakeDataset,
    FakeReader,
    check_backbone,
    check_dataset,
    check_head,
    check_launcher,
    check_light_imports,
    check_protocol,
    check_tracker,
    fake_videos,
)
from vssl_core.testing.jobs import double

HERE = "kit_components_module"


def registry_of(kind: str, target: Any, **spec: Any) -> Registry:
    module = types.ModuleType(HERE)
    module.Target = target  # type: ignore[attr-defined]
    target.__doc__ = target.__doc__ or "A fault."
    sys.modules[HERE] = module
    plugin = types.ModuleType("acme")

    def offer() -> Any:
        yield Spec(name="mine", target=f"{HERE}:Target", summary="for tests", **spec)

    setattr(plugin, f"vssl_{kind}", hookimpl(offer))
    return Registry.discover(plugins={"acme": plugin}, entry_points=False, disable=())


def check(kind: str, checker: Callable[..., None], target: Any, *arguments: Any, **spec: Any) -> None:
    registry = registry_of(kind, target, **spec)
    checker(registry.entry(kind, "mine"), registry, *arguments)


# ------------------------------------------------------------------------------------------- backbones


class Backbone(FakeBackbone):
    """Keeps the contract."""

    def __init__(self) -> None:
        super().__init__()


class TupleFeatures(Backbone):
    def forward(self, video: Tensor) -> Any:
        return tuple(super().forward(video))


class WrongDim(Backbone):
    def __init__(self) -> None:
        super().__init__()
        self.embed_dim = 25


class BatchMean(Backbone):
    def forward(self, video: Tensor) -> Features:
        features = super().forward(video)
        return features._replace(pooled=features.pooled - features.pooled.mean(0))


class Dropping(Backbone):
    def forward(self, video: Tensor) -> Features:
        features = super().forward(video)
        return features._replace(pooled=torch.dropout(features.pooled, 0.5, train=True))


class Constant(Backbone):
    def forward(self, video: Tensor) -> Features:
        features = super().forward(video)
        return features._replace(pooled=features.pooled * 0)


class InPlace(Backbone):
    def forward(self, video: Tensor) -> Features:
        return super().forward(video.mul_(0.5))


class UnseededWeights(Backbone):
    def __init__(self) -> None:
        super().__init__()
        nn.init.normal_(
            self.mix.weight, generator=torch.Generator().manual_seed(int(np.random.default_rng().integers(2**31)))
        )


class PeekingMask(Backbone):
    def encode(self, tokens: Tensor, keep: Tensor) -> Tensor:
        return super().encode(tokens + tokens.mean(1, keepdim=True), keep)


class HiddenWeights(Backbone):
    """Its features depend on something that is not saved."""

    built = 0

    def __init__(self) -> None:
        super().__init__()
        HiddenWeights.built += 1
        self.scale = HiddenWeights.built

    def forward(self, video: Tensor) -> Features:
        features = super().forward(video)
        return features._replace(pooled=features.pooled * self.scale)


class OddMode(Backbone):
    input_mode = "grey"


ALL = frozenset({"map", "tokens", "masking", "frames"})


def test_a_backbone_that_keeps_the_contract_passes() -> None:
    check("backbones", check_backbone, Backbone, provides=ALL)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (TupleFeatures, "expected vssl_core.contracts.Features"),
        (WrongDim, r"pooled has shape \(3, 24\); expected \(3, 25\)"),
        (BatchMean, "depend on the other clips of the batch"),
        (Dropping, "torch's global generator"),
        (Constant, "different clips get the same features"),
        (InPlace, "changes its input in place"),
        (UnseededWeights, "two constructions from one seed differ"),
        (PeekingMask, "looks at tokens outside keep"),
        (HiddenWeights, "saved weights do not give the same features"),
        (OddMode, "input_mode is 'grey'"),
    ],
)
def test_a_fault_of_a_backbone_is_found(backbone: type, message: str) -> None:
    with pytest.raises(ConformanceError, match=message):
        check("backbones", check_backbone, backbone, provides=ALL)


def test_an_unknown_capability_is_found() -> None:
    with pytest.raises(ConformanceError, match="provides"):
        check("backbones", check_backbone, Backbone, provides=frozenset({"flying"}))


class Head(nn.Module):
    """Keeps the contract."""

    def __init__(self, embed_dim: int, n_outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embed_dim, n_outputs)

    def forward(self, features: Features) -> Tensor:
        outputs: Tensor = self.linear(features.pooled)
        return outputs


class OneOutput(Head):
    def forward(self, features: Features) -> Tensor:
        return super().forward(features)[:, :1]


class NoGradient(Head):
    def forward(self, features: Features) -> Tensor:
        return super().forward(features) * 0 + features.pooled.requires_grad_()[:, :5]


def test_heads() -> None:
    check("heads", check_head, Head)
    with pytest.raises(ConformanceError, match=r"gives shape \(6, 1\)"):
        check("heads", check_head, OneOutput)
    with pytest.raises(ConformanceError, match="no parameter gets a gradient"):
        check("heads", check_head, NoGradient)


# -------------------------------------------------------------------------------------------- data sets


class Videos(FakeDataset):
    """Keeps the contract."""

    def __init__(self) -> None:
        super().__init__(n_train=8, n_test=4)


class LeakyVideos(Videos):
    def content_hashes(self, split: str) -> Sequence[str]:
        return [source.replace("fake://8", "fake://0") for source in super().content_hashes(split)]


class DoubledIds(Videos):
    def videos(self, split: str) -> Sequence[Video]:
        return [dataclasses.replace(video, video_id="same") for video in super().videos(split)]


class FloatClasses(Videos):
    def targets(self, split: str, label: str) -> Targets:
        targets = super().targets(split, label)
        return targets._replace(values=targets.values.astype(np.float32) + 0)


class ShortLabels(Videos):
    def targets(self, split: str, label: str) -> Targets:
        targets = super().targets(split, label)
        return targets._replace(values=targets.values[1:])


class OwnClasses(Videos):
    def targets(self, split: str, label: str) -> Targets:
        targets = super().targets(split, label)
        return targets._replace(classes=targets.classes and (*targets.classes[:-1], split))


class ChangingPrint(Videos):
    def fingerprint(self) -> str:
        return f"{super().fingerprint()}-{id(self)}"


class Blurry(FakeReader):
    """Reads each frame with some of the one before it."""

    def __call__(self, video: Video, views: Sequence[Any]) -> list[np.ndarray]:
        return [(clip // 2 + np.roll(clip, 1, axis=0) // 2).astype(np.uint8) for clip in super().__call__(video, views)]


class Clamping(FakeReader):
    """Reads the last frame where one beyond is asked for."""

    def __call__(self, video: Video, views: Sequence[Any]) -> list[np.ndarray]:
        inside = [view._replace(frames=np.minimum(view.frames, video.n_frames - 1)) for view in views]
        return super().__call__(video, inside)


class BlurryVideos(Videos):
    def reader(self) -> FakeReader:
        return Blurry()


class ClampingVideos(Videos):
    def reader(self) -> FakeReader:
        return Clamping()


def test_a_data_set_that_keeps_the_contract_passes() -> None:
    check("datasets", check_dataset, Videos)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (LeakyVideos, "1 videos stand in 'train' and in 'test': fake-0 and fake-8"),
        (DoubledIds, "share one video_id"),
        (FloatClasses, "float32"),
        (ShortLabels, "7 values for 8 videos"),
        (OwnClasses, "other classes than those of 'train'"),
        (ChangingPrint, "fingerprint changes"),
        (BlurryVideos, "asked for twice differs from itself"),
        (ClampingVideos, "expected ClipError"),
    ],
)
def test_a_fault_of_a_data_set_is_found(dataset: type, message: str) -> None:
    with pytest.raises(ConformanceError, match=message):
        check("datasets", check_dataset, dataset)


# -------------------------------------------------------------------------------------------- protocols

RECIPE = ClipRecipe(frames=4, stride=2, clips=1, size=16)


class Centroid:
    """Keeps the contract: the nearest class centroid."""

    def run(self, context: Any) -> Sequence[Metric]:
        train = context.features("train", RECIPE)
        labels = context.targets("train")
        values = train.values.mean(1)
        centres = np.stack([values[labels.values[train.rows] == k].mean(0) for k in range(len(labels.classes))])

        def predict(test: FeatureSet) -> np.ndarray:
            return ((test.values.mean(1)[:, None] - centres) ** 2).sum(-1).argmin(1)

        def score(predictions: np.ndarray, truth: np.ndarray) -> Mapping[str, np.ndarray]:
            return {"top1": (predictions == truth).astype(np.float64)}

        top1 = context.evaluate_once("test", RECIPE, predict, score)["top1"].values
        return self.metrics(float(top1.mean()), len(top1))

    def metrics(self, top1: float, n: int) -> Sequence[Metric]:
        return [Metric(name="top1", value=top1, n=n, chance=1 / 3, primary=True)]


class DropsUnreadable(Centroid):
    def metrics(self, top1: float, n: int) -> Sequence[Metric]:
        return [Metric(name="top1", value=top1, n=n - 2, primary=True)]


class Percent(Centroid):
    def metrics(self, top1: float, n: int) -> Sequence[Metric]:
        return [Metric(name="top1", value=100.0, n=n, primary=True)]


class TwoPrimaries(Centroid):
    def metrics(self, top1: float, n: int) -> Sequence[Metric]:
        return [Metric(name=name, value=top1, n=n, primary=True) for name in ("top1", "top5")]


class Unseeded(Centroid):
    def metrics(self, top1: float, n: int) -> Sequence[Metric]:
        return [Metric(name="top1", value=float(np.random.default_rng().random()), n=n, primary=True)]


class ChangesEncoder(Centroid):
    def run(self, context: Any) -> Sequence[Metric]:
        with torch.no_grad():
            next(context.encoder.parameters()).add_(1.0)
        return super().run(context)


class ReadsTest(Centroid):
    def run(self, context: Any) -> Sequence[Metric]:
        context.features("test", RECIPE)
        return super().run(context)


class ReadsTestTwice(Centroid):
    def run(self, context: Any) -> Sequence[Metric]:
        super().run(context)
        return super().run(context)


def test_a_protocol_that_keeps_the_contract_passes_and_can_tell_the_classes() -> None:
    found: list[float] = []

    class Noted(Centroid):
        """Keeps the contract."""

        def metrics(self, top1: float, n: int) -> Sequence[Metric]:
            found.append(top1)
            return super().metrics(top1, n)

    check("protocols", check_protocol, Noted)
    assert found[0] == pytest.approx(22 / 24)  # the two unreadable videos count as wrong


@pytest.mark.parametrize(
    ("protocol", "error", "message"),
    [
        (DropsUnreadable, ConformanceError, "counts 22 of 24 test videos"),
        (Percent, ConformanceError, r"a fraction lies in \[0, 1\]"),
        (TwoPrimaries, ConformanceError, "expected exactly one"),
        (Unseeded, ConformanceError, "from one seed"),
        (ChangesEncoder, ConformanceError, "changes the encoder"),
        (ReadsTest, PluginError, "evaluate_once"),
        (ReadsTestTwice, PluginError, "a second time"),
    ],
)
def test_a_fault_of_a_protocol_is_found(protocol: type, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check("protocols", check_protocol, protocol)


def test_a_protocol_asks_nothing_of_a_run_but_what_is_known() -> None:
    check("protocols", check_protocol, Centroid, requires=frozenset({"trained", "accuracy"}))
    with pytest.raises(ConformanceError, match=r"requires \['map'\]; a protocol may ask"):
        check("protocols", check_protocol, Centroid, requires=frozenset({"map", "trained"}))


# ------------------------------------------------------------------------------- trackers and launchers


class Notes:
    """Keeps the contract."""

    def start(self, run: Any) -> None: ...
    def log(self, step: int, metrics: Any) -> None: ...
    def summary(self, values: Any) -> None: ...
    def table(self, name: str, columns: Any, rows: Any) -> None: ...
    def artifact(self, name: str, path: Path) -> None: ...
    def finish(self, status: str) -> None: ...


class EatsFiles(Notes):
    def artifact(self, name: str, path: Path) -> None:
        path.write_text("", encoding="utf-8")


def test_trackers(tmp_path: Path) -> None:
    check("trackers", check_tracker, Notes, tmp_path)
    with pytest.raises(ConformanceError, match="changes the files"):
        check("trackers", check_tracker, EatsFiles, tmp_path)


class Here:
    """Keeps the contract as far as a launcher without processes can."""

    capacity = 1

    def __init__(self) -> None:
        self.states: dict[str, JobState] = {}

    def submit(self, job: Job) -> None:
        if job.target.endswith(":sleep"):
            self.states[job.job_id] = JobState(status="running")
        elif job.target.endswith(":fail"):
            self.states[job.job_id] = self.failed(job.payload["message"])
        else:
            self.states[job.job_id] = JobState(status="done", result=double(job.payload))

    def failed(self, message: str) -> JobState:
        return JobState(status="failed", message=message)

    def poll(self) -> Mapping[str, JobState]:
        return dict(self.states)

    def cancel(self, job_id: str) -> None:
        self.states[job_id] = JobState(status="cancelled")

    def close(self) -> None: ...


class Silent(Here):
    def failed(self, message: str) -> JobState:
        return JobState(status="failed")


class Forgets(Here):
    def poll(self) -> Mapping[str, JobState]:
        return {name: state for name, state in self.states.items() if state.status != "done"}


class CannotCancel(Here):
    def cancel(self, job_id: str) -> None:
        self.states[job_id] = JobState(status="done", result={})


@pytest.mark.parametrize(
    ("launcher", "message"),
    [(Silent, "its reason is missing"), (Forgets, "does not know"), (CannotCancel, "otherwise")],
)
def test_launchers(launcher: type, message: str, tmp_path: Path) -> None:
    check("launchers", check_launcher, Here, tmp_path)
    with pytest.raises(ConformanceError, match=message):
        check("launchers", check_launcher, launcher, tmp_path)


# ------------------------------------------------------------------------------------ imports and fakes


def test_a_heavy_import_is_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_plugin.py").write_text("import numpy\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check_light_imports(["json"])
    with pytest.raises(ConformanceError, match="heavy_plugin brings numpy"):
        check_light_imports(["json", "heavy_plugin"])
    with pytest.raises(ConformanceError, match="No module named 'nobody'"):
        check_light_imports(["nobody"])


def test_fake_videos_read_the_same_and_no_two_alike() -> None:
    from vssl_core.contracts import View

    first, second = fake_videos(2, frames=10)
    view = View(np.array([0, 1, 0], dtype=np.int64), (16, 24))
    (clip,) = FakeReader()(first, [view])
    assert (clip.dtype, clip.shape) == (np.uint8, (3, 16, 24, 3))
    assert np.array_equal(clip[0], clip[2]) and not np.array_equal(clip[0], clip[1])
    assert np.array_equal(clip, FakeReader()(first, [view])[0])
    assert not np.array_equal(clip, FakeReader()(second, [view])[0])
