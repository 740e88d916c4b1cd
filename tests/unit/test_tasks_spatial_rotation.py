"""``rotation``: every clip at every turn, the same pixels at each, and targets that can be permuted."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import TinyNet, losses_on, make_batch, video

import vssl_backbones.plugin
import vssl_baselines.plugin
import vssl_spatial.plugin
from vssl_core.contracts import Batch
from vssl_core.data.transforms import quarter_turns
from vssl_core.errors import ClipError
from vssl_core.testing import check_task, isolated_registry
from vssl_spatial.rotation import Rotation

REGISTRY = isolated_registry(spatial=vssl_spatial.plugin, nets=vssl_backbones.plugin, floors=vssl_baselines.plugin)
NETWORKS = ["r2plus1d-tiny", "vit-tiny-video", "timm/test_resnet"]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def tiny(**options: Any) -> Rotation:
    torch.manual_seed(0)
    task: Rotation = REGISTRY.build("tasks", {"name": "rotation", "recipe": "tiny", **options}, TinyNet())
    return task


def upright(task: Rotation, batch: Batch) -> list[torch.Tensor]:
    """Return the views turned back."""
    turns = batch.targets["turns"]
    return [quarter_turns(view, -turns[:, at]) for at, view in enumerate(task.augment(batch).views)]


@settings(max_examples=60, deadline=None)
@given(
    frames=st.integers(1, 12),
    stride=st.integers(1, 4),
    n_frames=st.integers(1, 60),
    every=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_clips_are_what_was_asked(frames: int, stride: int, n_frames: int, every: bool, seed: int) -> None:
    planner = Rotation(TinyNet(), frames=frames, stride=stride, size=32, every_turn=every).planner()
    if n_frames < (frames - 1) * stride + 1:
        with pytest.raises(ClipError, match=r"task\.frames.*task\.stride"):
            planner(video(n_frames=n_frames), np.random.default_rng(seed))
        return
    (view,), targets = planner(video(n_frames=n_frames), np.random.default_rng(seed))
    assert view.frames.shape == (frames,) and view.frames.dtype == np.int64
    assert view.frames.min() >= 0 and view.frames.max() < n_frames
    assert (np.diff(view.frames) == stride).all()
    turns = targets["turns"].tolist()
    assert sorted(turns) == [0, 1, 2, 3] if every else len(turns) == 1 and turns[0] in range(4)
    (again,), same = planner(video(n_frames=n_frames), np.random.default_rng(seed))
    assert np.array_equal(view.frames, again.frames) and np.array_equal(targets["turns"], same["turns"])


def test_short_videos_as_configured() -> None:
    for short_video, expected in (("loop", [0, 1, 2, 0, 1]), ("pad", [0, 1, 2, 2, 2])):
        planner = Rotation(TinyNet(), frames=5, stride=1, short_video=short_video).planner()
        assert planner(video(n_frames=3), np.random.default_rng(0))[0][0].frames.tolist() == expected


@pytest.mark.parametrize(("every", "n"), [(True, 24), (False, 4)])
def test_all_orders_of_turns_are_equally_likely(every: bool, n: int) -> None:
    planner, rng = tiny(every_turn=every).planner(), np.random.default_rng(0)
    drawn = [tuple(planner(video(), rng)[1]["turns"].tolist()) for _ in range(200 * n)]
    counts = np.array([drawn.count(order) for order in itertools.permutations(range(4), 4 if every else 1)])
    assert (np.abs(counts - 200) < 5 * np.sqrt(200)).all()


def test_all_four_turns_are_of_one_crop() -> None:
    task = tiny(flip=0.5, jitter=0.4)
    batch = make_batch(task, 4)
    views = upright(task, batch)
    assert len(views) == 4
    for view in views:
        assert view.shape == (4, 3, 8, 32, 32)
        assert torch.equal(view, views[0])
    assert len(tiny(every_turn=False).augment(make_batch(tiny(every_turn=False), 4)).views) == 1


def test_the_tilt_is_drawn_once_a_clip_and_can_be_turned_off() -> None:
    batch = make_batch(tiny(), 4)
    plain, tilted = (tiny(tilt=tilt, flip=0.0, crop_scale=1.0, jitter=0.0) for tilt in (0.0, 10.0))
    (straight, *_), (slanted, *_) = upright(plain, batch), upright(tilted, batch)
    source = batch.views[0].permute(0, 4, 1, 2, 3) / 255
    torch.testing.assert_close(straight, source)
    assert all((slanted[row] - source[row]).abs().max() > 0.1 for row in range(4))
    # A clip that stands still stays so: one angle for all of its frames.
    still = batch._replace(views=(batch.views[0][:, :1].expand(-1, 8, -1, -1, -1),))
    frames = upright(tilted, still)[0]
    assert torch.equal(frames[:, :, 0], frames[:, :, 7])


@pytest.mark.parametrize("seed", range(3))
def test_angles_reach_to_both_sides(seed: int) -> None:
    task = tiny(tilt=40.0, flip=0.0, crop_scale=1.0, jitter=0.0)
    edge = torch.zeros(40, 8, 32, 32, 3, dtype=torch.uint8)
    edge[:, :, :, 16:] = 255  # bright right of the middle
    targets = {"turns": torch.zeros(40, 4, dtype=torch.int64)}
    batch = Batch((edge,), targets, torch.arange(40) + 1000 * seed, torch.arange(40))
    top = task.augment(batch).views[0][:, 0, 0, 4].mean(dim=1)
    bottom = task.augment(batch).views[0][:, 0, 0, 27].mean(dim=1)
    # Counter-clockwise the top of the edge goes left, and more of the top row is bright.
    left = (top > bottom).float().mean()
    assert 0.2 < left < 0.8


def test_the_placebo_has_nothing_to_learn() -> None:
    """Permuted targets name another turn in three views of four; equal ones for all videos would stay right."""
    placebo = REGISTRY.build("tasks", {"name": "random-labels", "of": "rotation@tiny"}, TinyNet())
    from vssl_baselines.random_labels import permute_targets

    right = []
    for seed in range(40):
        batch = make_batch(placebo, 12)
        rng = np.random.default_rng(seed)
        turns = np.stack([placebo.planner()(video(), rng)[1]["turns"] for _ in range(12)])
        batch = batch._replace(targets={"turns": torch.from_numpy(turns)}, seeds=batch.seeds + seed)
        right.append((permute_targets(batch).targets["turns"] == batch.targets["turns"]).float().mean())
    assert abs(float(torch.stack(right).mean()) - (0.25 + 0.75 / 12)) < 0.06
    assert placebo.chance == 0.25


def test_loss_falls_on_one_batch() -> None:
    """On clips with an above and a below: noise looks the same at any turn."""
    task = tiny(jitter=0.0)
    batch = make_batch(task)
    shade = torch.linspace(0, 1, 32)[:, None, None]
    batch = task.augment(batch._replace(views=((batch.views[0] * shade).to(torch.uint8),)))
    losses = losses_on(task, batch, 30)
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


def test_it_is_explained() -> None:
    task = tiny()
    batch = task.augment(make_batch(task, 2))
    for row, said in enumerate(task.explain(batch)):
        turns = batch.targets["turns"][row].tolist()
        assert said.answer == ", ".join(str(90 * turn) for turn in turns) + " degrees"
        assert [text for text, _ in said.pictures] == [f"turned by {90 * turn} degrees" for turn in turns]
        assert all(torch.equal(clip, view[row]) for (_, clip), view in zip(said.pictures, batch.views, strict=True))


@pytest.mark.parametrize("backbone", [None, *NETWORKS])
def test_conformance(backbone: str | None) -> None:
    check_task("rotation@tiny", REGISTRY, backbone=backbone)
