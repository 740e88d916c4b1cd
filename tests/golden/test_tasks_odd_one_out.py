"""``odd-one-out``, formula-only: there is no official code, expected values are worked out by hand.

Formulas: arXiv 1611.06646, the concatenation model and the sum of difference model, o = sum over i < j of v_j - v_i.
Tolerance 1e-6.
"""

from __future__ import annotations

import math

import torch
from support.networks import FirstPixel

from vssl_core.contracts import Batch
from vssl_order.odd_one_out import OddOneOut, fuse


def batch(values: list[list[float]], odd: list[int]) -> Batch:
    """Clips of constant value: one row a video."""
    views = tuple(
        torch.tensor(column).view(-1, 1, 1, 1, 1).expand(-1, 3, 2, 4, 4) for column in zip(*values, strict=True)
    )
    n = torch.arange(len(odd))
    return Batch(views, {"odd": torch.tensor(odd)}, n, n)


def test_fusion() -> None:
    """v = 1, 2, 4, 8: (2-1) + (4-1) + (8-1) + (4-2) + (8-2) + (8-4) = 1 + 3 + 7 + 2 + 6 + 4 = 23."""
    features = [torch.tensor([[value, -value]]) for value in (1.0, 2.0, 4.0, 8.0)]
    torch.testing.assert_close(fuse(features, "difference"), torch.tensor([[23.0, -23.0]]), rtol=0, atol=1e-6)
    expected = torch.tensor([[1.0, -1.0, 2.0, -2.0, 4.0, -4.0, 8.0, -8.0]])
    torch.testing.assert_close(fuse(features, "concat"), expected, rtol=0, atol=1e-6)


def test_of_six_clips_each_counts_by_its_place() -> None:
    """Clip k of 0..5 is subtracted 5 - k times and added k times: weights -5, -3, -1, 1, 3, 5."""
    for clip, weight in enumerate((-5, -3, -1, 1, 3, 5)):
        features = [torch.full((1, 1), float(at == clip)) for at in range(6)]
        assert float(fuse(features, "difference")) == weight


def fixed(fusion: str) -> OddOneOut:
    """A task whose layers double a clip's value, halve what is fused, and name clip k with k times that."""
    task = OddOneOut(FirstPixel(1), frames=2, size=8, read_size=0, clips=3, fusion=fusion, hidden=1).eval()
    with torch.no_grad():
        task.clip[0].weight.fill_(2.0)
        task.clip[0].bias.zero_()
        task.head[0].weight.fill_(0.5)
        task.head[0].bias.zero_()
        task.head[3].weight.copy_(torch.tensor([[0.0], [1.0], [2.0]]))
        task.head[3].bias.zero_()
    return task


def test_network_by_the_sum_of_differences() -> None:
    """Values .1, .2, .4, doubled .2, .4, .8: differences .2 + .6 + .4 = 1.2, halved .6: logits 0, .6, 1.2.

    Values .4, .2, .1 fuse to -1.2, which ReLU takes to 0: equal logits, log 3.
    """
    output = fixed("difference")(batch([[0.1, 0.2, 0.4], [0.4, 0.2, 0.1]], [2, 0]))
    normaliser = math.log(1 + math.exp(0.6) + math.exp(1.2))
    expected = ((normaliser - 1.2) + math.log(3.0)) / 2
    torch.testing.assert_close(output.loss, torch.tensor(expected), rtol=0, atol=1e-6)
    assert float(output.metrics["accuracy"]) == 1.0


def test_network_by_concatenation() -> None:
    """Values .1, .2, .4, doubled and weighed by .5, .25, 1: .1 + .1 + .8 = 1, logits 0, 1, 2; and .4, .2, .1: .7."""
    task = fixed("concat")
    with torch.no_grad():
        task.head[0].weight.copy_(torch.tensor([[0.5, 0.25, 1.0]]))
    output = task(batch([[0.1, 0.2, 0.4], [0.4, 0.2, 0.1]], [1, 2]))
    first = math.log(1 + math.exp(1.0) + math.exp(2.0)) - 1.0
    second = math.log(1 + math.exp(0.7) + math.exp(1.4)) - 1.4
    torch.testing.assert_close(output.loss, torch.tensor((first + second) / 2), rtol=0, atol=1e-6)
    assert float(output.metrics["accuracy"]) == 0.5


def test_features_of_a_clip_are_rectified_before_the_fusion() -> None:
    """Values .1, .2, .4, doubled less .3: -.1, .1, .5, of which ReLU leaves 0, .1, .5: .1 + .5 + .4 = 1, halved .5.

    Values .4, .1, .2 give .5, 0, .1: -.5 - .4 + .1 = -.8, which the next ReLU takes to 0.
    """
    task = fixed("difference")
    with torch.no_grad():
        task.clip[0].bias.fill_(-0.3)
    output = task(batch([[0.1, 0.2, 0.4], [0.4, 0.1, 0.2]], [1, 0]))
    first = math.log(1 + math.exp(0.5) + math.exp(1.0)) - 0.5
    torch.testing.assert_close(output.loss, torch.tensor((first + math.log(3.0)) / 2), rtol=0, atol=1e-6)
