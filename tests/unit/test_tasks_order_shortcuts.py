"""What the order tasks do against shortcuts: each protection on, and off."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vssl_core.contracts import Batch
from vssl_core.data.transforms import quarter_turns
from vssl_core.testing import FakeBackbone
from vssl_order.arrow_of_time import ArrowOfTime
from vssl_order.framing import camera_shifts, crop_border, without_black_frame, without_camera_shifts
from vssl_order.odd_one_out import OddOneOut
from vssl_order.opn import OrderPrediction
from vssl_order.regions import cut_regions, moving_corners, random_corners
from vssl_order.skip_clip import SkipClip


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def batch(*views: Tensor, **targets: Tensor) -> Batch:
    n = len(views[0])
    return Batch(views, targets, torch.arange(n) * 104_729 + 3, torch.arange(n))


def sorting(**options: Any) -> OrderPrediction:
    given = {"size": 16, "read_size": 32, "region": 0, "crop_scale": 0.5, "flip": 0.0, "frame_shift": 0.0}
    return OrderPrediction(FakeBackbone(), **{**given, "split_channels": 0.0, **options})


# ------------------------------------------------------------------------------------------------ opn

STILL = noise(24, 1, 32, 32, 3).expand(24, 4, 32, 32, 3)  # a frame four times


def test_frames_differ_by_the_shift_alone() -> None:
    (still,) = sorting().augment(batch(STILL)).views
    assert all(torch.equal(still[:, :, 0], still[:, :, at]) for at in range(1, 4))
    (moved,) = sorting(frame_shift=4.0).augment(batch(STILL)).views
    assert (moved[:, :, 0] - moved[:, :, 1]).abs().mean() > 0.05


def test_each_frame_has_a_channel_of_its_own() -> None:
    (coloured,) = sorting().augment(batch(STILL)).views
    (split,) = sorting(split_channels=1.0).augment(batch(STILL)).views
    assert torch.equal(split[:, 0], split[:, 1]) and torch.equal(split[:, 0], split[:, 2])
    which = torch.stack([(split[:, 0] == coloured[:, c]).flatten(2).all(dim=2) for c in range(3)])
    assert (which.sum(dim=0) == 1).all(), "one of the frame's own three channels"
    shares = which.float().mean(dim=(1, 2))
    assert (shares > 0.15).all()
    channel = which.float().argmax(dim=0)
    assert (channel[:, 0] != channel[:, 1]).any()
    (half,) = sorting(split_channels=0.5).augment(batch(STILL)).views
    kept = (half == coloured).flatten(3).all(dim=3).all(dim=1).float().mean()
    assert 0.25 < kept < 0.75


def test_the_flip_is_one_for_all_frames() -> None:
    (plain,) = sorting(crop_scale=1.0).augment(batch(STILL)).views
    (flipped,) = sorting(crop_scale=1.0, flip=1.0).augment(batch(STILL)).views
    torch.testing.assert_close(flipped, plain.flip(-1), rtol=0, atol=1e-6)


def test_the_region_is_where_something_moves() -> None:
    video = torch.full((2, 4, 48, 64, 3), 90, dtype=torch.uint8)
    for frame in range(4):
        video[0, frame, 30 + frame : 38 + frame, 40:48] = 250
        video[1, frame, 4:10, 6 + 2 * frame : 12 + 2 * frame] = 10
    corner = moving_corners(video, 24)
    assert 18 <= int(corner[0, 0]) <= 30 and 24 <= int(corner[0, 1]) <= 40
    assert corner[1].tolist() == [0, 0]
    assert torch.equal(corner, moving_corners(video[:, [2, 0, 3, 1]], 24)), "whatever the order of the frames"
    regions = cut_regions(video, corner, 24)
    for row, (top, left) in enumerate(corner.tolist()):
        assert torch.equal(regions[row], video[row, :, top : top + 24, left : left + 24])


def test_regions_may_be_anywhere() -> None:
    seeds = torch.arange(4_000) * 7919 + 1
    corner = random_corners(seeds, 10, 12, 8, stream=5)
    counts = torch.bincount(corner[:, 0] * 5 + corner[:, 1])
    assert len(counts) == 15, "3 rows, 5 columns"
    assert ((counts - 4_000 / 15).abs() < 5 * (4_000 / 15) ** 0.5).all()
    video = STILL.clone()
    video[:, 1, :8, :8] = 255 - video[:, 1, :8, :8]
    by_motion, anywhere = sorting(region=16), sorting(region=16, region_select="uniform")
    assert not torch.equal(by_motion.augment(batch(video)).views[0], anywhere.augment(batch(video)).views[0])


# ------------------------------------------------------------------------------------------------ arrow-of-time


def test_black_frames_are_cut_off() -> None:
    content = noise(1, 5, 24, 32, 3, seed=1).clamp(min=60)
    framed = torch.zeros(2, 5, 32, 32, 3, dtype=torch.uint8)
    framed[0, :, 4:28] = content[0]
    framed[1] = noise(5, 32, 32, 3, seed=2)
    cleared = without_black_frame(framed, 10.0)
    assert cleared.shape == framed.shape and cleared.dtype == torch.uint8
    assert cleared[0].float().mean(dim=(0, 2, 3)).min() > 60, "no row is black any more"
    assert torch.equal(cleared[1], framed[1]), "without a black frame nothing is resampled"
    # The content is 24 x 32: a 24 x 24 square about its middle is enlarged to 32 x 32.
    middle = framed[0, :, 4:28, 4:28].float().mean(dim=(0, 1, 2))
    torch.testing.assert_close(cleared[0].float().mean(dim=(0, 1, 2)), middle, rtol=0.02, atol=1.0)


def test_faint_bars_count_as_black_up_to_the_level() -> None:
    clip = noise(1, 3, 20, 20, 3, seed=3).clamp(min=80)
    clip[:, :, :4] = 8
    assert not torch.equal(without_black_frame(clip, 10.0), clip)
    assert torch.equal(without_black_frame(clip, 5.0), clip)


def test_dark_places_inside_and_black_clips_stay() -> None:
    clip = noise(1, 3, 20, 20, 3, seed=4).clamp(min=80)
    clip[:, :, 8:12] = 0
    assert torch.equal(without_black_frame(clip, 10.0), clip)
    black = torch.zeros(1, 3, 20, 20, 3, dtype=torch.uint8)
    assert torch.equal(without_black_frame(black, 10.0), black)


def panned(shifts: list[tuple[int, int]], seed: int) -> Tensor:
    """Windows of one large picture: content that moves down and right by ``shifts``."""
    picture = noise(1, 1, 64, 64, 3, seed=seed)[0, 0]
    return torch.stack([picture[12 - y : 52 - y, 12 - x : 52 - x] for y, x in shifts])[None]


SHIFTS = [(-4, 2), (-2, 1), (0, 0), (2, -1), (4, -2)]


def test_camera_shifts_are_found_and_undone() -> None:
    video = torch.cat([panned(SHIFTS, 5), panned([(0, 0)] * 5, 6)])
    assert camera_shifts(video, 6).tolist() == [[list(shift) for shift in SHIFTS], [[0, 0]] * 5]
    steady = without_camera_shifts(video, 6)
    assert steady.shape == (2, 5, 28, 28, 3)
    assert all(torch.equal(steady[:, 0], steady[:, at]) for at in range(1, 5))
    assert torch.equal(steady[1, 0], video[1, 0, 6:34, 6:34])


def test_shifts_are_centred_on_their_range() -> None:
    """Seen from the first frame 0, 1, 2, 4, 6 lower: 3 less for each. An odd range cannot be halved: it ends in 1."""
    found = camera_shifts(panned([(-4, 0), (-3, 0), (-2, 0), (0, 0), (2, 0)], 7), 8)
    assert found[0, :, 0].tolist() == [-3, -2, -1, 1, 3]
    found = camera_shifts(panned([(-3, 0), (0, 0), (0, 0)], 7), 6)
    assert found[0, :, 0].tolist() == [-1, 2, 2]


def filmed(
    pans: list[tuple[int, int]], seed: int, *, texture: float = 1.0, thing: int = 0, grain: float = 0.0
) -> Tensor:
    """A picture of contrast ``texture`` that moves by ``pans``, and a square that crosses it; 48 x 48 pixels."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 3, 36, 36, generator=generator)
    picture, other = F.interpolate(coarse, size=(72, 72), mode="bicubic").clamp(0, 1).permute(0, 2, 3, 1)
    picture = 0.5 + texture * (picture - 0.5)
    frames = []
    for at, (y, x) in enumerate(pans):
        frame = picture[12 - y : 60 - y, 12 - x : 60 - x].clone()
        top, left = 6 + 2 * at, 8 + 3 * at
        frame[top : top + thing, left : left + thing] = other[:thing, :thing]
        frames.append(frame)
    clip = 255 * torch.stack(frames) + grain * torch.randn(len(pans), 48, 48, 3, generator=generator)
    return clip.round().clamp(0, 255).to(torch.uint8)[None]


PAN = [(-3, 2), (-2, 2), (-2, 0), (-1, 0), (1, -1), (1, -1), (2, -2), (3, -2)]


@pytest.mark.parametrize("frames", [7, 8])
@pytest.mark.parametrize("seed", range(5))
def test_pans_over_texture_are_found_whatever_crosses_the_picture(frames: int, seed: int) -> None:
    """With grain, and whether one frame or two are in the middle of the clip."""
    pans = PAN[8 - frames :]
    truth = torch.tensor(pans)
    truth = truth - (truth.amax(dim=0) + truth.amin(dim=0)) // 2
    clip = filmed(pans, seed, thing=8, grain=2.0)
    assert camera_shifts(clip, 8)[0].tolist() == truth.tolist()
    assert torch.equal(without_camera_shifts(clip.flip(1), 8), without_camera_shifts(clip, 8).flip(1))


@pytest.mark.parametrize("frames", [7, 8])
@pytest.mark.parametrize("texture", [0.0, 1.0])
def test_a_camera_that_stands_still_is_left_alone_whatever_moves(texture: float, frames: int) -> None:
    """Before a plain wall, grain or none, phase correlation sees nothing but the thing that moves."""
    for seed, grain in enumerate((0.0, 1.0, 2.0)):
        clip = filmed([(0, 0)] * frames, seed, texture=texture, thing=12, grain=grain)
        assert camera_shifts(clip, 6).abs().max() == 0
        assert torch.equal(without_camera_shifts(clip, 6), clip[:, :, 6:42, 6:42])


def test_grain_alone_is_no_motion() -> None:
    clip = noise(2, 8, 40, 40, 3, seed=3)
    assert camera_shifts(clip, 6).abs().max() == 0
    assert camera_shifts(torch.full_like(clip, 77), 6).abs().max() == 0


@pytest.mark.parametrize("frames", [4, 5])
def test_protections_do_not_tell_the_direction(frames: int) -> None:
    video = panned(SHIFTS[:frames], 8)
    video[:, :, :5] = 0
    for treat in (
        lambda clip: without_black_frame(clip, 10.0),
        lambda clip: without_camera_shifts(clip, 6),
        lambda clip: crop_border(clip, 0.1),
    ):
        assert torch.equal(treat(video.flip(1)), treat(video).flip(1))


def test_a_split_batch_is_steadied_the_same() -> None:
    video = torch.cat([panned(SHIFTS, seed) for seed in (9, 10, 11)])
    whole = without_camera_shifts(video, 6)
    assert all(torch.equal(without_camera_shifts(video[row : row + 1], 6)[0], whole[row]) for row in range(3))


def test_borders_are_cut_off() -> None:
    video = noise(1, 2, 20, 40, 3)
    assert torch.equal(crop_border(video, 0.1), video[:, :, 2:18, 4:36])
    assert torch.equal(crop_border(video, 0.0), video)


@pytest.mark.parametrize("option", [{"black_level": 10.0}, {"stabilise": 4}, {"border": 0.2}])
def test_each_protection_changes_what_is_shown_and_can_be_turned_off(option: dict[str, Any]) -> None:
    off = {"black_level": 0.0, "stabilise": 0, "border": 0.0}
    clip = panned([*SHIFTS, (4, -2)], 12)
    clip[:, :, :4] = 0
    given = {"frames": 6, "groups": 2, "size": 32, "read_size": 40, "crop_scale": 1.0, "hidden": 8}
    (bare,) = ArrowOfTime(FakeBackbone(), **given, **off).augment(batch(clip)).views
    (kept,) = ArrowOfTime(FakeBackbone(), **given, **{**off, **option}).augment(batch(clip)).views
    assert bare.shape == kept.shape == (1, 3, 6, 32, 32)
    assert (bare - kept).abs().mean() > 0.02
    # Turned off, frames are what a plain resize gives.
    assert bare[:, :, :, 0].max() < 1e-6, "the bar is still there"


# ------------------------------------------------------------------------------------------------ clips


@pytest.mark.parametrize("shared", [True, False])
def test_clips_of_a_video_share_a_draw_or_do_not(shared: bool) -> None:
    view = noise(6, 4, 24, 24, 3)
    options: dict[str, Any] = {"frames": 4, "size": 16, "read_size": 24, "jitter": 0.3, "shared_draw": shared}
    odd = OddOneOut(FakeBackbone(), clips=3, **options).augment(batch(view, view, view)).views
    later = SkipClip(FakeBackbone(), targets=2, turning=0.0, **options).augment(batch(view, view, view)).views
    for views in (odd, later):
        assert torch.equal(views[0], views[1]) is shared
        assert torch.equal(views[1], views[2]) is shared


def test_all_clips_of_a_video_are_turned_alike() -> None:
    view = noise(4, 4, 16, 16, 3)
    options: dict[str, Any] = {"frames": 4, "size": 16, "read_size": 16, "targets": 2}
    turns = torch.arange(4)
    plain = SkipClip(FakeBackbone(), turning=0.0, **options).augment(batch(view, view, view, turns=turns)).views
    turned = SkipClip(FakeBackbone(), turning=1.0, **options).augment(batch(view, view, view, turns=turns)).views
    for before, after in zip(plain, turned, strict=True):
        assert torch.equal(after, quarter_turns(before, turns))
