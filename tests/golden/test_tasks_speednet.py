"""``speednet``: formula-only, there is no official code. Expected values are worked out by hand. Tolerance 1e-6."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vssl_core.contracts import Batch, Features
from vssl_speed.speednet import SpeedNet, SpeedNetPlanner, pool_speed

# [D=2, t=2, 2, 2]
MAP = torch.tensor(
    [
        [[[1.0, 2.0], [3.0, 4.0]], [[0.0, -1.0], [-2.0, -3.0]]],
        [[[1.0, 0.0], [0.0, 0.5]], [[3.0, 2.0], [1.0, 0.0]]],
    ]
)


class Given(nn.Module):
    """A backbone whose map is what it is given."""

    embed_dim = 2

    def forward(self, clip: Tensor) -> Features:
        feature_map = clip if clip.shape[1] == 2 else clip.new_zeros(len(clip), 2, 1, 1, 1)
        return Features(feature_map, feature_map.mean((2, 3, 4)))


def test_maximum_over_space_then_mean_over_time() -> None:
    """Maxima 4, 0 and 1, 3; means over space 2.5, -1.5 and 0.375, 1.5."""
    assert pool_speed(MAP[None], max_pool=True).tolist() == [[2.0, 2.0]]
    assert pool_speed(MAP[None], max_pool=False).tolist() == [[0.5, 0.9375]]


@pytest.mark.parametrize(("fast", "right"), [([0, 1], 0.5), ([1, 0], 0.5), ([1, 1], 1.0), ([0, 0], 0.0)])
def test_binary_cross_entropy(fast: list[int], right: float) -> None:
    """The logit is 0.5 * 2 - 0.25 * 2 + 0.1 = 0.6: sped up costs log(1 + e^-0.6), normal speed log(1 + e^0.6)."""
    task = SpeedNet(Given(), size=32).eval()
    with torch.no_grad():
        task.head.weight.copy_(torch.tensor([[0.5, -0.25]]))
        task.head.bias.fill_(0.1)
    batch = Batch((MAP[None], MAP[None]), {"fast": torch.tensor([fast])}, torch.tensor([3]), torch.tensor([0]))
    cost = {1: math.log1p(math.exp(-0.6)), 0: math.log1p(math.exp(0.6))}
    output = task(batch)
    assert math.isclose(float(output.loss.detach()), sum(cost[one] for one in fast) / 2, rel_tol=1e-6)
    assert float(output.metrics["accuracy"]) == right


def test_each_version_is_held_against_its_own_label() -> None:
    """A network that reads the speed off its map is right on every version of every video."""
    task = SpeedNet(Given(), size=32).eval()
    with torch.no_grad():
        task.head.weight.copy_(torch.tensor([[1.0, 0.0]]))
        task.head.bias.zero_()
    fast = torch.tensor([[0, 1], [1, 0], [0, 1], [0, 1]])
    views = tuple((2.0 * fast[:, k] - 1).view(-1, 1, 1, 1, 1).expand(-1, 2, 2, 2, 2) for k in range(2))
    output = task(Batch(views, {"fast": fast}, torch.arange(4), torch.arange(4)))
    assert float(output.metrics["accuracy"]) == 1.0
    assert math.isclose(float(output.loss.detach()), math.log1p(math.exp(-1)), rel_tol=1e-6)


def test_each_frame_is_skipped_with_probability_1_minus_1_over_f() -> None:
    """Distances of the frames that are left are geometric: P(1) = 1/f, P(2) = (1 - 1/f)/f, mean f."""
    planner = SpeedNetPlanner(64, 1, 3, (1.0, 1.2), (2.0, 2.0), True, True, (32, 32), "stretch", "error")
    rng = np.random.default_rng(0)
    gaps = np.concatenate([np.diff(planner._kept(2.0, 192, rng)) for _ in range(400)])
    n = len(gaps)
    assert n == 400 * 63
    for gap, probability in ((1, 0.5), (2, 0.25), (3, 0.125)):
        assert abs((gaps == gap).mean() - probability) < 5 * math.sqrt(probability * (1 - probability) / n)
    assert abs(gaps.mean() - 2.0) < 5 * math.sqrt(2.0 / n)
    assert planner._kept(1.0, 192, np.random.default_rng(1))[0] == 64


def test_regular_skipping_shows_every_or_every_second_frame() -> None:
    planner = SpeedNetPlanner(8, 1, 3, (1.0, 1.2), (1.7, 2.2), False, True, (32, 32), "stretch", "error")
    rng = np.random.default_rng(0)
    assert {tuple(planner._kept(1.0, 24, rng)) for _ in range(20)} == {tuple(range(8, 16))}
    assert {tuple(planner._kept(2.0, 24, rng)) for _ in range(20)} == {tuple(range(4, 20, 2))}
