"""The training loop: exact resume, clipping, accumulation, divergence, stop requests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from vssl_core.config.schema import OptimConfig
from vssl_core.contracts import Batch, Planner, StepOutput
from vssl_core.engine.checkpoint import latest_checkpoint, weights_sha
from vssl_core.engine.loop import TrainOptions, train
from vssl_core.engine.precision import pick_device, pick_precision
from vssl_core.engine.task import BaseTask
from vssl_core.errors import CheckpointError, ConfigError, TrainingError

CPU = torch.device("cpu")


class Numbers(BaseTask):
    """Classify noise, with dropout, batch norm and a buffer that every step changes: resume has much to get right."""

    def __init__(self) -> None:
        super().__init__(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)))
        self.register_buffer("bank", torch.zeros(3))
        self.steps_seen: list[int] = []

    def planner(self) -> Planner:
        raise AssertionError("the source below makes its batches itself")

    def augment(self, batch: Batch) -> Batch:
        return batch._replace(views=tuple(view.float() for view in batch.views))

    def forward(self, batch: Batch) -> StepOutput:
        logits = self.backbone(batch.views[0])
        loss = nn.functional.cross_entropy(logits, batch.targets["label"])
        return StepOutput(loss, {"accuracy": (logits.argmax(1) == batch.targets["label"]).float().mean()})

    def after_step(self, step: int, total_steps: int) -> None:
        self.steps_seen.append(step)
        self.bank += step / total_steps


class Source:
    """Batch k follows from k; ``stop_at`` sends this process a signal while batch k is fetched."""

    def __init__(self, size: int = 12, stop_at: int = -1, empty_at: int = -1, huge_at: int = -1) -> None:
        self.size, self.stop_at, self.empty_at, self.huge_at = size, stop_at, empty_at, huge_at
        self.asked: list[int] = []
        self.restored: Mapping[str, Any] = {}

    def batches(self, start_step: int, total_steps: int) -> Iterator[Batch]:
        for k in range(start_step, total_steps):
            self.asked.append(k)
            if k == self.stop_at:
                os.kill(os.getpid(), signal.SIGINT)
            generator = torch.Generator().manual_seed(k)
            n = 0 if k == self.empty_at else self.size
            view = torch.randn(n, 6, generator=generator) * (float("inf") if k == self.huge_at else 1.0)
            label = torch.randint(0, 3, (n,), generator=generator)
            yield Batch((view,), {"label": label}, torch.arange(n), torch.arange(n))

    def state(self) -> Mapping[str, Any]:
        return {"asked": len(self.asked)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.restored = state


def make_task() -> Numbers:
    torch.manual_seed(1)
    return Numbers()


def options(
    total: int, folder: Path | None = None, every_s: float = 1e9, run_id: str = "run-a", **optim: Any
) -> TrainOptions:
    return TrainOptions(
        run_id=run_id,
        total_steps=total,
        optim=OptimConfig(lr=1e-2, **optim),
        device=CPU,
        precision=pick_precision("auto", CPU),
        seed=3,
        checkpoints=folder,
        checkpoint_every_s=every_s,
        log_every=4,
    )


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lamb"])
def test_stopped_and_resumed_equals_never_stopped(tmp_path: Path, optimizer: str) -> None:
    whole = make_task()
    cost = train(whole, Source(), options(20, name=optimizer))
    assert cost.steps == 20 and cost.clips == 20 * 12

    stopped = make_task()
    with pytest.raises(KeyboardInterrupt):
        train(stopped, Source(stop_at=7), options(20, tmp_path, name=optimizer))
    assert stopped.steps_seen[-1] == 8, "the step under way is finished before the loop stops"

    resumed = make_task()
    source = Source()
    cost = train(resumed, source, options(20, tmp_path, name=optimizer))
    assert source.asked[0] == 8, "no batch is replayed"
    assert source.restored == {"asked": 8}
    assert cost.clips == 20 * 12, "the clips of the first session are counted in"
    assert weights_sha(resumed) == weights_sha(whole)


def test_resume_from_checkpoint_between_steps(tmp_path: Path) -> None:
    whole, again = make_task(), make_task()
    train(whole, Source(), options(9))
    train(make_task(), Source(), options(9, tmp_path, every_s=0.0))  # a checkpoint after every step
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["step-00000008", "step-00000009"], "only the newest two are kept"
    (tmp_path / "step-00000009" / "state.json").unlink()  # as if killed while writing, before the rename existed
    assert latest_checkpoint(tmp_path) == tmp_path / "step-00000008"
    train(again, Source(), options(9, tmp_path))
    assert weights_sha(again) == weights_sha(whole)


def test_damaged_checkpoint_says_so(tmp_path: Path) -> None:
    train(make_task(), Source(), options(3, tmp_path))
    (tmp_path / "step-00000003" / "optim.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="step-00000003 cannot be loaded"):
        train(make_task(), Source(), options(5, tmp_path))


def test_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    train(make_task(), Source(), options(3, tmp_path))
    with pytest.raises(CheckpointError, match=r"is of run 'run-a', this run is 'run-b'.*delete"):
        train(make_task(), Source(), options(5, tmp_path, run_id="run-b"))


def test_not_finite_stops_with_advice_and_keeps_the_good_checkpoint(tmp_path: Path) -> None:
    task = make_task()
    with pytest.raises(TrainingError, match=r"loss.*not finite at step 5 of 9.*lower optim\.lr"):
        train(task, Source(huge_at=5), options(9, tmp_path, every_s=0.0))
    assert latest_checkpoint(tmp_path) == tmp_path / "step-00000005"
    kept = load_file(tmp_path / "step-00000005" / "model.safetensors")
    assert all(torch.isfinite(value).all() for value in kept.values() if value.is_floating_point())


def test_accumulation_equals_the_large_batch() -> None:
    class Mean(Numbers):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Linear(6, 3)  # no batch norm: it would see the halves apart

    class Halves(Source):
        def batches(self, start_step: int, total_steps: int) -> Iterator[Batch]:
            for batch in Source(size=12).batches(start_step // 2, total_steps // 2):
                for part in (slice(0, 6), slice(6, 12)):
                    labels = {"label": batch.targets["label"][part]}
                    yield Batch((batch.views[0][part],), labels, batch.seeds[part], batch.index[part])

    torch.manual_seed(0)
    large = Mean()
    halves = Mean()
    halves.load_state_dict(large.state_dict())
    train(large, Source(size=12), options(6, name="sgd"))
    train(halves, Halves(), options(6, name="sgd", accumulate=2))
    for one, other in zip(large.parameters(), halves.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_empty_batch_is_passed_over() -> None:
    task = make_task()
    cost = train(task, Source(empty_at=2), options(5))
    assert cost.steps == 5 and cost.clips == 4 * 12


def test_metrics_are_logged_with_rate_that_warms_up_and_falls() -> None:
    rows: list[tuple[int, Mapping[str, float]]] = []
    train(make_task(), Source(), options(40, warmup=0.25), log=lambda step, metrics: rows.append((step, dict(metrics))))
    rates = [metrics["lr"] for _, metrics in rows]
    assert [step for step, _ in rows] == [*range(1, 40, 4), 40]
    assert rates[0] < rates[1] < rates[2] and max(rates) == pytest.approx(1e-2, rel=0.05)
    assert rates[-1] < 1e-3
    assert {"loss", "accuracy", "grad_norm"} <= set(rows[0][1])


def test_clipping_bounds_the_step() -> None:
    free, clipped = make_task(), make_task()
    start = [parameter.detach().clone() for parameter in free.parameters()]
    sgd = {"name": "momentum", "momentum": 0.0, "schedule": "constant", "warmup": 0.0, "weight_decay": 0.0}
    train(free, Source(), options(1, clip_grad=0.0, **sgd))
    train(clipped, Source(), options(1, clip_grad=1e-3, **sgd))

    def moved(task: Numbers) -> float:
        parts = [(now.detach() - then).pow(2).sum() for now, then in zip(task.parameters(), start, strict=True)]
        return float(torch.stack(parts).sum().sqrt())

    assert moved(clipped) <= 1e-2 * 1e-3 * 1.01
    assert moved(free) > 10 * moved(clipped)


def test_unknown_optimiser_names_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"optim\.name=adamww is no optimiser of timm; did you mean 'adamw'"):
        train(make_task(), Source(), options(1, name="adamww"))


def test_device_and_precision_choices() -> None:
    assert pick_precision("auto", CPU).name == "fp32"
    assert pick_precision("bf16", CPU).dtype is torch.bfloat16
    with pytest.raises(ConfigError, match="fp16 needs a CUDA device"):
        pick_precision("fp16", CPU)
    with pytest.raises(ConfigError, match="no device"):
        pick_device("warp-drive")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="not on this machine"):
            pick_device("cuda")
        assert pick_device("auto").type in ("cpu", "mps")
