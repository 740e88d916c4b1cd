"""``rtt``: its sampling by property, its deviations from equal frequencies, what it says of a sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import TinyNet, make_batch, video

import vssl_backbones.plugin
import vssl_speed.plugin
from vssl_core.engine.planned import check_pair
from vssl_core.errors import ClipError
from vssl_core.plugins import Registry
from vssl_core.testing import check_task
from vssl_speed.rtt import RecognizeTransformation, RttPlanner
from vssl_speed.transformations import frames_needed, parse, speeds_that_fit

REGISTRY = Registry.discover(
    plugins={"speed": vssl_speed.plugin, "backbones": vssl_backbones.plugin}, entry_points=False
)
PAPER = ("speed-1", "speed-2", "speed-4", "speed-8", "periodic", "random", "warp")
ALL = (*PAPER, "palindrome-3", "reversed", "random-2")


@settings(max_examples=80, deadline=None)
@given(
    names=st.lists(st.sampled_from(ALL), min_size=2, max_size=6, unique=True).filter(
        lambda names: "warp" not in names or any(name in names for name in ("speed-2", "speed-4", "speed-8"))
    ),
    frames=st.integers(4, 20),
    stride=st.integers(1, 3),
    n_frames=st.integers(1, 300),
    seed=st.integers(0, 2**32),
)
def test_frames_are_in_range_and_classes_fit(
    names: list[str], frames: int, stride: int, n_frames: int, seed: int
) -> None:
    transforms = parse(names, frames, stride)
    planner = RttPlanner(transforms, frames, stride, (32, 32), "stretch", "fitting")
    fitting = [k for k, t in enumerate(transforms) if speeds_that_fit(t, transforms, frames, stride, n_frames)]
    if len(fitting) < 2:
        with pytest.raises(ClipError, match=rf"has {n_frames}; lower"):
            planner(video(n_frames=n_frames), np.random.default_rng(seed))
        return
    views, targets = planner(video(n_frames=n_frames), np.random.default_rng(seed))
    again, same = planner(video(n_frames=n_frames), np.random.default_rng(seed))
    assert targets == same and np.array_equal(views[0].frames, again[0].frames)
    assert targets["transformation"] in fitting
    found = views[0].frames
    assert found.shape == (frames,) and found.min() >= 0 and found.max() < n_frames


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from([name for name in ALL if not name.startswith("speed")]),
    frames=st.integers(4, 20),
    stride=st.integers(1, 4),
    speed=st.integers(2, 8),
    seed=st.integers(0, 2**32),
)
def test_no_clip_is_longer_than_its_largest_extent(name: str, frames: int, stride: int, speed: int, seed: int) -> None:
    transform = parse([name, "speed-2"], frames, stride)[0]
    clip = transform.draw(np.random.default_rng(seed), frames, stride, transform.speed or speed)
    assert clip.min() == 0 and clip.dtype == np.int64
    assert clip.max() < transform.largest_extent(frames, stride, transform.speed or speed)


def test_needed_frames_are_enough_for_every_class_and_one_less_is_not() -> None:
    for names in (PAPER, ALL, ("speed-1", "palindrome-3")):
        transforms = parse(names, 16, 1)
        needed = frames_needed(transforms, 16, 1)
        complete = [speeds_that_fit(t, transforms, 16, 1, 10_000) for t in transforms]
        assert [speeds_that_fit(t, transforms, 16, 1, needed) for t in transforms] == complete
        assert [speeds_that_fit(t, transforms, 16, 1, needed - 1) for t in transforms] != complete


@pytest.mark.parametrize("n_frames", [150, 70])
def test_classes_that_fit_are_equally_likely(n_frames: int) -> None:
    planner = RttPlanner(parse(PAPER, 16, 1), 16, 1, (32, 32), "stretch", "fitting")
    rng, n = np.random.default_rng(0), 2_100
    counts = np.bincount([planner(video(n_frames=n_frames), rng)[1]["transformation"] for _ in range(n)], minlength=7)
    assert (counts == 0).tolist() == [False, False, False, n_frames < 121, False, False, False]
    expected = n / (counts > 0).sum()
    assert np.abs(counts[counts > 0] - expected).max() < 5 * np.sqrt(expected)


def test_a_warp_changes_between_all_steps_up_to_the_largest_speed() -> None:
    planner = RttPlanner(parse(PAPER, 16, 1), 16, 1, (32, 32), "stretch", "error")
    rng, warp, steps = np.random.default_rng(0), PAPER.index("warp"), []
    for _ in range(2_000):
        views, targets = planner(video(n_frames=150), rng)
        if targets["transformation"] == warp:
            steps.append(np.diff(views[0].frames))
    every = np.concatenate(steps)
    assert every.min() == 1 and every.max() == 8
    # Uniform on 1 .. 8, of deviation sqrt(63 / 12).
    assert abs(every.mean() - 4.5) < 5 * np.sqrt(63 / 12 / len(every))


def test_chance_is_what_the_length_of_a_video_leaves() -> None:
    """121 frames hold all seven, 70 all but speed-8, 40 neither speed-8 nor speed-4."""
    torch.manual_seed(0)
    options = {"frames": 16, "size": 32, "read_size": 0, "transforms": PAPER}
    task, strict = (
        RecognizeTransformation(TinyNet(), **options),
        RecognizeTransformation(TinyNet(), **options, short_video="error"),
    )
    assert task.chance is None and strict.chance == 1 / 7
    found = []
    for n_frames, possible in ((121, 7), (70, 6), (40, 5)):
        batch = task.augment(make_batch(task, n=2, n_frames=n_frames))
        assert batch.targets["possible"].tolist() == [possible] * 2
        found.append(batch)
    mixed = found[0]._replace(
        views=(torch.cat([batch.views[0] for batch in found]),),
        targets={name: torch.cat([batch.targets[name] for batch in found]) for name in found[0].targets},
        index=torch.arange(6),
    )
    total, n = task.evaluate(mixed)["accuracy_chance"]
    assert n == 6 and float(total) == pytest.approx(2 / 7 + 2 / 6 + 2 / 5)
    whole = strict.augment(make_batch(strict, n=2, n_frames=121))
    assert set(whole.targets) == {"transformation"} and set(strict.evaluate(whole)) == {"accuracy"}


def test_explanations_name_the_class() -> None:
    torch.manual_seed(0)
    task = RecognizeTransformation(
        TinyNet(), frames=8, size=32, read_size=0, transforms=["speed-1", "speed-3", "random"]
    )
    batch = task.augment(make_batch(task))
    words = ("played at normal speed", "played at speed x3", "played in random order")
    for label, said in zip(batch.targets["transformation"].tolist(), task.explain(batch), strict=True):
        assert said.answer == words[label]
        assert said.question == "How is this clip played: at normal speed, at speed x3, in random order?"


@pytest.mark.parametrize("backbone", [None, "r2plus1d-tiny", "vit-tiny-video"])
def test_contract(backbone: str | None) -> None:
    check_task("rtt@tiny", REGISTRY, backbone=backbone, frames=60)


def test_contract_where_classes_depend_on_the_video() -> None:
    check_task({"name": "rtt", "recipe": "tiny", "short_video": "fitting"}, REGISTRY, frames=60)


def test_networks_applied_frame_by_frame_are_refused() -> None:
    """To them a clip in random order and one played backwards are the clip as it was."""
    task = REGISTRY.resolve("tasks", "rtt@tiny")
    assert "offers temporal;" in (check_pair(task, REGISTRY.resolve("backbones", "timm/test_vit")) or "")
    assert check_pair(task, REGISTRY.resolve("backbones", "r2plus1d-tiny")) is None


@pytest.mark.parametrize("per_frame", [True, False])
def test_colours_are_drawn_for_every_frame_or_for_the_clip(per_frame: bool) -> None:
    task = RecognizeTransformation(TinyNet(), frames=8, size=16, read_size=0, per_frame_jitter=per_frame, grey=0.5)
    batch = make_batch(task, n=8, n_frames=200)
    still = batch.views[0][:, :1].expand(-1, 8, -1, -1, -1)
    (clip,) = task.augment(batch._replace(views=(still,))).views
    grey = (clip - clip[:, :1]).abs().amax(dim=(1, 3, 4)) < 1e-6
    if per_frame:
        light = clip.mean(dim=(1, 3, 4))
        assert bool((light.amax(dim=1) - light.amin(dim=1) > 1e-3).all())
        assert not torch.equal(grey.any(dim=1), grey.all(dim=1))
    else:
        assert torch.equal(clip, clip[:, :, :1].expand_as(clip))
    assert 0 < int(grey.sum()) < grey.numel()
