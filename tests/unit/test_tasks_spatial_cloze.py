"""``cloze``: the middle clip is what the label says, and nothing but it tells the label."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import TinyNet, losses_on, make_batch, video

import vssl_backbones.plugin
import vssl_spatial.plugin
from vssl_core.errors import ClipError, ConfigError
from vssl_core.testing import check_task, isolated_registry
from vssl_spatial.cloze import Cloze, ClozePlanner

REGISTRY = isolated_registry(spatial=vssl_spatial.plugin, nets=vssl_backbones.plugin)
NETWORKS = ["r2plus1d-tiny", "vit-tiny-video", "timm/test_resnet"]
ALL = ("original", "rotation", "permutation", "adjacent", "remote")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def tiny(**options: Any) -> Cloze:
    torch.manual_seed(0)
    task: Cloze = REGISTRY.build("tasks", {"name": "cloze", "recipe": "tiny", **options}, TinyNet())
    return task


def planner(
    frames: int = 6, stride: int = 1, gap: int = 1, distance: int = 2, short_video: str = "error"
) -> ClozePlanner:
    return ClozePlanner(frames, stride, gap, distance, ALL, (32, 32), "stretch", short_video)


@settings(max_examples=100, deadline=None)
@given(
    frames=st.integers(4, 9),
    stride=st.integers(1, 3),
    gap=st.integers(0, 4),
    distance=st.integers(0, 5),
    extra=st.integers(-2, 40),
    seed=st.integers(0, 2**32),
)
def test_three_clips_and_what_happened_to_the_middle_one(
    frames: int, stride: int, gap: int, distance: int, extra: int, seed: int
) -> None:
    length = (frames - 1) * stride + 1
    needed = 4 * length + 2 * gap + distance
    n_frames = needed + extra
    plan = planner(frames, stride, gap, distance)
    if extra < 0:
        with pytest.raises(ClipError, match=rf"needs {needed} frames.*task\.distance={distance}"):
            plan(video(n_frames=n_frames), np.random.default_rng(seed))
        return
    views, targets = plan(video(n_frames=n_frames), np.random.default_rng(seed))
    before, middle, after = (view.frames for view in views)
    operation = ALL[targets["operation"]]
    for clip in (before, middle, after):
        assert len(clip) == frames and clip.dtype == np.int64
        assert clip.min() >= 0 and clip.max() < n_frames
    assert (np.diff(before) == stride).all() and (np.diff(after) == stride).all()
    assert after[0] - before[0] == 2 * (length + gap)
    expected = before + length + gap
    if operation == "remote":
        assert (np.diff(middle) == stride).all()
        assert middle[-1] < before[0] - distance or middle[0] > after[-1] + distance
    elif operation == "adjacent":
        assert sorted(middle) == expected.tolist() and not np.array_equal(middle, expected)
        moved = {part for part, frames in enumerate(np.array_split(np.arange(frames), 4))
                 if not np.array_equal(middle[frames], expected[frames])}  # fmt: skip
        assert len(moved) >= 2
    else:
        assert np.array_equal(middle, expected)
    assert (targets["turns"] in (1, 2, 3)) if operation == "rotation" else targets["turns"] == 0
    changed = targets["quarters"].tolist() != [0, 1, 2, 3]
    assert sorted(targets["quarters"].tolist()) == [0, 1, 2, 3] and changed == (operation == "permutation")
    views_2, targets_2 = plan(video(n_frames=n_frames), np.random.default_rng(seed))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(views, views_2, strict=True))
    assert targets["operation"] == targets_2["operation"] and targets["turns"] == targets_2["turns"]


def drawn(plan: ClozePlanner, n: int, n_frames: int) -> dict[str, list[tuple[list[np.ndarray], dict[str, Any]]]]:
    rng, found = np.random.default_rng(0), defaultdict(list)
    for _ in range(n):
        views, targets = plan(video(n_frames=n_frames), rng)
        found[ALL[targets["operation"]]].append(([view.frames for view in views], dict(targets)))
    return found


def test_operations_and_their_parameters_are_equally_likely() -> None:
    found = drawn(planner(8), 5_000, 64)
    assert set(found) == set(ALL)
    for draws in found.values():
        assert abs(len(draws) - 1_000) < 5 * np.sqrt(1_000)
    turns = np.bincount([targets["turns"] for _, targets in found["rotation"]])[1:]
    assert len(turns) == 3 and (np.abs(turns - turns.sum() / 3) < 5 * np.sqrt(turns.sum() / 3)).all()
    quarters = defaultdict(int)
    for _, targets in found["permutation"]:
        quarters[tuple(targets["quarters"].tolist())] += 1
    assert len(quarters) == 23 and min(quarters.values()) > 15
    pairs = defaultdict(int)
    for (_, middle, _), _ in found["adjacent"]:
        parts = (middle - middle.min())[::2] // 2
        pairs[tuple(np.flatnonzero(parts != np.arange(4)).tolist())] += 1
    assert len(pairs) == 6 and min(pairs.values()) > 100, "all pairs of parts"
    behind = [middle[0] > after[0] for (_, middle, after), _ in found["remote"]]
    assert 0.4 < np.mean(behind) < 0.6


def test_remote_clips_reach_both_ends() -> None:
    remote = [frames for frames, _ in drawn(planner(), 4_000, 60)["remote"]]
    firsts = {int(middle[0]) for _, middle, _ in remote}
    assert min(firsts) == 0 and max(firsts) == 60 - 6
    assert min(int(before[0] - middle[-1]) for before, middle, _ in remote if middle[0] < before[0]) == 3
    assert min(int(middle[0] - after[-1]) for _, middle, after in remote if middle[0] > after[0]) == 3


@pytest.mark.parametrize("n_frames", [30, 34, 60])
def test_the_place_in_the_video_does_not_tell_the_operation(n_frames: int) -> None:
    """In the shortest video three clips fit at five places, but a remote one fits beside them at four."""
    found = drawn(planner(), 4_000, n_frames)
    starts = {name: np.array([frames[0][0] for frames, _ in draws]) for name, draws in found.items()}
    everywhere = np.unique(np.concatenate(list(starts.values())))
    for start in starts.values():
        assert np.array_equal(np.unique(start), everywhere)
        error = 5 * everywhere.std() / np.sqrt(len(start))
        assert abs(start.mean() - everywhere.mean()) < error
    if n_frames == 30:
        assert everywhere.tolist() == [0, 1, 2, 8, 9, 10]


def test_short_videos_get_what_fits_or_are_left_out() -> None:
    found = drawn(planner(short_video="fitting"), 400, 27)
    assert set(found) == set(ALL) - {"remote"}
    assert {int(frames[0][0]) for draws in found.values() for frames, _ in draws} == set(range(8))
    assert set(drawn(planner(short_video="fitting"), 400, 28)) == set(ALL)
    with pytest.raises(ClipError, match=r"needs 20 frames.*has 19"):
        planner(short_video="fitting")(video(n_frames=19), np.random.default_rng(0))
    with pytest.raises(ClipError, match=r"needs 28 frames.*has 27"):
        planner()(video(n_frames=27), np.random.default_rng(0))


def test_guessing_is_right_more_often_where_no_remote_clip_fits() -> None:
    plan = planner(short_video="fitting")
    rng = np.random.default_rng(0)
    assert {plan(video(n_frames=n), rng)[1]["possible"] for n in (20, 27)} == {4}
    assert {plan(video(n_frames=n), rng)[1]["possible"] for n in (28, 90)} == {5}
    task = tiny(short_video="fitting")
    assert task.chance is None, "it is not the same for all videos"
    batch = task.augment(make_batch(task, 6))
    batch.targets["possible"] = torch.tensor([4, 5, 5, 4, 5, 5])
    total, n = task.evaluate(batch)["accuracy_chance"]
    assert float(total) / n == pytest.approx((2 / 4 + 4 / 5) / 6) and n == 6


@pytest.mark.parametrize(
    ("operations", "short_video", "chance"),
    [
        (ALL, "error", 1 / 5),
        (ALL, "fitting", None),
        (ALL[:4], "fitting", 1 / 4),
        (("remote", "original"), "error", 1 / 2),
        (("remote", "original", "rotation"), "fitting", None),
    ],
)
def test_chance_is_one_number_where_it_is_the_same_for_all(
    operations: tuple[str, ...], short_video: str, chance: float | None
) -> None:
    task = tiny(operations=list(operations), short_video=short_video)
    assert task.chance == chance
    if chance is not None:
        batch = task.augment(make_batch(task, 5))
        total, n = task.evaluate(batch)["accuracy_chance"]
        assert float(total) / n == pytest.approx(chance)


def test_without_remote_clips_less_is_needed() -> None:
    plan = ClozePlanner(6, 1, 1, 2, ("original", "rotation"), (32, 32), "stretch", "error")
    views, targets = plan(video(n_frames=20), np.random.default_rng(0))
    assert [int(view.frames[0]) for view in views] == [0, 7, 14]
    assert targets["operation"] in (0, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operations": ["original"]}, "two or more"),
        ({"operations": ["original", "original"]}, "two or more different"),
        ({"operations": ["original", "blur"]}, "of original, rotation"),
        ({"operations": ["original", "remote"], "short_video": "fitting"}, "short_video=error"),
        ({"size": 31}, r"task\.size=31"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny(**options)


def test_fewer_operations() -> None:
    task = tiny(operations=["remote", "original"], short_video="error")
    assert task.chance == 0.5
    batch = make_batch(task, 8)
    assert set(batch.targets["operation"].tolist()) == {0, 1}
    for row, operation in enumerate(batch.targets["operation"].tolist()):
        assert (task.explain(batch)[row].answer.startswith("remote")) == (operation == 0)


def test_each_clip_has_a_crop_of_its_own_unless_shared() -> None:
    for shared in (False, True):
        task = tiny(shared_draw=shared, operations=["original", "adjacent"], jitter=0.3)
        batch = make_batch(task)
        same = batch._replace(views=(batch.views[0],) * 3)
        first, middle, last = task.augment(same).views
        assert bool(torch.equal(first, last)) is shared
        assert bool(torch.equal(first, middle)) is shared


def test_only_the_middle_clip_is_changed() -> None:
    task = tiny(crop_scale=1.0)
    batch = make_batch(task, 12)
    found = task.augment(batch).views
    for at in (0, 2):
        torch.testing.assert_close(found[at], batch.views[at].permute(0, 4, 1, 2, 3) / 255)
    source = batch.views[1].permute(0, 4, 1, 2, 3) / 255
    for row, operation in enumerate(batch.targets["operation"].tolist()):
        changed = not torch.allclose(found[1][row], source[row])
        assert changed == (ALL[operation] in ("rotation", "permutation"))


def test_a_hidden_layer_is_there_if_asked() -> None:
    assert sum(isinstance(part, torch.nn.Linear) for part in Cloze(TinyNet()).head.modules()) == 1
    assert sum(isinstance(part, torch.nn.Linear) for part in Cloze(TinyNet(), hidden=8).head.modules()) == 2


def test_loss_falls_on_one_batch() -> None:
    task = tiny()
    batch = task.augment(make_batch(task))
    losses = losses_on(task, batch, 30)
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


def test_it_is_explained() -> None:
    task = tiny()
    batch = task.augment(make_batch(task, 12))
    for row, said in enumerate(task.explain(batch)):
        assert said.answer.startswith(ALL[batch.targets["operation"][row]])
        if "turned" in said.answer:
            assert f"{90 * batch.targets['turns'][row]} degrees" in said.answer
        assert len(said.captions) == 3


@pytest.mark.parametrize("backbone", [None, *NETWORKS])
def test_conformance(backbone: str | None) -> None:
    check_task("cloze@tiny", REGISTRY, backbone=backbone)
