"""``cubic-puzzle``: pieces lie in their cells of space and time, by every order and kind alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import TinyNet, losses_on, make_batch, video

import vssl_backbones.plugin
import vssl_spatial.plugin
from vssl_core.contracts import Batch
from vssl_core.errors import ClipError, ConfigError
from vssl_core.pretext.permutations import all_orders
from vssl_core.testing import check_task, isolated_registry
from vssl_spatial.cubic_puzzle import CubicPuzzle, CubicPuzzlePlanner

REGISTRY = isolated_registry(spatial=vssl_spatial.plugin, nets=vssl_backbones.plugin)
NETWORKS = ["r2plus1d-tiny", "vit-tiny-video", "timm/test_resnet"]
BOTH = ("space", "time")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def tiny(**options: Any) -> CubicPuzzle:
    torch.manual_seed(0)
    task: CubicPuzzle = REGISTRY.build("tasks", {"name": "cubic-puzzle", "recipe": "tiny", **options}, TinyNet())
    return task


def planner(frames: int = 4, stride: int = 1, gap: int = 2, dimensions: tuple[str, ...] = BOTH) -> CubicPuzzlePlanner:
    return CubicPuzzlePlanner(frames, stride, gap, dimensions, True, (32, 32), "stretch", "error")


@settings(max_examples=80, deadline=None)
@given(
    frames=st.integers(1, 6),
    stride=st.integers(1, 3),
    gap=st.integers(0, 5),
    extra=st.integers(-3, 20),
    seed=st.integers(0, 2**32),
)
def test_pieces_lie_in_their_cells_of_time(frames: int, stride: int, gap: int, extra: int, seed: int) -> None:
    length = (frames - 1) * stride + 1
    cell = length + gap
    n_frames = 4 * cell + extra
    plan = planner(frames, stride, gap)
    if extra < 0:
        with pytest.raises(ClipError, match=rf"needs {4 * cell} frames.*task\.gap_frames={gap}"):
            plan(video(n_frames=max(1, n_frames)), np.random.default_rng(seed))
        return
    views, targets = plan(video(n_frames=n_frames), np.random.default_rng(seed))
    order = all_orders(4)[targets["order"]]
    starts = np.array([view.frames[0] for view in views])
    for view in views:
        assert view.frames.min() >= 0 and view.frames.max() < n_frames and view.frames.dtype == np.int64
        assert len(view.frames) == frames and (np.diff(view.frames) == stride).all()
    if targets["time"]:
        in_order = starts[np.argsort(order)]
        assert (np.diff(in_order) >= length).all(), "in the order named, and never two pieces of one frame"
        assert (np.diff(in_order) <= cell + gap).all()
        assert in_order[-1] - in_order[0] <= 3 * cell + gap
        assert len(set(targets["place"].tolist())) == 1
    else:
        assert targets["place"].tolist() == order.tolist()
        assert starts.max() - starts.min() <= gap
    views_2, targets_2 = plan(video(n_frames=n_frames), np.random.default_rng(seed))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(views, views_2, strict=True))
    assert targets["order"] == targets_2["order"] and np.array_equal(targets["place"], targets_2["place"])


def test_orders_kinds_cells_and_turns_are_equally_likely() -> None:
    plan, rng = planner(), np.random.default_rng(0)
    drawn = [plan(video(n_frames=40), rng)[1] for _ in range(4_800)]
    for name, n in (("order", 24), ("time", 2), ("upside_down", 2)):
        counts = np.bincount([target[name] for target in drawn], minlength=n)
        assert len(counts) == n and (np.abs(counts - 4_800 / n) < 5 * np.sqrt(4_800 / n)).all(), name
    of_time = np.bincount([target["place"][0] for target in drawn if target["time"]], minlength=4)
    assert (np.abs(of_time - of_time.sum() / 4) < 5 * np.sqrt(of_time.sum() / 4)).all()
    # The order does not depend on the kind: the 24 classes say nothing of it.
    for time in (0, 1):
        orders = np.bincount([target["order"] for target in drawn if target["time"] == time], minlength=24)
        assert orders.min() > 50


def test_pieces_move_in_time_and_the_puzzle_in_the_video() -> None:
    plan, rng = planner(4, 1, 3, ("time",)), np.random.default_rng(0)
    gaps, firsts = set(), set()
    for _ in range(600):
        views, _ = plan(video(n_frames=34), rng)
        starts = sorted(int(view.frames[0]) for view in views)
        gaps |= {int(step) - 4 for step in np.diff(starts)}
        firsts.add(starts[0])
    assert gaps == set(range(7)), "0 to twice the gap between two pieces"
    assert firsts == set(range(34 - 28 + 3 + 1))
    still = planner(4, 1, 0, ("time",))
    views, _ = still(video(n_frames=16), np.random.default_rng(0))
    assert sorted(int(view.frames[0]) for view in views) == [0, 4, 8, 12]


def test_one_kind_alone() -> None:
    for dimension, time in (("space", 0), ("time", 1)):
        plan, rng = planner(dimensions=(dimension,)), np.random.default_rng(0)
        assert {plan(video(n_frames=40), rng)[1]["time"] for _ in range(20)} == {time}
    for wrong in ([], ["space", "space"], ["depth"]):
        with pytest.raises(ConfigError, match=r"task\.dimensions"):
            tiny(dimensions=wrong)


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 12),
    gap=st.integers(0, 40),
    read_size=st.integers(1, 30),
    crop_scale=st.floats(0.05, 1.0),
    seed=st.integers(0, 2**32),
)
def test_pieces_smaller_than_a_pixel_are_refused(
    size: int, gap: int, read_size: int, crop_scale: float, seed: int
) -> None:
    """Nothing would be in them; of all others the pixels are numbers, and of a white frame white."""
    options = {"size": size, "gap": gap, "read_size": read_size, "crop_scale": crop_scale}
    try:
        task = CubicPuzzle(TinyNet(), frames=1, gap_frames=0, hidden=4, **options)
    except ConfigError as error:
        assert all(f"task.{option}" in str(error) for option in options) and "2 x 2" in str(error)
        return
    white = torch.full((64, 1, read_size, read_size, 3), 255, dtype=torch.uint8)
    seeds, zero = seed + torch.arange(64), torch.zeros(64, dtype=torch.int64)
    targets = {"order": zero, "place": torch.arange(4).expand(64, 4), "time": zero, "upside_down": zero}
    for view in task.augment(Batch((white,) * 4, targets, seeds, seeds)).views:
        torch.testing.assert_close(view, torch.ones_like(view))


def test_the_bound_on_small_pieces() -> None:
    """Half of 6 x 6 pixels is a box 6 x sqrt(3/8) = 3.67 wide; a piece of 1 in cells of 2 is 0.92 wide. Of 7: 1.07."""
    with pytest.raises(ConfigError, match=r"task\.read_size=6 .* pieces of 0\.92"):
        CubicPuzzle(TinyNet(), size=1, gap=1, read_size=6, crop_scale=0.5)
    CubicPuzzle(TinyNet(), size=1, gap=1, read_size=7, crop_scale=0.5)


def test_short_videos_as_configured() -> None:
    task = CubicPuzzle(TinyNet(), frames=4, gap_frames=0, dimensions=["time"], short_video="loop")
    views, _ = task.planner()(video(n_frames=10), np.random.default_rng(0))
    assert sorted(frame for view in views for frame in view.frames.tolist()) == sorted([*range(10), *range(6)])


def where(task: CubicPuzzle, place: list[int], seeds: int = 200) -> torch.Tensor:
    """Return int ``[seeds, 4, 2]``: row and column of each piece's first pixel; the frame counts its pixels."""
    read = task.planner().size[0]
    y, x = torch.meshgrid(torch.arange(read), torch.arange(read), indexing="ij")
    frame = torch.stack([y, x, x], dim=-1).to(torch.uint8)
    views = (frame[None, None].expand(seeds, 2, -1, -1, -1),) * 4
    zero = torch.zeros(seeds, dtype=torch.int64)
    targets = {"order": zero, "place": torch.tensor([place] * seeds), "time": zero, "upside_down": zero}
    found = task.augment(Batch(views, targets, torch.arange(seeds) * 7 + 1, zero))
    return torch.stack([(255 * view[:, :2, 0, 0, 0]).round().long() for view in found.views], dim=1)


def plain(**options: Any) -> CubicPuzzle:
    return CubicPuzzle(TinyNet(), **{"frames": 2, "size": 8, "gap": 3, "channel_replication": 0.0, **options})


def test_pieces_lie_anywhere_in_their_cells_of_space() -> None:
    corner = where(plain(), [0, 1, 2, 3])
    for place in range(4):
        moved = corner[:, place] - torch.tensor([place // 2, place % 2]) * 11
        for axis in (0, 1):
            counts = torch.bincount(moved[:, axis], minlength=4)
            assert len(counts) == 4 and counts.min() > 25, "0 to gap, alike"
    # Each piece moves by itself, also where all four are of one cell.
    same = where(plain(), [3, 3, 3, 3])
    assert all(bool((same[:, 0] != same[:, other]).any()) for other in (1, 2, 3))
    assert (same >= 11).all() and (same <= 14).all()
    assert where(plain(gap=0), [0, 1, 2, 3])[0].tolist() == [[0, 0], [0, 8], [8, 0], [8, 8]]


def test_the_puzzle_lies_anywhere_in_a_larger_frame() -> None:
    corner = where(plain(gap=0, read_size=20), [0, 1, 2, 3], seeds=400)
    assert sorted(set(corner[:, 0, 0].tolist())) == list(range(5))
    assert torch.equal(corner[:, 3] - corner[:, 0], torch.full((400, 2), 8))


def test_a_smaller_crop_scale_enlarges_part_of_the_frame() -> None:
    corner = where(plain(gap=0, read_size=40, crop_scale=0.2), [0, 1, 2, 3], seeds=300)
    side = (corner[:, 3] - corner[:, 0]).float()
    assert side.min() < 10 and side.max() > 16, "halves of windows of 16 to 40 pixels and more"


def test_colours_and_jitter_are_those_of_the_puzzle() -> None:
    task = tiny(jitter=0.5, channel_replication=0.5)
    flat = tuple(torch.full((40, 6, 56, 56, 3), 100, dtype=torch.uint8) for _ in range(4))
    for view in flat:
        view[..., 0], view[..., 2] = 40, 200
    batch = make_batch(task, 1)
    targets = {name: value.expand(40, *value.shape[1:]) for name, value in batch.targets.items()}
    views = task.augment(Batch(flat, targets, torch.arange(40), torch.arange(40))).views
    colour = torch.stack([view[:, :, 0, 0, 0] for view in views])
    torch.testing.assert_close(colour, colour[:1].expand_as(colour), rtol=0, atol=1e-6)
    grey = (colour[0] == colour[0, :, :1]).all(dim=1).float().mean()
    assert 0.2 < grey < 0.8
    assert len({round(float(value), 3) for value in colour[0, :, 1]}) > 20


def test_loss_falls_on_one_batch() -> None:
    task = tiny()
    batch = task.augment(make_batch(task))
    losses = losses_on(task, batch, 30)
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


def test_it_is_explained() -> None:
    task = tiny(upside_down=True)
    batch = task.augment(make_batch(task, 12))
    said = task.explain(batch)
    assert len(said) == 12
    for row, one in enumerate(said):
        order = all_orders(4)[batch.targets["order"][row]].tolist()
        caption, together = one.pictures[0]
        if batch.targets["time"][row]:
            names = ("first", "second", "third", "fourth")
            assert together.shape == (3, 24, 24, 24)
            assert torch.equal(together[:, :6], batch.views[order.index(0)][row])
        else:
            names = ("top left", "top right", "bottom left", "bottom right")
            assert together.shape == (3, 6, 52, 52)
            assert torch.equal(together[:, :, 1:25, 27:51], batch.views[order.index(1)][row])
        assert ", ".join(names[piece] for piece in order) in one.answer
        assert ("upside down" in one.answer) == bool(batch.targets["upside_down"][row])
        assert len(one.captions) == 4 and caption


@pytest.mark.parametrize("backbone", [None, *NETWORKS])
def test_conformance(backbone: str | None) -> None:
    check_task("cubic-puzzle@tiny", REGISTRY, backbone=backbone)


def test_conformance_with_every_option() -> None:
    options = {"upside_down": True, "flip": 0.5, "jitter": 0.3, "crop_scale": 0.5, "channel_replication": 0.5}
    check_task({"name": "cubic-puzzle", "recipe": "tiny", **options}, REGISTRY)
