"""``pace``: its sampling by property, what its flags change, what it says of a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import TinyNet, make_batch, video

import vssl_backbones.plugin
import vssl_speed.plugin
from vssl_core.errors import ClipError
from vssl_core.plugins import Registry
from vssl_core.testing import check_task
from vssl_speed.pace import Pace, PacePlanner
from vssl_speed.wording import every_nth_frame

REGISTRY = Registry.discover(
    plugins={"speed": vssl_speed.plugin, "backbones": vssl_backbones.plugin}, entry_points=False
)


@settings(max_examples=80, deadline=None)
@given(
    frames=st.integers(1, 20),
    stride=st.integers(1, 3),
    rates=st.integers(2, 6),
    clips=st.integers(1, 2),
    n_frames=st.integers(1, 200),
    short_video=st.sampled_from(["loop", "pad"]),
    seed=st.integers(0, 2**32),
)
def test_frames_are_in_range_and_as_far_apart_as_the_rate_says(
    frames: int, stride: int, rates: int, clips: int, n_frames: int, short_video: str, seed: int
) -> None:
    planner = PacePlanner(frames, stride, rates, clips, (32, 32), "stretch", short_video)
    fastest = stride * rates
    if frames > 1 and n_frames <= fastest:
        with pytest.raises(ClipError, match=rf"needs {fastest + 1} frames to show two .* has {n_frames}; lower"):
            planner(video(n_frames=n_frames), np.random.default_rng(seed))
        return
    views, targets = planner(video(n_frames=n_frames), np.random.default_rng(seed))
    again, same = planner(video(n_frames=n_frames), np.random.default_rng(seed))
    assert np.array_equal(targets["rate"], same["rate"]) and targets["rate"].shape == (clips,)
    for view, twin, label in zip(views, again, targets["rate"], strict=True):
        assert np.array_equal(view.frames, twin.frames)
        assert 0 <= label < rates
        step = stride * (int(label) + 1)
        assert view.frames.shape == (frames,) and view.frames.min() >= 0 and view.frames.max() < n_frames
        steps = np.diff(view.frames)
        # Whether it fits is asked of the fastest rate, whichever was drawn.
        shown = (n_frames - 1) // fastest + 1
        if shown >= frames:
            assert (steps == step).all()
        elif short_video == "loop":
            assert (np.isin(steps, [step, -(shown - 1) * step])).all()
            assert len(set(view.frames)) == shown
        else:
            assert (steps[: shown - 1] == step).all() and (steps[shown - 1 :] == 0).all()


def test_per_frame_jitter_colours_every_frame_by_itself() -> None:
    still = [torch.full((4, 8, 32, 32, 3), 120, dtype=torch.uint8)]
    for per_frame in (True, False):
        task = Pace(TinyNet(), frames=8, size=32, read_size=0, per_frame_jitter=per_frame)
        batch = make_batch(task, n_frames=60)
        batch = batch._replace(views=tuple(still), seeds=batch.seeds[:4])
        clip = task.augment(batch).views[0].mean((1, 3, 4))  # brightness of every frame
        assert bool((clip.std(dim=1) > 0.01).all()) is per_frame


def test_contrast_is_an_extra_of_its_weight() -> None:
    torch.manual_seed(0)
    task = Pace(TinyNet(), frames=8, size=32, read_size=0, contrast="rate", contrast_weight=0.0).eval()
    batch = task.augment(make_batch(task, n_frames=60))
    plain = task(batch)
    task.contrast_weight = 0.5
    weighted = task(batch)
    torch.testing.assert_close(weighted.loss - plain.loss, 0.5 * plain.metrics["contrast"])
    assert "contrast" not in Pace(TinyNet(), frames=8, size=32, read_size=0)(batch).metrics


def test_explanations_name_the_frames() -> None:
    task = Pace(TinyNet(), frames=8, size=32, read_size=0, stride=2, contrast="content")
    batch = task.augment(make_batch(task, n_frames=100))
    for rates, said in zip(batch.targets["rate"].tolist(), task.explain(batch), strict=True):
        words = tuple(("every 2nd frame", "every 4th frame", "every 6th frame", "every 8th frame")[r] for r in rates)
        assert said.captions == words and said.answer == "; ".join(words)


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (1, "every frame"),
        (2, "every 2nd frame"),
        (3, "every 3rd frame"),
        (11, "every 11th frame"),
        (21, "every 21st frame"),
    ],
)
def test_words_of_strides(n: int, words: str) -> None:
    assert every_nth_frame(n) == words


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        (None, {}),
        (None, {"contrast": "content"}),
        (None, {"contrast": "rate", "per_frame_jitter": True}),
        ("r2plus1d-tiny", {}),
        ("vit-tiny-video", {}),
        ({"name": "timm/test_vit", "img_size": 32}, {}),
    ],
)
def test_contract(backbone: Any, options: dict[str, Any]) -> None:
    check_task({"name": "pace", "recipe": "tiny", **options}, REGISTRY, backbone=backbone, frames=60)
