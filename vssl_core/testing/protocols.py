"""The check of transfer protocols."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch

from vssl_core.config.schema import LoaderConfig
from vssl_core.contracts import Batch, Metric, StepOutput, Video, View, counted_in
from vssl_core.engine.task import BaseTask
from vssl_core.plugins import Entry, Registry
from vssl_core.testing.components import check_component, pick
from vssl_core.testing.expect import Expect
from vssl_core.testing.fakes import FakeBackbone, FakeDataset, fake_batch

__all__ = ["check_protocol"]

_N_TEST, _UNREADABLE = 24, 2
_FRACTIONS = ("fraction",)


def check_protocol(component: Entry | str | Mapping[str, Any], registry: Registry, *, label: str = "kind") -> None:
    """Check a protocol on fake videos whose classes an untrained network tells apart.

    It returns metrics of different names, one of them primary, with finite values; fractions lie in [0, 1]. The primary
    metric, and every fraction, counts all test videos, unreadable ones too; what is named ``val_...`` counts validation
    videos, as in a protocol for searches, and what is named ``heldout_...`` held-out samples of the pretext task, a
    fake one here. One seed gives the same values. The test split is read by ``evaluate_once`` alone, and the encoder is
    left as it was.

    Args:
        component: an ``Entry`` (taken with its recipe ``tiny`` where it has one), or what configurations say.
        registry: where it is looked up.
        label: ``"kind"`` (three classes) or ``"speed"`` (a number).

    Raises:
        ConformanceError: it does not keep its contract.
        PluginError: it reads the test split twice under one name, or by another way.
    """
    check_component("protocols", component, registry)
    entry, value = pick("protocols", component, registry)
    expect = Expect(entry)
    asked = sorted(entry.spec.requires - {"trained", "accuracy"})
    expect(not asked, f"requires {asked}; a protocol may ask a run to be 'trained', and its task for 'accuracy'")
    torch.manual_seed(0)
    encoder = FakeBackbone()
    weights = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    runs = [_run(registry.build("protocols", value), encoder, label) for _ in range(2)]
    for name, tensor in encoder.state_dict().items():
        expect(torch.equal(tensor, weights[name]), f"changes the encoder's {name}; work on a copy")
    metrics = runs[0]
    expect(metrics, "returns no metrics")
    for metric in metrics:
        _check_metric(metric, expect)
    names = [metric.name for metric in metrics]
    expect(len(set(names)) == len(names), f"returns two metrics of one name: {names}")
    primary = [metric.name for metric in metrics if metric.primary]
    expect(len(primary) == 1, f"primary metrics: {primary}; expected exactly one")
    expect(list(runs[1]) == list(metrics), f"gives {metrics} and then {runs[1]} from one seed")


def _run(protocol: Any, encoder: FakeBackbone, label: str) -> Sequence[Metric]:
    from vssl_core.transfer.context import Context
    from vssl_core.transfer.features import FeatureStore

    with TemporaryDirectory(prefix="vssl-check-") as folder:
        context = Context(
            encoder,
            "0" * 64,
            FakeDataset(n_train=60, n_test=_N_TEST, unreadable=_UNREADABLE),
            label,
            device=torch.device("cpu"),
            seed=0,
            batch_size=16,
            loader=LoaderConfig(workers=0, cache="never", max_bad=0.5),
            work_dir=Path(folder) / "work",
            store=FeatureStore(Path(folder) / "features"),
            open_pretext=lambda: cast(Any, _FakePretext(encoder)),
        )
        context.work_dir.mkdir()
        metrics: Sequence[Metric] = protocol.run(context)
        return metrics


class _FakePretext:
    """A trained task that asks whether a clip is shown backward, with held-out fake videos."""

    name = "fake"
    clips = frames_decoded = 0
    cache_s = 0.0

    def __init__(self, encoder: FakeBackbone) -> None:
        self.task: Any = _Backward(encoder).eval()

    def heldout(self, n_batches: int = 0) -> Iterator[Batch]:
        for seed in range(n_batches or 2):
            yield fake_batch(self.task, 6, seed=seed)

    def unreadable(self) -> list[dict[str, str]]:
        return []

    def close(self) -> None:
        pass


class _Backward(BaseTask):
    chance = 0.5

    def planner(self) -> Any:
        return _plan_backward

    def augment(self, batch: Batch) -> Batch:
        return batch._replace(views=(batch.views[0].permute(0, 4, 1, 2, 3).float() / 255,))

    def forward(self, batch: Batch) -> StepOutput:
        pooled = self.backbone(batch.views[0]).pooled
        right = (pooled[:, 0] > pooled[:, 1]) == batch.targets["backward"].bool()
        return StepOutput(pooled.square().mean(), {"accuracy": right.float().mean().detach()})


def _plan_backward(video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
    start, backward = int(rng.integers(video.n_frames - 8)), int(rng.integers(2))
    frames = np.arange(start, start + 8, dtype=np.int64)
    return [View(frames[::-1].copy() if backward else frames, (32, 32))], {"backward": backward}


def _check_metric(metric: Any, expect: Expect) -> None:
    expect(isinstance(metric, Metric), f"returns {metric!r}; expected vssl_core.contracts.Metric")
    expect(math.isfinite(metric.value), f"'{metric.name}' is {metric.value}; expected a finite number")
    if metric.unit in _FRACTIONS:
        expect(0 <= metric.value <= 1, f"'{metric.name}' is {metric.value}; a fraction lies in [0, 1]")
    expect(metric.chance is None or metric.chance >= 0, f"'{metric.name}' has chance {metric.chance}")
    expect(metric.n > 0, f"'{metric.name}' counts {metric.n} videos")
    of_test = counted_in(metric.name) == "test videos" and (metric.primary or metric.unit in _FRACTIONS)
    expect(
        not of_test or metric.n == _N_TEST,
        f"'{metric.name}' counts {metric.n} of {_N_TEST} test videos, {_UNREADABLE} of which are unreadable; "
        "every test video counts, an unreadable one as wrong (name metrics of validation videos val_...)",
    )
