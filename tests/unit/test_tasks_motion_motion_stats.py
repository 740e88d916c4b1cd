"""``motion-stats``: what its numbers mean, on clips whose answer is known, and that flow and frames are cut alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import vssl_backbones.plugin
import vssl_motion.plugin
from vssl_core.contracts import Batch
from vssl_core.errors import ClipError, ConfigError
from vssl_core.plugins import Registry
from vssl_core.testing import FakeBackbone, check_task, fake_batch, fake_videos
from vssl_motion.clip_statistics import appearance_labels, motion_boundaries, motion_labels
from vssl_motion.regions import patterns

REGISTRY = Registry.discover(
    plugins={"motion": vssl_motion.plugin, "backbones": vssl_backbones.plugin}, entry_points=False
)
SIZE = 32
PATTERNS = patterns(SIZE)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make(**options: Any) -> Any:
    torch.manual_seed(0)
    return REGISTRY.build("tasks", {"name": "motion-stats", "recipe": "tiny", **options}, FakeBackbone())


# ------------------------------------------------------------------------------------------- divisions


@pytest.mark.parametrize("size", [8, 32, 112])
def test_divisions_cover_the_frame(size: int) -> None:
    blocks, rings, triangles = patterns(size)
    for pattern, n in ((blocks, 16), (rings, 4)):
        assert pattern.masks.shape == (n, size, size)
        assert (pattern.masks.sum(0) == 1).all(), "each pixel is in one"
    assert triangles.masks.shape == (8, size, size)
    twice = triangles.masks.sum(0) == 2
    assert (triangles.masks.sum(0) >= 1).all() and twice.sum() == 2 * size, "but those on the two diagonals are in two"
    assert torch.equal(twice, torch.eye(size, dtype=torch.bool) | torch.eye(size, dtype=torch.bool).flip(1))
    half = size // 2
    assert triangles.area.tolist() == [half * (half + 1) / 2] * 8
    assert rings.area.tolist() == [size * size * k / 16 for k in (1, 3, 5, 7)]
    for pattern in (blocks, rings, triangles):
        pixel, region = pattern.again
        counted = torch.bincount(pattern.region, minlength=len(pattern.masks))
        counted += torch.bincount(region, minlength=len(pattern.masks))
        assert counted.tolist() == pattern.area.tolist()
        assert pattern.masks.flatten(1)[region, pixel].all()


def test_regions_are_numbered_as_said() -> None:
    blocks, rings, triangles = (pattern.masks for pattern in PATTERNS)
    assert blocks[1, 0, 8] and blocks[4, 8, 0] and blocks[15, 31, 31]
    assert rings[0, 15, 15] and rings[1, 11, 15] and rings[2, 4, 15] and rings[3, 0, 15]
    for number, (row, column) in enumerate([(9, 2), (2, 9), (2, 20), (10, 29), (20, 2), (29, 10), (29, 20), (20, 29)]):
        assert triangles[:, row, column].nonzero().flatten().tolist() == [number]


def test_odd_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 8"):
        make(size=36)


# ------------------------------------------------------------------------------------------- numbers


def boundaries_of(u: Tensor, v: Tensor | None = None) -> Tensor:
    """Of flow that is ``u`` (and ``v``) float ``[F, S, S]``."""
    return motion_boundaries(torch.stack([u, torch.zeros_like(u) if v is None else v], dim=-1)[None])


@settings(max_examples=40, deadline=None)
@given(row=st.integers(0, 3), column=st.integers(0, 3), frame=st.integers(0, 6), sign=st.sampled_from([-1.0, 1.0]))
def test_a_moving_patch_is_found(row: int, column: int, frame: int, sign: float) -> None:
    u = torch.zeros(7, SIZE, SIZE)
    u[frame, 8 * row + 2 : 8 * row + 6, 8 * column + 2 : 8 * column + 6] = sign
    labels = motion_labels(boundaries_of(u), PATTERNS)[0].tolist()
    assert labels[0] == 4 * row + column + 1
    assert labels[12] == frame + 1
    depth = 3 if {row, column} <= {1, 2} else 0
    if depth:
        assert labels[4] == 1, "the middle"
    assert labels[2:4] == [0, 0], "nothing moves down: block 0, direction 0"
    assert labels[6:8] == [1, 1] and labels[10:12] == [1, 1] and labels[13] == 1


@pytest.mark.parametrize("turns", range(8))
def test_directions_are_eighths_of_the_circle(turns: int) -> None:
    """A ramp of u that falls towards one side: its boundary points there, counted from right through down."""
    angle = turns * np.pi / 4
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    ramp = -(np.cos(angle) * x + np.sin(angle) * y).float()
    labels = motion_labels(boundaries_of(ramp[None].repeat(7, 1, 1)), PATTERNS)[0].tolist()
    assert {labels[1], labels[5], labels[9]} == {turns + 1}


def test_a_camera_that_pans_leaves_nothing() -> None:
    labels = motion_labels(boundaries_of(torch.full((7, SIZE, SIZE), 5.0)), PATTERNS)[0].tolist()
    assert labels == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]


def test_colours_that_change_are_found() -> None:
    clip = torch.zeros(1, 3, 8, SIZE, SIZE, dtype=torch.uint8)
    clip[:, 2] = 200  # blue
    clip[0, 0, :, 16:24, 8:16] = 255
    clip[0, 2, ::2, 16:24, 8:16] = 0  # red and magenta in turn, in block 4 * 2 + 1
    clip[0, 0, 0, 16:20, 8:16] = 0  # a little less often red
    labels = appearance_labels(clip, PATTERNS)[0].tolist()
    assert labels[:2] == [10, 3], "the block that changes, mostly magenta"
    assert labels[2:4] == [1, 1], "the first of those that do not, blue"
    assert labels[12] == 1


def test_the_dominant_colour_is_voted_or_exact() -> None:
    clip = torch.zeros(1, 3, 2, SIZE, SIZE, dtype=torch.uint8)
    clip[0, 0] = 140 + torch.arange(SIZE)  # many reds, each of them seldom
    clip[0, 1, :, :4] = 255  # fewer yellows ...
    clip[0, 0, :, :4] = 255  # ... all alike
    assert appearance_labels(clip, PATTERNS)[0, 12] == 7
    assert appearance_labels(clip, PATTERNS, dominant="colour")[0, 12] == 8


# ------------------------------------------------------------------------------------------- the task


def test_planner_asks_for_a_clip_and_its_flow() -> None:
    planner = make(frames=8, stride=2).planner()
    video = fake_videos(1, 40)[0]
    starts = []
    for seed in range(300):
        views, targets = planner(video, np.random.default_rng(seed))
        rgb, flow = views
        assert rgb.flow is None and flow.flow is planner.flow
        np.testing.assert_array_equal(rgb.frames, flow.frames)
        assert (np.diff(rgb.frames) == 2).all() and rgb.frames[0] >= 0 and rgb.frames[-1] < 40
        assert targets == {}
        starts.append(int(rgb.frames[0]))
    assert set(starts) == set(range(26)), "every start is drawn"
    with pytest.raises(ClipError, match="motion-stats needs 15 frames"):
        planner(fake_videos(1, 14)[0], np.random.default_rng(0))


def test_flow_is_cut_and_mirrored_with_its_clip() -> None:
    """Flow that is written in the colours of the frames, so that the augmented clip tells what it must have become."""
    task = make(size=32, crop_scale=0.3, flip=0.5)
    generator = torch.Generator().manual_seed(0)
    rgb = torch.randint(0, 256, (24, 8, 48, 48, 3), dtype=torch.uint8, generator=generator)
    seeds = torch.arange(24) * 7919
    batch = task.augment(Batch((rgb, rgb[:, :-1, :, :, :2].half()), {}, seeds, torch.arange(24)))
    (clip,) = batch.views
    assert clip.shape == (24, 3, 8, 32, 32)
    flow = clip[:, :2, :-1].permute(0, 2, 3, 4, 1)
    expected = [motion_labels(motion_boundaries(flow * flow.new_tensor([u, 1.0])), PATTERNS) for u in (1.0, -1.0)]
    numbers = batch.targets["motion"].long()
    same, turned = ((numbers == labels).all(dim=1) for labels in expected)
    assert (same ^ turned).all(), "each is that of its own crop, u as it was or mirrored"
    assert 4 < int(turned.sum()) < 20


def test_a_mirror_turns_motion_round() -> None:
    plain, mirrored = make(flip=0.0, crop_scale=1.0), make(flip=1.0, crop_scale=1.0)
    generator = torch.Generator().manual_seed(0)
    flow = torch.randn(3, 7, 32, 32, 2, generator=generator).half()
    rgb = torch.randint(0, 256, (3, 8, 32, 32, 3), dtype=torch.uint8, generator=generator)
    batch = Batch((rgb, flow), {}, torch.arange(3), torch.arange(3))
    left = Batch((rgb.flip(3), flow.flip(3) * torch.tensor([-1.0, 1.0])), {}, torch.arange(3), torch.arange(3))
    ours, theirs = mirrored.augment(batch), plain.augment(left)
    torch.testing.assert_close(ours.views[0], theirs.views[0])
    for name in ("motion", "appearance"):
        assert torch.equal(ours.targets[name], theirs.targets[name])
    assert not torch.equal(ours.targets["motion"], plain.augment(batch).targets["motion"])


def test_weights_of_zero_leave_numbers_out() -> None:
    for name, other in (("motion", "appearance"), ("appearance", "motion")):
        task = make(**{f"{other}_weight": 0.0})
        batch = task.augment(fake_batch(task, 2))
        assert set(batch.targets) == {name}
        assert set(task(batch).metrics) == {name, f"{name}_blind"}
        assert task.explain(batch)[0].answer
    with pytest.raises(ConfigError, match="nothing would be asked"):
        make(motion_weight=0.0, appearance_weight=0.0)


def test_what_not_looking_gives_does_not_depend_on_the_batch() -> None:
    """200 clips in batches of 200, 48 and 8 (the last of 48: 8); and what a batch of one says is not counted.

    The variance of 200 clips is known to about sqrt(2 / 200) / sqrt(14), 2.7 %; dividing by all clips of a batch, 8 of
    them would give 12.5 % less.
    """
    task = make().eval()
    generator = torch.Generator().manual_seed(0)
    motion = torch.randint(1, 17, (200, 14), generator=generator).float()
    appearance = torch.randint(1, 9, (200, 13), generator=generator).float()

    def blind(size: int) -> dict[str, tuple[float, int]]:
        sums = {"motion_blind": (0.0, 0), "appearance_blind": (0.0, 0)}
        for rows in torch.arange(200).split(size):
            targets = {"motion": motion[rows], "appearance": appearance[rows]}
            batch = Batch((torch.zeros(len(rows), 3, 8, SIZE, SIZE),), targets, rows, rows)
            for name, (total, n) in task.evaluate(batch).items():
                if name in sums:
                    sums[name] = (sums[name][0] + float(total), sums[name][1] + n)
        return {name: (total / max(n, 1), n) for name, (total, n) in sums.items()}

    whole = blind(200)
    assert whole["motion_blind"][0] == pytest.approx(float(motion.var(dim=0).mean()), rel=1e-5)
    for size in (48, 8):
        for name, (value, n) in blind(size).items():
            assert value == pytest.approx(whole[name][0], rel=0.02) and n == 200
    assert blind(199)["motion_blind"][1] == 199, "the last batch is one clip"
    assert set(blind(1).values()) == {(0.0, 0)}


def test_jitter_changes_the_colours_that_are_asked_for() -> None:
    task, jittered = make(crop_scale=1.0), make(crop_scale=1.0, jitter=0.8)
    raw = fake_batch(task, 4)
    plain, other = task.augment(raw), jittered.augment(raw)
    assert not torch.equal(plain.views[0], other.views[0])
    assert torch.equal(plain.targets["motion"], other.targets["motion"])
    pixels = (other.views[0] * 255).round().to(torch.uint8)
    assert torch.equal(other.targets["appearance"], appearance_labels(pixels, PATTERNS).float())


def test_it_says_what_is_asked() -> None:
    task = make()
    batch = task.augment(fake_batch(task, 2))
    for explanation in task.explain(batch):
        assert "Where does most move" in explanation.question
        assert "block" in explanation.answer and "mostly" in explanation.answer
        # Motion across, motion up or down, colours.
        assert [picture.shape for _, picture in explanation.pictures] == [(3, 8, 32, 32)] * 3
        assert explanation.answer.count("motion") == 2


def test_it_says_where_nothing_moves() -> None:
    task = make()
    batch = task.augment(fake_batch(task, 1))
    numbers = batch.targets["motion"].clone()
    # Blocks 0: what motion_labels says of a clip that stands still.
    numbers[:, [0, 2]] = 0
    numbers[:, [1, 3]] = 0
    (explanation,) = task.explain(batch._replace(targets={**batch.targets, "motion": numbers}))
    assert explanation.answer.startswith("nothing moves across; nothing moves up or down; colours change most")
    assert [title for title, _ in explanation.pictures] == ["where colours change most"]


@pytest.mark.parametrize(("faster", "towards"), [(1, "right"), (-1, "left")])
def test_it_says_where_motion_falls_off_with_its_sign(faster: int, towards: str) -> None:
    """Everything moves to the left, faster and faster towards one side: rightward motion falls off towards that side.

    And upwards, faster and faster towards the bottom or the top, likewise.
    """
    task = make()
    batch = task.augment(fake_batch(task, 1))
    ramp = -(5.0 + faster * (torch.arange(SIZE, dtype=torch.float32) / SIZE - 0.5))
    u, v = ramp.expand(7, SIZE, SIZE), ramp[:, None].expand(7, SIZE, SIZE)
    numbers = motion_labels(boundaries_of(u, v), PATTERNS).float()
    (explanation,) = task.explain(batch._replace(targets={**batch.targets, "motion": numbers}))
    across, down = explanation.answer.split("; ")[:2]
    assert across.startswith("rightward motion changes most in block") and down.startswith("downward motion")
    assert across.count(f"(falling towards the {towards})") == 3
    assert down.count(f"(falling towards the {'bottom' if towards == 'right' else 'top'})") == 3


def test_run_ids_follow_the_provider() -> None:
    resolved = REGISTRY.resolve("tasks", {"name": "motion-stats", "flow": {"name": "dis", "preset": "fast"}})
    assert resolved.inner["flow"].options == {"preset": "fast"} and resolved.inner["flow"].version == 1


@pytest.mark.parametrize("backbone", [None, "r2plus1d-tiny", "vit-tiny-video", "timm/test_vit"])
def test_conformance(backbone: str | None) -> None:
    check_task("motion-stats@tiny", REGISTRY, backbone=backbone)


def test_it_learns_a_batch() -> None:
    task = make()
    batch = task.augment(fake_batch(task, 6))
    optimizer = torch.optim.Adam(task.param_groups(), lr=3e-2)
    losses = []
    for _ in range(30):
        output = task(batch)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append(float(output.loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
