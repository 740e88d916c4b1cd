"""``rotation`` against the official loader and the formula of its loss.

Official: LongLong-Jing/3DRotNet at 32dcfcf. ``Video_Dataloader.__getitem__`` (Video_dataloader.py) was run on a video
whose pixels count up, 100 t + 10 y + x, 40 frames of 3 x 3 pixels, after ``random.seed(3)``, with stand-ins for h5py,
OpenCV, SciPy and its augmentations. Exact. ``tests/golden/make/rotation.py`` runs it again.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.tasks import video
from torch import Tensor, nn

from vssl_core.contracts import Batch, Features
from vssl_spatial.rotation import Rotation, tilt_clips

# First frame and channel of its four clips, less 300; their targets are 0, 1, 2, 3.
OFFICIAL = [
    [[0, 1, 2], [10, 11, 12], [20, 21, 22]],
    [[2, 12, 22], [1, 11, 21], [0, 10, 20]],
    [[22, 21, 20], [12, 11, 10], [2, 1, 0]],
    [[20, 10, 0], [21, 11, 1], [22, 12, 2]],
]
OFFICIAL_FRAMES = [3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33]


class Corner(nn.Module):
    """Features of a clip: the mean over time of its first pixel's channels."""

    embed_dim = 3

    def forward(self, clips: Tensor) -> Features:
        pooled = clips[:, :, :, 0, 0].mean(dim=2)
        return Features(pooled[..., None, None, None], pooled)


def plain(**options: object) -> Rotation:
    return Rotation(Corner(), **{"size": 3, "read_size": 3, "crop_scale": 1.0, "flip": 0.0, "tilt": 0.0, **options})


def counting(n: int, frames: int = 4) -> Tensor:
    """uint8 ``[n, frames, 3, 3, 3]``: 10 y + x + 40 t."""
    t, y, x = torch.meshgrid(torch.arange(frames), torch.arange(3), torch.arange(3), indexing="ij")
    return (40 * t + 10 * y + x).to(torch.uint8)[None, ..., None].repeat(n, 1, 1, 1, 3)


def test_turns_are_those_of_the_official_loader() -> None:
    turns = torch.tensor([[0, 1, 2, 3], [3, 0, 2, 1]])
    batch = Batch((counting(2),), {"turns": turns}, torch.tensor([5, 6]), torch.tensor([0, 1]))
    views = plain().augment(batch).views
    assert len(views) == 4
    for at, view in enumerate(views):
        shown = (255 * view).round().int()
        for row in range(2):
            expected = torch.tensor(OFFICIAL[turns[row, at]], dtype=torch.int32)
            for frame in range(4):
                assert torch.equal(shown[row, 1, frame], expected + 40 * frame)


def test_frames_are_as_far_apart_as_in_the_official_loader() -> None:
    planner = Rotation(Corner()).planner()
    (view,), _ = planner(video(n_frames=40), np.random.default_rng(0))
    assert (view.frames - view.frames[0]).tolist() == [frame - 3 for frame in OFFICIAL_FRAMES]


def test_loss_is_the_mean_over_all_turns() -> None:
    """Official train.py: CrossEntropyLoss of the four clips' logits against 0, 1, 2, 3, worked out here by hand."""
    task = plain()
    with torch.no_grad():
        task.head.weight.zero_()
        task.head.weight[2, 0] = 255.0  # the logit of a half turn is the red value of the first pixel
        task.head.bias.zero_()
    turns = torch.tensor([[3, 0, 2, 1], [0, 1, 2, 3]])  # in which order a video's turns come makes no difference
    batch = Batch((counting(2, 1),), {"turns": turns}, torch.tensor([5, 6]), torch.tensor([0, 1]))
    found = task(task.augment(batch))
    # First pixels of the clips turned by 0, 1, 2, 3 quarters.
    corners = [0, 2, 22, 20]
    losses = [math.log(3 + math.exp(corner)) - (corner if turn == 2 else 0) for turn, corner in enumerate(corners)]
    assert float(found.loss.detach()) == pytest.approx(sum(losses) / 4, rel=1e-5)
    # Without a turn all logits are 0, and the first class is taken, which is right; the half turn is right too.
    assert float(found.metrics["accuracy"]) == 0.5
    assert task.chance == 0.25


def test_tilt_is_counter_clockwise_and_a_right_angle_is_a_turn() -> None:
    clip = counting(1, 2)[..., 0].float()[:, None].repeat(1, 3, 1, 1, 1)
    turned = tilt_clips(clip, torch.tensor([90.0]))
    torch.testing.assert_close(turned[0, 0, 0], torch.tensor(OFFICIAL[1]).float(), rtol=0, atol=1e-3)
    torch.testing.assert_close(turned[0, 2, 1], torch.tensor(OFFICIAL[1]).float() + 40, rtol=0, atol=1e-3)
    torch.testing.assert_close(tilt_clips(clip, torch.tensor([0.0])), clip, rtol=0, atol=1e-3)
