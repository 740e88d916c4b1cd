"""Augmentation: the textbook's values, from the sample's seed alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as torchvision

from vssl_core.data.draws import permutations, uniform
from vssl_core.data.input_mode import InputMode
from vssl_core.data.transforms import (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    augment_clip,
    centre_clip,
    crop_resize,
    gaussian_blur,
    to_float,
    to_grey,
)
from vssl_core.errors import ConfigError

KNOWN_DRAWS = [
    [0.3778771758079529, 0.9702679514884949],
    [0.7060604095458984, 0.532677412033081],
    [0.6866518259048462, 0.43398523330688477],
]
KNOWN_ORDERS = [[1, 3, 2, 4, 0], [4, 3, 0, 1, 2]]
EVERYTHING = {"crop_scale": 0.3, "flip": 0.5, "jitter": 0.4, "grey": 0.3, "blur": 0.5}


def _clips(batch: int = 6, frames: int = 3, height: int = 20, width: int = 24) -> Tensor:
    return torch.randint(
        0, 256, (batch, frames, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def _seeds(n: int) -> Tensor:
    return torch.randint(0, 2**62, (n,), generator=torch.Generator().manual_seed(1))


def _per_frame(clip: Tensor, change: object) -> Tensor:
    """Apply a function of [3, H, W] to every frame of [B, 3, T, H, W]."""
    frames = clip.permute(0, 2, 1, 3, 4)
    return torch.stack([torch.stack([change(f) for f in video]) for video in frames]).permute(0, 2, 1, 3, 4)  # type: ignore[operator]


def test_draws_are_known_numbers() -> None:
    # Fixed for good: another value here is another result in every record.
    assert uniform(torch.tensor([0, 1, 2**62]), 2, stream=3).tolist() == KNOWN_DRAWS
    assert permutations(torch.tensor([5, 6]), 5, stream=0).tolist() == KNOWN_ORDERS


def test_draws_are_uniform_and_independent() -> None:
    seeds = torch.arange(40_000)
    drawn = torch.cat([uniform(seeds, 3, stream=stream) for stream in (0, 1)], dim=1)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert (drawn.mean(0) - 0.5).abs().max() < 0.01
    assert (drawn.std(0) - math.sqrt(1 / 12)).abs().max() < 0.01
    assert (torch.corrcoef(drawn.T) - torch.eye(6)).abs().max() < 0.02
    neighbours = torch.corrcoef(torch.stack([drawn[:-1, 0], drawn[1:, 0]]))
    assert neighbours[0, 1].abs() < 0.02
    scaled = uniform(seeds, 1, stream=0, low=-2.0, high=3.0)
    torch.testing.assert_close(scaled, drawn[:, :1] * 5 - 2)
    orders = permutations(seeds[:6000], 3, stream=0)
    counts = torch.bincount(orders[:, 0] * 9 + orders[:, 1] * 3 + orders[:, 2], minlength=27)
    assert (counts[counts > 0] - 1000).abs().max() < 150
    assert (counts > 0).sum() == 6


@pytest.mark.parametrize(
    "options", [EVERYTHING, {**EVERYTHING, "per_frame_jitter": True}, {"crop_scale": 1.0, "flip": 0.5, "jitter": 0.0}]
)
def test_a_split_batch_gives_the_same_bits(options: dict[str, float]) -> None:
    clips, seeds = _clips(9), _seeds(9)
    whole = augment_clip(clips, seeds, size=16, stream=2, **options)  # type: ignore[arg-type]
    parts = [augment_clip(clips[a:b], seeds[a:b], size=16, stream=2, **options) for a, b in ((0, 1), (1, 4), (4, 9))]  # type: ignore[arg-type]
    assert torch.equal(whole, torch.cat(parts))
    assert whole.shape == (9, 3, 3, 16, 16)
    assert whole.dtype == torch.float32
    assert whole.min() >= 0
    assert whole.max() <= 1
    other = augment_clip(clips, seeds, size=16, stream=3, **options)  # type: ignore[arg-type]
    assert not torch.equal(whole, other)


@pytest.mark.cuda
def test_a_gpu_draws_and_crops_the_same() -> None:
    clips, seeds = _clips(9), _seeds(9)
    assert torch.equal(uniform(seeds, 7, stream=1), uniform(seeds.cuda(), 7, stream=1).cpu())
    assert torch.equal(permutations(seeds, 7, stream=1), permutations(seeds.cuda(), 7, stream=1).cpu())
    here = augment_clip(clips, seeds, size=16, **EVERYTHING)
    there = augment_clip(clips.cuda(), seeds.cuda(), size=16, **EVERYTHING).cpu()
    torch.testing.assert_close(here, there, rtol=0, atol=1e-4)


def test_draws_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    augment_clip(_clips(), _seeds(6), size=16, **EVERYTHING)
    assert torch.equal(before, torch.get_rng_state())


def test_all_frames_of_a_clip_are_treated_alike() -> None:
    still = _clips()[:, :1].expand(-1, 4, -1, -1, -1)
    out = augment_clip(still, _seeds(6), size=16, **EVERYTHING)
    for at in range(1, 4):
        assert torch.equal(out[:, :, 0], out[:, :, at])
    flicker = augment_clip(still, _seeds(6), size=16, **{**EVERYTHING, "per_frame_jitter": True})  # type: ignore[arg-type]
    assert not torch.equal(flicker[:, :, 0], flicker[:, :, 1])


def test_nothing_asked_for_changes_nothing() -> None:
    clips = _clips(height=16, width=16)
    assert torch.equal(augment_clip(clips, _seeds(6), size=16, crop_scale=1.0, flip=0.0, jitter=0.0), to_float(clips))
    assert torch.equal(centre_clip(clips, 16), to_float(clips))
    assert torch.equal(to_float(clips)[1, 2, 0], clips[1, 0, :, :, 2].float() / 255)


def test_flip_mirrors_about_half_of_the_clips() -> None:
    clips, seeds = _clips(200, 1, 8, 8), _seeds(200)
    out = augment_clip(clips, seeds, size=8, crop_scale=1.0, flip=0.3, jitter=0.0)
    plain = to_float(clips)
    flipped = torch.tensor([torch.equal(a, b.flip(-1)) for a, b in zip(out, plain, strict=True)])
    kept = torch.tensor([torch.equal(a, b) for a, b in zip(out, plain, strict=True)])
    assert torch.all(flipped ^ kept)
    assert 40 <= int(flipped.sum()) <= 80


@pytest.mark.parametrize("size", [7, 16, 30])
def test_resizing_equals_torchs_antialiased_bilinear(size: int) -> None:
    clip = to_float(_clips(2))
    box = torch.tensor([[0.0, 0.0, 20.0, 24.0], [3.0, 5.0, 11.0, 13.0]])
    out = crop_resize(clip, box, size)

    def resized(part: Tensor) -> Tensor:
        flat = part.permute(1, 0, 2, 3)
        return functional.interpolate(flat, (size, size), mode="bilinear", antialias=True).permute(1, 0, 2, 3)

    torch.testing.assert_close(out[0], resized(clip[0]), rtol=0, atol=2e-6)
    # A resize of the cut box knows nothing outside of it; with rim="frame" pixels beyond it blend in when shrinking.
    inner = slice(1, -1)
    cut = resized(clip[1, :, :, 3:14, 5:18])
    if size >= 13:
        torch.testing.assert_close(out[1][..., inner, inner], cut[..., inner, inner], rtol=0, atol=2e-6)


def test_random_crops_keep_the_area_asked_for() -> None:
    # A ramp along each axis tells where a crop lies: its values are rows and columns.
    rows = torch.arange(32, dtype=torch.uint8).view(1, 1, 32, 1).expand(500, 1, 32, 48)
    columns = torch.arange(48, dtype=torch.uint8).view(1, 1, 1, 48).expand(500, 1, 32, 48)
    clips = torch.stack([rows, columns, rows], dim=-1)
    out = augment_clip(clips, _seeds(500), size=24, crop_scale=0.25, flip=0.0, jitter=0.0) * 255
    # From the first to the last pixel's centre, stretched to the box's own rims.
    height = (out[:, 0, 0, -2, 0] - out[:, 0, 0, 1, 0]) * 24 / 21
    width = (out[:, 1, 0, 0, -2] - out[:, 1, 0, 0, 1]) * 24 / 21
    area, ratio = height * width / (32 * 48), width / height
    assert area.min() * 1.02 >= 0.25
    assert area.max() <= 1.02
    assert area.min() < 0.3
    assert area.max() > 0.9
    assert ratio.min() >= 0.73
    assert ratio.max() <= 1.53, "4:3, or the frame's own 3:2 where only that fits"
    assert out[:, 0].min() < 1
    assert out[:, 0].max() > 30


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.7])
def test_jitter_equals_torchvision(factor: float) -> None:
    clip = to_float(_clips())
    factors = torch.full((6,), factor)
    for mine, theirs in (
        (adjust_brightness, torchvision.adjust_brightness),
        (adjust_contrast, torchvision.adjust_contrast),
        (adjust_saturation, torchvision.adjust_saturation),
    ):
        expected = _per_frame(clip, lambda frame, theirs=theirs: theirs(frame, factor))
        torch.testing.assert_close(mine(clip, factors), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        to_grey(clip), _per_frame(clip, lambda frame: torchvision.rgb_to_grayscale(frame, 3)), rtol=0, atol=1e-6
    )


def test_jitter_draws_each_factor_in_its_range() -> None:
    clips = torch.full((400, 1, 8, 8, 3), 100, dtype=torch.uint8)
    out = augment_clip(clips, _seeds(400), size=8, crop_scale=1.0, flip=0.0, jitter=0.2) * 255
    # Uniform grey: contrast and saturation have nothing to change.
    assert 79.5 <= out.min() < 82
    assert 118 < out.max() <= 120.5
    assert out.std(dim=(1, 2, 3, 4)).max() < 0.01


def test_blur_equals_torchvision() -> None:
    clip = to_float(_clips(4, 2, 40, 52))
    sigma = torch.tensor([0.1, 0.7, 1.3, 2.0])
    out = gaussian_blur(clip, sigma, chosen=torch.tensor([True, True, False, True]))
    assert torch.equal(out[2], clip[2])
    for at in (0, 1, 3):
        # An odd tenth of each side, width first: 7 of 52, 5 of 40.
        expected = torchvision.gaussian_blur(clip[at].permute(1, 0, 2, 3), [7, 5], [float(sigma[at])] * 2)
        torch.testing.assert_close(out[at], expected.permute(1, 0, 2, 3), rtol=0, atol=1e-5)
    with pytest.raises(ConfigError, match="cannot be blurred"):
        gaussian_blur(clip[..., :1], sigma)


def test_centre_clip_cuts_the_middle() -> None:
    clips = _clips(2, 1, 20, 32)
    assert torch.equal(centre_clip(clips, 20), to_float(clips)[..., 6:26])
    assert centre_clip(clips, 10).shape == (2, 3, 1, 10, 10)


def test_input_modes() -> None:
    clip = to_float(_clips(3, 4))
    raw = InputMode("raw", mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0))(clip)
    torch.testing.assert_close(raw[:, 1], (clip[:, 1] - 0.2) / 0.25)
    residual = InputMode("temporal-residual")(clip)
    assert residual.mean(dim=2).abs().max() < 1e-5
    torch.testing.assert_close(residual.square().mean((1, 2, 3, 4)).sqrt(), torch.ones(3), rtol=0.05, atol=0)
    # Neither what stands still nor the strength of what moves matters; a still clip gives nothing.
    ground = torch.rand(3, 3, 1, 20, 24, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(InputMode("temporal-residual")(clip + ground), residual, rtol=0, atol=1e-4)
    assert InputMode("temporal-residual")(clip[:, :, :1].expand(-1, -1, 4, -1, -1)).abs().max() < 1e-4
    assert not InputMode("raw").state_dict()
    with pytest.raises(ConfigError, match="input_mode='flow' is not one of 'raw', 'temporal-residual'"):
        InputMode("flow")


def test_grey_is_drawn_for_the_clip_or_for_every_frame() -> None:
    clips, plain = _clips(200, 3), {"size": 8, "crop_scale": 1.0, "flip": 0.0, "jitter": 0.0, "grey": 0.2}

    def grey(per_frame: bool) -> torch.Tensor:
        out = augment_clip(clips, _seeds(200), per_frame_grey=per_frame, **plain)  # type: ignore[arg-type]
        return torch.all((out - out[:, :1]).abs() < 1e-6, dim=1).all(dim=(-1, -2))

    whole, single = grey(False), grey(True)
    assert torch.equal(whole.any(dim=1), whole.all(dim=1)) and 20 <= int(whole[:, 0].sum()) <= 60
    assert not torch.equal(single.any(dim=1), single.all(dim=1))
    # Five deviations around a fifth of 600 frames.
    assert 71 <= int(single.sum()) <= 169
