"""What the planners of the order tasks draw: every answer equally likely, frames where they are said to be."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import video

from vssl_core.contracts import Video
from vssl_core.errors import ClipError
from vssl_order.arrow_of_time import DirectionPlanner
from vssl_order.clip_order import ClipOrderPlanner
from vssl_order.odd_one_out import OddPlanner
from vssl_order.opn import SortingPlanner
from vssl_order.shuffle_learn import TuplePlanner
from vssl_order.skip_clip import SkipClipPlanner

SIZE = (32, 32)
SEEDS = st.integers(0, 2**32)


def tuples(**options: Any) -> TuplePlanner:
    given_ = {"stride": 2, "spread": 4, "positive": 0.5, "backward": True, "select": "uniform"}
    return TuplePlanner(**{**given_, "size": SIZE, "fit": "stretch", "short_video": "error", **options})


def sorting(**options: Any) -> SortingPlanner:
    given_ = {"frames": 4, "stride": 3, "reversal": True, "select": "uniform"}
    return SortingPlanner(**{**given_, "size": SIZE, "fit": "stretch", "short_video": "error", **options})


def odd(**options: Any) -> OddPlanner:
    given_ = {"frames": 6, "stride": 1, "clips": 6, "sampling": "constrained", "window": 1.5}
    return OddPlanner(**{**given_, "size": SIZE, "fit": "stretch", "short_video": "error", **options})


def direction(**options: Any) -> DirectionPlanner:
    return DirectionPlanner(
        **{"frames": 8, "stride": 2, "size": SIZE, "fit": "stretch", "short_video": "error", **options}
    )


def later(**options: Any) -> SkipClipPlanner:
    given_ = {"frames": 4, "stride": 1, "targets": 3, "gap": 2, "turned": True}
    return SkipClipPlanner(**{**given_, "size": SIZE, "fit": "stretch", "short_video": "error", **options})


def clips(**options: Any) -> ClipOrderPlanner:
    given_ = {"frames": 4, "stride": 1, "clips": 3, "gap": 2}
    return ClipOrderPlanner(**{**given_, "size": SIZE, "fit": "stretch", "short_video": "error", **options})


def moving(n_frames: int, curve: np.ndarray | None = None) -> Video:
    motion = np.ones(n_frames, dtype=np.float32) if curve is None else curve.astype(np.float32)
    return dataclasses.replace(video(n_frames=n_frames), motion=motion)


def draws(planner: Any, row: Video, n: int) -> list[tuple[list[np.ndarray], dict[str, Any]]]:
    rng = np.random.default_rng(0)
    return [
        ([view.frames for view in views], dict(targets)) for views, targets in (planner(row, rng) for _ in range(n))
    ]


def evenly(counts: Counter[Any], classes: int) -> bool:
    """Whether no class is 5 standard deviations from its share."""
    expected = sum(counts.values()) / classes
    return len(counts) == classes and all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


# ------------------------------------------------------------------------------------------------ every planner

EACH: dict[str, tuple[Callable[..., Any], int]] = {
    "shuffle-learn": (tuples, 13),
    "opn": (sorting, 10),
    "odd-one-out": (odd, 9),
    "arrow-of-time": (direction, 15),
    "skip-clip": (later, 22),
    "clip-order": (clips, 16),
}


@pytest.mark.parametrize("task", EACH)
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, more=st.integers(0, 40))
def test_no_frame_is_out_of_range_and_plans_repeat(task: str, seed: int, more: int) -> None:
    make, needed = EACH[task]
    row = moving(needed + more)
    planner = pickle.loads(pickle.dumps(make()))
    views, targets = planner(row, np.random.default_rng(seed))
    again, same = make()(row, np.random.default_rng(seed))
    for view, twin in zip(views, again, strict=True):
        assert view.frames.dtype == np.int64
        assert 0 <= view.frames.min() <= view.frames.max() < row.n_frames
        assert np.array_equal(view.frames, twin.frames)
        assert len(set(view.frames.tolist())) == len(view.frames)
    assert all(np.array_equal(targets[name], same[name]) for name in targets)


@pytest.mark.parametrize("task", EACH)
def test_a_video_a_frame_too_short_is_refused(task: str) -> None:
    make, needed = EACH[task]
    make()(moving(needed), np.random.default_rng(0))
    for draw in range(10):  # whatever was drawn: short videos that gave some answers alone would give them away
        with pytest.raises(
            ClipError, match=rf"{task} needs {needed} frames .*task\..*'v0.mp4' has {needed - 1}; lower"
        ):
            make()(moving(needed - 1), np.random.default_rng(draw))


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("task", EACH)
def test_both_ends_of_the_video_are_reached(task: str, stride: int) -> None:
    """The last frame is no multiple of the stride: it is reached from another first frame alone."""
    make, needed = EACH[task]
    row = moving(stride * (needed - 1) + 8)
    reached = np.concatenate([np.concatenate(frames) for frames, _ in draws(make(stride=stride), row, 300)])
    assert reached.min() == 0
    assert reached.max() == row.n_frames - 1


@pytest.mark.parametrize("task", ["shuffle-learn", "opn", "odd-one-out", "arrow-of-time", "skip-clip"])
def test_short_videos_are_read_at_the_largest_stride_that_fits(task: str) -> None:
    make, _ = EACH[task]
    positions = {"shuffle-learn": 7, "opn": 4, "odd-one-out": 9, "arrow-of-time": 8, "skip-clip": 22}[task]
    planner = make(stride=5, short_video="fitting")
    for stride in (1, 2, 4):
        shown = [frames for frames, _ in draws(planner, moving((positions - 1) * stride + 1), 20)]
        steps = {int(step) for frames in shown for step in np.diff(np.sort(np.concatenate(frames))) if step}
        assert min(steps) == stride
        assert all(step % stride == 0 for step in steps)
    plenty = np.concatenate(
        [np.concatenate(frames) - min(map(np.min, frames)) for frames, _ in draws(planner, moving(200), 20)]
    )
    assert (plenty % 5 == 0).all(), "no larger than configured"
    with pytest.raises(ClipError, match=f"needs {positions} frames"):
        planner(moving(positions - 1), np.random.default_rng(0))


# ------------------------------------------------------------------------------------------------ single frames


def test_a_tuple_is_in_order_as_often_as_asked() -> None:
    found = draws(tuples(positive=0.25), video(n_frames=40), 2_000)
    assert abs(sum(targets["in_order"] for _, targets in found) - 500) < 5 * (2_000 * 0.25 * 0.75) ** 0.5


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, stride=st.integers(1, 5), spread=st.integers(2, 6), backward=st.booleans())
def test_the_middle_frame_alone_decides(seed: int, stride: int, spread: int, backward: bool) -> None:
    planner = tuples(stride=stride, spread=spread, backward=backward)
    (view,), targets = planner(video(n_frames=60), np.random.default_rng(seed))
    first, middle, last = view.frames.tolist()
    if not backward:
        assert first < last
    low, high = sorted((first, last))
    assert high - low == stride * spread
    assert (low < middle < high) == bool(targets["in_order"])
    if not targets["in_order"]:
        assert middle in (low - stride, high + stride)
    assert (middle - low) % stride == 0


def test_the_first_and_the_last_frame_say_nothing() -> None:
    found = draws(tuples(), video(n_frames=16), 4_000)
    for label in (0, 1):
        ends = Counter(
            (int(frames[0][0]), int(frames[0][2])) for frames, targets in found if targets["in_order"] == label
        )
        assert evenly(ends, 8), "four starts, both ways"


def test_the_frames_that_break_the_order_are_as_frequent_before_as_behind() -> None:
    found = draws(tuples(positive=0.25), video(n_frames=13), 2_000)
    middles = Counter(int(frames[0][1]) for frames, targets in found if not targets["in_order"])
    assert evenly(middles, 2)
    assert set(middles) == {0, 12}


@pytest.mark.parametrize("frames", [2, 3, 4])
@pytest.mark.parametrize("reversal", [True, False])
def test_every_order_of_frames_is_equally_likely(frames: int, reversal: bool) -> None:
    planner = sorting(frames=frames, reversal=reversal)
    found = draws(planner, video(n_frames=3 * frames - 2), 2_400)
    shown = Counter(tuple((drawn[0] // 3).tolist()) for drawn, _ in found)
    orders = list(itertools.permutations(range(frames)))
    assert evenly(shown, len(orders))
    classes = {tuple((drawn[0] // 3).tolist()): int(targets["order"]) for drawn, targets in found}
    assert set(classes.values()) == set(range(len(orders) // (2 if reversal else 1)))
    for order, label in classes.items():
        assert (classes[order[::-1]] == label) == reversal, "one class for an order and its reversal"
        if reversal:
            assert sum(other == label for other in classes.values()) == 2


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, frames=st.integers(2, 5), stride=st.integers(1, 6))
def test_sorted_frames_are_a_stride_apart(seed: int, frames: int, stride: int) -> None:
    (view,), _ = sorting(frames=frames, stride=stride)(video(n_frames=40), np.random.default_rng(seed))
    assert (np.diff(np.sort(view.frames)) == stride).all()


@pytest.mark.parametrize("task", ["shuffle-learn", "opn"])
def test_windows_with_motion_are_preferred_and_may_be_not(task: str) -> None:
    make = EACH[task][0]
    curve = np.zeros(60)
    curve[30:40] = 1.0
    assert make(select="motion").needs_motion
    assert not make(select="uniform").needs_motion
    for frames, _ in draws(make(select="motion"), moving(60, curve), 100):
        # A window whose frames all stand still has probability 0.
        assert frames[0].max() >= 29 - 2 * make().stride
        assert frames[0].min() <= 39 + 2 * make().stride
    everywhere = [frames[0].mean() for frames, _ in draws(make(select="uniform"), moving(60, curve), 200)]
    assert min(everywhere) < 15
    assert max(everywhere) > 45


@pytest.mark.parametrize("task", ["shuffle-learn", "opn"])
def test_without_a_motion_curve_the_way_out_is_named(task: str) -> None:
    planner = EACH[task][0](select="motion")
    with pytest.raises(ClipError, match=rf"{task} looks for motion.*vssl data index .*--motion.*task\.select=uniform"):
        planner(video(n_frames=60), np.random.default_rng(0))


# ------------------------------------------------------------------------------------------------ clips


@pytest.mark.parametrize("sampling", ["consecutive", "random", "constrained"])
def test_every_place_is_as_often_the_odd_one(sampling: str) -> None:
    found = draws(odd(clips=3, frames=4, sampling=sampling), video(n_frames=30), 1_500)
    assert evenly(Counter(int(targets["odd"]) for _, targets in found), 3)
    for frames, targets in found:
        unsorted = [place for place, clip in enumerate(frames) if (np.diff(clip) < 0).any()]
        assert unsorted == [targets["odd"]]


def test_every_wrong_order_is_equally_likely() -> None:
    found = draws(odd(clips=2, frames=3, sampling="consecutive"), video(n_frames=3), 2_000)
    orders = Counter(tuple(frames[targets["odd"]].tolist()) for frames, targets in found)
    assert evenly(orders, 5), "all but the right one"
    assert (0, 1, 2) not in orders


def test_each_sampling_takes_the_frames_it_says() -> None:
    row = video(n_frames=40)
    for frames, _ in draws(odd(sampling="consecutive", stride=2), row, 100):
        assert all((np.diff(np.sort(clip)) == 2).all() for clip in frames)
    starts = {tuple(int(clip.min()) for clip in frames) for frames, _ in draws(odd(sampling="consecutive"), row, 20)}
    assert any(len(set(row_)) > 1 for row_ in starts), "each clip from a place of its own"
    for frames, _ in draws(odd(sampling="constrained"), row, 100):
        together = np.concatenate(frames)
        assert together.max() - together.min() <= 8, "one window of 9 frames for all clips"
    wide = [int(np.ptp(clip)) for frames, _ in draws(odd(sampling="random"), row, 100) for clip in frames]
    assert max(wide) > 30
    assert len(set(wide)) > 10


def test_the_odd_clip_is_drawn_by_the_law_of_the_others() -> None:
    """Its frames are as far apart as theirs: sorted, nothing is left that tells it."""
    for sampling in ("consecutive", "random", "constrained"):
        found = draws(odd(clips=2, frames=4, sampling=sampling), video(n_frames=24), 1_500)
        spans: list[list[int]] = [[], []]
        for frames, targets in found:
            for place, clip in enumerate(frames):
                spans[int(place == targets["odd"])].append(int(np.ptp(clip)))
        assert abs(np.mean(spans[0]) - np.mean(spans[1])) < 5 * (np.std(spans[0]) + 1e-9) / 1_500**0.5 + 1e-9


def test_both_directions_are_equally_likely_at_every_place() -> None:
    found = draws(direction(), video(n_frames=18), 2_000)
    assert evenly(Counter((int(frames[0].min()), int(targets["backward"])) for frames, targets in found), 8)
    for frames, targets in found:
        assert (np.diff(frames[0]) == (-2 if targets["backward"] else 2)).all()


def test_every_order_of_later_clips_and_every_turn_is_equally_likely() -> None:
    found = draws(later(), video(n_frames=22), 2_400)
    assert evenly(Counter(tuple(targets["place"].tolist()) for _, targets in found), 6)
    assert evenly(Counter(int(targets["turns"]) for _, targets in found), 4)
    assert {int(targets["turns"]) for _, targets in draws(later(turned=False), video(n_frames=22), 40)} == {0}


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, frames=st.integers(1, 6), stride=st.integers(1, 3), targets=st.integers(2, 4), gap=st.integers(0, 4))
def test_later_clips_follow_one_another(seed: int, frames: int, stride: int, targets: int, gap: int) -> None:
    planner = later(frames=frames, stride=stride, targets=targets, gap=gap)
    views, made = planner(video(n_frames=136), np.random.default_rng(seed))
    context, *shown = [view.frames for view in views]
    assert len(shown) == targets
    for place, clip in zip(made["place"], shown, strict=True):
        assert np.array_equal(clip - context, np.full(frames, (place + 1) * (frames + gap) * stride))
        assert (np.diff(clip) == stride).all()
    assert sorted(made["place"]) == list(range(targets))


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, frames=st.integers(1, 6), stride=st.integers(1, 3), n=st.integers(2, 4), gap=st.integers(0, 5))
def test_shuffled_clips_lie_a_gap_apart(seed: int, frames: int, stride: int, n: int, gap: int) -> None:
    planner = clips(frames=frames, stride=stride, clips=n, gap=gap)
    views, targets = planner(video(n_frames=120), np.random.default_rng(seed))
    order = list(itertools.permutations(range(n)))[targets["order"]]
    in_time = [views[order.index(place)].frames for place in range(n)]
    for earlier, following in itertools.pairwise(in_time):
        assert following[0] - earlier[-1] == gap + 1
    assert all((np.diff(view.frames) == stride).all() for view in views)


@pytest.mark.parametrize(("stride", "needed"), [(1, 16), (2, 25), (3, 34), (4, 43)])
def test_shuffled_clips_are_read_at_the_largest_stride_that_fits(stride: int, needed: int) -> None:
    """Three clips of four frames and two gaps of two: 3 * (3 * stride + 1) + 4 frames; the gap is no stride."""
    planner = clips(stride=4, short_video="fitting")
    for n_frames in (needed, needed + 8):
        for shown, targets in draws(planner, video(n_frames=n_frames), 30):
            order = list(itertools.permutations(range(3)))[targets["order"]]
            in_time = [shown[order.index(place)] for place in range(3)]
            assert all((np.diff(clip) == stride).all() for clip in in_time)
            assert all(later_[0] - sooner[-1] == 3 for sooner, later_ in itertools.pairwise(in_time))
    with pytest.raises(ClipError, match=r"clip-order needs 16 frames .*task\.gap=2.* has 15; .*use longer videos"):
        planner(video(n_frames=15), np.random.default_rng(0))
    with pytest.raises(ClipError, match=r"needs 43 frames .*task\.stride=4.*short_video=fitting"):
        clips(stride=4)(video(n_frames=42), np.random.default_rng(0))
