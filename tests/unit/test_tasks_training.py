"""Every trained task on noise: it can fit a batch, evaluates without a trace, and draws sample by sample."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.tasks import TinyNet, make_batch, registry

from vssl_core.contracts import Batch
from vssl_core.plugins import Registry

CASES: list[tuple[Any, float | None]] = [
    ("clip-order@tiny", 1 / 6),
    ("rtt@tiny", 1 / 5),
    ("pace@tiny", 1 / 4),
    ({"name": "pace", "recipe": "tiny", "contrast": "content"}, 1 / 4),
    ({"name": "pace", "recipe": "tiny", "contrast": "rate"}, 1 / 4),
    ("simclr@tiny", None),
    ({"name": "simclr", "recipe": "tiny", "clips": 3, "blur": 0.5, "grey": 0.2}, None),
    ("videomae@tiny", None),
    ("supervised@tiny", 1 / 3),
    ({"name": "random-labels", "of": "rtt@tiny"}, 1 / 5),
]
IDS = [case[0] if isinstance(case[0], str) else "-".join(map(str, case[0].values())) for case in CASES]
LABELS = [0, 1, 2, 0, 1, 2]
MOST_STEPS = 120
# The pictures have no measured motion.
SELECT = {name: {"select": "uniform"} for name in ("opn", "shuffle-learn")}

#: every task that trains without labels: whoever adds one has it here
TRAINED = sorted(
    entry.spec.name
    for entry in registry().entries("tasks")
    if entry.spec.trains and "tiny" in entry.spec.recipes and not entry.spec.needs_labels
)


def make(reference: Any) -> tuple[Any, Batch]:
    torch.manual_seed(0)
    supervised = reference == "supervised@tiny"
    task = registry().build("tasks", reference, TinyNet(), **({"n_classes": 3} if supervised else {}))
    return task, make_batch(task, labels=LABELS if supervised else None)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(("reference", "chance"), CASES, ids=IDS)
def test_loss_falls_on_one_batch(reference: Any, chance: float | None) -> None:
    task, batch = make(reference)
    assert task.chance == chance
    task.setup(6, 30)
    batch = task.augment(batch)
    for view in batch.views:
        assert view.shape == (6, 3, 8, 32, 32)
        assert view.min() >= 0 and view.max() <= 1
    optimizer = torch.optim.Adam(task.param_groups(), lr=3e-3)
    losses = []
    for step in range(30):
        output = task(batch)
        assert all(not value.requires_grad and value.ndim == 0 for value in output.metrics.values())
        optimizer.zero_grad()
        output.loss.backward()
        if step == 0:
            # Only a head that the task does not use may stay without a gradient: none here.
            idle = {n for n, p in task.named_parameters() if p.grad is None} - unused_by(reference)
            assert not idle
        optimizer.step()
        task.after_step(step + 1, 30)
        losses.append(float(output.loss.detach()))
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


@pytest.mark.parametrize("name", TRAINED)
def test_every_task_fits_a_batch_of_moving_pictures(name: str) -> None:
    torch.manual_seed(0)
    frames = "frames" in registry().entry("tasks", name).spec.requires
    backbone = Registry.discover().build("backbones", "timm/test_resnet") if frames else TinyNet()
    task = registry().build("tasks", {"name": name, "recipe": "tiny", **SELECT.get(name, {})}, backbone)
    task.setup(6, MOST_STEPS)
    task.train()
    batch = task.augment(make_batch(task, n_frames=96, moving=True))
    for view in batch.views:
        assert view.dtype == torch.float32 and torch.isfinite(view).all()
    optimizer = torch.optim.Adam(task.param_groups(), lr=3e-3)
    losses: list[float] = []
    for step in range(MOST_STEPS):
        output = task(batch)
        assert torch.isfinite(output.loss)
        assert all(not value.requires_grad and value.ndim == 0 for value in output.metrics.values())
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        task.after_step(step + 1, MOST_STEPS)
        losses.append(float(output.loss.detach()))
        # Where keys are queued, the first steps are easy: there is little to be told from.
        if step >= 30 and sum(losses[-5:]) < 0.9 * max(sum(losses[:5]), sum(losses[5:10])):
            return
    raise AssertionError(f"the loss does not fall: {losses}")


def unused_by(reference: Any) -> set[str]:
    """Parameters of the test's network for masking, or for anything else."""
    if reference == "videomae@tiny":
        return {f"backbone.{part}" for part in ("conv.weight", "conv.bias", "norm.weight", "norm.bias")}
    where = "inner.backbone" if "random-labels" in str(reference) else "backbone"
    return {f"{where}.{part}" for part in ("tubelets.weight", "tubelets.bias", "mix.weight", "mix.bias")}


@pytest.mark.parametrize(("reference", "chance"), CASES, ids=IDS)
def test_evaluation_leaves_no_trace(reference: Any, chance: float | None) -> None:
    task, batch = make(reference)
    batch = task.augment(batch)
    task.train()
    task.encoder().norm.eval()  # a frozen norm must stay frozen
    before = {name: value.clone() for name, value in task.state_dict().items()}
    rng = torch.get_rng_state()
    first = task.evaluate(batch)
    assert torch.equal(rng, torch.get_rng_state())
    assert task.training
    assert not task.encoder().norm.training
    assert all(torch.equal(before[name], value) for name, value in task.state_dict().items())
    assert all(parameter.grad is None for parameter in task.parameters())
    assert ("accuracy" in first) == (chance is not None)
    for name, (total, n) in first.items():
        assert n == 6
        assert torch.equal(total, task.evaluate(batch)[name][0])
        assert not total.requires_grad
    if chance is not None:
        assert 0 <= first["accuracy"][0] <= 6


@pytest.mark.parametrize("reference", [case[0] for case in CASES], ids=IDS)
def test_a_split_batch_is_augmented_the_same(reference: Any) -> None:
    task, batch = make(reference)

    def part(rows: slice) -> Batch:
        targets = {name: value[rows] for name, value in batch.targets.items()}
        return Batch(tuple(view[rows] for view in batch.views), targets, batch.seeds[rows], batch.index[rows])

    whole = task.augment(batch)
    for rows in (slice(0, 2), slice(2, 6), slice(5, 6)):
        for of_part, of_whole in zip(task.augment(part(rows)).views, whole.views, strict=True):
            torch.testing.assert_close(of_part, of_whole[rows], rtol=0, atol=1e-6)


@pytest.mark.parametrize("reference", [case[0] for case in CASES], ids=IDS)
def test_samples_of_a_batch_may_be_missing(reference: Any) -> None:
    task, batch = make(reference)
    for n in (3, 1):
        targets = {name: value[:n] for name, value in batch.targets.items()}
        small = Batch(tuple(view[:n] for view in batch.views), targets, batch.seeds[:n], batch.index[:n])
        small = task.augment(small)
        output = task(small)
        output.loss.backward()
        assert torch.isfinite(output.loss)
        assert all(torch.isfinite(p.grad).all() for p in task.parameters() if p.grad is not None)
        assert all(count == n for _, count in task.evaluate(small).values())


def test_weights_are_stored_once() -> None:
    for reference in ("rtt@tiny", {"name": "random-labels", "of": "rtt@tiny"}):
        task, _ = make(reference)
        pointers = [value.data_ptr() for value in task.state_dict().values() if value.numel()]
        assert len(pointers) == len(set(pointers))
