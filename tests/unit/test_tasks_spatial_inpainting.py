"""``inpainting``: where the hole is, what stays visible, and that it is filled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vssl_backbones.plugin
import vssl_spatial.plugin
from vssl_core.contracts import Batch, Features
from vssl_core.errors import ClipError, ConfigError
from vssl_core.plugins import Registry
from vssl_core.testing import FakeBackbone, check_task, fake_batch, fake_videos
from vssl_spatial.inpainting import Inpainting
from vssl_spatial.pixel_decoder import ClipDecoder, between, narrowing

REGISTRY = Registry.discover(
    plugins={"spatial": vssl_spatial.plugin, "backbones": vssl_backbones.plugin}, entry_points=False
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make(**options: Any) -> Inpainting:
    torch.manual_seed(0)
    task = REGISTRY.build("tasks", {"name": "inpainting", "recipe": "tiny", **options}, FakeBackbone())
    assert isinstance(task, Inpainting)
    return task


def noise(n: int, frames: int = 8, size: int = 32, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randint(1, 256, (n, frames, size, size, 3), dtype=torch.uint8, generator=generator)
    return Batch((clip,), {}, torch.arange(n) * 7919, torch.arange(n))


@settings(max_examples=25, deadline=None)
@given(hole=st.floats(0.05, 0.9), hole_time=st.floats(0.05, 1.0), seed=st.integers(0, 1000))
def test_the_hole_is_a_block_and_nothing_else_changes(hole: float, hole_time: float, seed: int) -> None:
    task = make(hole=hole, hole_time=hole_time, crop_scale=1.0)
    frames, height, width = task.block
    assert frames == max(1, round(hole_time * 8)) and height == width == max(1, round(hole * 32))
    raw = noise(3, seed=seed)
    batch = task.augment(raw)
    whole = raw.views[0].permute(0, 4, 1, 2, 3).float() / 255
    for clip, before, block, place in zip(
        batch.views[0], whole, *map(batch.targets.get, ("block", "place")), strict=True
    ):
        t, y, x = place.tolist()
        assert 0 <= t <= 8 - frames and 0 <= y <= 32 - height and 0 <= x <= 32 - width
        inside = torch.zeros(8, 32, 32, dtype=torch.bool)
        inside[t : t + frames, y : y + height, x : x + width] = True
        torch.testing.assert_close(clip[:, ~inside], before[:, ~inside])
        assert clip[:, inside].unique(dim=1).shape[1] == 1, "one colour"
        torch.testing.assert_close(block.flatten(1), before[:, inside])


def test_every_place_is_as_probable() -> None:
    task = make(hole=0.5, hole_time=0.5, crop_scale=1.0)
    places = []
    for seed in range(0, 2000, 250):
        batch = noise(250)
        places.append(task.augment(batch._replace(seeds=torch.arange(seed, seed + 250))).targets["place"])
    for axis, n in enumerate((5, 17, 17)):
        counts = torch.bincount(torch.cat(places)[:, axis], minlength=n)
        assert len(counts) == n
        expected = 2000 / n
        bound = {5: 18.5, 17: 39.3}[n]
        assert float(((counts - expected) ** 2 / expected).sum()) < bound, "chi-squared, 0.001"


def test_in_the_centre_it_is_in_the_centre() -> None:
    places = make(place="centre").augment(noise(5)).targets["place"]
    assert places.tolist() == [[2, 8, 8]] * 5


def test_a_whole_time_leaves_no_frame_without_a_hole() -> None:
    task = make(hole_time=1.0, crop_scale=1.0)
    batch = task.augment(noise(4))
    assert task.block[0] == 8 and (batch.targets["place"][:, 0] == 0).all()


def test_the_rim_stays_visible() -> None:
    plain, rimmed = make(crop_scale=1.0), make(crop_scale=1.0, overlap=3)
    raw = noise(4)
    a, b = plain.augment(raw), rimmed.augment(raw)
    assert torch.equal(a.targets["place"], b.targets["place"]) and torch.equal(a.targets["block"], b.targets["block"])
    differs = (a.views[0] != b.views[0]).any(dim=1).flatten(1).sum(dim=1)
    assert differs.tolist() == [4 * (16 * 16 - 10 * 10)] * 4
    with pytest.raises(ConfigError, match="leaves nothing hidden"):
        make(overlap=8)


def test_short_videos_are_refused() -> None:
    with pytest.raises(ClipError, match="inpainting needs 15 frames"):
        make().planner()(fake_videos(1, 14)[0], np.random.default_rng(0))


@settings(max_examples=20, deadline=None)
@given(
    start=st.tuples(*[st.integers(1, 9)] * 3), size=st.tuples(st.integers(1, 9), st.integers(1, 20), st.integers(1, 20))
)
def test_the_decoder_reaches_any_size_from_any_map(start: tuple[int, int, int], size: tuple[int, int, int]) -> None:
    decoder = ClipDecoder(5, 16, 3)
    clip = decoder(Features(torch.randn(2, 5, *start), torch.randn(2, 5)), size)
    assert clip.shape == (2, 3, *size) and clip.abs().max() <= 1


def test_sizes_grow_by_equal_factors() -> None:
    assert between((1, 4), (8, 32), 3) == [(2, 8), (4, 16), (8, 32)]
    assert between((7, 7), (112, 112), 4)[-1] == (112, 112)
    assert narrowing(64, 5) == [64, 32, 16, 8, 8]


def test_each_place_sees_the_whole_clip() -> None:
    torch.manual_seed(0)
    decoder = ClipDecoder(5, 16, 2).eval()
    features = Features(torch.randn(1, 5, 2, 4, 4), torch.randn(1, 5, requires_grad=True))
    decoder(features, (4, 8, 8))[0, 0, 0, 0, 0].backward()
    assert features.pooled.grad is not None and features.pooled.grad.abs().sum() > 0


def test_a_hole_is_filled() -> None:
    task = make()
    batch = task.augment(fake_batch(task, 6))
    optimizer = torch.optim.Adam(task.param_groups(), lr=5e-3)
    for _ in range(60):
        output = task(batch)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    assert output.metrics["error"] < 0.3 * output.metrics["blind"]


def test_it_says_what_is_asked() -> None:
    task = make(crop_scale=1.0)
    raw = noise(2)
    batch = task.augment(raw)
    for row, explanation in enumerate(task.explain(batch)):
        t, y, x = batch.targets["place"][row].tolist()
        places = f"frames {t + 1} to {t + 4} of the clip show in rows {y + 1} to {y + 16}, columns {x + 1} to {x + 16}"
        assert explanation.answer == f"what {places}"
        ((_, whole),) = explanation.pictures
        torch.testing.assert_close(whole, raw.views[0][row].permute(3, 0, 1, 2).float() / 255)


@pytest.mark.parametrize("backbone", [None, "r2plus1d-tiny", "vit-tiny-video", "timm/test_resnet"])
def test_conformance(backbone: str | None) -> None:
    check_task("inpainting@tiny", REGISTRY, backbone=backbone)
