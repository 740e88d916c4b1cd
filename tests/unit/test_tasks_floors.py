"""Encoders without a network: thumbnails, difference maps, motion energy."""

from __future__ import annotations

import pytest
import torch

from vssl_baselines.motion_energy import MotionEnergy
from vssl_baselines.pixels import PixelBaseline
from vssl_core.errors import ConfigError


def test_frames_are_taken_at_the_middles_of_stretches() -> None:
    clip = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(1, 3, 8, 16, 16) / 8
    encoder = PixelBaseline(part="frames", frames=1, grid=4, colour=True).encoder()
    features = encoder(clip)
    assert encoder.embed_dim == 3 * 16
    assert torch.equal(features.pooled, torch.full((1, 48), 4 / 8))
    assert features.map.shape == (1, 48, 1, 1, 1)
    three = PixelBaseline(part="frames", frames=3, grid=2).encoder()(clip).pooled.view(3, 4)[:, 0]
    torch.testing.assert_close(three, torch.tensor([1, 4, 6]) / 8)


def test_cells_are_averages_in_place() -> None:
    clip = torch.zeros(1, 3, 2, 8, 8)
    clip[:, 0, :, :4, 4:] = 1  # red in the upper right quarter
    pooled = PixelBaseline(part="frames", frames=1, grid=2, colour=True).encoder()(clip).pooled
    assert pooled.view(3, 2, 2)[0].tolist() == [[0, 1], [0, 0]]
    assert pooled.view(3, 2, 2)[1:].sum() == 0


def test_differences_show_where_and_when_something_changes() -> None:
    clip = torch.zeros(1, 3, 8, 8, 8)
    clip[:, :, 6:, :4, :4] = 1  # one change, late, upper left
    encoder = PixelBaseline(part="differences", frames=2, grid=2).encoder()
    maps = encoder(clip).pooled.view(2, 2, 2)
    assert encoder.embed_dim == 8
    assert maps[1, 0, 0] > 0
    assert maps.sum() == maps[1, 0, 0]
    assert PixelBaseline(part="differences").encoder()(torch.ones(1, 3, 8, 8, 8)).pooled.abs().sum() == 0
    with pytest.raises(ConfigError, match="part=frames"):
        encoder(clip[:, :, :1])


def test_both_is_frames_then_differences() -> None:
    clip = torch.rand(2, 3, 8, 16, 16)
    both = PixelBaseline(part="both").encoder()
    parts = [PixelBaseline(part=part).encoder()(clip).pooled for part in ("frames", "differences")]
    assert torch.equal(both(clip).pooled, torch.cat(parts, dim=1))
    assert both.embed_dim == both(clip).pooled.shape[1]
    assert both.sampling == {}


def test_motion_energy_is_the_curve_of_mean_absolute_difference() -> None:
    clip = torch.rand(2, 3, 32, 6, 5)
    encoder = MotionEnergy(frames=32).encoder()
    features = encoder(clip)
    assert encoder.sampling == {"whole": True, "frames": 32, "stride": 1, "clips": 1}
    assert features.pooled.shape == (2, encoder.embed_dim) == (2, 31)
    for k in (0, 13, 30):
        expected = sum(
            abs(float(clip[1, c, k + 1, y, x] - clip[1, c, k, y, x]))
            for c in range(3)
            for y in range(6)
            for x in range(5)
        )
        assert float(features.pooled[1, k]) == pytest.approx(expected / 90, rel=1e-5)
    with pytest.raises(ConfigError, match="32 frames"):
        encoder(clip[:, :, :8])
