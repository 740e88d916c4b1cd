"""``future-frames``: what is seen, what is asked, and that motion is followed."""

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
from vssl_spatial.future_frames import FutureFrames, gradient_difference
from vssl_spatial.pixel_decoder import FrameDecoder

REGISTRY = Registry.discover(
    plugins={"spatial": vssl_spatial.plugin, "backbones": vssl_backbones.plugin}, entry_points=False
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make(**options: Any) -> FutureFrames:
    torch.manual_seed(0)
    task = REGISTRY.build("tasks", {"name": "future-frames", "recipe": "tiny", **options}, FakeBackbone())
    assert isinstance(task, FutureFrames)
    return task


@settings(max_examples=40, deadline=None)
@given(frames=st.integers(1, 8), future=st.integers(1, 4), stride=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_future_frames_follow_the_past_at_the_same_distance(frames: int, future: int, stride: int, seed: int) -> None:
    planner = make(frames=frames, future=future, stride=stride).planner()
    video = fake_videos(1, 40)[0]
    (view,), targets = planner(video, np.random.default_rng(seed))
    assert targets == {} and len(view.frames) == frames + future
    assert (np.diff(view.frames) == stride).all() and view.frames[0] >= 0 and view.frames[-1] < 40
    again = planner(video, np.random.default_rng(seed))[0][0]
    assert np.array_equal(view.frames, again.frames)


def test_every_start_is_drawn_and_short_videos_are_refused() -> None:
    planner = make().planner()  # (8 + 2 - 1) * 2 + 1 = 19 frames
    starts = [int(planner(fake_videos(1, 22)[0], np.random.default_rng(s))[0][0].frames[0]) for s in range(1200)]
    counts = np.bincount(starts, minlength=4)
    assert len(counts) == 4 and ((counts - 300) ** 2 / 300).sum() < 16.3, "chi-squared, 3 degrees, 0.001"
    with pytest.raises(ClipError, match="needs 19 frames"):
        planner(fake_videos(1, 18)[0], np.random.default_rng(0))


def test_the_network_sees_the_past_alone() -> None:
    task = make(crop_scale=0.5, jitter=0.4)
    generator = torch.Generator().manual_seed(0)
    clip = torch.randint(0, 256, (3, 10, 32, 32, 3), dtype=torch.uint8, generator=generator)
    other = clip.clone()
    other[:, 8:] = 255 - other[:, 8:]
    batches = [task.augment(Batch((raw,), {}, torch.arange(3), torch.arange(3))) for raw in (clip, other)]
    assert batches[0].views[0].shape == (3, 3, 8, 32, 32)
    assert torch.equal(batches[0].views[0], batches[1].views[0]), "whatever the future is"
    assert batches[0].targets["future"].shape == (3, 3, 2, 32, 32)
    assert not torch.equal(batches[0].targets["future"], batches[1].targets["future"])


def test_past_and_future_are_cut_and_jittered_alike() -> None:
    task = make(crop_scale=0.3, flip=0.5, jitter=0.5)
    frame = torch.randint(0, 256, (6, 1, 48, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch = task.augment(Batch((frame.expand(-1, 10, -1, -1, -1),), {}, torch.arange(6), torch.arange(6)))
    last = batch.views[0][:, :, -1:]
    torch.testing.assert_close(batch.targets["future"], last.expand(-1, -1, 2, -1, -1))
    assert float(task(batch).metrics["still"]) == pytest.approx(0, abs=1e-10)


def test_scales_double_up_to_the_size() -> None:
    assert make().sizes == [(8, 8), (16, 16), (32, 32)]
    assert make(size=112, scales=4).sizes == [(14, 14), (28, 28), (56, 56), (112, 112)]
    with pytest.raises(ConfigError, match="lower it"):
        make(scales=6)
    with pytest.raises(ConfigError, match="nothing would be asked"):
        make(norm_weight=0.0, gradient_weight=0.0)


def test_a_scale_adds_to_the_coarser_one() -> None:
    """Networks that add nothing hand the coarsest frames up, each time through the tanh."""
    torch.manual_seed(0)
    decoder = FrameDecoder(6, 2, 16, 3).eval()
    for out in list(decoder.outs)[1:]:
        torch.nn.init.zeros_(out.weight)
        torch.nn.init.zeros_(out.bias)
    features = Features(torch.randn(2, 6, 3, 2, 2), torch.randn(2, 6))
    coarse, middle, fine = decoder(features, [(4, 4), (8, 8), (16, 16)])
    enlarged = coarse.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)
    torch.testing.assert_close(middle, torch.tanh(enlarged))
    torch.testing.assert_close(fine, torch.tanh(middle.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)))


def test_the_decoder_knows_earlier_from_later() -> None:
    torch.manual_seed(0)
    decoder = FrameDecoder(6, 1, 16, 2).eval()
    features = torch.randn(1, 6, 4, 2, 2)
    pooled = torch.randn(1, 6)
    plain = decoder(Features(features, pooled), [(4, 4), (8, 8)])[-1]
    turned = decoder(Features(features.flip(2), pooled), [(4, 4), (8, 8)])[-1]
    assert not torch.allclose(plain, turned, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-1, 1))
def test_gradient_differences_do_not_mind_brightness(seed: int, shift: float) -> None:
    target = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(seed))
    assert float(gradient_difference(target + shift, target)) == pytest.approx(0, abs=1e-5)
    assert float(gradient_difference(torch.zeros_like(target), target)) > 0


def test_motion_is_followed() -> None:
    """On one batch the prediction comes nearer than the last frame."""
    task = make(gradient_weight=0.0, norm=2)
    batch = task.augment(fake_batch(task, 6))
    optimizer = torch.optim.Adam(task.param_groups(), lr=5e-3)
    losses = []
    for _ in range(120):
        output = task(batch)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append(float(output.loss.detach()))
    assert losses[-1] < 0.2 * losses[0]
    assert output.metrics["error"] < output.metrics["still"]


def test_it_says_what_is_asked() -> None:
    task = make()
    batch = task.augment(fake_batch(task, 2))
    for row, explanation in enumerate(task.explain(batch)):
        assert explanation.answer.startswith("2 frames, which differ from the last one seen by 0.")
        drawn = dict(explanation.pictures)["what it must draw"]
        assert torch.equal(drawn, batch.targets["future"][row])


@pytest.mark.parametrize("backbone", [None, "r2plus1d-tiny", "vit-tiny-video", "timm/test_resnet"])
def test_conformance(backbone: str | None) -> None:
    check_task("future-frames@tiny", REGISTRY, backbone=backbone)
