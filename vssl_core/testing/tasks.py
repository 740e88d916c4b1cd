"""The check of pretext tasks."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vssl_core.contracts import Batch, StepOutput, View
from vssl_core.errors import ClipError
from vssl_core.plugins import Entry, Registry
from vssl_core.testing.backbones import check_encoder
from vssl_core.testing.components import check_component, pick
from vssl_core.testing.expect import Expect, untouched_generators
from vssl_core.testing.fakes import FakeBackbone, fake_batch, fake_videos

__all__ = ["check_task"]

_N, _CLASSES, _STEPS = 4, 3, 2
_FITS = ("short-side-crop", "stretch", "pad")


def check_task(
    component: Entry | str | Mapping[str, Any],
    registry: Registry,
    *,
    backbone: str | Mapping[str, Any] | None = None,
    frames: int = 300,
) -> None:
    """Check a pretext task from its Spec to its encoder, with one step of training.

    Its options are documented and are its constructor's keywords. The planner is picklable, plans the same from one
    generator, asks for frames that exist and refuses short videos by ``ClipError`` alone. ``augment`` gives float views
    in [0, 1], the same for a split batch. The loss is a finite scalar whose gradient reaches the backbone. ``evaluate``
    changes nothing, and counts right answers where the Spec provides ``"accuracy"``, and only there. Every parameter
    that learns is in one parameter group. What was saved can be put back.

    Args:
        component: an ``Entry`` (taken with its recipe ``tiny`` where it has one), or what configurations say:
            ``"rtt@tiny"`` or a mapping with ``name`` and options.
        registry: where it is looked up, and what the task builds other components from.
        backbone: one of the registry's backbones; by default ``FakeBackbone``, which has every capability.
        frames: readable frames of the videos it is tried on.

    Raises:
        ConformanceError: it does not keep its contract.
    """
    check_component("tasks", component, registry)
    entry, value = pick("tasks", component, registry)
    expect = Expect(entry)

    def build() -> Any:
        torch.manual_seed(0)
        network = _backbone(entry, backbone, registry)
        extra = {"n_classes": _CLASSES} if entry.spec.needs_labels else {}
        return registry.build("tasks", value, network, **extra)

    task = build()
    expect(isinstance(task, nn.Module), f"is a {type(task).__name__}; expected an nn.Module")
    chance = task.chance
    expect(chance is None or 0 < chance <= 1, f"chance is {chance!r}; expected None or a fraction")
    if not entry.spec.trains:
        check_encoder(task.encoder(), expect)
        return

    _check_planner(task.planner(), expect, frames)
    task.setup(_N, _STEPS)
    raw = fake_batch(task, _N, frames=frames, n_classes=_CLASSES if entry.spec.needs_labels else 0)
    expect(raw.targets or not entry.spec.needs_labels, "needs labels but its batch has none")
    batch = _check_augment(task, raw, expect, registry.resolve("tasks", value).options)
    _check_evaluate(task, batch, expect)
    _check_step(task, batch, expect)
    _check_evaluate(task, batch, expect)
    _check_reload(task, build, batch, expect)
    resolved = registry.resolve("tasks", value)
    _check_accuracy(task, task.evaluate(batch), resolved.provides, expect)
    options = resolved.options
    check_encoder(task.encoder(), expect, frames=int(options.get("frames", 8)), size=int(options.get("size", 32)))


def _backbone(entry: Entry, backbone: str | Mapping[str, Any] | None, registry: Registry) -> Any:
    if not entry.spec.uses_backbone:
        return None
    return FakeBackbone() if backbone is None else registry.build("backbones", backbone)


def _check_planner(planner: Any, expect: Expect, frames: int) -> None:
    twin = _pickled(planner, expect)
    videos = [*fake_videos(2, frames), *fake_videos(1, frames + 37)]
    shapes = []
    for number, video in enumerate(videos):
        with untouched_generators(expect, "its planner"):
            views, targets = planner(video, np.random.default_rng(number))
            planner(video, np.random.default_rng(number + 1))
        for other, words in ((planner, "twice"), (twin, "after pickling")):
            again, same = other(video, np.random.default_rng(number))
            expect(
                _equal_plans((views, targets), (again, same)),
                f"its planner called {words} with one generator plans otherwise",
            )
        for view in views:
            _check_view(view, video.n_frames, expect)
        for name, target in targets.items():
            expect(not isinstance(target, Tensor), f"target '{name}' is a tensor; planners give numbers or arrays")
        shapes.append([(len(view.frames), view.size) for view in views])
    expect(all(shape == shapes[0] for shape in shapes), f"its planner asks for views of changing shape: {shapes}")
    short = fake_videos(1, 1)[0]
    try:
        views, _ = planner(short, np.random.default_rng(0))
    except ClipError:
        return
    for view in views:
        _check_view(view, short.n_frames, expect)


def _pickled(planner: Any, expect: Expect) -> Any:
    try:
        return pickle.loads(pickle.dumps(planner))
    except Exception as error:
        expect(False, f"its planner cannot be pickled, as loader workers need: {type(error).__name__}: {error}")
        raise


def _check_view(view: View, n_frames: int, expect: Expect) -> None:
    frames = view.frames
    expect(
        isinstance(frames, np.ndarray) and frames.dtype == np.int64 and frames.ndim == 1,
        f"frames of a view are {frames!r}; expected a one-dimensional int64 array",
    )
    expect(len(frames) > 0, "a view asks for no frames")
    expect(frames.min() >= 0 and frames.max() < n_frames, f"a view asks for frames {frames.tolist()} of {n_frames}")
    expect(len(view.size) == 2 and min(view.size) > 0, f"size of a view is {view.size}; expected height and width")
    expect(view.fit in _FITS, f"fit of a view is {view.fit!r}; expected one of {_FITS}")


def _equal_plans(a: Any, b: Any) -> bool:
    (views_a, targets_a), (views_b, targets_b) = a, b
    return (
        len(views_a) == len(views_b)
        and all(np.array_equal(x.frames, y.frames) and x[1:] == y[1:] for x, y in zip(views_a, views_b, strict=True))
        and targets_a.keys() == targets_b.keys()
        and all(np.array_equal(targets_a[name], targets_b[name]) for name in targets_a)
    )


def _check_augment(task: Any, raw: Batch, expect: Expect, options: Mapping[str, Any]) -> Batch:
    kept = copy.deepcopy(raw)
    with untouched_generators(expect, "augment"):
        batch = task.augment(raw)
    expect(_equal_batches(raw, kept), "augment changes the batch that it was given")
    expect(isinstance(batch, Batch), f"augment returns a {type(batch).__name__}; expected a Batch")
    for view in batch.views:
        expect(
            view.dim() == 5 and view.shape[:2] == (_N, 3), f"a view is {tuple(view.shape)}; expected ({_N}, 3, T, H, W)"
        )
        expect(view.is_floating_point(), f"a view is {view.dtype}; expected float")
        expect(bool(view.isfinite().all()), "a view holds numbers that are not finite")
        low, high = float(view.min()), float(view.max())
        expect(low >= 0 and high <= 1, f"a view holds values from {low:.3g} to {high:.3g}; expected [0, 1]")
        if "size" in options:
            side = int(options["size"])
            expect(view.shape[3:] == (side, side), f"a view is {tuple(view.shape[3:])} pixels; task.size is {side}")
    expect(_equal_batches(task.augment(raw), batch), "augment gives something else when it is called again")
    head = task.augment(_rows(raw, slice(0, 1)))
    tail = task.augment(_rows(raw, slice(1, None)))
    for whole, first, rest in zip(batch.views, head.views, tail.views, strict=True):
        joined = torch.cat([first, rest])
        expect(
            torch.allclose(joined, whole, atol=1e-5),
            f"augment of a split batch differs from that of the whole by {float((joined - whole).abs().max()):.3g}; "
            "every draw must come from a sample's own entry of batch.seeds",
        )
    return batch


def _check_step(task: Any, batch: Batch, expect: Expect) -> None:
    task.train()
    groups = task.param_groups()
    grouped = [parameter for group in groups for parameter in group["params"]]
    expect(len({id(p) for p in grouped}) == len(grouped), "a parameter is in two parameter groups")
    learning = {id(p): name for name, p in task.named_parameters() if p.requires_grad}
    forgotten = [name for key, name in learning.items() if key not in {id(p) for p in grouped}]
    expect(not forgotten, f"parameters that require gradients are in no parameter group: {', '.join(forgotten)}")

    torch.manual_seed(0)
    output = task(batch)
    expect(isinstance(output, StepOutput), f"returns a {type(output).__name__}; expected StepOutput")
    loss = output.loss
    expect(loss.dim() == 0 and bool(loss.isfinite()), f"loss is {loss!r}; expected a finite scalar")
    expect(loss.requires_grad, "loss has no gradient")
    for name, metric in output.metrics.items():
        expect(
            isinstance(metric, Tensor) and metric.dim() == 0, f"metric '{name}' is {metric!r}; expected a scalar tensor"
        )
        expect(not metric.requires_grad, f"metric '{name}' is not detached")
    optimizer = torch.optim.SGD(grouped, lr=1e-3)
    optimizer.zero_grad()
    loss.backward()
    network = {
        id(p) for module in (task.encoder(), getattr(task, "backbone", None)) if module for p in module.parameters()
    }
    reached = [p for p in task.parameters() if id(p) in network and p.grad is not None and bool((p.grad != 0).any())]
    expect(reached, "the loss's gradient does not reach the backbone")
    expect(all(bool(p.grad.isfinite().all()) for p in grouped if p.grad is not None), "a gradient is not finite")
    optimizer.step()
    task.after_step(0, _STEPS)


def _check_evaluate(task: Any, batch: Batch, expect: Expect) -> None:
    task.train()
    modes = [module.training for module in task.modules()]
    before = {name: value.clone() for name, value in task.state_dict().items()}
    kept = copy.deepcopy(batch)
    with untouched_generators(expect, "evaluate"):
        figures = task.evaluate(batch)
        again = task.evaluate(batch)
    after = task.state_dict()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    expect(not changed, f"evaluate changes {', '.join(changed)}")
    expect(modes == [module.training for module in task.modules()], "evaluate leaves modules in another mode")
    expect(_equal_batches(batch, kept), "evaluate changes the batch")
    expect(figures, "evaluate gives no figures")
    for name, (total, n) in figures.items():
        expect(
            isinstance(total, Tensor) and total.dim() == 0,
            f"evaluate's '{name}' has sum {total!r}; expected a scalar tensor",
        )
        expect(isinstance(n, int) and n > 0, f"evaluate's '{name}' has count {n!r}; expected a positive int")
        expect(
            bool(total.isfinite()) and not total.requires_grad,
            f"evaluate's '{name}' is {total!r}; expected a finite number",
        )
        expect(torch.equal(total, again[name][0]), f"evaluate's '{name}' changes when it is called again")
        if name == "accuracy":
            expect(-1e-4 <= float(total) <= n + 1e-4, f"evaluate counts {float(total)} right of {n}")


def _check_accuracy(task: Any, figures: Mapping[str, Any], offered: frozenset[str], expect: Expect) -> None:
    """What plans are made by must be what is measured, and have something to be held against."""
    counts = [name for name in figures if name == "accuracy" or name.endswith("_top1")]
    said, say = "accuracy" in offered, 'provides=frozenset({"accuracy"})'
    expect(said or not counts, f"evaluate counts right answers ({', '.join(figures)}); say {say} in its Spec")
    expect(
        counts or not said,
        f"its Spec says that evaluate counts right answers ({say}, or 'inner', what the tasks inside it provide); it "
        f"gives {', '.join(figures)}",
    )
    # Beside an accuracy, which boards and audits take, others may stand as they are.
    for name in ["accuracy"] if "accuracy" in counts else counts:
        chance = name.removesuffix("_top1") + "_chance"
        known = chance in figures or (name == "accuracy" and task.chance is not None)
        expect(
            known, f"evaluate counts right answers; say what guessing gives: set chance, or measure {chance} beside it"
        )


def _check_reload(task: Any, build: Any, batch: Batch, expect: Expect) -> None:
    other = build()
    other.setup(_N, _STEPS)
    other.load_state_dict(copy.deepcopy(task.state_dict()), strict=True)
    ours, theirs = task.evaluate(batch), other.evaluate(batch)
    for name in ours:
        expect(
            torch.allclose(ours[name][0], theirs[name][0], rtol=1e-4, atol=1e-5),
            f"a task that takes over the saved state evaluates '{name}' to {float(theirs[name][0]):.6g}, the saved one "
            f"to {float(ours[name][0]):.6g}; keep everything that training changes in parameters or buffers",
        )


def _rows(batch: Batch, rows: slice) -> Batch:
    return Batch(
        tuple(view[rows] for view in batch.views),
        {name: target[rows] for name, target in batch.targets.items()},
        batch.seeds[rows],
        batch.index[rows],
    )


def _equal_batches(a: Batch, b: Batch) -> bool:
    return (
        len(a.views) == len(b.views)
        and all(torch.equal(x, y) for x, y in zip(a.views, b.views, strict=True))
        and a.targets.keys() == b.targets.keys()
        and all(torch.equal(a.targets[name], b.targets[name]) for name in a.targets)
        and torch.equal(a.seeds, b.seeds)
    )
