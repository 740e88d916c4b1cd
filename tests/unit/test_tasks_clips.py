"""Planners of ``clip-order`` and ``simclr``: where their clips lie."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from support.tasks import TinyNet, make_batch, video
from torch import Tensor, nn

from vssl_contrast.simclr import ClipPairPlanner, SimCLR
from vssl_core.contracts import Features
from vssl_order.clip_order import ClipOrder, ClipOrderPlanner


def test_clips_come_in_the_order_named() -> None:
    planner = ClipOrderPlanner(8, 1, 3, 2, (32, 32), "stretch", "error")
    orders = list(itertools.permutations(range(3)))
    rng = np.random.default_rng(0)
    counts = np.zeros(6)
    for _ in range(1_200):
        views, targets = planner(video(n_frames=32), rng)
        counts[targets["order"]] += 1
        starts = [int(view.frames[0]) for view in views]
        assert all((np.diff(view.frames) == 1).all() for view in views)
        assert tuple(np.argsort(np.argsort(starts))) == orders[targets["order"]]
        assert np.diff(sorted(starts)).tolist() == [10, 10], "eight frames and a gap of two"
    assert (np.abs(counts - 200) < 5 * np.sqrt(200)).all()


def test_clip_order_uses_stride_and_reaches_both_ends() -> None:
    planner = ClipOrderPlanner(4, 3, 2, 1, (32, 32), "stretch", "error")
    rng = np.random.default_rng(0)
    planned = [planner(video(n_frames=30), rng)[0] for _ in range(300)]
    assert all((np.diff(view.frames) == 3).all() for views in planned for view in views)
    reached = np.concatenate([view.frames for views in planned for view in views])
    assert reached.min() == 0
    assert reached.max() == 29


def test_clips_of_a_video_are_drawn_apart_unless_shared() -> None:
    for shared in (False, True):
        options = {"frames": 4, "gap": 0, "size": 16, "read_size": 16, "jitter": 0.3, "shared_draw": shared}
        task = ClipOrder(TinyNet(), **options)
        batch = make_batch(task)
        same = batch._replace(views=(batch.views[0],) * 3)
        augmented = task.augment(same).views
        assert bool((augmented[0] == augmented[1]).all()) is shared


def _pairs(power: float, clips: int = 2, n: int = 4_000) -> np.ndarray:
    planner = ClipPairPlanner(8, 2, clips, power, (32, 32), "stretch", "error")
    rng = np.random.default_rng(0)
    return np.array([[view.frames[0] for view in planner(video(n_frames=32), rng)[0]] for _ in range(n)])


def test_distance_of_two_clips_falls_linearly() -> None:
    starts = _pairs(1.0)
    last = 32 - 15
    assert starts.min() == 0
    assert starts.max() == last
    distance = np.abs(starts[:, 0] - starts[:, 1])
    counts = np.bincount(distance, minlength=last + 1)
    density = np.arange(last + 1, 0, -1)
    expected = density / density.sum() * len(distance)
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 1).all()
    assert abs((starts[:, 0] > starts[:, 1]).mean() - (starts[:, 0] < starts[:, 1]).mean()) < 0.08, "order says nothing"


def test_a_higher_power_flattens_the_distances() -> None:
    def mean(power: float) -> float:
        return float(np.abs(np.subtract(*_pairs(power).T)).mean())

    assert mean(0.2) < mean(1.0) < mean(8.0)


def test_more_clips_may_start_anywhere() -> None:
    starts = _pairs(1.0, clips=4, n=500)
    assert starts.shape == (500, 4)
    assert starts[:, 2:].min() == 0
    assert starts[:, 2:].max() == 17


class ReadsNumber(nn.Module):
    """Features are the one-hot number that a clip is filled with."""

    embed_dim = 24

    def forward(self, clips: Tensor) -> Features:
        pooled = nn.functional.one_hot(clips[:, 0, 0, 0, 0].long(), self.embed_dim).float()
        return Features(pooled[..., None, None, None], pooled)


def filled(numbers: Tensor) -> Tensor:
    return numbers.float().view(-1, 1, 1, 1, 1).expand(-1, 3, 4, 2, 2)


def test_simclr_pairs_the_clips_of_one_video() -> None:
    task = SimCLR(ReadsNumber(), frames=4, size=32, read_size=0, clips=3, layers=0, projection=24)
    with torch.no_grad():
        task.projection[0].weight.copy_(torch.eye(24))
        task.projection[0].bias.zero_()
    batch = make_batch(task, n=6)
    found = task.evaluate(batch._replace(views=(filled(batch.index),) * 3))
    assert found["contrast_top1"] == (6.0, 6)
    mixed = task.evaluate(batch._replace(views=tuple(filled((batch.index + k) % 6) for k in range(3))))
    assert mixed["contrast_top1"] == (0.0, 6)


def test_the_order_head_gets_each_clip_as_shown() -> None:
    task = ClipOrder(ReadsNumber(), frames=4, gap=0, size=32, read_size=0)
    batch = make_batch(task, n=6)
    given: list[list[Tensor]] = []
    task.head.register_forward_pre_hook(lambda module, arguments: given.append(list(arguments[0])))
    task(batch._replace(views=tuple(filled(4 * batch.index + k) for k in range(3))))
    for k, features in enumerate(given[0]):
        assert features.argmax(dim=1).tolist() == (4 * batch.index + k).tolist()
