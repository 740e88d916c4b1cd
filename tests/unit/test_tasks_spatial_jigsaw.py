"""``jigsaw``: tiles lie in their cells, are shown in the order named, and nothing but their content tells it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import losses_on, make_batch, video

import vssl_backbones.plugin
import vssl_spatial.plugin
from vssl_core.contracts import Batch
from vssl_core.errors import ClipError, ConfigError
from vssl_core.testing import FakeBackbone, check_task, isolated_registry
from vssl_spatial.jigsaw import Jigsaw, JigsawPlanner

REGISTRY = isolated_registry(spatial=vssl_spatial.plugin, nets=vssl_backbones.plugin)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def tiny(**options: Any) -> Jigsaw:
    torch.manual_seed(0)
    task: Jigsaw = REGISTRY.build("tasks", {"name": "jigsaw", "recipe": "tiny", **options}, FakeBackbone())
    return task


def plain(**options: Any) -> Jigsaw:
    """Return a task that leaves colours alone."""
    small = {"size": 8, "gap": 3, "permutations": 20, "hidden": 8, "joint": 8}
    off = {"grey": 0.0, "channel_shift": 0, "normalise_tiles": False}
    return Jigsaw(FakeBackbone(), **{**small, **off, **options})


@settings(max_examples=60, deadline=None)
@given(
    frames=st.integers(1, 5),
    stride=st.integers(1, 9),
    n_frames=st.integers(1, 60),
    permutations=st.integers(2, 100),
    seed=st.integers(0, 2**32),
)
def test_frames_and_orders(frames: int, stride: int, n_frames: int, permutations: int, seed: int) -> None:
    planner = JigsawPlanner(frames, stride, permutations, (60, 60), "stretch", "error")
    needed = (frames - 1) * stride + 1
    if n_frames < needed:
        with pytest.raises(ClipError, match=rf"needs {needed} frames.*task\.stride={stride}"):
            planner(video(n_frames=n_frames), np.random.default_rng(seed))
        return
    views, targets = planner(video(n_frames=n_frames), np.random.default_rng(seed))
    shown = np.concatenate([view.frames for view in views])
    assert all(len(view.frames) == 1 for view in views) and len(views) == frames
    assert shown.min() >= 0 and shown.max() < n_frames and (np.diff(shown) == stride).all()
    assert targets["order"].shape == (frames,) and targets["order"].dtype == np.int64
    assert targets["order"].min() >= 0 and targets["order"].max() < permutations
    again, same = planner(video(n_frames=n_frames), np.random.default_rng(seed))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(views, again, strict=True))
    assert np.array_equal(targets["order"], same["order"])


def test_orders_and_starts_are_equally_likely() -> None:
    planner, rng = JigsawPlanner(2, 8, 20, (60, 60), "stretch", "error"), np.random.default_rng(0)
    drawn = [planner(video(n_frames=32), rng) for _ in range(2_000)]
    counts = np.bincount(np.concatenate([targets["order"] for _, targets in drawn]), minlength=20)
    assert len(counts) == 20 and (np.abs(counts - 200) < 5 * np.sqrt(200)).all()
    starts = np.bincount([int(views[0].frames[0]) for views, _ in drawn])
    assert len(starts) == 24 and starts.min() > 40
    both = np.array([targets["order"] for _, targets in drawn])
    assert (both[:, 0] == both[:, 1]).mean() < 0.1, "puzzles of a video have orders of their own"


def test_short_videos_as_configured() -> None:
    for short_video, expected in (("loop", [0, 2, 1]), ("pad", [0, 2, 2])):
        planner = JigsawPlanner(3, 2, 20, (60, 60), "stretch", short_video)
        views, _ = planner(video(n_frames=3), np.random.default_rng(0))
        assert [int(view.frames[0]) for view in views] == expected


def corners(task: Jigsaw, seeds: int = 300, order: int = 0) -> torch.Tensor:
    """Return int ``[seeds, 9, 2]``: row and column of each shown tile's first pixel; the frame counts its pixels."""
    read = task.planner().size[0]
    y, x = torch.meshgrid(torch.arange(read), torch.arange(read), indexing="ij")
    frame = torch.stack([y, x, x], dim=-1).to(torch.uint8)[None, None].expand(seeds, 1, -1, -1, -1)
    targets = {"order": torch.full((seeds, 1), order)}
    batch = Batch((frame,), targets, torch.arange(seeds) * 7 + 1, torch.arange(seeds))
    tiles = task.augment(batch).views[0]
    return (255 * tiles[:, :2, :, 0, 0]).round().long().transpose(1, 2)


@pytest.mark.parametrize("order", [0, 13])
def test_each_place_shows_the_tile_named(order: int) -> None:
    task = plain()
    found = corners(task, order=order)
    for place, tile in enumerate(task.orders[order].tolist()):
        moved = found[:, place] - torch.tensor([tile // 3, tile % 3]) * 11
        for axis in (0, 1):
            counts = torch.bincount(moved[:, axis], minlength=4)
            assert len(counts) == 4 and counts.min() > 40, "0 to gap, alike"
    assert bool((found[:, 0] - found[:, 0].min(dim=0).values != found[:, 1] - found[:, 1].min(dim=0).values).any())


def test_without_a_gap_tiles_touch() -> None:
    task = plain(gap=0)
    found = corners(task, seeds=3)
    expected = torch.tensor([[8 * (tile // 3), 8 * (tile % 3)] for tile in task.orders[0].tolist()])
    assert torch.equal(found, expected.expand(3, 9, 2))


def test_the_puzzle_lies_anywhere_in_a_larger_frame() -> None:
    found = corners(plain(gap=0, read_size=27), seeds=300)
    first = found[:, plain().orders[0].tolist().index(0)]
    assert sorted(set(first[:, 0].tolist())) == sorted(set(first[:, 1].tolist())) == [0, 1, 2, 3]


def test_a_flip_mirrors_the_frame_before_it_is_cut() -> None:
    task = plain(gap=0, flip=1.0)
    found = corners(task, seeds=2)
    expected = torch.tensor([[8 * (tile // 3), 23 - 8 * (tile % 3)] for tile in task.orders[0].tolist()])
    assert torch.equal(found[0], expected)


def noise(task: Jigsaw, n: int = 60) -> Batch:
    read = task.planner().size[0]
    generator = torch.Generator().manual_seed(0)
    frame = torch.randint(0, 256, (1, 1, read, read, 3), dtype=torch.uint8, generator=generator)
    return Batch((frame.repeat(n, 1, 1, 1, 1),), {"order": torch.zeros(n, 1, dtype=torch.int64)}, torch.arange(n) * 3,
                 torch.arange(n))  # fmt: skip


def test_grey_puzzles_are_as_many_as_asked() -> None:
    for share in (0.0, 0.3, 1.0):
        task = plain(grey=share, gap=0)
        tiles = task.augment(noise(task, 200)).views[0]
        grey = (tiles == tiles[:, :1]).flatten(1).all(dim=1).float().mean()
        assert abs(float(grey) - share) < 0.1


def test_channels_are_moved_by_tile_and_channel_and_within_reach() -> None:
    still, moved = plain(gap=0), plain(gap=0, channel_shift=2)
    tiles, shifted = (task.augment(noise(task, 20)).views[0] for task in (still, moved))
    seen = set()
    for row in range(20):
        for channel in range(3):
            for tile in range(9):
                inner = shifted[row, channel, tile, 2:6, 2:6]
                fits = [
                    (y, x)
                    for y in range(-2, 3)
                    for x in range(-2, 3)
                    if torch.equal(inner, tiles[row, channel, tile, 2 + y : 6 + y, 2 + x : 6 + x])
                ]
                assert len(fits) == 1
                seen.add((channel, *fits[0]))
    assert len(seen) == 3 * 25
    grey = plain(gap=0, channel_shift=2, grey=1.0).augment(noise(moved, 4)).views[0]
    assert torch.equal(grey, plain(gap=0, grey=1.0).augment(noise(moved, 4)).views[0]), "grey ones are left alone"


def test_tiles_have_one_mean_and_deviation_unless_turned_off() -> None:
    for on in (True, False):
        task = plain(gap=0, normalise_tiles=on)
        batch = noise(task)
        bright = batch.views[0].float()
        bright[:, :, :8] *= 0.3
        tiles = task.augment(batch._replace(views=(bright.to(torch.uint8),))).views[0].transpose(1, 2).flatten(2)
        assert bool((tiles.mean(dim=2) - 0.5).abs().max() < 0.02) is on
        assert bool((tiles.std(dim=2) - 1 / 6).abs().max() < 0.01) is on


def test_puzzles_of_a_video_are_drawn_apart() -> None:
    task = tiny()
    batch = make_batch(task, 3)
    same = batch._replace(views=(batch.views[0],) * 4, targets={"order": torch.zeros(3, 4, dtype=torch.int64)})
    views = task.augment(same).views
    assert all(not torch.equal(views[0], other) for other in views[1:])


def test_each_puzzle_is_compared_with_its_own_order() -> None:
    """A head that reads the order off the first tile is right on every puzzle of every video."""
    task = plain(permutations=10, frames=3, stride=1, dropout=0.0, hidden=10, joint=10, size=4)
    with torch.no_grad():
        for layer in (task.head.tile[0], task.head.joint[0], task.head.order):
            layer.weight.zero_()
            layer.bias.zero_()
            layer.weight[:, :10] = torch.eye(10)
    orders = torch.tensor([[0, 3, 9], [7, 2, 2]])
    batch = Batch(tuple(orders.T), {"order": orders}, torch.arange(2), torch.arange(2))

    class ReadsOrder(torch.nn.Module):
        def frame_features(self, numbers: torch.Tensor) -> torch.Tensor:
            features = torch.nn.functional.one_hot(numbers, FakeBackbone().embed_dim).float()
            return features[:, None].repeat(1, 9, 1)

    task.backbone = ReadsOrder()
    assert float(task(batch).metrics["accuracy"]) == 1


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 12),
    gap=st.integers(0, 40),
    read_size=st.integers(1, 40),
    crop_scale=st.floats(0.05, 1.0),
    seed=st.integers(0, 2**32),
)
def test_tiles_smaller_than_a_pixel_are_refused(
    size: int, gap: int, read_size: int, crop_scale: float, seed: int
) -> None:
    """Nothing would be in them; of all others the pixels are numbers, and of a white frame white."""
    try:
        task = plain(size=size, gap=gap, read_size=read_size, crop_scale=crop_scale)
    except ConfigError as error:
        for option in ("size", "gap", "read_size", "crop_scale"):
            assert f"task.{option}" in str(error)
        return
    white = torch.full((64, 1, read_size, read_size, 3), 255, dtype=torch.uint8)
    seeds = seed + torch.arange(64)
    (view,) = task.augment(Batch((white,), {"order": torch.zeros(64, 1, dtype=torch.int64)}, seeds, seeds)).views
    torch.testing.assert_close(view, torch.ones_like(view))


def test_the_bound_on_small_tiles() -> None:
    """Of 5 x 5 pixels 2/3 is shown, of its 3 cells 1/2: 5 x 0.7071 x 0.5 / 3 = 0.589; of 9 x 9, 1.06."""
    for read_size in (5, 8):
        with pytest.raises(ConfigError, match=rf"task\.read_size={read_size} .* pieces of 0\."):
            plain(size=3, gap=3, read_size=read_size, crop_scale=2 / 3)
    plain(size=3, gap=3, read_size=9, crop_scale=2 / 3)
    plain(size=1, gap=0, read_size=3, crop_scale=1.0)
    with pytest.raises(ConfigError, match=r"pieces of 0\.67"):
        plain(size=1, gap=0, read_size=2, crop_scale=1.0)


def test_more_orders_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"task\.permutations=25.*task\.grid=2.*24 orders"):
        plain(grid=2, permutations=25)
    four = plain(grid=2, permutations=24)
    assert four.orders.shape == (24, 4) and len({tuple(order) for order in four.orders.tolist()}) == 24


def test_another_seed_gives_other_orders() -> None:
    assert not torch.equal(plain().orders, plain(permutation_seed=1).orders)
    assert torch.equal(plain().orders, plain().orders)


def test_loss_falls_on_one_batch() -> None:
    task = tiny(frames=1)
    batch = task.augment(make_batch(task))
    losses = losses_on(task, batch, 30)
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


def test_it_is_explained() -> None:
    task = tiny(normalise_tiles=False, gap=0)
    batch = task.augment(make_batch(task, 2))
    for row, said in enumerate(task.explain(batch)):
        number = int(batch.targets["order"][row, 0])
        order = task.orders[number].tolist()
        assert f"order {number}:" in said.answer
        assert " ".join(str(tile + 1) for tile in order) in said.answer
        (_, shown), (_, solved) = said.pictures
        assert shown.shape == solved.shape == (3, 1, 54, 54)
        for place, tile in enumerate(order):
            at = [18 * (where // 3) + 1 for where in (place, tile)], [18 * (where % 3) + 1 for where in (place, tile)]
            first = shown[:, 0, at[0][0] : at[0][0] + 16, at[1][0] : at[1][0] + 16]
            second = solved[:, 0, at[0][1] : at[0][1] + 16, at[1][1] : at[1][1] + 16]
            assert torch.equal(first, batch.views[0][row, :, place]) and torch.equal(first, second)


@pytest.mark.parametrize("backbone", [None, "timm/test_resnet", {"name": "timm/test_vit", "img_size": 16}], ids=str)
def test_conformance(backbone: str | dict[str, Any] | None) -> None:
    check_task("jigsaw@tiny", REGISTRY, backbone=backbone)


def test_conformance_with_every_option() -> None:
    options = {"flip": 0.5, "jitter": 0.3, "crop_scale": 0.5, "grid": 2, "read_size": 40}
    check_task({"name": "jigsaw", "recipe": "tiny", **options}, REGISTRY)


def test_it_asks_for_a_network_of_frames() -> None:
    assert REGISTRY.resolve("tasks", "jigsaw").spec.requires == {"frames"}
