"""``vthcl``: the two readings, the depths that are compared, the bank as a model of its own says, and its switches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import TinyNet, make_batch, video
from torch import Tensor, nn

import vssl_backbones.plugin
import vssl_speed.plugin
from vssl_core.contracts import Features
from vssl_core.errors import ClipError, ConfigError
from vssl_core.plugins import Registry
from vssl_core.testing import check_task
from vssl_speed.depths import Depths
from vssl_speed.video_bank import VideoBank
from vssl_speed.vthcl import TempoPlanner

REGISTRY = Registry.discover(
    plugins={"speed": vssl_speed.plugin, "backbones": vssl_backbones.plugin}, entry_points=False
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make(backbone: Any = None, **options: Any) -> Any:
    torch.manual_seed(0)
    return REGISTRY.build("tasks", {"name": "vthcl", "recipe": "tiny", **options}, backbone or TinyNet())


# ------------------------------------------------------------------------------------------- readings


@settings(max_examples=100, deadline=None)
@given(
    frames=st.integers(1, 12),
    ratio=st.integers(1, 4),
    times=st.integers(1, 4),
    spare=st.integers(0, 50),
    seed=st.integers(0, 2**32),
)
def test_the_fast_reading_shows_what_the_slow_one_shows_and_what_lies_between(
    frames: int, ratio: int, times: int, spare: int, seed: int
) -> None:
    plan = TempoPlanner(frames, ratio * times, ratio, (32, 32), "pad", "error")
    n = (frames * ratio - 1) * times + 1 + spare
    (slow, fast), _ = plan(video(0, n), np.random.default_rng(seed))
    (again, _), _ = plan(video(0, n), np.random.default_rng(seed))
    assert np.array_equal(slow.frames, again.frames)
    assert fast.frames.shape == (frames * ratio,) and fast.frames.min() >= 0 and fast.frames.max() < n
    assert (np.diff(fast.frames) == times).all()
    assert np.array_equal(fast.frames[::ratio], slow.frames)


def test_starts_are_as_likely_and_short_videos_are_refused() -> None:
    plan = TempoPlanner(4, 4, 2, (32, 32), "short-side-crop", "error")
    starts = [int(plan(video(0, 19), np.random.default_rng(seed))[0][0].frames[0]) for seed in range(3000)]
    counts = np.bincount(starts)
    assert len(counts) == 5 and (abs(counts / 3000 - 0.2) < 0.04).all()
    with pytest.raises(ClipError, match=r"vthcl needs 15 frames .*task\.ratio=2.* has 14"):
        plan(video(0, 14), np.random.default_rng(0))
    looped = TempoPlanner(4, 4, 2, (32, 32), "short-side-crop", "loop")
    (slow, fast), _ = looped(video(0, 5), np.random.default_rng(0))
    assert slow.frames.tolist() == [0, 4, 3, 2] and fast.frames.tolist() == [0, 2, 4, 1, 3, 0, 2, 4]


def test_a_ratio_that_does_not_divide_the_stride_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"task\.stride=4 is no multiple of task\.ratio=3"):
        make(ratio=3)


@pytest.mark.parametrize("shared", [False, True])
def test_each_reading_has_its_own_crop(shared: bool) -> None:
    task = make(crop_scale=0.3, flip=0.5, shared_draw=shared)
    raw = make_batch(task)
    slow, fast = task.augment(raw._replace(views=(raw.views[0],) * 2)).views
    assert torch.equal(slow, fast) == shared


# ------------------------------------------------------------------------------------------- depths


@pytest.mark.parametrize(
    ("backbone", "names", "dims"),
    [
        ("r2plus1d-tiny", ("stages.1", "stages.2", "output"), (32, 64, 128)),
        ("vit-tiny-video", ("blocks.2", "blocks.3", "output"), (96, 96, 96)),
        ("timm/test_resnet", ("output",), None),
    ],
)
def test_depths_of_networks(backbone: str, names: tuple[str, ...], dims: tuple[int, ...] | None) -> None:
    torch.manual_seed(0)
    network = REGISTRY.build("backbones", backbone).eval()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    depths = Depths(network, 3, 8, 32)
    assert depths.names == names and depths.dims == (dims or (network.embed_dim,))
    clip = torch.rand(2, 3, 8, 32, 32)
    caught: list[Tensor] = []
    hooks = [network.get_submodule(name).register_forward_hook(lambda *a: caught.append(a[2])) for name in names[:-1]]
    pooled = network(clip).pooled
    for hook in hooks:
        hook.remove()
    found = depths(network, clip)
    assert torch.equal(found[-1], pooled)
    # Both kinds of these networks have their channels last.
    for ours, output in zip(found, caught, strict=False):
        torch.testing.assert_close(ours, output.flatten(1, -2).mean(1))
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules()), "no hook stays"


def test_one_level_is_the_output_alone() -> None:
    network = REGISTRY.build("backbones", "r2plus1d-tiny")
    assert Depths(network, 1, 8, 32).names == ("output",)
    assert Depths(network, 99, 8, 32).names == ("stages.0", "stages.1", "stages.2", "output")


class Odd(nn.Module):
    """Its last stage returns what has not the shape of its map."""

    embed_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(nn.Conv3d(3, 4, 1), nn.Flatten(1))

    def forward(self, clip: Tensor) -> Features:
        if clip.shape[2] > 8:
            raise RuntimeError("too long")
        x = self.stages(clip).unflatten(1, (4, *clip.shape[2:]))
        return Features(x, x.mean((2, 3, 4)))


def test_stages_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"where stages have their channels cannot be told; set task\.levels=1"):
        Depths(Odd(), 2, 8, 4)
    with pytest.raises(ConfigError, match=r"Odd takes no clips of 9 frames, 4x4 pixels \(too long\)"):
        Depths(Odd(), 2, 9, 4)
    assert Depths(Odd(), 1, 9, 4).names == ("output",)


def test_every_depth_learns() -> None:
    network = REGISTRY.build("backbones", {"name": "r2plus1d-tiny", "widths": [4, 6, 8, 10]})
    task = make(network, levels=3)
    assert [head.in_features for head in task.slow_heads] == [6, 8, 10]
    task.setup(6, 1)
    batch = task.augment(make_batch(task))
    output = task(batch)
    assert {"loss_stages.1", "loss_stages.2", "loss_output"} <= set(output.metrics)
    total = sum(float(output.metrics[f"loss_{name}"]) for name in task.depths.names)
    assert float(output.loss.detach()) == pytest.approx(total, rel=1e-5)
    output.loss.backward()
    for head in [*task.slow_heads, *task.fast_heads]:
        assert head.weight.grad.abs().sum() > 0


# ------------------------------------------------------------------------------------------- encoders and bank


def test_encoders_are_two_or_one() -> None:
    task = make()
    assert task.encoder() is task.backbone and task.fast is not task.backbone
    for ours, theirs in zip(task.backbone.parameters(), task.fast.parameters(), strict=True):
        assert torch.equal(ours, theirs) and ours is not theirs
    task.setup(6, 1)
    task(task.augment(make_batch(task))).loss.backward()
    assert task.backbone.conv.weight.grad.abs().sum() > 0 and task.fast.conv.weight.grad.abs().sum() > 0
    assert make(encoders="shared").fast is None


def test_the_bank_has_a_slot_for_every_video_and_no_more() -> None:
    task = make(bank=50)
    for n, slots in ((20, 20), (80, 20)):
        task.setup(n, 1)
        assert task.bank.features.shape == (2, slots, 128) and task.bank.video.shape == (slots,)
    fresh = make(bank=50)
    fresh.setup(80, 1)
    assert len(fresh.bank.video) == 50


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 6),
    batches=st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=5), min_size=1, max_size=6),
)
def test_the_bank_is_a_table_of_the_newest_videos(size: int, batches: list[list[int]]) -> None:
    bank = VideoBank(kinds=2, dim=3, size=size, momentum=0.3)
    slots: list[int] = [-1] * size
    table = {place: bank.features[:, place].clone() for place in range(size)}
    position = 0
    generator = torch.Generator().manual_seed(0)
    for batch in batches:
        features = F.normalize(torch.randn(2, len(batch), 3, generator=generator), dim=2)
        bank.update(torch.tensor(batch), features)
        seen: dict[int, Tensor] = {}
        for row, index in enumerate(batch):
            seen.setdefault(index, features[:, row])
        known = {index: slots.index(index) for index in seen if index in slots}
        for index, place in known.items():
            table[place] = F.normalize(0.3 * table[place] + 0.7 * seen[index], dim=1)
        for index in [index for index in seen if index not in known][-size:]:
            slots[position], table[position] = index, seen[index]
            position = (position + 1) % size
        assert bank.video.tolist() == slots
        expected = torch.stack([table[place] for place in range(size)], dim=1)
        torch.testing.assert_close(bank.features, expected, rtol=0, atol=1e-6)
        assert bank.others(torch.tensor(batch)).tolist() == [[slot != index for slot in slots] for index in batch]


def test_evaluation_leaves_the_bank_and_training_fills_it() -> None:
    task = make()
    task.setup(10, 1)
    batch = task.augment(make_batch(task))
    before = task.bank.features.clone()
    task.evaluate(batch)
    assert torch.equal(task.bank.features, before) and (task.bank.video == -1).all()
    task.train()(batch)
    assert task.bank.video.tolist() == [0, 1, 2, 3, 4, 5, -1, -1, -1, -1]
    before = task.bank.features.clone()
    moved = task.bank.moved(torch.tensor([3, 77]), torch.eye(128)[None, :2].expand(2, -1, -1))
    assert torch.equal(task.bank.features, before), "nothing is kept"
    expected = F.normalize(0.5 * before[:, 3] + 0.5 * torch.eye(128)[0], dim=1)
    torch.testing.assert_close(moved[:, 0], expected, rtol=0, atol=1e-6)
    assert torch.equal(moved[:, 1], torch.eye(128)[1].expand(2, -1)), "a new video's feature stays as it is"
    # Its own slot does not repel a video: of ten, nine are left.
    assert float(task.eval()(batch).metrics["contrast_chance"]) == pytest.approx(1 / 10)


def test_the_loss_falls_on_one_batch() -> None:
    task = make()
    task.setup(6, 20)
    batch = task.augment(make_batch(task))
    optimizer = torch.optim.Adam(task.param_groups(), lr=3e-3)
    losses = []
    for _ in range(20):
        output = task.train()(batch)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append(float(output.loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_an_explanation_names_the_rates() -> None:
    task = make()
    said = task.explain(task.augment(make_batch(task)))
    assert len(said) == 6
    assert said[0].captions == ("read slowly: every 4th frame, 8 in all", "read fast: every 2nd frame, 16 in all")


@pytest.mark.parametrize("backbone", [None, "r2plus1d-tiny", "vit-tiny-video", "timm/test_resnet"])
def test_conformance(backbone: str | None) -> None:
    check_task("vthcl@tiny", REGISTRY, backbone=backbone)
