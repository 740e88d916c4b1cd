"""``transrank``: one clip of a video for each transformation, in any order, and what its options change."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import FirstPixel
from support.tasks import TinyNet, make_batch, video

import vssl_backbones.plugin
import vssl_speed.plugin
from vssl_core.contracts import Batch
from vssl_core.engine.planned import check_pair
from vssl_core.errors import ClipError, ConfigError
from vssl_core.plugins import Registry
from vssl_core.testing import check_task
from vssl_speed.transformations import KINDS, describe, frames_needed, parse, speeds_that_fit
from vssl_speed.transrank import TransRank, TransRankPlanner

REGISTRY = Registry.discover(
    plugins={"speed": vssl_speed.plugin, "backbones": vssl_backbones.plugin}, entry_points=False
)
PAPER = ("speed-1", "speed-2", "reversed-1")
ALL = ("speed-1", "speed-3", "random", "periodic", "warp", "palindrome-3", "reversed")


def planner(names: tuple[str, ...] = PAPER, frames: int = 8, stride: int = 1, short: str = "error") -> TransRankPlanner:
    return TransRankPlanner(parse(names, frames, stride), frames, stride, (32, 32), "stretch", short)


@settings(max_examples=50, deadline=None)
@given(frames=st.integers(4, 20), stride=st.integers(1, 3), spare=st.integers(0, 40), seed=st.integers(0, 2**32))
def test_every_transformation_is_there_once_and_in_range(frames: int, stride: int, spare: int, seed: int) -> None:
    plan = planner(ALL, frames, stride)
    n_frames = frames_needed(plan.transforms, frames, stride) + spare
    views, targets = plan(video(n_frames=n_frames), np.random.default_rng(seed))
    again, same = plan(video(n_frames=n_frames), np.random.default_rng(seed))
    assert sorted(targets["transformation"].tolist()) == list(range(len(ALL)))
    assert np.array_equal(targets["transformation"], same["transformation"])
    for view, twin, label in zip(views, again, targets["transformation"], strict=True):
        assert np.array_equal(view.frames, twin.frames)
        assert view.frames.shape == (frames,) and view.frames.min() >= 0 and view.frames.max() < n_frames
        steps, name = np.diff(view.frames), ALL[label]
        if name.startswith("speed"):
            assert (steps == int(name[-1]) * stride).all()
        elif name == "reversed":
            assert (steps == steps[0]).all() and steps[0] in (-stride, -3 * stride)
        elif name == "warp":
            assert stride <= steps.min() < steps.max() <= 3 * stride


def test_orders_are_equally_likely_and_places_tell_nothing() -> None:
    plan, rng, n = planner(), np.random.default_rng(0), 3_000
    orders, middles = defaultdict(int), defaultdict(list)
    for _ in range(n):
        views, targets = plan(video(n_frames=40), rng)
        orders[tuple(targets["transformation"].tolist())] += 1
        for view, label in zip(views, targets["transformation"], strict=True):
            middles[int(label)].append((view.frames.min() + view.frames.max()) / 2)
    assert len(orders) == 6
    assert max(abs(count - n / 6) for count in orders.values()) < 5 * np.sqrt(n * 5 / 36)
    every = np.concatenate([np.array(m) for m in middles.values()])
    for middle in middles.values():
        assert abs(np.mean(middle) - every.mean()) < 5 * every.std() / np.sqrt(n)
        assert abs(np.std(middle) - every.std()) < 0.1 * every.std()


def test_short_videos() -> None:
    with pytest.raises(ClipError, match=r"transrank needs 15 frames .* has 14"):
        planner()(video(n_frames=14), np.random.default_rng(0))
    for short in ("loop", "pad"):
        views, targets = planner(short=short)(video(n_frames=10), np.random.default_rng(1))
        for view, label in zip(views, targets["transformation"], strict=True):
            assert view.frames.min() >= 0 and view.frames.max() < 10
            whole = (np.abs(np.diff(view.frames)) == (2 if PAPER[label] == "speed-2" else 1)).all()
            assert whole == (PAPER[label] != "speed-2"), "only what does not fit is changed"
        with pytest.raises(ClipError, match="has 0"):
            planner(short=short)(video(n_frames=0), np.random.default_rng(0))


def small(**options: Any) -> TransRank:
    torch.manual_seed(0)
    return TransRank(TinyNet(), **{"frames": 8, "stride": 1, "size": 32, "read_size": 0, **options})


def test_chance_is_one_in_as_many_as_there_are() -> None:
    assert small().chance == 1 / 3
    assert small(transforms=ALL).chance == 1 / 7


def test_clips_are_drawn_one_by_one_unless_shared() -> None:
    for shared in (False, True):
        task = small(shared_draw=shared)
        batch = make_batch(task)
        same = batch._replace(views=(batch.views[0],) * 3)
        views = task.augment(same).views
        assert torch.equal(views[0], views[1]) is shared


def test_margin_and_formulation_change_the_loss() -> None:
    batch = small().augment(make_batch(small()))
    rank, wide, none = (float(small(margin=m).eval()(batch).loss.detach()) for m in (1.0, 2.0, 0.0))
    assert none < rank < wide
    # Untrained scores hardly differ: every pair lacks about its margin.
    assert abs(wide - rank - 1.0) < 0.05
    assert float(small(formulation="classify").eval()(batch).loss.detach()) == pytest.approx(np.log(3), abs=0.3)


@pytest.mark.parametrize("formulation", ["rank", "classify"])
def test_permuted_targets_leave_chance(formulation: str) -> None:
    """A network that knows every answer is right one time in three about the order of another video."""
    task, n = TransRank(FirstPixel(), frames=8, formulation=formulation), 600
    with torch.no_grad():
        task.head.weight.copy_(torch.eye(3))
        task.head.bias.zero_()
    generator = torch.Generator().manual_seed(0)
    went = torch.stack([torch.randperm(3, generator=generator) for _ in range(n)])
    shown = torch.eye(3)[went]
    views = tuple(shown[:, clip].view(n, 3, 1, 1, 1).expand(-1, -1, 8, 1, 1) for clip in range(3))
    batch = Batch(views, {"transformation": went}, torch.arange(n), torch.arange(n))
    total, count = task.evaluate(batch)["accuracy"]
    assert float(total) == count == n
    shuffled = {"transformation": went[torch.randperm(n, generator=generator)]}
    total, _ = task.evaluate(batch._replace(targets=shuffled))["accuracy"]
    # The fixed points of a permutation of three have mean 1 and variance 1.
    assert abs(float(total) / n - 1 / 3) < 5 / 3 / np.sqrt(n)


def test_a_warp_changes_between_all_steps_up_to_the_largest_speed() -> None:
    names = ("speed-1", "speed-3", "speed-8", "warp")
    plan, rng, steps = planner(names, frames=16), np.random.default_rng(0), []
    for _ in range(300):
        views, targets = plan(video(n_frames=150), rng)
        steps.extend(
            np.diff(view.frames) for view, label in zip(views, targets["transformation"], strict=True) if label == 3
        )
    every = np.concatenate(steps)
    assert every.min() == 1 and every.max() == 8
    # Uniform on 1 .. 8, of deviation sqrt(63 / 12).
    assert abs(every.mean() - 4.5) < 5 * np.sqrt(63 / 12 / len(every))


def test_too_few_transformations_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least two"):
        small(transforms=["speed-1"])
    with pytest.raises(ConfigError, match=r"task\.frames=3 is too few: temporal transformations need 4"):
        small(frames=3)


def test_explanations_name_what_each_clip_went_through() -> None:
    task = small()
    batch = task.augment(make_batch(task))
    words = ["played at normal speed", "played at speed x2", "played backwards"]
    for labels, said in zip(batch.targets["transformation"].tolist(), task.explain(batch), strict=True):
        assert list(said.captions) == [words[label] for label in labels]
        assert all(word in said.question for word in words)


def test_every_kind_has_words() -> None:
    for kind in KINDS:
        name = f"{kind}-3"
        (transform,) = [t for t in parse([name, "speed-2"], 8, 1) if t.speed == 3]
        assert describe(transform).startswith("played") and describe(transform).endswith("x3")


def test_speeds_that_fit() -> None:
    transforms = parse(ALL, 8, 1)
    by_name = dict(zip(ALL, transforms, strict=True))
    assert speeds_that_fit(by_name["reversed"], transforms, 8, 1, 22) == [1, 3]
    assert speeds_that_fit(by_name["reversed"], transforms, 8, 1, 21) == [1]
    assert speeds_that_fit(by_name["warp"], transforms, 8, 1, 15) == [2]
    assert speeds_that_fit(by_name["speed-3"], transforms, 8, 1, 21) == []


@pytest.mark.parametrize("backbone", [None, "r2plus1d-tiny", "vit-tiny-video"])
def test_contract(backbone: str | None) -> None:
    check_task("transrank@tiny", REGISTRY, backbone=backbone, frames=60)


def test_networks_applied_frame_by_frame_are_refused() -> None:
    """To them a clip in random order and one played backwards are the clip as it was."""
    task = REGISTRY.resolve("tasks", "transrank@tiny")
    assert "offers temporal;" in (check_pair(task, REGISTRY.resolve("backbones", "timm/test_vit")) or "")
    assert check_pair(task, REGISTRY.resolve("backbones", "r2plus1d-tiny")) is None
