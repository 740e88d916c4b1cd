"""``multi``: the sum of tasks on one backbone and one read."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.tasks import TinyNet, make_batch, registry, video
from torch import Tensor, nn

from vssl_baselines.multi import Multi
from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.loader import Loader, Quarantine
from vssl_core.data.plan import OneClip
from vssl_core.engine.checkpoint import load_checkpoint, save_checkpoint
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ClipError, ConfigError, PluginError
from vssl_core.testing import FakeReader, fake_videos

REGISTRY = registry()
BOTH: Mapping[str, Any] = {"pace@tiny": 1.0, "simclr@tiny": 0.5}


def multi(of: Mapping[str, Any] = BOTH, net: nn.Module | None = None, **options: Any) -> Any:
    torch.manual_seed(0)
    return REGISTRY.build("tasks", {"name": "multi", "of": of, **options}, net or TinyNet())


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Plain(BaseTask):
    """One clip, its mean is the loss; says what is asked of it."""

    def __init__(
        self,
        backbone: Any,
        *,
        times: int = 1,
        chance: float | None = None,
        measured: float | None = None,
        targets: bool = True,
    ) -> None:
        super().__init__(backbone)
        self.scale = nn.Parameter(torch.ones(()))
        self.measured = measured
        self.times, self.chance, self.targets = times, chance, targets
        self.calls: list[tuple[str, int, int]] = []

    def planner(self) -> Any:
        return _OneClip(OneClip("plain", 4, 1, (16, 16), "stretch", "error"), self.targets)

    def augment(self, batch: Batch) -> Batch:
        view = batch.views[0].permute(0, 4, 1, 2, 3).float() / 255
        return batch._replace(views=(view,) * self.times)

    def forward(self, batch: Batch) -> StepOutput:
        assert len(batch.views) == self.times
        loss = self.scale * self.backbone(batch.views[0]).pooled.mean()
        if self.measured is not None:
            return StepOutput(loss, {"accuracy": torch.tensor(0.25), "accuracy_chance": torch.tensor(self.measured)})
        right = torch.full((), 0.75) if self.chance is not None else loss.detach()
        return StepOutput(loss, {"accuracy" if self.chance is not None else "mean": right})

    def setup(self, n_videos: int, total_steps: int) -> None:
        self.calls.append(("setup", n_videos, total_steps))

    def after_step(self, step: int, total_steps: int) -> None:
        self.calls.append(("after_step", step, total_steps))

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        extra = (("what it was", batch.views[0][0]),)
        shown = (0,) if self.times > 1 else None
        return [
            Explanation("What?", f"that {row}", ("a clip",) * self.times, extra, shown)
            for row in range(len(batch.index))
        ]


class _OneClip:
    needs_motion = True

    def __init__(self, clip: OneClip, targets: bool) -> None:
        self.clip, self.targets = clip, targets

    def __call__(self, row: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        views, _ = self.clip(row, rng)
        return views, {"answer": np.int64(rng.integers(4))} if self.targets else {}


def plain(of: Mapping[str, Mapping[str, Any]], weights: Sequence[float] = (1, 1, 1), draws: str = "alone") -> Multi:
    """A sum of ``Plain`` tasks: name -> its keywords."""
    net = TinyNet()
    built = {name: Plain(net, **keywords) for name, keywords in of.items()}

    def build(kind: str, name: Any, *args: Any, **options: Any) -> Any:
        return built[name["name"]]

    return Multi(net, build=build, of=dict(zip(of, weights, strict=False)), draws=draws)


# -------------------------------------------------------------------------------------------------- one task alone


@pytest.mark.parametrize("name", ["pace@tiny", "simclr@tiny"])
def test_a_sum_of_one_task_is_that_task(name: str) -> None:
    torch.manual_seed(0)
    alone = REGISTRY.build("tasks", name, TinyNet())
    one = multi({name: 1})
    expected, found = make_batch(alone), make_batch(one)
    assert all(torch.equal(a, b) for a, b in zip(expected.views, found.views, strict=True))
    expected, found = alone.augment(expected), one.augment(found)
    assert all(torch.equal(a, b) for a, b in zip(expected.views, found.views, strict=True))
    torch.manual_seed(1)
    loss = alone(expected).loss
    torch.manual_seed(1)
    output = one(found)
    assert torch.equal(loss, output.loss)
    own = alone.evaluate(expected)
    assert {f"{name.partition('@')[0]}.{key}": value for key, value in own.items()}.items() <= one.evaluate(
        found
    ).items()
    assert one.chance == alone.chance


def test_what_is_added_changes_nothing_of_what_the_others_see() -> None:
    torch.manual_seed(0)
    alone = REGISTRY.build("tasks", "pace@tiny", TinyNet())
    joined = multi({"simclr@tiny": 1, "pace@tiny": 1})
    expected, found = alone.augment(make_batch(alone)), joined.augment(make_batch(joined))
    assert len(found.views) == 3
    assert torch.equal(expected.views[0], found.views[2])
    assert {f"pace.{key}" for key in expected.targets} == set(found.targets)
    assert all(torch.equal(value, found.targets[f"pace.{key}"]) for key, value in expected.targets.items())


# ---------------------------------------------------------------------------------------------------- their sum


def test_the_loss_is_the_weighted_sum() -> None:
    task = multi({"pace@tiny": 2.0, "rtt": {"weight": 0.25, "recipe": "tiny", "options": {"jitter": 0.0}}})
    batch = task.augment(make_batch(task))
    output = task(batch)
    metrics = output.metrics
    expected = 2.0 * metrics["pace.loss"] + 0.25 * metrics["rtt.loss"]
    torch.testing.assert_close(output.loss.detach(), expected)
    assert float(metrics["pace.loss"]) != float(metrics["rtt.loss"])
    assert set(metrics) == {"pace.loss", "pace.accuracy", "rtt.loss", "rtt.accuracy", "accuracy"}
    assert all(not value.requires_grad and value.ndim == 0 for value in metrics.values())
    torch.testing.assert_close(metrics["accuracy"], (metrics["pace.accuracy"] + metrics["rtt.accuracy"]) / 2)


def test_a_chance_that_a_task_measures_counts_beside_the_others() -> None:
    task = plain({"a": {"chance": 0.25}, "b": {"measured": 0.125}, "c": {}})
    batch = task.augment(make_batch(task))
    means = {name: float(total) / n for name, (total, n) in task.evaluate(batch).items()}
    assert (means["accuracy"], means["accuracy_chance"]) == (0.5, 0.1875)
    assert float(task(batch).metrics["accuracy"]) == 0.5


def test_gradients_are_weighted() -> None:
    task = plain({"a": {}, "b": {}}, weights=(3.0, 0.5))
    batch = task.augment(make_batch(task))
    task(batch).loss.backward()
    a, b = (task.inner[name].scale.grad for name in ("a", "b"))
    torch.testing.assert_close(a, 6 * b)


def test_accuracy_is_the_mean_over_tasks_with_classes() -> None:
    task = plain({"a": {"chance": 0.25}, "b": {"chance": 0.5}, "c": {}})
    assert task.chance == 0.375
    figures = task.evaluate(task.augment(make_batch(task)))
    means = {name: float(total) / n for name, (total, n) in figures.items()}
    assert (means["accuracy"], means["a.accuracy"], means["a.chance"], means["b.chance"]) == (0.75, 0.75, 0.25, 0.5)
    assert "c.chance" not in means and "c.mean" in means and "accuracy_chance" not in means
    assert plain({"c": {}}).chance is None
    without = plain({"c": {}})
    assert "accuracy" not in without.evaluate(without.augment(make_batch(without)))


def test_every_task_is_set_up_and_follows_the_steps() -> None:
    task = plain({"a": {}, "b": {}})
    task.setup(7, 30)
    task.after_step(3, 30)
    assert [task.inner[name].calls for name in ("a", "b")] == [[("setup", 7, 30), ("after_step", 3, 30)]] * 2


def test_tasks_that_make_more_views_of_one_get_theirs_back() -> None:
    task = plain({"a": {"times": 3}, "b": {}, "c": {"times": 2}})
    batch = make_batch(task)
    assert len(batch.views) == 3
    with pytest.raises(PluginError, match=r"batch of 6 views.*augment"):
        task.evaluate(batch._replace(views=batch.views * 2))
    batch = task.augment(batch)
    assert len(batch.views) == 6
    task(batch)  # Plain checks the number of its views


# --------------------------------------------------------------------------------------------------------- drawing


def test_one_read_serves_all() -> None:
    task = multi()
    asked: list[int] = []

    class Reader(FakeReader):
        def __call__(self, row: Video, views: Sequence[View]) -> list[np.ndarray]:
            asked.append(len(views))
            return super().__call__(row, views)

    loader = Loader(fake_videos(4), task.planner(), Reader(), batch_size=4, seed=0, workers=0)
    batch = next(loader.batches(0, 1))
    assert asked == [3] * 4
    assert len(batch.views) == 3 and list(batch.targets) == ["pace.rate"]


def test_independent_draws_are_neither_shared_nor_those_of_a_task_alone() -> None:
    of = {"a": {}, "b": {}}
    together, apart = plain(of), plain(of, draws="independent")
    alone = plain({"a": {}})

    def starts(task: Multi) -> np.ndarray:
        planner = task.planner()
        drawn = [planner(video(0, 64), np.random.default_rng(k))[0] for k in range(40)]
        return np.array([[view.frames[0] for view in views] for views in drawn])

    assert (starts(together) == starts(alone)).all()
    assert (starts(apart)[:, 0] != starts(apart)[:, 1]).mean() > 0.9
    assert (starts(apart)[:, :1] != starts(alone)).mean() > 0.9
    assert (starts(apart) == starts(apart)).all()


def test_seeds_are_shared_or_each_task_s_own() -> None:
    seen: dict[str, list[Tensor]] = {"alone": [], "independent": []}
    for draws, seeds in seen.items():
        task = plain({"a": {}, "b": {}}, draws=draws)
        for name in ("a", "b"):
            inner: Any = task.inner[name]
            inner.augment = lambda batch, seeds=seeds: seeds.append(batch.seeds) or batch
        batch = make_batch(task)
        task.augment(batch)
        task.augment(batch._replace(views=tuple(view[1:] for view in batch.views), seeds=batch.seeds[1:]))
        assert torch.equal(seeds[0][1:], seeds[2]), "a split batch draws otherwise"
        assert torch.equal(seeds[0], batch.seeds) == (draws == "alone")
    assert torch.equal(seen["alone"][0], seen["alone"][1])
    assert not (seen["independent"][0] == seen["independent"][1]).any()


def test_a_video_too_short_for_one_task_is_left_out_and_the_task_named() -> None:
    task = multi()
    # At its fastest rate pace needs 29 frames, the contrast one clip of 15.
    with pytest.raises(ClipError, match=r"^task\.of\.pace: "):
        task.planner()(video(0, 20), np.random.default_rng(0))
    rows = [*fake_videos(2, 96), *fake_videos(3, 20)[2:]]
    quarantine = Quarantine(1.0, 3)
    loader = Loader(rows, task.planner(), FakeReader(), batch_size=3, seed=0, workers=0, quarantine=quarantine)
    assert len(next(loader.batches(0, 1)).index) == 2
    assert "task.of.pace" in quarantine.reasons["fake-2"]


def test_motion_is_asked_for_where_a_task_asks_for_it() -> None:
    assert plain({"a": {}}).planner().needs_motion
    assert not multi().planner().needs_motion


# ----------------------------------------------------------------------------------------------------- the backbone


def test_the_backbone_is_shared_trained_once_and_exported() -> None:
    net = TinyNet()
    task = multi(net=net)
    assert task.encoder() is net
    assert all(inner.backbone is net for inner in task.inner.values())
    grouped = [parameter for group in task.param_groups() for parameter in group["params"]]
    assert len(grouped) == len({id(parameter) for parameter in grouped})
    assert {id(parameter) for parameter in grouped} == {id(p) for p in task.parameters() if p.requires_grad}


def test_groups_keep_their_options() -> None:
    task = plain({"a": {}, "b": {}})
    inner: Any = task.inner["b"]
    inner.param_groups = lambda: [
        {"params": list(inner.backbone.parameters()), "lr": 5.0},
        {"params": [inner.scale], "lr": 0.5},
    ]
    groups = task.param_groups()
    assert [group.get("lr") for group in groups] == [None, 0.5]
    assert len(groups[1]["params"]) == 1


def test_the_backbone_is_saved_once_and_comes_back(tmp_path: Path) -> None:
    task = multi()
    state = {name: value.clone() for name, value in task.state_dict().items()}
    pointers = [value.data_ptr() for value in task.state_dict().values() if value.numel()]
    assert len(pointers) == len(set(pointers))
    assert {name for name in state if "conv.weight" in name} == {"backbone.conv.weight"}
    optimizer = torch.optim.SGD(task.param_groups(), lr=0.1)
    path = save_checkpoint(tmp_path, "run", 1, task, optimizer, {})
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.add_(1.0)
    load_checkpoint(path, task, optimizer, "run")
    assert task.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in task.state_dict().items())
    inner: Any = task.inner["simclr"]
    assert inner.backbone is task.backbone


def test_what_is_missing_is_still_missed() -> None:
    task = multi()
    state = {name: value for name, value in task.state_dict().items() if name != "backbone.conv.bias"}
    with pytest.raises(RuntimeError, match=r"Missing.*backbone\.conv\.bias"):
        task.load_state_dict(state)


def test_a_copy_is_a_copy() -> None:
    task = multi()
    twin = copy.deepcopy(task)
    with torch.no_grad():
        twin.backbone.conv.weight.add_(1.0)
    assert torch.equal(twin.state_dict()["backbone.conv.weight"], task.state_dict()["backbone.conv.weight"] + 1.0)
    inner: Any = twin.inner["pace"]
    assert inner.backbone is twin.backbone


# ------------------------------------------------------------------------------------------------ placebo, preview


def test_it_has_a_placebo_where_all_its_tasks_have_one() -> None:
    classes = {"pace@tiny": 1, "rtt@tiny": 1}
    assert multi(classes).supervised_by_targets
    assert multi({"pace@tiny": 1, "future-frames@tiny": 1}).supervised_by_targets, "augment makes the latter's"
    assert not multi(BOTH).supervised_by_targets
    assert not multi({"pace@tiny": 1, "videomae@tiny": 1}).supervised_by_targets
    assert not plain({"a": {"targets": False}}).supervised_by_targets
    content = {"pace": {"recipe": "tiny", "options": {"contrast": "content"}}}
    assert not multi(content).supervised_by_targets
    placebo = REGISTRY.build(
        "tasks", {"name": "random-labels", "of": {"name": "multi", "of": dict(classes)}}, TinyNet()
    )
    assert placebo.chance == pytest.approx((1 / 4 + 1 / 5) / 2)
    with pytest.raises(ConfigError, match="more than its targets"):
        REGISTRY.build("tasks", {"name": "random-labels", "of": {"name": "multi", "of": dict(BOTH)}}, TinyNet())


def test_the_preview_says_what_each_task_asks() -> None:
    task = plain({"a": {}, "b": {"times": 2}})
    batch = task.augment(make_batch(task, n=2))
    first, second = task.explain(batch)
    assert first.question == "a: What? b: What?"
    assert (first.answer, second.answer) == ("a: that 0. b: that 0.", "a: that 1. b: that 1.")
    assert first.captions == ("a: a clip", "b: a clip", "b: a clip")
    assert [caption for caption, _ in first.pictures] == ["a: what it was", "b: what it was"]
    assert first.shown == (0, 1)
    assert plain({"a": {}}).explain(batch._replace(views=batch.views[:1]))[0].shown is None


# ---------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("of", "complaint"),
    [
        ({}, r"task\.of is empty.*task\.of\.pace=1"),
        ({"pace@tiny": 0}, r"task\.of\.pace@tiny=0: expected a weight"),
        ({"pace": -1.0}, r"task\.of\.pace=-1\.0: expected a weight"),
        ({"pace": True}, r"task\.of\.pace=True: expected a weight"),
        ({"pace": "much"}, r"task\.of\.pace='much': expected a weight"),
        ({"pace": float("nan")}, "expected a weight"),
        ({"pace": {"wieght": 1}}, r"task\.of\.pace\.wieght.*did you mean 'weight'"),
        ({"pace": {"frames": 8}}, r"task\.of\.pace\.frames.*options of the task go under task\.of\.pace\.options"),
        ({"pace": {"options": 8}}, r"task\.of\.pace\.options=8"),
        ({"pace": {"options": {"name": "rtt"}}}, r"task\.of\.pace\.options="),
        ({"pace": {"options": {"ratez": 8}}}, r"ratez.*did you mean 'rates'"),
        ({"pace@tiny": {"recipe": "big"}}, "names two recipes"),
        ({"pace": 1, "pace@tiny": 1}, r"task\.of names pace twice"),
        ({"multi": {"options": {"of": {"pace": 1}}}}, "a sum of sums"),
        ({"pacee": 1}, "no task 'pacee'"),
        ({"supervised@tiny": 1}, r"task\.of\.supervised cannot be a part of multi.*given labels"),
        ({"random-init": 1}, r"task\.of\.random-init cannot be a part of multi.*is a floor"),
    ],
)
def test_mistakes_are_named(of: Mapping[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        multi(of)


def test_a_task_with_an_encoder_of_its_own_is_refused() -> None:
    net = TinyNet()
    inner = Plain(net)
    inner.encoder = lambda: TinyNet()  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=r"task\.of\.a exports an encoder of its own"):
        Multi(net, build=lambda *_, **__: inner, of={"a": 1})


def test_options_are_written_in_every_way() -> None:
    task = multi({"pace": {"weight": 2, "recipe": "tiny", "options": {"rates": 3}}, "rtt@tiny": {}})
    assert task.weights == {"pace": 2.0, "rtt": 1.0}
    inner: Any = task.inner["pace"]
    assert inner.chance == pytest.approx(1 / 3)
