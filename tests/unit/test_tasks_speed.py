"""``rtt`` and ``pace``: the frames read are the transformation declared, and nothing else tells it."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch
from support.tasks import TinyNet, make_batch, registry, video
from torch import nn

from vssl_core.contracts import Features
from vssl_core.errors import ClipError, ConfigError
from vssl_speed.pace import Pace, PacePlanner
from vssl_speed.placement import place
from vssl_speed.rtt import RecognizeTransformation, RttPlanner
from vssl_speed.transformations import Transformation, parse

TINY = ("speed-1", "speed-3", "random", "palindrome-3", "reversed")
PAPER = ("speed-1", "speed-2", "speed-4", "speed-8", "periodic", "random", "warp")


def rtt(names: tuple[str, ...], frames: int, stride: int = 1, short_video: str = "error") -> RttPlanner:
    return RttPlanner(parse(names, frames, stride), frames, stride, (32, 32), "short-side-crop", short_video)


def draws(planner: RttPlanner | PacePlanner, n: int, n_frames: int, target: str) -> dict[int, list[np.ndarray]]:
    """Frames of ``n`` clips by class."""
    rng = np.random.default_rng(0)
    found = defaultdict(list)
    for _ in range(n):
        views, targets = planner(video(n_frames=n_frames), rng)
        found[int(np.ravel(targets[target])[0])].append(views[0].frames)
    return found


@pytest.mark.parametrize(("names", "frames", "n_frames"), [(TINY, 8, 32), (TINY, 8, 22), (PAPER, 16, 150)])
def test_each_class_shows_its_transformation(names: tuple[str, ...], frames: int, n_frames: int) -> None:
    found = draws(rtt(names, frames), 700, n_frames, "transformation")
    assert set(found) == set(range(len(names)))
    for label, clips in found.items():
        name, _, speed = names[label].partition("-")
        for clip in clips:
            steps = np.diff(clip)
            assert 0 <= clip.min() <= clip.max() < n_frames
            if name == "speed":
                assert (steps == int(speed)).all()
            elif name == "reversed":
                assert (steps == steps[0]).all() and steps[0] in (-1, -3)
            elif name == "palindrome":
                assert (steps[:3] == 3).all() and (steps[4:] == -3).all() and steps[3] in (1, 2)
            elif name == "random":
                assert sorted(clip - clip.min()) == list(range(frames))
                assert set(steps) not in ({1}, {-1})
            elif name == "warp":
                assert steps.min() >= 1 and steps.max() <= 8 and len(set(steps)) > 1
            else:
                turns = np.sign(steps)[np.sign(steps) != 0]
                assert (np.diff(turns) <= 0).all() and turns[0] == 1 and turns[-1] == -1, clip


def test_classes_are_equally_likely() -> None:
    for planner, target in (
        (rtt(TINY, 8), "transformation"),
        (PacePlanner(8, 1, 4, 1, (32, 32), "stretch", "error"), "rate"),
    ):
        n = 4_000
        counts = np.array([len(clips) for clips in draws(planner, n, 32, target).values()])
        expected = n / len(counts)
        assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


@pytest.mark.parametrize("planner", [rtt(TINY, 8), PacePlanner(8, 1, 4, 1, (32, 32), "stretch", "error")])
def test_position_in_the_video_does_not_tell_the_class(planner: RttPlanner | PacePlanner) -> None:
    target = "transformation" if isinstance(planner, RttPlanner) else "rate"
    middles = {
        label: np.array([(clip.min() + clip.max()) / 2 for clip in clips])
        for label, clips in draws(planner, 6_000, 32, target).items()
    }
    everything = np.concatenate(list(middles.values()))
    for middle in middles.values():
        error = everything.std() / np.sqrt(len(middle))
        assert abs(middle.mean() - everything.mean()) < 5 * error
        # Freely drawn starts would spread the middles of short clips over the whole video.
        assert abs(middle.std() - everything.std()) < 0.15 * everything.std()


def test_tiny_rtt_is_told_by_neither_repeats_nor_position() -> None:
    """No class shows a frame twice, and half a frame apart (extents are odd and even) the middles have one law."""
    planner = registry().build("tasks", "rtt@tiny", TinyNet()).planner()
    found = draws(planner, 20_000, 32, "transformation")
    assert [f"{t.kind}-{t.speed}" for t in planner.transforms] == [
        "speed-1",
        "speed-3",
        "random-1",
        "palindrome-3",
        "reversed-0",
    ]
    assert len(found) == 5
    middles = {}
    for label, clips in found.items():
        stacked = np.stack(clips)
        assert (np.diff(np.sort(stacked, axis=1), axis=1) > 0).all(), planner.transforms[label]
        middles[label] = np.sort((stacked.min(axis=1) + stacked.max(axis=1)) / 2)
    at = np.arange(9.25, 22, 0.5)
    shares = {label: np.searchsorted(found, at) / len(found) for label, found in middles.items()}
    for one in shares.values():
        for other in shares.values():
            # A quarter of a class may lie half a frame to either side: 1/4 of 1/11; the rest is the draw.
            assert np.abs(one - other).max() < 0.25 / 11 + 2 * np.sqrt(2 / 4_000)
    for label, middle in middles.items():
        assert abs(middle.mean() - 15.5) < 5 * middle.std() / np.sqrt(len(middle)), label


@pytest.mark.parametrize("frames", [4, 7, 8])
@pytest.mark.parametrize(("stride", "speed"), [(1, 2), (1, 3), (2, 1), (3, 2)])
def test_a_palindrome_comes_back_between_the_frames_there(frames: int, stride: int, speed: int) -> None:
    palindrome, rng, skip = Transformation("palindrome", speed), np.random.default_rng(0), stride * speed
    drawn = [palindrome.draw(rng, frames, stride, speed) for _ in range(200)]
    there = -(-frames // 2)
    for clip in drawn:
        assert len(set(clip)) == frames and clip.min() == 0
        assert (np.diff(clip[:there]) == skip).all() and (np.diff(clip[there:]) == -skip).all()
    assert {int(clip[-1]) for clip in drawn} == set(range(1, skip))
    assert max(int(clip.max()) for clip in drawn) + 1 == palindrome.largest_extent(frames, stride, speed)


def test_a_palindrome_takes_those_of_the_sets_speeds_at_which_it_exists() -> None:
    for stride, first in ((1, {3}), (2, {2, 6})):
        found = draws(rtt(("speed-1", "speed-3", "palindrome"), 8, stride), 300, 64, "transformation")
        assert {int(clip[1] - clip[0]) for clip in found[2]} == first


def test_place_uses_all_of_the_room() -> None:
    rng = np.random.default_rng(0)
    assert {place(rng, 32, 22, 22) for _ in range(500)} == set(range(11))
    assert {place(rng, 32, 8, 22) for _ in range(500)} == set(range(7, 18))
    assert {place(rng, 10, 9, 22) for _ in range(100)} == {0, 1}


def test_periodic_is_that_of_the_official_code() -> None:
    """Every clip that PreprocessorVideoSSL.process_train can make, enumerated, and no other."""
    for frames, skip in ((6, 1), (6, 3)):
        there = [k * skip for k in range(frames - 2)]
        shifts = (0, 1) if skip == 1 else range(1, skip)
        possible = set()
        for shift in shifts:
            both = there + [shift + k for k in reversed(there)]
            for first in range(len(both) - frames + 1):
                clip = both[first : first + frames]
                possible.add(tuple(k - min(clip) for k in clip))
        rng = np.random.default_rng(0)
        drawn = {tuple(Transformation("periodic", 0).draw(rng, frames, 1, skip).tolist()) for _ in range(400)}
        assert drawn == possible
        assert max(max(clip) for clip in drawn) < Transformation("periodic", 0).largest_extent(frames, 1, skip)


def test_short_videos_get_the_classes_that_fit() -> None:
    planner = rtt(PAPER, 16, short_video="fitting")
    found = draws(planner, 600, 40, "transformation")
    shown = {PAPER[label] for label in found}
    assert shown == {"speed-1", "speed-2", "periodic", "random", "warp"}
    assert max(np.diff(clip).max() for clip in found[PAPER.index("warp")]) == 2
    with pytest.raises(ClipError, match=r"needs 121 frames"):
        planner(video(n_frames=10), np.random.default_rng(0))
    with pytest.raises(ClipError, match=r"needs 121 frames.*short_video=fitting"):
        rtt(PAPER, 16)(video(n_frames=40), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["speed-1"], "at least two"),
        (["speed-1", "speed-1"], "twice"),
        (["random", "random-1"], "twice"),
        (["speed-1", "revresed"], "did you mean 'reversed'"),
        (["speed", "random"], "multiple of the stride"),
        (["speed-1", "warp"], "warp needs"),
        (["speed-2", "warp-1"], "warp-1 needs"),
        # Only a speed-K names a speed of the set: with one of another kind no warp could ever be drawn.
        (["speed-1", "reversed-4", "warp"], "warp needs a speed of 2 or more"),
        (["speed-1", "random-2", "warp"], "warp needs a speed of 2 or more"),
        (["reversed-2", "warp"], "warp needs a speed of 2 or more"),
        (["speed-1", "speed-0"], "unknown transformation"),
        (["speed-2", "palindrome-1"], "palindrome-1 at speed 1 and task.stride=1 .*write palindrome-3"),
        (["speed-1", "palindrome"], "palindrome at speed 1 and task.stride=1 .*write palindrome-3"),
    ],
)
def test_wrong_sets_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RecognizeTransformation(TinyNet(), transforms=names)


def test_too_few_frames_are_refused_whatever_the_task() -> None:
    with pytest.raises(ConfigError, match=r"task\.frames=3 is too few: temporal transformations need 4 frames"):
        parse(TINY, 3, 1)


def test_named_speeds_are_kept() -> None:
    found = draws(rtt(("speed-1", "reversed-2", "palindrome-2", "random-2"), 8), 300, 32, "transformation")
    assert {int(step) for clip in found[1] for step in np.diff(clip)} == {-2}
    assert {tuple(int(step) for step in np.diff(clip)) for clip in found[2]} == {(2, 2, 2, 1, -2, -2, -2)}
    assert all((clip % 2 == clip[0] % 2).all() for clip in found[3])


def test_pace_shows_the_rate_it_names() -> None:
    found = draws(PacePlanner(8, 1, 4, 1, (32, 32), "stretch", "error"), 400, 32, "rate")
    assert set(found) == {0, 1, 2, 3}
    for label, clips in found.items():
        assert all((np.diff(clip) == label + 1).all() for clip in clips)
    doubled = draws(PacePlanner(8, 2, 2, 1, (32, 32), "stretch", "error"), 50, 32, "rate")
    assert all((np.diff(clip) == 2 * (label + 1)).all() for label, clips in doubled.items() for clip in clips)


def test_pace_refuses_short_videos_at_every_rate() -> None:
    planner = PacePlanner(8, 1, 4, 1, (32, 32), "stretch", "error")
    for draw in range(20):  # also where the rate drawn would fit
        with pytest.raises(ClipError, match=r"needs 29 frames.*task.rates=4.*has 28"):
            planner(video(n_frames=28), np.random.default_rng(draw))


@pytest.mark.parametrize(("n_frames", "shown"), [(61, 16), (60, 15), (46, 12), (40, 10), (20, 5), (5, 2)])
@pytest.mark.parametrize("short_video", ["loop", "pad"])
def test_cuts_of_short_videos_do_not_tell_the_pace(short_video: str, n_frames: int, shown: int) -> None:
    """In steps of its rate, a clip is the same at every rate: as many frames, and where it starts over or stands."""
    planner = PacePlanner(16, 1, 4, 1, (32, 32), "stretch", short_video)
    found = draws(planner, 4_000, n_frames, "rate")
    assert set(found) == {0, 1, 2, 3}
    begins = range(shown) if short_video == "loop" and shown < 16 else range(1)
    expected = {
        tuple(
            int(k) for k in ((begin + np.arange(16)) % shown if begins.stop > 1 else np.arange(16).clip(max=shown - 1))
        )
        for begin in begins
    }
    for label, clips in found.items():
        assert all(0 <= clip.min() <= clip.max() < n_frames for clip in clips)
        patterns = [tuple(int(k) for k in (clip - clip.min()) / (label + 1)) for clip in clips]
        assert set(patterns) == expected, label
        each = len(clips) / len(expected)
        assert all(abs(patterns.count(pattern) - each) < 5 * np.sqrt(each) for pattern in expected)


def test_short_videos_lie_about_one_middle_at_every_pace() -> None:
    planner = PacePlanner(16, 1, 4, 1, (32, 32), "stretch", "loop")
    for clips in draws(planner, 4_000, 40, "rate").values():
        middles = np.array([(clip.min() + clip.max()) / 2 for clip in clips])
        assert np.abs(middles - 19.5).max() <= 2


@pytest.mark.parametrize("short_video", ["loop", "pad"])
def test_pace_refuses_videos_that_show_no_pace(short_video: str) -> None:
    planner = PacePlanner(16, 2, 4, 1, (32, 32), "stretch", short_video)
    planner(video(n_frames=9), np.random.default_rng(0))
    for n_frames in (0, 1, 8):
        with pytest.raises(ClipError, match=rf"pace needs 9 frames to show two of them.*has {n_frames}; lower"):
            planner(video(n_frames=n_frames), np.random.default_rng(0))


def test_pace_takes_two_clips_for_contrast_of_contents() -> None:
    planner = Pace(TinyNet(), contrast="content").planner()
    views, targets = planner(video(n_frames=200), np.random.default_rng(3))
    assert len(views) == 2
    assert targets["rate"].shape == (2,)
    assert [int(np.diff(view.frames)[0]) - 1 for view in views] == targets["rate"].tolist()


def test_pace_compares_each_clip_with_its_own_rate() -> None:
    """A network that reads the rate off its clip is right on both clips of every video."""

    class ReadsRate(nn.Module):
        embed_dim = 4

        def forward(self, clips: torch.Tensor) -> Features:
            pooled = nn.functional.one_hot(clips[:, 0, 0, 0, 0].long(), 4).float()
            return Features(pooled[..., None, None, None], pooled)

    task = Pace(ReadsRate(), frames=8, size=32, read_size=0, short_video="error", contrast="content")
    with torch.no_grad():
        task.head.weight.copy_(torch.eye(4))
        task.head.bias.zero_()
    batch = make_batch(task, n=12)
    rates = batch.targets["rate"]
    assert (rates[:, 0] != rates[:, 1]).any()
    views = tuple(rates[:, k].float().view(-1, 1, 1, 1, 1).expand(-1, 3, 8, 2, 2) for k in range(2))
    correct, n = task.evaluate(batch._replace(views=views))["accuracy"]
    assert float(correct) == n
