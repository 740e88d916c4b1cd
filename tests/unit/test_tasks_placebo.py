"""``random-labels``: the same work on targets that say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from support.tasks import TinyNet, make_batch, registry, video
from torch import Tensor, nn

from vssl_baselines.random_labels import RandomLabels, permute_targets
from vssl_core.contracts import Batch, StepOutput
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError


def batch_of(n: int, seed: int, **targets: Tensor) -> Batch:
    seeds = torch.randint(0, 2**62, (n,), generator=torch.Generator().manual_seed(seed))
    return Batch((), targets, seeds, torch.arange(n))


def test_targets_are_permuted_together_and_kept_in_number() -> None:
    first = torch.arange(12)
    permuted = permute_targets(batch_of(12, 0, a=first, b=first[:, None] * torch.ones(12, 3))).targets
    assert permuted["a"].tolist() != first.tolist()
    assert sorted(permuted["a"].tolist()) == first.tolist()
    assert torch.equal(permuted["b"][:, 0].long(), permuted["a"])


def test_the_permutation_is_a_function_of_the_batch() -> None:
    first = batch_of(12, 0, a=torch.arange(12))
    assert torch.equal(permute_targets(first).targets["a"], permute_targets(first).targets["a"])
    other = permute_targets(batch_of(12, 1, a=torch.arange(12))).targets["a"]
    assert not torch.equal(permute_targets(first).targets["a"], other)
    assert permute_targets(batch_of(1, 0, a=torch.tensor([7]))).targets["a"].tolist() == [7]


def test_the_permutation_is_uniform() -> None:
    counts = np.zeros((4, 4))
    for seed in range(2_000):
        order = permute_targets(batch_of(4, seed, a=torch.arange(4))).targets["a"].numpy()
        counts[np.arange(4), order] += 1
    assert (np.abs(counts - 500) < 5 * np.sqrt(500)).all(), counts


class Knows(BaseTask):
    """A task that is always right on the true targets: it reads them off the view."""

    chance = 0.25

    def __init__(self, backbone: Any) -> None:
        super().__init__(backbone)
        self.steps: list[int] = []

    def planner(self) -> Any:
        return lambda video, rng: ([], {"answer": 0})

    def augment(self, batch: Batch) -> Batch:
        return batch

    def forward(self, batch: Batch) -> StepOutput:
        right = (batch.views[0] == batch.targets["answer"]).float().mean()
        return StepOutput(1 - right, {"accuracy": right})

    def after_step(self, step: int, total_steps: int) -> None:
        self.steps.append(step)


def placebo_of(inner: nn.Module) -> RandomLabels:
    def build(kind: str, name: str, *args: Any, **options: Any) -> Any:
        return inner

    return RandomLabels(TinyNet(), build=build, of="knows")


def test_knowledge_is_worth_chance_in_training_and_evaluation() -> None:
    task = placebo_of(Knows(TinyNet()))
    assert task.chance == 0.25
    rights: Mapping[str, list[float]] = {"train": [], "evaluate": []}
    for seed in range(40):
        answer = torch.randint(0, 4, (48,), generator=torch.Generator().manual_seed(seed))
        batch = batch_of(48, seed, answer=answer)._replace(views=(answer,))
        rights["train"].append(float(task(batch).metrics["accuracy"]))
        correct, n = task.evaluate(batch)["accuracy"]
        rights["evaluate"].append(float(correct) / n)
    for values in rights.values():
        # A sample meets its own target once in 48, and any other of its class as often as there are: 1/4 in all.
        assert abs(np.mean(values) - 0.25) < 5 * np.sqrt(0.25 * 0.75 / (40 * 48))


def test_all_else_is_the_inner_task() -> None:
    built = registry().build("tasks", {"name": "random-labels", "of": {"name": "pace", "recipe": "tiny"}}, TinyNet())
    assert built.encoder() is built.inner.backbone
    assert built.planner() is built.inner.planner()
    batch = make_batch(built)
    assert all(
        torch.equal(a, b) for a, b in zip(built.augment(batch).views, built.inner.augment(batch).views, strict=True)
    )
    grouped = [parameter for group in built.param_groups() for parameter in group["params"]]
    assert {id(p) for p in grouped} == {id(p) for p in built.parameters()}
    inner = Knows(TinyNet())
    placebo_of(inner).after_step(3, 9)
    assert inner.steps == [3]


@pytest.mark.parametrize("of", ["motion-stats@tiny", "inpainting@tiny", "future-frames@tiny"])
def test_targets_that_augment_makes_are_permuted_too(of: str) -> None:
    torch.manual_seed(0)
    task = registry().build("tasks", {"name": "random-labels", "of": of}, TinyNet())
    task.setup(6, 4)
    raw = make_batch(task, n_frames=64, moving=True)
    assert not raw.targets, "its planner makes none"
    batch = task.augment(raw)
    permuted = permute_targets(batch)
    assert batch.targets
    for name, value in batch.targets.items():
        assert any(not torch.equal(a, b) for a, b in zip(permuted.targets[name], value, strict=True)), name
    task.eval()
    with torch.no_grad():
        assert float(task(batch).loss) == float(task.inner(permuted).loss) != float(task.inner(batch).loss)


@pytest.mark.parametrize("of", ["simclr@tiny", "videomae@tiny", "random-labels"])
def test_tasks_without_targets_have_no_placebo_of_their_own(of: str) -> None:
    with pytest.raises(ConfigError, match=r"no targets of its own.*task.of=pace"):
        registry().build("tasks", {"name": "random-labels", "of": of}, TinyNet())


def test_tasks_that_learn_from_more_than_their_targets_are_refused() -> None:
    def build(contrast: str) -> Any:
        of = {"name": "pace", "recipe": "tiny", "contrast": contrast}
        return registry().build("tasks", {"name": "random-labels", "of": of}, TinyNet())

    with pytest.raises(ConfigError, match=r"'content'.*supervised_by_targets is False.*task.of=pace"):
        build("content")
    assert build("rate").inner.contrast == "rate"
    assert build("none").inner.supervised_by_targets
    taught_otherwise = Knows(TinyNet())
    taught_otherwise.supervised_by_targets = False
    with pytest.raises(ConfigError, match="more than its targets"):
        placebo_of(taught_otherwise)


@pytest.mark.parametrize(("of", "why"), [("supervised@tiny", "given labels"), ("random-init", "is a floor")])
def test_neither_have_supervised_and_floors(of: str, why: str) -> None:
    with pytest.raises(ConfigError, match=rf"cannot be the task of random-labels.*{why}.*task.of=pace"):
        registry().build("tasks", {"name": "random-labels", "of": of}, TinyNet())


def test_views_are_those_of_the_task() -> None:
    placebo = registry().build("tasks", {"name": "random-labels", "of": "rtt@tiny"}, TinyNet())
    task = registry().build("tasks", "rtt@tiny", TinyNet())
    for draw in range(5):
        mine, _ = placebo.planner()(video(), np.random.default_rng(draw))
        its, _ = task.planner()(video(), np.random.default_rng(draw))
        assert np.array_equal(mine[0].frames, its[0].frames)
