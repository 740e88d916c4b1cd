"""``rspnet``: how clips and their speeds are drawn, what keys share, what training moves and evaluation does not."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import TinyNet, make_batch, video

import vssl_backbones.plugin
import vssl_speed.plugin
from vssl_core.errors import ClipError, ConfigError
from vssl_core.plugins import Registry
from vssl_core.testing import check_task
from vssl_speed.rspnet import RspnetPlanner

REGISTRY = Registry.discover(
    plugins={"speed": vssl_speed.plugin, "backbones": vssl_backbones.plugin}, entry_points=False
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def planner(frames: int = 8, stride: int = 1, speeds: tuple[int, ...] = (2,), short: str = "error") -> RspnetPlanner:
    return RspnetPlanner(frames, stride, speeds, (32, 32), "short-side-crop", short)


def make(**options: Any) -> Any:
    torch.manual_seed(0)
    return REGISTRY.build("tasks", {"name": "rspnet", "recipe": "tiny", **options}, TinyNet())


@settings(max_examples=100, deadline=None)
@given(
    frames=st.integers(1, 20),
    stride=st.integers(1, 3),
    speeds=st.lists(st.integers(2, 5), min_size=1, max_size=3),
    spare=st.integers(0, 60),
    seed=st.integers(0, 2**32),
)
def test_the_positive_is_as_fast_as_the_query_and_begins_with_the_negative(
    frames: int, stride: int, speeds: list[int], spare: int, seed: int
) -> None:
    plan = planner(frames, stride, tuple(speeds))
    n = frames * stride * max(speeds) + spare
    views, targets = plan(video(0, n), np.random.default_rng(seed))
    again, _ = plan(video(0, n), np.random.default_rng(seed))
    query, positive, negative = (view.frames for view in views)
    assert [view.frames.tolist() for view in again] == [view.frames.tolist() for view in views]
    mine, other = targets["speeds"].tolist()
    assert sorted((mine, other))[0] == 1 and max(mine, other) in speeds
    for clip, speed in ((query, mine), (positive, mine), (negative, other)):
        assert clip.shape == (frames,) and clip.min() >= 0 and clip.max() < n
        assert (np.diff(clip) == stride * speed).all()
    assert positive[0] == negative[0], "where a key begins must not tell which it is"


def test_every_start_is_as_likely_and_half_of_the_queries_are_slow() -> None:
    plan, draws = planner(4, 1, (2, 3)), 3000
    slow, fast_speeds, starts, pairs = 0, Counter[int](), Counter[int](), set()
    for seed in range(draws):
        views, targets = plan(video(0, 16), np.random.default_rng(seed))
        mine, other = targets["speeds"].tolist()
        slow += mine == 1
        fast_speeds[max(mine, other)] += 1
        starts[int(views[0].frames[0])] += 1
        pairs.add((int(views[0].frames[0]), int(views[1].frames[0])))
    assert abs(slow / draws - 0.5) < 0.04
    assert abs(fast_speeds[2] / draws - 0.5) < 0.04 and set(fast_speeds) == {2, 3}
    # A stretch of 12 frames in 16: five places, for the query and for the keys by themselves.
    assert set(starts) == set(range(5)) and all(abs(n / draws - 0.2) < 0.04 for n in starts.values())
    assert len(pairs) == 25


def test_short_videos() -> None:
    with pytest.raises(ClipError, match=r"rspnet needs 16 frames .*task\.speeds=\[2\].* has 15"):
        planner()(video(0, 15), np.random.default_rng(0))
    for seed in range(20):
        views, targets = planner(short="loop")(video(0, 5), np.random.default_rng(seed))
        for view, speed in zip(views, targets["speeds"][[0, 0, 1]], strict=True):
            assert view.frames.tolist() == [k * speed % 5 for k in range(8)]
    assert REGISTRY.build("tasks", "rspnet", TinyNet()).planner().short_video == "loop", "as officially"


def test_speeds_that_make_no_sense_are_refused() -> None:
    for speeds in ([], [1, 2]):
        with pytest.raises(ConfigError, match=r"task\.speeds="):
            make(speeds=speeds)


@pytest.mark.parametrize("shared", [False, True])
def test_keys_share_crop_and_colours_and_the_query_has_its_own(shared: bool) -> None:
    task = make(jitter=0.5, hue=0.3, grey=0.3, crop_scale=0.4, flip=0.5, shared_draw=shared)
    raw = make_batch(task)
    same = raw._replace(views=(raw.views[1],) * 3)
    query, positive, negative = task.augment(same).views
    assert torch.equal(positive, negative)
    assert torch.equal(query, positive) == shared


def test_training_fills_the_queue_and_moves_the_keys_slowly() -> None:
    task = make(queue=10, momentum=0.75)
    batch = task.augment(make_batch(task))
    before, key = task.queue.items.clone(), task.keys.module.speed.weight.clone()
    task.evaluate(batch)
    assert torch.equal(task.queue.items, before) and task.queue.position == 0
    task.train()(batch)
    assert task.queue.position == 6 and torch.equal(task.queue.items[6:], before[6:])
    assert torch.allclose(task.queue.items.norm(dim=1), torch.ones(10), atol=1e-5)
    with torch.no_grad():
        task.speed.weight += 1.0
    assert torch.equal(task.keys.module.speed.weight, key)
    task.after_step(1, 10)
    torch.testing.assert_close(task.keys.module.speed.weight, key + 0.25, rtol=0, atol=1e-6)
    learning = {id(p) for group in task.param_groups() for p in group["params"]}
    assert not learning & {id(p) for p in task.keys.parameters()}


def test_the_negative_key_enters_the_queue() -> None:
    task = make(queue=6)
    batch = task.augment(make_batch(task))
    keys = task.train().keys(batch.views[2])[0]
    task(batch)
    torch.testing.assert_close(task.queue.items, keys, rtol=0, atol=1e-5)


def test_weights_turn_losses_off() -> None:
    batch = make_batch(make())
    for options, kept in (({"appearance_weight": 0.0}, "loss_speed"), ({"speed_weight": 0.0}, "loss_appearance")):
        task = make(**options)
        output = task.eval()(task.augment(batch))
        assert float(output.loss.detach()) == pytest.approx(float(output.metrics[kept]))


def test_no_loss_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="both 0: nothing is learnt"):
        make(appearance_weight=0.0, speed_weight=0.0)


def test_keys_as_near_as_each_other_are_right_half_of_the_time() -> None:
    """Of still videos both keys are one: nobody can tell them apart, and accuracy is that of guessing."""
    task = make()
    batch = make_batch(task)
    still = tuple(batch.views[k][:, :1].expand_as(batch.views[k]).contiguous() for k in (0, 1, 1))
    right, n = task.evaluate(task.augment(batch._replace(views=still)))["accuracy"]
    assert float(right) / n == task.chance == 0.5


def test_heads() -> None:
    assert isinstance(make().speed, torch.nn.Linear)
    kinds = [type(layer).__name__ for layer in make(head="mlp").appearance]
    assert kinds == ["Linear", "ReLU", "Linear"]


def test_relative_speed_is_learnt_on_one_batch() -> None:
    task = make(appearance_weight=0.0, momentum=0.9)
    batch = task.augment(make_batch(task))
    optimizer = torch.optim.Adam(task.param_groups(), lr=3e-3)
    first = None
    for step in range(25):
        output = task.train()(batch)
        first = first or float(output.metrics["loss_speed"])
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        task.after_step(step + 1, 25)
    assert float(output.metrics["loss_speed"]) < 0.9 * first
    assert float(output.metrics["accuracy"]) > 0.8


def test_an_explanation_names_the_speeds() -> None:
    task = make()
    batch = task.augment(make_batch(task))
    for said, (mine, other) in zip(task.explain(batch), batch.targets["speeds"].tolist(), strict=True):
        words = {1: "every frame", 3: "every 3rd frame"}
        expected = (f"the query: {words[mine]}", f"at its speed: {words[mine]}", f"at the other speed: {words[other]}")
        assert said.captions == expected
        assert words[mine] in said.answer


@pytest.mark.parametrize("backbone", [None, "r2plus1d-tiny", "vit-tiny-video", "timm/test_resnet"])
def test_conformance(backbone: str | None) -> None:
    check_task("rspnet@tiny", REGISTRY, backbone=backbone)
