"""``catch-the-patch``: where paths may go, what is pasted where, what switches turn off, and how boxes are measured."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import TinyNet, make_batch, video
from torch import Tensor, nn

import vssl_backbones.plugin
import vssl_motion.plugin
from vssl_core.contracts import Batch, Features
from vssl_core.errors import ClipError, ConfigError
from vssl_core.plugins import Registry
from vssl_core.pretext.shapes import map_shape
from vssl_core.testing import check_task
from vssl_motion.catch_the_patch import PatchPlanner
from vssl_motion.patch_head import PatchHead, box_iou, box_targets, boxes_of_targets
from vssl_motion.patch_paste import paste_patches
from vssl_motion.trajectories import Trajectories, key_frames

REGISTRY = Registry.discover(
    plugins={"motion": vssl_motion.plugin, "backbones": vssl_backbones.plugin}, entry_points=False
)
PLAIN: dict[str, Any] = {"crop_scale": 1.0, "flip": 0.0, "light": 0.0, "masks": False, "paste_probability": 1.0}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make(**options: Any) -> Any:
    torch.manual_seed(0)
    return REGISTRY.build("tasks", {"name": "catch-the-patch", "recipe": "tiny", **options}, TinyNet())


def paths(**options: Any) -> Trajectories:
    given_: dict[str, Any] = {"size": 32, "boxes": 3, "scales": (8.0, 12.0), "ratios": (0.5, 1.0, 2.0)}
    given_ |= {"scale_jitter": 0.18, "position_velocity": 3.0, "size_velocity": 0.025}
    return Trajectories(**given_ | {"key_probabilities": (0.5, 0.3, 0.2)} | options)


def planner(
    frames: int, strides: list[int], *, stride: int = 1, jitter: bool = True, short: str = "error"
) -> PatchPlanner:
    return PatchPlanner(frames, stride, tuple(strides), jitter, paths(boxes=2), 0.5, (32, 32), "pad", short)


# ------------------------------------------------------------------------------------------- paths


@settings(max_examples=100, deadline=None)
@given(
    size=st.integers(8, 120),
    frames=st.integers(2, 20),
    scale=st.floats(1.0, 100.0),
    velocity=st.floats(0.0, 20.0),
    growth=st.floats(0.0, 0.3),
    seed=st.integers(0, 2**32),
)
def test_boxes_stay_inside_and_hold_a_pixel(
    size: int, frames: int, scale: float, velocity: float, growth: float, seed: int
) -> None:
    drawn = paths(size=size, scales=(scale,), position_velocity=velocity, size_velocity=growth)
    boxes = drawn.draw(np.random.default_rng(seed), frames)
    assert boxes.shape == (3, frames, 4) and boxes.dtype == np.int64
    assert boxes.min() >= 0 and boxes.max() <= size
    assert (boxes[..., 2:] > boxes[..., :2]).all()
    areas = (boxes[..., 2:] - boxes[..., :2]).mean(axis=1).prod(axis=1)
    assert (np.diff(areas) <= 0).all(), "the largest is pasted first"
    assert np.array_equal(boxes, drawn.draw(np.random.default_rng(seed), frames))


def test_boxes_keep_to_their_speeds() -> None:
    quick, still = paths(position_velocity=2.0, size_velocity=0.0), paths(position_velocity=0.0, size_velocity=0.0)
    furthest = 0.0
    for seed in range(200):
        boxes = quick.draw(np.random.default_rng(seed), 12).astype(float)
        moves = np.abs(np.diff((boxes[..., :2] + boxes[..., 2:]) / 2, axis=1))
        # Twice the mean speed at the end of an accelerated stretch, and rounding to whole pixels.
        assert moves.max() <= 2 * 2.0 + 1
        furthest = max(furthest, moves.max())
        boxes = still.draw(np.random.default_rng(seed), 12)
        assert (boxes == boxes[:, :1]).all()
    assert furthest > 2


@pytest.mark.parametrize("frames", [2, 3, 8, 16])
def test_key_frames_begin_and_end_the_clip(frames: int) -> None:
    for seed in range(200):
        keys = key_frames(np.random.default_rng(seed), frames, (0.2, 0.3, 0.5))
        assert keys[0] == 0 and keys[-1] == frames - 1 and (np.diff(keys) > 0).all() and len(keys) <= 4
    assert key_frames(np.random.default_rng(0), frames, (1.0,)).tolist() == [0, frames - 1]


# ------------------------------------------------------------------------------------------- clips


@settings(max_examples=100, deadline=None)
@given(
    frames=st.integers(2, 12),
    stride=st.integers(1, 2),
    strides=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    jitter=st.booleans(),
    spare=st.integers(0, 40),
    seed=st.integers(0, 2**32),
)
def test_frames_lie_a_stride_apart_and_jump_ahead_by_less(
    frames: int, stride: int, strides: list[int], jitter: bool, spare: int, seed: int
) -> None:
    plan = planner(frames, strides, stride=stride, jitter=jitter)
    widest = stride * max(strides)
    n = (frames - 1) * widest + (widest if jitter else 1) + spare
    (view,), targets = plan(video(0, n), np.random.default_rng(seed))
    assert view.frames.shape == (frames,) and view.frames.min() >= 0 and view.frames.max() < n
    steps = np.diff(view.frames)
    fits = [s * stride for s in strides if ((steps > 0) & (abs(steps - s * stride) < s * stride)).all()]
    assert fits if jitter else any((steps == s).all() for s in fits)
    assert targets["boxes"].dtype == np.float32 and targets["boxes"].shape == (2, frames, 4)
    assert targets["opacity"].shape == (2, frames)
    assert targets["opacity"].min() >= 0.8 - 1e-6 and targets["opacity"].max() <= 1
    with pytest.raises(ClipError, match="catch-the-patch needs"):
        plan(video(0, n - spare - 1), np.random.default_rng(seed))


def test_strides_and_starts_are_as_likely() -> None:
    plan = planner(2, [1, 3], jitter=False)
    seen = Counter[tuple[int, int]]()
    for seed in range(1500):
        frames = plan(video(0, 5), np.random.default_rng(seed))[0][0].frames
        seen[int(frames[1] - frames[0]), int(frames[0])] += 1
    expected = {(1, start): 1 / 8 for start in range(4)} | {(3, start): 1 / 4 for start in range(2)}
    assert seen.keys() == expected.keys()
    assert all(abs(seen[key] / 1500 - share) < 0.045 for key, share in expected.items())


def test_a_short_video_ends_with_its_last_frame() -> None:
    plan = planner(4, [3], jitter=False, short="pad")
    assert plan(video(0, 5), np.random.default_rng(0))[0][0].frames.tolist() == [0, 3, 4, 4]
    assert REGISTRY.build("tasks", "catch-the-patch", TinyNet()).planner().short_video == "pad", "as officially"


# ------------------------------------------------------------------------------------------- pixels


def shown(task: Any, n: int = 6) -> tuple[Batch, Tensor]:
    """Return an augmented batch and what was there before anything was pasted."""
    raw = make_batch(task, n)
    return task.augment(raw), raw.views[0].permute(0, 4, 1, 2, 3).float() / 255


def test_a_plain_patch_is_what_its_frame_held_wherever_it_goes() -> None:
    task = make(**PLAIN, patches=1, size_velocity=0.0)
    batch, before = shown(task)
    clip = batch.views[0]
    for row, path in enumerate(batch.targets["boxes"][:, 0].long()):
        left, top, right, bottom = path[:, 0], path[:, 1], path[:, 2], path[:, 3]
        if len(set((right - left).tolist())) > 1 or len(set((bottom - top).tolist())) > 1:
            continue  # rounding changed its size: it is scaled
        cuts = torch.stack([clip[row, :, t, top[t] : bottom[t], left[t] : right[t]] for t in range(8)])
        torch.testing.assert_close(cuts, cuts[:1].expand_as(cuts), rtol=0, atol=1e-5)
        own = [before[row, :, t, top[t] : bottom[t], left[t] : right[t]] for t in range(8)]
        assert sum(torch.allclose(cuts[0], cut, atol=1e-5) for cut in own) == 1, "it comes from one of the frames"
        for t in range(8):
            outside = torch.ones(32, 32, dtype=torch.bool)
            outside[top[t] : bottom[t], left[t] : right[t]] = False
            assert torch.allclose(clip[row, :, t][:, outside], before[row, :, t][:, outside], atol=1e-6)


def changed(task: Any) -> Tensor:
    """Return bool ``[B, T]``: frames in which something was pasted."""
    batch, before = shown(task, 24)
    return (batch.views[0] - before).abs().amax((1, 3, 4)) > 1e-3


def test_patches_are_left_out_after_the_first_frame() -> None:
    options = PLAIN | {"patches": 1, "position_velocity": 4.0}
    always = changed(make(**options))
    # In the frame that it is cut from it changes nothing, if it is not scaled.
    assert always.float().mean() > 0.8
    never = changed(make(**options | {"paste_probability": 0.0}))
    assert never[:, 0].float().mean() > 0.7, "the first frame always shows it"
    assert not never[:, 1:].any(), "and the frame that it is cut from, where it changes nothing"
    half = changed(make(**options | {"paste_probability": 0.5}))
    assert never.sum() < half.sum() < always.sum()


def test_masks_and_light_can_be_turned_off() -> None:
    plain, _ = shown(make(**PLAIN))
    masked, _ = shown(make(**PLAIN | {"masks": True}))
    assert not torch.equal(plain.views[0], masked.views[0])
    assert (plain.targets["light"] == torch.tensor([0.0, 1.0])[None, :, None]).all()
    lit = make(**PLAIN | {"light": 1.0})
    batch, _ = shown(lit)
    assert not torch.equal(plain.views[0], batch.views[0])
    offset, gain = batch.targets["light"].unbind(1)
    assert offset.abs().max() <= 30 / 255 and gain.log().abs().max() <= 0.12 + 1e-6
    assert (offset.diff(dim=1) != 0).any(), "it changes over the clip"


def test_shapes_and_soft_edges_have_the_official_odds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half are rectangles, 35 % ellipses, 15 % rhombi, as ``pick_alphas`` draws them; half are soft, from 0.30-0.45 on.

    Of 3000 patches a share of p has a deviation of sqrt(p (1 - p) / 3000), which is 0.009 at most: within four of them.
    """
    clips, patches, frames = 1000, 3, 4
    looks: dict[str, Tensor] = {}

    def look(clip: Tensor, *_: Tensor, **drawn: Tensor) -> Tensor:
        looks.update(drawn)
        return clip

    monkeypatch.setattr("vssl_motion.catch_the_patch.paste_patches", look)
    task = make(masks=True, patches=patches, frames=frames)
    light = torch.tensor([0.0, 1.0]).view(1, 2, 1).expand(clips, -1, frames)
    targets = {"boxes": torch.zeros(clips, patches, frames, 4), "opacity": torch.ones(clips, patches, frames)}
    raw = torch.zeros(clips, frames, 32, 32, 3, dtype=torch.uint8)
    task.augment(Batch((raw,), targets | {"light": light}, torch.arange(clips), torch.arange(clips)))
    shape, edge = looks["shape"], looks["edge"]
    assert shape.shape == edge.shape == (clips, patches)

    def is_share(found: Tensor, share: float) -> bool:
        deviation = (share * (1 - share) / found.numel()) ** 0.5
        return abs(float(found.float().mean()) - share) < 4 * deviation

    for kind, share in ((0, 0.5), (1, 0.35), (2, 0.15)):
        assert is_share(shape == kind, share), f"shape {kind}"
    soft = edge < 0.5
    assert is_share(soft, 0.5)
    for kind in range(3):
        assert is_share(soft[shape == kind], 0.5), "whatever the shape"
    # Uniform over a width of 0.15, whose deviation is 0.15 / sqrt(12) = 0.0433.
    begins = edge[soft]
    assert 0.30 <= float(begins.min()) < 0.31 and 0.44 < float(begins.max()) <= 0.45
    assert float(begins.mean()) == pytest.approx(0.375, abs=4 * 0.0433 / len(begins) ** 0.5)


def test_the_last_patch_lies_on_top() -> None:
    clip = torch.zeros(1, 3, 2, 8, 8)
    clip[:, 0, :, :4], clip[:, 1, :, 4:] = 1.0, 1.0  # red above, green below
    box = torch.tensor([[[[0, 0, 4, 4], [2, 2, 6, 6]], [[4, 4, 8, 8], [2, 2, 6, 6]]]])
    first, ones = torch.zeros(1, 2, dtype=torch.int64), torch.ones(1, 2, 2)
    options = {"shape": torch.zeros(1, 2, dtype=torch.int64), "edge": torch.full((1, 2), 0.5)}
    pasted = paste_patches(clip, box, first, ones, **options)
    assert (pasted[0, 1, 1, 2:6, 2:6] == 1).all() and (pasted[0, 0, 1, 2:6, 2:6] == 0).all()
    other = paste_patches(clip, box.flip(1), first, ones, **options)
    assert (other[0, 0, 1, 2:6, 2:6] == 1).all()


# ------------------------------------------------------------------------------------------- boxes


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), position_std=st.floats(0.1, 5.0), size_std=st.floats(0.01, 1.0))
def test_targets_give_their_boxes_back(seed: int, position_std: float, size_std: float) -> None:
    boxes = torch.from_numpy(paths().draw(np.random.default_rng(seed), 6)).float()[None]
    targets = box_targets(boxes, position_std, size_std)
    assert (targets[:, :, 0] == 0).all()
    back = boxes_of_targets(targets, boxes[:, :, 0], position_std, size_std)
    torch.testing.assert_close(back, boxes, rtol=0, atol=1e-3)


def test_targets_and_overlap_by_hand() -> None:
    boxes = torch.tensor([[[[0.0, 0.0, 4.0, 8.0], [2.0, 1.0, 10.0, 5.0]]]])
    # The centre goes from (2, 4) to (6, 3); the width doubles, the height halves.
    expected = [4 / 0.8, -1 / 0.8, np.log(2) / 0.04, -np.log(2) / 0.04]
    assert box_targets(boxes, 0.8, 0.04)[0, 0, 1].tolist() == pytest.approx(expected, rel=1e-5)
    # 2 x 4 pixels of 32 + 32 are shared.
    assert float(box_iou(boxes[0, 0, 0], boxes[0, 0, 1])) == pytest.approx(8 / 56)
    assert float(box_iou(boxes[0, 0, 0], boxes[0, 0, 0] + 100)) == 0


class Lopsided(nn.Module):
    """Its map has other strides over rows than over columns: 8 and 4 of 32 pixels."""

    embed_dim = 2

    def forward(self, clip: Tensor) -> Features:
        rows = torch.linspace(0, 1, 4)[:, None].expand(4, 8)
        columns = torch.linspace(0, 1, 8).expand(4, 8)
        plane = torch.stack([rows, columns])[None, :, None].expand(len(clip), -1, 3, -1, -1)
        return Features(plane, plane.mean((2, 3, 4)))


def test_the_head_reads_the_map_under_the_box() -> None:
    assert map_shape(Lopsided(), 6, 32, "") == (3, 4, 8)
    head = PatchHead(embed_dim=2, map_frames=3, frames=1, hidden=2, roi_size=1)
    with torch.no_grad():
        head.squeeze_time.weight.zero_()
        head.squeeze_time.weight[0, 0, 0], head.squeeze_time.weight[1, 1, 0] = 1.0, 1.0
        head.hidden.weight.copy_(torch.eye(2))
        head.predict.weight.zero_()
        head.predict.weight[0, 0], head.predict.weight[1, 1] = 1.0, 1.0
    clip = torch.zeros(1, 3, 6, 32, 32)
    boxes = torch.tensor([[[8.0, 16.0, 16.0, 24.0], [16.0, 8.0, 24.0, 16.0]]])
    read = head(Lopsided()(clip).map, boxes, 32)[0, :, 0, :2]
    # A pixel y of 32 lies at y / 8 - 1 / 2 of four rows, a pixel x at x / 4 - 1 / 2 of eight columns.
    expected = [[(20 / 8 - 0.5) / 3, (12 / 4 - 0.5) / 7], [(12 / 8 - 0.5) / 3, (20 / 4 - 0.5) / 7]]
    torch.testing.assert_close(read, torch.tensor(expected), rtol=0, atol=1e-5)


# ------------------------------------------------------------------------------------------- the task


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": []}, r"task\.strides=\[\]"),
        ({"strides": [0, 1]}, r"task\.strides=\[0, 1\]"),
        ({"scales": [40.0]}, r"patches of 40 pixels, the frame has task\.size=32"),
        ({"ratios": [-1.0]}, r"task\.ratios"),
        ({"key_probabilities": [0.5, 0.4]}, r"task\.key_probabilities=\[0\.5, 0\.4\] must sum to 1"),
        ({"size": 8, "frames": 4, "scales": [3.0]}, None),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str | None) -> None:
    if message is None:
        make(**options)
        return
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_a_network_that_does_not_take_the_clip_is_refused_when_it_is_built() -> None:
    network = REGISTRY.build("backbones", {"name": "vit-tiny-video", "tubelet": [2, 5, 5]})
    with pytest.raises(ConfigError, match=r"VideoViT takes no clips of 8 frames, 32x32 pixels .*change task\.frames"):
        REGISTRY.build("tasks", "catch-the-patch@tiny", network)


class SaysStill(nn.Module):
    """A head that says that nothing moves, and remembers what it was told."""

    def forward(self, feature_map: Tensor, first: Tensor, size: int) -> Tensor:
        self.told = (first, size)
        return torch.zeros(*first.shape[:2], 8, 4)


def test_the_first_box_is_told_and_the_others_are_asked_for() -> None:
    task = make()
    task.head = SaysStill()
    batch, _ = shown(task)
    boxes = batch.targets["boxes"]
    output = task(batch)
    assert torch.equal(task.head.told[0], boxes[:, :, 0]) and task.head.told[1] == 32
    targets = box_targets(boxes, 0.8, 0.04).abs()
    by_hand = torch.where(targets < 1, targets**2 / 2, targets - 0.5)
    assert float(output.loss) == pytest.approx(float(by_hand.sum(-1).mean()), rel=1e-5)
    assert float(output.metrics["iou"]) == pytest.approx(float(output.metrics["iou_still"]), abs=1e-4)
    overlaps = [float(box_iou(path[0], box)) for path in boxes.flatten(0, 1) for box in path[1:]]
    assert float(output.metrics["iou_still"]) == pytest.approx(np.mean(overlaps), abs=1e-5)


def test_paths_are_learnt_on_one_batch() -> None:
    task = make()
    batch, _ = shown(task)
    optimizer = torch.optim.Adam(task.param_groups(), lr=3e-3)
    losses = []
    for _ in range(25):
        output = task.train()(batch)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append(float(output.loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    figures = task.evaluate(batch)
    assert figures["iou"][0] > figures["iou_still"][0]


def test_an_explanation_outlines_every_patch() -> None:
    task = make(patches=2)
    batch, _ = shown(task)
    for row, said in enumerate(task.explain(batch)):
        assert said.answer.startswith("green: ") and "; red: " in said.answer
        ((caption, picture),) = said.pictures
        assert caption and picture.shape == (3, 8, 32, 32)
        left, top, right, bottom = batch.targets["boxes"][row, 1, 3].long().tolist()
        for y, x in ((top, left), (top, right - 1), (bottom - 1, left), (bottom - 1, right - 1)):
            assert picture[:, 3, y, x].tolist() == pytest.approx([1.0, 0.2, 0.1])


@pytest.mark.parametrize("backbone", [None, "r2plus1d-tiny", "vit-tiny-video", "timm/test_resnet"])
def test_conformance(backbone: str | None) -> None:
    check_task("catch-the-patch@tiny", REGISTRY, backbone=backbone)


def test_conformance_with_everything_on() -> None:
    options = {"masks": True, "paste_probability": 0.5, "key_probabilities": [0.2, 0.3, 0.5], "hue": 0.1, "flip": 0.5}
    check_task({"name": "catch-the-patch", "recipe": "tiny", "patches": 3, "light": 1.0, **options}, REGISTRY)
