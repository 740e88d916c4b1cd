"""``pace``'s frames against those of the official code, laura-wang/video-pace, commit cc1e561, and its losses by hand.

Frames were made by ``ucf101_pace_pretrain.loop_load_rgb("x", start, rate, clip_len, num_frames)`` as it stands, with a
``cv2.imread`` that returns the number in the file's name. Official frames count from 1. Integers: no tolerance.
``tests/golden/make/pace.py`` runs it again.

The official code holds no contrast (section 3.3 of the paper): formula-only, worked out by hand below.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.networks import FirstPixel
from support.tasks import TinyNet, video

from vssl_core.contracts import Batch
from vssl_core.data.plan import clip_frames
from vssl_speed.pace import Pace, attraction

# (start, rate, clip_len, num_frames) -> frames
FITS = {
    (1, 1, 8, 40): [1, 2, 3, 4, 5, 6, 7, 8],
    (3, 2, 8, 40): [3, 5, 7, 9, 11, 13, 15, 17],
    (5, 3, 8, 40): [5, 8, 11, 14, 17, 20, 23, 26],
    (12, 4, 8, 40): [12, 16, 20, 24, 28, 32, 36, 40],
    (1, 4, 16, 61): [1, 5, 9, 13, 17, 21, 25, 29, 33, 37, 41, 45, 49, 53, 57, 61],
}
LOOPS = {
    (20, 4, 8, 40): [20, 24, 28, 32, 36, 40, 1, 5],
    (30, 3, 8, 40): [30, 33, 36, 39, 1, 4, 7, 10],
    (38, 2, 8, 40): [38, 40, 1, 3, 5, 7, 9, 11],
    (2, 3, 16, 20): [2, 5, 8, 11, 14, 17, 20, 1, 4, 7, 10, 13, 16, 19, 1, 4],
}


@pytest.mark.parametrize(("plan", "official"), FITS.items(), ids=str)
def test_frames_of_clips_that_fit(plan: tuple[int, int, int, int], official: list[int]) -> None:
    start, rate, frames, n_frames = plan
    assert (clip_frames(n_frames, start - 1, frames, rate, "loop") + 1).tolist() == official


@pytest.mark.parametrize(("plan", "official"), LOOPS.items(), ids=str)
def test_a_loop_goes_on_counting_where_the_official_one_starts_over(
    plan: tuple[int, int, int, int], official: list[int]
) -> None:
    """Here the step across the end is as long as the others; officially it ends at frame 1, whatever is left."""
    start, rate, frames, n_frames = plan
    own = clip_frames(n_frames, start - 1, frames, rate, "loop") + 1
    assert ((np.diff(own) - rate) % n_frames == 0).all()
    turn = next(k for k in range(1, frames) if official[k] < official[k - 1])
    assert own[:turn].tolist() == official[:turn]
    assert official[turn] == 1
    assert 1 <= own[turn] <= rate


def test_labels_count_from_the_slowest_rate() -> None:
    """Official pairs of rate and label: (1, 0), (2, 1), (3, 2), (4, 3)."""
    planner, rng = Pace(TinyNet(), frames=8, size=32).planner(), np.random.default_rng(0)
    pairs = set()
    for _ in range(60):
        views, targets = planner(video(n_frames=60), rng)
        pairs.add((int(views[0].frames[1] - views[0].frames[0]), int(targets["rate"][0])))
    assert pairs == {(1, 0), (2, 1), (3, 2), (4, 3)}


def test_two_clips_of_a_video_attract() -> None:
    """Pairs that agree and are at right angles to the other pair: each clip log(1 + 2/e)."""
    embedding = torch.tensor([[3.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 5.0]])
    found = attraction(embedding, torch.tensor([0, 1, 0, 1]), 1.0)
    assert math.isclose(float(found), math.log(1 + 2 / math.e), rel_tol=1e-6)
    # At a temperature of 1/2 similarities are 2 and 0.
    found = attraction(embedding, torch.tensor([0, 1, 0, 1]), 0.5)
    assert math.isclose(float(found), math.log(1 + 2 / math.e**2), rel_tol=1e-6)


def test_clips_of_one_rate_attract() -> None:
    """Three clips of one rate, one of another, which has nobody to attract it and is repelled alone."""
    embedding = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    # Clips 0 and 1: (e + 1) of their rate over (e + 1) and 1 of the other. Clip 2: 2 over 2 and 1/e.
    near = math.log((math.e + 2) / (math.e + 1))
    far = math.log((2 + 1 / math.e) / 2)
    found = attraction(embedding, torch.tensor([7, 7, 7, 3]), 1.0)
    assert math.isclose(float(found), (2 * near + far) / 3, rel_tol=1e-6)


def test_the_two_clips_of_a_batchs_videos_attract() -> None:
    """Temperature 1/2. Video 7 shows red twice, video 3 green and blue: clips 7a, 3a, 7b, 3b.

    Each clip of video 7 has its like at e^2 and two clips of video 3 at 1; those of video 3 have three others at 1.
    """
    options = {"frames": 8, "rates": 2, "contrast": "content", "contrast_weight": 1.0, "temperature": 0.5}
    task = Pace(FirstPixel(), projection=3, **options).eval()
    with torch.no_grad():
        for layer in (task.projection[0], task.projection[2]):
            layer.weight.copy_(torch.eye(3))
        for parameter in (task.projection[0].bias, task.projection[2].bias, task.head.weight, task.head.bias):
            parameter.zero_()
    red, green, blue = torch.eye(3)
    views = tuple(
        torch.stack(clips).view(2, 3, 1, 1, 1).expand(-1, -1, 8, 2, 2) for clips in ((red, green), (red, blue))
    )
    batch = Batch(views, {"rate": torch.tensor([[0, 1], [1, 0]])}, torch.tensor([1, 2]), torch.tensor([7, 3]))
    output = task(batch)
    contrast = (math.log(1 + 2 / math.e**2) + math.log(3)) / 2
    assert math.isclose(float(output.metrics["contrast"]), contrast, rel_tol=1e-6)
    # The head says nothing of either rate.
    assert math.isclose(float(output.loss.detach()), math.log(2) + contrast, rel_tol=1e-6)


def test_nobody_has_a_partner() -> None:
    assert float(attraction(torch.eye(3), torch.tensor([0, 1, 2]), 0.1)) == 0.0
