"""Which frames are read is decided by numbers alone."""

from __future__ import annotations

import numpy as np
import pytest
from support.videos import rows

from vssl_core.contracts import ClipRecipe
from vssl_core.data.plan import clip_frames, random_start, recipe_views, sample_rng, sample_seed, span
from vssl_core.errors import ClipError, ConfigError


def test_span_and_frames() -> None:
    assert span(8, 2) == 15
    assert clip_frames(20, 5, 8, 2).tolist() == [5, 7, 9, 11, 13, 15, 17, 19]
    assert clip_frames(20, 5, 8, 2).dtype == np.int64
    assert clip_frames(3, 2, 4, 0).tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize(("policy", "expected"), [("loop", [3, 5, 1, 3, 5]), ("pad", [3, 5, 5, 5, 5])])
def test_short_video_policies(policy: str, expected: list[int]) -> None:
    assert clip_frames(6, 3, 5, 2, policy).tolist() == expected
    assert clip_frames(12, 3, 5, 2, policy).tolist() == [3, 5, 7, 9, 11], "a clip that fits is left alone"


def test_short_video_is_an_error_by_default() -> None:
    with pytest.raises(
        ClipError, match="5 frames at stride 2 from frame 3 needs 12 frames, the video has 6; lower frames"
    ):
        clip_frames(6, 3, 5, 2)
    with pytest.raises(ConfigError, match="short_video='wrap' is not one of"):
        clip_frames(6, 3, 5, 2, "wrap")
    for policy in ("error", "loop", "pad"):
        with pytest.raises(ClipError, match="no readable frames"):
            clip_frames(0, 0, 5, 2, policy)


def test_random_start_reaches_every_place() -> None:
    rng = np.random.default_rng(0)
    assert {random_start(rng, 20, 15) for _ in range(200)} == set(range(6))
    assert random_start(rng, 10, 15) == 0


def test_samples_draw_from_their_own_numbers() -> None:
    seen = {sample_seed(seed, epoch, index) for seed in range(6) for epoch in range(6) for index in range(40)}
    assert len(seen) == 6 * 6 * 40
    assert all(0 <= seed < 2**63 for seed in seen)
    # Every bit is as often 0 as 1.
    bits = np.array([[seed >> bit & 1 for bit in range(63)] for seed in seen])
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.06
    draws = {
        tuple(sample_rng(seed, epoch, index).integers(0, 2**31, 2))
        for seed in range(3)
        for epoch in range(3)
        for index in range(9)
    }
    assert len(draws) == 81
    assert sample_rng(1, 2, 3).random() == sample_rng(1, 2, 3).random()


def test_recipe_spreads_clips_evenly() -> None:
    video = rows(1, n_frames=32)[0]
    one = recipe_views(video, ClipRecipe(frames=8, stride=2, clips=1, size=16))
    assert [view.frames[0] for view in one] == [9]
    three = recipe_views(video, ClipRecipe(frames=8, stride=2, clips=3, size=16))
    starts = [int(view.frames[0]) for view in three]
    assert starts == [3, 9, 15]
    assert all((view.size, view.fit) == ((16, 16), "short-side-crop") for view in three)
    whole = recipe_views(video, ClipRecipe(frames=8, stride=9, clips=2, size=16, whole=True), read_size=24, fit="pad")
    assert [view.frames.tolist() for view in whole] == [list(range(1, 32, 4)), list(range(3, 32, 4))]
    assert (whole[0].size, whole[0].fit) == ((24, 24), "pad")


def test_recipe_and_short_videos() -> None:
    short = rows(1, n_frames=9)[0]
    with pytest.raises(ClipError, match=r"'v000\.mp4' has 9 frames, 8 at stride 2 need 15"):
        recipe_views(short, ClipRecipe(frames=8, stride=2, clips=1, size=16))
    frames = recipe_views(short, ClipRecipe(frames=16, stride=2, clips=1, size=16, whole=True))[0].frames
    assert frames.min() == 0
    assert frames.max() == 8
    assert np.all(np.diff(frames) >= 0)


def test_perturbations_change_the_order_alone() -> None:
    video = rows(2, n_frames=40)[1]

    def clips(perturb: str) -> list[np.ndarray]:
        return [
            view.frames
            for view in recipe_views(video, ClipRecipe(frames=6, stride=2, clips=4, size=16, perturb=perturb))
        ]

    plain = clips("none")
    for clip, mixed, back, frozen in zip(plain, clips("shuffle"), clips("reverse"), clips("freeze"), strict=True):
        assert sorted(mixed) == clip.tolist()
        assert mixed.tolist() != clip.tolist()
        assert back.tolist() == clip[::-1].tolist()
        assert frozen.tolist() == [clip[3]] * 6
    orders = {tuple(mixed - clip[0]) for clip, mixed in zip(plain, clips("shuffle"), strict=True)}
    assert len(orders) > 1, "every clip has its own permutation"
    assert [clip.tolist() for clip in clips("shuffle")] == [clip.tolist() for clip in clips("shuffle")]
    for index in range(200):
        two = recipe_views(rows(200)[index], ClipRecipe(frames=2, stride=1, clips=1, size=8, perturb="shuffle"))[
            0
        ].frames
        assert two[0] == two[1] + 1, "the identity is never drawn"
    with pytest.raises(ConfigError, match="perturb='blur' is not one of"):
        clips("blur")
