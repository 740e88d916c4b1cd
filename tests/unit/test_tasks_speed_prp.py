"""``prp``: the frames that are shown, rebuilt and measured, that nothing else tells the stride, and its options."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import TinyNet, make_batch, video

import vssl_backbones.plugin
import vssl_speed.plugin
from vssl_core.contracts import Features
from vssl_core.errors import ClipError, ConfigError
from vssl_core.plugins import Registry
from vssl_core.testing import check_task
from vssl_speed.prp import PlaybackRatePerception, PrpPlanner
from vssl_speed.reconstruction import Decoder

REGISTRY = Registry.discover(
    plugins={"speed": vssl_speed.plugin, "backbones": vssl_backbones.plugin}, entry_points=False
)


def planner(**options: Any) -> PrpPlanner:
    defaults: dict[str, Any] = {"frames": 8, "stride": 1, "strides": (1, 2, 4), "rebuild": True, "attend": True}
    defaults |= {"size": (32, 32), "fit": "stretch", "short_video": "error"}
    return PrpPlanner(**{**defaults, **options})


@settings(max_examples=60, deadline=None)
@given(
    frames=st.sampled_from([4, 8, 12, 16]),
    stride=st.integers(1, 3),
    strides=st.sampled_from([(1, 2, 4), (1, 2), (2, 4), (1, 8, 2, 4)]),
    spare=st.integers(0, 30),
    seed=st.integers(0, 2**32),
)
def test_frames_lie_in_one_stretch(frames: int, stride: int, strides: tuple[int, ...], spare: int, seed: int) -> None:
    plan = planner(frames=frames, stride=stride, strides=strides)
    n_frames = (frames * max(strides) - 1) * stride + 1 + spare
    views, targets = plan(video(n_frames=n_frames), np.random.default_rng(seed))
    again, _ = plan(video(n_frames=n_frames), np.random.default_rng(seed))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(views, again, strict=True))
    chosen = strides[targets["stride"]]
    shown, between, quarters = (view.frames for view in views)
    every = np.concatenate([shown, between, quarters])
    assert every.min() >= 0 and every.max() < n_frames
    assert every.max() - every.min() <= (frames * chosen - 1) * stride
    assert (np.diff(shown) == chosen * stride).all()
    assert ((between - shown) == chosen // 2 * stride).all()
    assert quarters.shape == (4 * max(strides),)
    lengths = (quarters[::4] - shown[0]) // (frames * stride)
    assert np.unique(lengths).tolist() == list(range(chosen))
    counts = np.bincount(lengths)
    assert (counts == max(strides) // chosen).all()


def test_strides_are_equally_likely_and_their_place_tells_nothing() -> None:
    plan, rng, middles = planner(), np.random.default_rng(0), defaultdict(list)
    n = 3_000
    for _ in range(n):
        views, targets = plan(video(n_frames=60), rng)
        frames = views[0].frames
        middles[targets["stride"]].append((frames[0] + frames[0] + 8 * (frames[1] - frames[0]) - 1) / 2)
    every = np.concatenate([np.array(m) for m in middles.values()])
    for middle in middles.values():
        assert abs(len(middle) - n / 3) < 5 * np.sqrt(n * 2 / 9)
        assert abs(np.mean(middle) - every.mean()) < 5 * every.std() / np.sqrt(len(middle))
        assert abs(np.std(middle) - every.std()) < 0.1 * every.std()


def test_short_videos_are_refused_at_every_stride() -> None:
    for seed in range(20):
        with pytest.raises(ClipError, match=r"needs 32 frames .*task.strides=\[1, 2, 4\].* has 31"):
            planner()(video(n_frames=31), np.random.default_rng(seed))


@pytest.mark.parametrize("short_video", ["loop", "pad"])
def test_short_videos_loop_or_are_padded_where_the_stretch_does_not_fit(short_video: str) -> None:
    plan, rng, wrapped = planner(short_video=short_video), np.random.default_rng(0), set()
    for _ in range(200):
        views, targets = plan(video(n_frames=20), rng)
        frames = views[0].frames
        assert frames.min() >= 0 and frames.max() < 20
        if not (np.diff(frames) == (1, 2, 4)[targets["stride"]]).all():
            wrapped.add(targets["stride"])
    assert wrapped == {2}


def small(**options: Any) -> PlaybackRatePerception:
    torch.manual_seed(0)
    defaults: dict[str, Any] = {"frames": 8, "size": 32, "strides": (1, 2, 4)}
    return PlaybackRatePerception(TinyNet(), **{**defaults, **options})


def test_what_is_rebuilt_is_what_is_seen() -> None:
    """All views of a video are cropped and coloured alike: a frame that two of them show looks the same in both."""
    task = small(crop_scale=0.3, flip=0.5, jitter=0.8)
    batch = make_batch(task, n=20)
    augmented = task.augment(batch)
    still = (batch.targets["stride"] == 0).nonzero()[:, 0]
    assert len(still) > 0
    assert torch.equal(augmented.views[0][still], augmented.views[1][still]), "at stride 1 both show the same frames"
    shown, _, quarters = augmented.views
    assert torch.equal(batch.views[0][:, 0], batch.views[2][:, 0]), "motion is measured from the first frame on"
    torch.testing.assert_close(quarters[:, :, 0], shown[:, :, 0], rtol=0, atol=1e-5)


def test_the_classifier_learns_faster() -> None:
    slow, fast = small(classifier_rate=7.0).param_groups()
    assert fast["lr_scale"] == 7.0 and "lr_scale" not in slow
    task = small()
    assert [p.shape for p in task.param_groups()[1]["params"]] == [(3, 16), (3,)]


def test_no_loss_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="both 0: nothing is learnt"):
        small(classification=0.0, reconstruction=0.0)


def test_less_is_read_where_less_is_asked() -> None:
    assert len(small().planner()(video(), np.random.default_rng(0))[0]) == 3
    assert len(small(motion_attention=False).planner()(video(), np.random.default_rng(0))[0]) == 2
    plain = small(reconstruction=0.0)
    assert len(plain.planner()(video(), np.random.default_rng(0))[0]) == 1
    assert plain.decoder is None and plain.supervised_by_targets and not small().supervised_by_targets
    batch = plain.augment(make_batch(plain))
    assert set(plain(batch).metrics) == {"accuracy"}


def test_attention_changes_the_error_and_its_range_is_that_asked_for() -> None:
    task, flat = small().eval(), small(motion_attention=False).eval()
    batch = task.augment(make_batch(task))
    assert float(task(batch).metrics["reconstruction"]) != float(flat(batch).metrics["reconstruction"])
    weight = small(attention_low=0.5, attention_high=3.0).attention_map(batch)
    assert weight.shape == (6, 3, 16, 32, 32)
    assert abs(float(weight.min()) - 0.5) < 0.01 and abs(float(weight.max()) - 3.0) < 0.01
    assert (flat.attention_map(batch) == 1).all()


def test_frames_that_do_not_exist_do_not_count() -> None:
    task = small(motion_attention=False).eval()
    batch = task.augment(make_batch(task))
    for label, expected in ((0, True), (1, False)):
        labelled = batch._replace(targets={"stride": torch.full((6,), label)})
        other = labelled._replace(views=(batch.views[0], 1 - batch.views[1]))
        same = torch.equal(task(labelled).metrics["reconstruction"], task(other).metrics["reconstruction"])
        assert same is expected


@pytest.mark.parametrize(
    ("source", "target", "strides"),
    [
        ((2, 7, 7), (32, 112, 112), [(2, 2, 2)] * 4),  # the official decoder
        ((4, 8, 8), (16, 32, 32), [(1, 1, 1), (1, 1, 1), (2, 2, 2), (2, 2, 2)]),  # tubelets of 2 x 4 x 4
        ((8, 1, 1), (16, 32, 32), [(1, 2, 2), (1, 2, 2), (1, 2, 2), (2, 2, 2)]),  # frames, each one place
        ((5, 3, 3), (10, 40, 40), [(1, 2, 2), (1, 2, 2), (1, 2, 2), (2, 2, 2)]),  # 48 pixels, interpolated to 40
        ((16, 9, 9), (8, 8, 8), [(1, 1, 1)] * 4),
    ],
)
def test_the_decoder_fits_any_map(
    source: tuple[int, int, int], target: tuple[int, int, int], strides: list[tuple[int, int, int]]
) -> None:
    decoder = Decoder(16, source, target)
    assert [stage.stride for stage in list(decoder.stages)[::2]] == strides
    if target[1] < 100:
        clip = decoder(torch.randn(2, 16, *source))
        assert clip.shape == (2, 3, *target) and clip.min() >= 0


@pytest.mark.parametrize(
    "options",
    [{"strides": (2,)}, {"strides": (1, 1)}, {"strides": (1, 3)}, {"strides": (4, 6)}, {"frames": 5}, {"strides": ()}],
)
def test_impossible_strides_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"task.strides=.*such as \[1, 2, 4, 8\] with 16"):
        small(**options)


class OnePlace(TinyNet):
    """Averages its map, as networks do that shrink small clips to a single place."""

    def forward(self, clip: torch.Tensor) -> Features:
        features = super().forward(clip)
        return Features(features.pooled[..., None, None, None], features.pooled)


@pytest.mark.parametrize("reconstruction", [0.0, 1.0])
def test_a_single_place_of_a_single_clip_is_refused(reconstruction: float) -> None:
    task = PlaybackRatePerception(OnePlace(), frames=8, size=32, strides=(1, 2), reconstruction=reconstruction)
    one, two = (task.augment(make_batch(task, n=n)) for n in (1, 2))
    with pytest.raises(ConfigError, match=r"OnePlace makes a map of a single place: .*raise the batch size"):
        task.train()(one)
    task.evaluate(one)
    task.train()(two)


def test_explanations_show_what_lies_between() -> None:
    task = small()
    batch = task.augment(make_batch(task, n=12))
    for label, said in zip(batch.targets["stride"].tolist(), task.explain(batch), strict=True):
        assert said.answer == ("every frame", "every 2nd frame", "every 4th frame")[label]
        assert said.shown == ((0,) if label == 0 else (0, 1))
        assert said.pictures[0][1].shape == (3, 8, 32, 32)
    plain = small(reconstruction=0.0)
    assert all(said.shown == (0,) and not said.pictures for said in plain.explain(plain.augment(make_batch(plain))))


@pytest.mark.parametrize("backbone", [None, "r2plus1d-tiny", "vit-tiny-video", "timm/test_vit"])
def test_contract(backbone: str | None) -> None:
    network = {"name": backbone, "img_size": 32} if backbone and backbone.startswith("timm") else backbone
    check_task("prp@tiny", REGISTRY, backbone=network, frames=60)
