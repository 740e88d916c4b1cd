"""``vthcl``, formula-only: no official code exists, so the values below are worked out by hand.

Each is written as the formula that gives it; nothing of the implementation is called to make them.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.tasks import video
from torch import Tensor, nn

from vssl_core.contracts import Batch, Features
from vssl_speed.video_bank import VideoBank, bank_contrast
from vssl_speed.vthcl import TempoConsistency, TempoPlanner

ROOT = math.sqrt(0.5)


def test_contrast_of_two_queries_with_a_bank_of_two() -> None:
    query = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    positive = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    bank = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    # Similarities: 1 against 0 and -1; 0.6 * 0.8 + 0.8 * 0.6 = 0.96 against 0.8 and -0.6.
    first = math.log(math.e + 1 + math.exp(-1)) - 1
    second = math.log(math.exp(0.96) + math.exp(0.8) + math.exp(-0.6)) - 0.96
    both = bank_contrast(query, positive, bank, torch.ones(2, 2, dtype=torch.bool), 1.0)
    assert float(both.loss) == pytest.approx((first + second) / 2, abs=1e-6)
    assert float(both.top1) == 1.0 and float(both.chance) == pytest.approx(1 / 3)
    # The first query's own video lies in slot 1: only slot 0 repels it.
    others = torch.tensor([[True, False], [True, True]])
    masked = bank_contrast(query, positive, bank, others, 1.0)
    assert float(masked.loss) == pytest.approx((math.log(math.e + 1) - 1 + second) / 2, abs=1e-6)
    assert float(masked.chance) == pytest.approx((1 / 2 + 1 / 3) / 2)
    # At half the temperature similarities count twice.
    sharp = math.log(math.exp(2) + 1 + math.exp(-2)) - 2
    halved = bank_contrast(query[:1], positive[:1], bank, torch.ones(1, 2, dtype=torch.bool), 0.5)
    assert float(halved.loss) == pytest.approx(sharp, abs=1e-6)


def test_the_bank_moves_known_videos_and_lets_new_ones_in() -> None:
    bank = VideoBank(kinds=1, dim=2, size=2, momentum=0.5)
    bank.update(torch.tensor([7, 9]), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    assert bank.video.tolist() == [7, 9]
    bank.update(torch.tensor([7]), torch.tensor([[[0.0, 1.0]]]))
    # (1, 0) / 2 + (0, 1) / 2, at length 1.
    assert bank.features[0].flatten().tolist() == pytest.approx([ROOT, ROOT, 0.0, 1.0])
    # Video 4 takes the slot that was filled longest ago, that of video 7, as it is.
    bank.update(torch.tensor([4]), torch.tensor([[[-1.0, 0.0]]]))
    assert bank.video.tolist() == [4, 9]
    assert bank.features[0].flatten().tolist() == pytest.approx([-1.0, 0.0, 0.0, 1.0])
    assert bank.others(torch.tensor([9, 5])).tolist() == [[True, False], [True, True]]


class Swap(nn.Module):
    """Hands red on as green and green as red."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, [1, 0, 2]]


class TwoStages(nn.Module):
    """Its first stage hands the colours on, its second swaps red and green."""

    embed_dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(nn.Identity(), Swap())
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, clip: Tensor) -> Features:
        feature_map = self.stages(clip)
        return Features(feature_map, feature_map.mean((2, 3, 4)))


def colour(red: float, green: float, frames: int) -> Tensor:
    return torch.tensor([red, green, 0.0])[:, None, None, None].expand(3, frames, 4, 4)


def test_the_loss_of_two_depths_and_both_directions() -> None:
    task = TempoConsistency(
        TwoStages(), frames=2, stride=2, ratio=2, size=4, read_size=0, projection=3, temperature=1.0
    )
    assert task.depths.names == ("stages.0", "output")
    with torch.no_grad():
        for head in [*task.slow_heads, *task.fast_heads]:
            head.weight.copy_(torch.eye(3))
            head.bias.zero_()
    task.setup(1, 10)
    # One slot, of no video yet: per depth a slow (red) and a fast (green) feature, in depth 2 swapped.
    red, green = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]
    task.bank.features.copy_(torch.tensor([[red], [green], [green], [red]]))
    slow, fast = colour(1, 0, 2)[None], colour(0.5, 0.5, 4)[None]
    batch = Batch((slow, fast), {}, torch.tensor([0]), torch.tensor([5]))
    output = task.eval()(batch)
    # Both depths: slow is one pure colour, fast the even mix of two, at length 1 (cosine ROOT). Slow to fast: against
    # the kept fast colour, the other one (cosine 0). Fast to slow: against the kept slow one (cosine ROOT too).
    to_fast = math.log(math.exp(ROOT) + 1) - ROOT
    to_slow = math.log(2)
    assert float(output.loss.detach()) == pytest.approx(2 * (to_fast + to_slow), abs=1e-6)
    assert float(output.metrics["loss_stages.0"]) == pytest.approx(to_fast + to_slow, abs=1e-6)
    assert float(output.metrics["loss_output"]) == pytest.approx(to_fast + to_slow, abs=1e-6)
    assert float(output.metrics["contrast_chance"]) == 0.5
    # In training the bank then holds this video: of each depth slow and fast.
    task.train()(batch)
    mix = [ROOT, ROOT, 0.0]
    assert task.bank.video.tolist() == [5]
    assert task.bank.features.flatten().tolist() == pytest.approx([*red, *mix, *green, *mix])
    # Now its own slot is no negative, and nothing is left to repel.
    assert float(task.eval()(batch).loss.detach()) == pytest.approx(0.0, abs=1e-6)


def test_a_first_batch_is_compared_with_itself() -> None:
    """In training the bank takes the batch in first: its videos are told from each other from their first time on."""
    task = TempoConsistency(
        TwoStages(), frames=2, stride=2, ratio=2, size=4, read_size=0, projection=3, temperature=1.0
    )
    with torch.no_grad():
        for head in [*task.slow_heads, *task.fast_heads]:
            head.weight.copy_(torch.eye(3))
            head.bias.zero_()
    task.setup(2, 10)
    # Video 5 is red read slowly and the even mix of red and green read fast; video 8 is green in both.
    slow = torch.stack([colour(1, 0, 2), colour(0, 1, 2)])
    fast = torch.stack([colour(0.5, 0.5, 4), colour(0, 1, 4)])
    output = task.train()(Batch((slow, fast), {}, torch.tensor([0, 1]), torch.tensor([5, 8])))
    # Slow to fast: red has the mix (cosine ROOT) against green (0), green has green (1) against the mix (ROOT).
    to_fast = (math.log(math.exp(ROOT) + 1) - ROOT + math.log(math.e + math.exp(ROOT)) - 1) / 2
    # Fast to slow: the mix has red against green (ROOT both), green has green (1) against red (0).
    to_slow = (math.log(2) + math.log(math.e + 1) - 1) / 2
    # At the second depth red and green are swapped everywhere, which changes no cosine.
    assert float(output.loss.detach()) == pytest.approx(2 * (to_fast + to_slow), abs=1e-6)
    assert float(output.metrics["contrast_chance"]) == 0.5
    # Green is nearest to green both ways; red prefers the mix to green, and the mix is as near to both, the first wins.
    assert float(output.metrics["contrast_top1"]) == 1.0


def test_one_stretch_is_read_at_two_rates() -> None:
    planner = TempoPlanner(frames=8, stride=8, ratio=4, size=(32, 32), fit="short-side-crop", short_video="error")
    (slow, fast), targets = planner(video(0, 63), np.random.default_rng(0))
    assert slow.frames.tolist() == [0, 8, 16, 24, 32, 40, 48, 56]
    assert fast.frames.tolist() == list(range(0, 64, 2))
    assert targets == {}
