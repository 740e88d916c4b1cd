"""``speednet``: which frames each version shows, that nothing but speed tells them apart, and its options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import TinyNet, make_batch, video
from torch import nn

import vssl_backbones.plugin
import vssl_speed.plugin
from vssl_core.contracts import Features
from vssl_core.errors import ClipError, ConfigError
from vssl_core.plugins import Registry
from vssl_core.testing import check_task
from vssl_speed.speednet import SpeedNet, SpeedNetPlanner, batch_side, scale_to

REGISTRY = Registry.discover(
    plugins={"speed": vssl_speed.plugin, "backbones": vssl_backbones.plugin}, entry_points=False
)


def planner(**options: Any) -> SpeedNetPlanner:
    defaults: dict[str, Any] = {
        "frames": 8,
        "stride": 1,
        "window": 3,
        "normal_speed": (1.0, 1.2),
        "fast_speed": (1.7, 2.2),
    }
    defaults |= {"random_skip": True, "same_batch": True, "size": (32, 32), "fit": "stretch", "short_video": "error"}
    return SpeedNetPlanner(**{**defaults, **options})


def versions(plan: SpeedNetPlanner, n: int, n_frames: int) -> dict[int, list[np.ndarray]]:
    """Frames of ``n`` videos by label."""
    rng = np.random.default_rng(0)
    found: dict[int, list[np.ndarray]] = {0: [], 1: []}
    for _ in range(n):
        views, targets = plan(video(n_frames=n_frames), rng)
        for view, fast in zip(views, targets["fast"], strict=True):
            found[int(fast)].append(view.frames)
    return found


@settings(max_examples=40, deadline=None)
@given(
    frames=st.integers(2, 20),
    stride=st.integers(1, 3),
    window=st.integers(3, 5),
    spare=st.integers(0, 40),
    random_skip=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_frames_ascend_within_one_stretch(
    frames: int, stride: int, window: int, spare: int, random_skip: bool, seed: int
) -> None:
    plan = planner(frames=frames, stride=stride, window=window, random_skip=random_skip)
    n_frames = (window * frames - 1) * stride + 1 + spare
    views, targets = plan(video(n_frames=n_frames), np.random.default_rng(seed))
    again, _ = plan(video(n_frames=n_frames), np.random.default_rng(seed))
    assert sorted(targets["fast"].tolist()) == [0, 1]
    every = np.concatenate([view.frames for view in views])
    assert every.min() >= 0 and every.max() < n_frames
    assert every.max() - every.min() <= (window * frames - 1) * stride
    for view, same in zip(views, again, strict=True):
        assert view.frames.shape == (frames,) and np.array_equal(view.frames, same.frames)
        steps = np.diff(view.frames)
        assert (steps > 0).all() and (steps % stride == 0).all()


@pytest.mark.parametrize(("option", "normal", "fast"), [(True, 1.1, 1.95), (False, 1.0, 2.0)])
def test_versions_differ_in_speed(option: bool, normal: float, fast: float) -> None:
    found = versions(planner(frames=16, random_skip=option), 400, 60)
    means = [float(np.mean([np.diff(clip).mean() for clip in found[label]])) for label in (0, 1)]
    # Conditional on the window a little slower than the factor's mean; a standard error is 0.01.
    assert abs(means[0] - normal) < 0.05 and abs(means[1] - fast) < 0.1
    irregular = {bool(np.diff(clip).std() > 0) for clip in found[1]}
    assert irregular == ({True} if option else {False})


def test_factors_are_those_of_the_ranges() -> None:
    rng = np.random.default_rng(0)
    pairs = [planner()(video(), rng)[1] for _ in range(500)]
    for label, (low, high) in ((0, (1.0, 1.2)), (1, (1.7, 2.2))):
        factors = np.array([t["factor"][t["fast"] == label][0] for t in pairs])
        assert factors.min() >= low and factors.max() <= high
        assert abs(factors.mean() - (low + high) / 2) < 5 * (high - low) / np.sqrt(12 * 500)
    first = np.mean([t["fast"][0] for t in pairs])
    assert abs(first - 0.5) < 5 * 0.5 / np.sqrt(500), "either version comes first as often"


def test_position_in_the_video_does_not_tell_the_speed() -> None:
    found = versions(planner(), 4_000, 40)
    middles = {label: np.array([(c[0] + c[-1]) / 2 for c in clips]) for label, clips in found.items()}
    both = np.concatenate(list(middles.values()))
    for middle in middles.values():
        assert abs(middle.mean() - both.mean()) < 5 * both.std() / np.sqrt(len(middle))
        assert abs(middle.std() - both.std()) < 0.1 * both.std()


def test_without_same_batch_a_video_gives_one_version() -> None:
    plan, rng = planner(same_batch=False), np.random.default_rng(0)
    labels = []
    for _ in range(400):
        views, targets = plan(video(), rng)
        assert len(views) == 1 and targets["fast"].shape == (1,)
        labels.append(int(targets["fast"][0]))
    assert abs(np.mean(labels) - 0.5) < 5 * 0.5 / np.sqrt(400)


def test_short_videos() -> None:
    with pytest.raises(ClipError, match=r"needs 24 frames \(task.frames=8, task.stride=1, task.window=3\).* has 23"):
        planner()(video(n_frames=23), np.random.default_rng(0))
    views, _ = planner(short_video="loop")(video(n_frames=10), np.random.default_rng(0))
    assert all(view.frames.min() >= 0 and view.frames.max() < 10 for view in views)
    views, _ = planner(short_video="pad")(video(n_frames=10), np.random.default_rng(0))
    assert any((np.diff(view.frames) == 0).any() for view in views)


def test_a_batch_draws_its_side_from_its_seeds_alone() -> None:
    sides, rng = tuple(range(64, 337)), np.random.default_rng(0)
    seeds = [torch.from_numpy(rng.integers(0, 2**63 - 1, size=6)) for _ in range(1_500)]
    drawn = [batch_side(one, sides) for one in seeds]
    state = torch.get_rng_state()
    assert [batch_side(one.flip(0), sides) for one in seeds] == drawn, "the order of the videos does not matter"
    assert torch.equal(state, torch.get_rng_state())
    counts, _ = np.histogram(drawn, bins=7, range=(64, 337))
    assert np.abs(counts - 1_500 / 7).max() < 5 * np.sqrt(1_500 / 7)
    assert min(drawn) < 68 and max(drawn) > 332


def test_scaling_keeps_the_picture() -> None:
    rows = torch.linspace(0, 1, 32)[:, None].expand(1, 3, 4, 32, 32)
    assert scale_to(rows, 32) is rows
    for side in (16, 48):
        found = scale_to(rows, side)
        assert found.shape == (1, 3, 4, side, side)
        assert (found.diff(dim=3) >= -1e-6).all()
        assert abs(float(found.mean()) - 0.5) < 1e-3


class Seen(TinyNet):
    """Notes the shapes that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, clip: torch.Tensor) -> Features:
        self.shapes.append(tuple(clip.shape))
        features: Features = super().forward(clip)
        return features


def small(backbone: Any = None, **options: Any) -> SpeedNet:
    torch.manual_seed(0)
    defaults: dict[str, Any] = {"frames": 8, "size": 32, "smallest": 16, "largest": 48}
    return SpeedNet(backbone or TinyNet(), **{**defaults, **options})


def test_only_training_scales_the_batch() -> None:
    backbone = Seen()
    task = small(backbone)
    assert task.sides == tuple(range(16, 49, 4)), "TinyNet's patches are 4 x 4"
    batch = task.augment(make_batch(task))
    backbone.shapes.clear()
    task.evaluate(batch)
    task.eval()(batch)
    task.train()(batch)
    side = batch_side(batch.seeds, task.sides)
    assert side != 32
    assert backbone.shapes == [(12, 3, 8, 32, 32)] * 2 + [(12, 3, 8, side, side)]
    other = small(Seen(), resize="none")
    other.backbone.shapes.clear()
    other.train()(batch)
    assert other.backbone.shapes == [(12, 3, 8, 32, 32)]


@pytest.mark.parametrize("resize", ["batch", "clip", "none"])
def test_a_size_that_the_network_does_not_take_is_refused_whatever_training_scales_to(resize: str) -> None:
    network = REGISTRY.build("backbones", "vit-tiny-video")
    small(network, resize=resize, smallest=24, largest=40)
    with pytest.raises(ConfigError, match=r"takes no clips of 8 frames, 34x34 pixels .*task\.size"):
        small(network, resize=resize, smallest=24, largest=40, size=34)


def test_resize_clip_takes_away_detail_clip_by_clip() -> None:
    """``lower_resolution`` of the same clips: nothing of the crop changes, sharp edges go."""
    sharp, blurred = small(resize="none"), small(resize="clip", smallest=8, largest=16)
    batch = make_batch(sharp)
    for before, after in zip(sharp.augment(batch).views, blurred.augment(batch).views, strict=True):
        assert before.shape == after.shape
        assert after.diff(dim=4).square().mean() < 0.3 * before.diff(dim=4).square().mean()
        torch.testing.assert_close(before.mean((1, 2, 3, 4)), after.mean((1, 2, 3, 4)), rtol=0.05, atol=0.02)
    left = [clip.diff(dim=3).square().mean() for clip in blurred.augment(batch).views[0]]
    assert max(left) > 1.5 * min(left), "each clip has a side of its own"


def test_max_pool_looks_at_the_strongest_place() -> None:
    task, mean = small(resize="none").eval(), small(resize="none", max_pool=False).eval()
    batch = task.augment(make_batch(task))
    dimmed = batch._replace(views=tuple(view.clone() for view in batch.views))
    with torch.no_grad():
        for one in (task, mean):
            one.head.weight.fill_(1.0)
        assert not torch.equal(task(batch).loss, mean(batch).loss)
        for view in dimmed.views:
            view[..., :16, :] = view[..., :16, :].mean()
        assert not torch.equal(mean(batch).loss, mean(dimmed).loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normal_speed": (1.0, 1.8)}, "the first below the second"),
        ({"normal_speed": (0.5, 1.2)}, "1 or more"),
        ({"fast_speed": (2.0, 3.5)}, "not above the window"),
        ({"fast_speed": (2.2, 1.7)}, "two ranges"),
        ({"normal_speed": (1.0,)}, "two ranges"),
        ({"smallest": 33, "largest": 35}, r"holds no side that is a multiple of 4 .*patches 4x4"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**options)


def test_a_network_of_a_fixed_size_is_refused_before_training() -> None:
    class Fixed(nn.Module):
        embed_dim = 4

        def forward(self, clip: torch.Tensor) -> Features:
            if clip.shape[-1] != 16:
                raise RuntimeError("16 pixels only")
            feature_map = clip.new_zeros(len(clip), 4, 2, 2, 2)
            return Features(feature_map, feature_map.mean((2, 3, 4)))

    with pytest.raises(
        ConfigError, match=r"Fixed takes no clips of 8 frames, 17x17 pixels \(16 pixels only\).*resize=clip"
    ):
        small(Fixed())
    small(Fixed(), resize="clip", size=16)
    with pytest.raises(ConfigError, match=r"Fixed takes no clips of 8 frames, 32x32 pixels .*set .*task\.size"):
        small(Fixed(), resize="clip")


def test_explanations_name_the_speeds() -> None:
    task = small()
    batch = task.augment(make_batch(task))
    for row, said in enumerate(task.explain(batch)):
        fast = batch.targets["fast"][row].tolist()
        words = ["sped up" if one else "normal speed" for one in fast]
        assert said.answer == f"clip 1: {words[0]}; clip 2: {words[1]}"
        assert [caption.split(" (")[0] for caption in said.captions] == words
        side = batch_side(batch.seeds, task.sides)
        assert said.pictures[0][1].shape == (3, 8, side, side)


@pytest.mark.parametrize("backbone", [None, "r2plus1d-tiny", "vit-tiny-video"])
def test_contract(backbone: str | None) -> None:
    options = {"name": "speednet", "recipe": "tiny", "smallest": 24, "largest": 32}
    check_task(options, REGISTRY, backbone=backbone, frames=60)


def test_contract_on_frames_of_a_fixed_size() -> None:
    options = {"name": "speednet", "recipe": "tiny", "resize": "clip", "same_batch": False, "random_skip": False}
    check_task(options, REGISTRY, backbone={"name": "timm/test_vit", "img_size": 32}, frames=60)
