"""``shuffle-learn``, formula-only: expected values are worked out by hand.

The official code (imisra/shuffle-tuple at 5d27dfa) is a Caffe network and a reader of tuples that come as a list; what
makes the list is not published. Tuples are those of the paper's figure 2 and its distances 60 and 15; the head is
``fc8_tri`` of networks/tuple_train.prototxt: one linear layer on the three frames' features, softmax loss. Tolerance
1e-6.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from support.tasks import video
from torch import Tensor, nn

from vssl_core.contracts import Batch
from vssl_order.shuffle_learn import ShuffleLearn

# a = 0, b = 15, d = 75, e = 90, and c one of 30, 45 and 60
IN_ORDER = {(15, c, 75) for c in (30, 45, 60)} | {(75, c, 15) for c in (30, 45, 60)}
NOT_IN_ORDER = {(15, 0, 75), (75, 0, 15), (15, 90, 75), (75, 90, 15)}


class FirstPixel(nn.Module):
    """Features of a frame: the red and the green of its first pixel."""

    embed_dim = 2

    def frame_features(self, frames: Tensor) -> Tensor:
        return frames[:, :2, :, 0, 0].transpose(1, 2)


def two_tuples() -> Batch:
    """Frames (.1, .2), (.3, .4), (.5, .6), said to be in order, and the same backward, said not to be."""
    clip = torch.zeros(2, 3, 3, 8, 8)
    clip[0, 0, :, 0, 0] = torch.tensor([0.1, 0.3, 0.5])
    clip[0, 1, :, 0, 0] = torch.tensor([0.2, 0.4, 0.6])
    clip[1] = clip[0].flip(1)
    return Batch((clip,), {"in_order": torch.tensor([1, 0])}, torch.arange(2), torch.arange(2))


def test_tuples_are_those_of_the_paper() -> None:
    planner = ShuffleLearn(FirstPixel(), select="uniform", positive=0.5).planner()
    seen: dict[int, set[tuple[int, ...]]] = {0: set(), 1: set()}
    for draw in range(400):
        (view,), targets = planner(video(n_frames=91), np.random.default_rng(draw))
        seen[int(targets["in_order"])].add(tuple(view.frames.tolist()))
    assert seen == {1: IN_ORDER, 0: NOT_IN_ORDER}


def test_one_way_alone() -> None:
    planner = ShuffleLearn(FirstPixel(), select="uniform", backward=False).planner()
    seen = {
        tuple(planner(video(n_frames=91), np.random.default_rng(draw))[0][0].frames.tolist()) for draw in range(200)
    }
    assert seen == {(15, 30, 75), (15, 45, 75), (15, 60, 75), (15, 0, 75), (15, 90, 75)}


def test_head_is_linear_in_the_frames_as_shown() -> None:
    """Weights (1, 10, 100, 1000, 10000, 100000) of the second logit read off which number stands where."""
    task = ShuffleLearn(FirstPixel())
    with torch.no_grad():
        task.head.weight.copy_(torch.stack([torch.zeros(6), 10.0 ** torch.arange(6)]))
        task.head.bias.copy_(torch.tensor([0.5, 0.25]))
    given: list[Tensor] = []
    task.head.register_forward_hook(lambda module, arguments, output: given.append(output))
    task(two_tuples())
    expected = torch.tensor([[0.5, 65432.1 + 0.25], [0.5, 21436.5 + 0.25]])
    torch.testing.assert_close(given[0], expected, rtol=1e-6, atol=1e-6)


def test_network() -> None:
    """Weights .1, .2, .4, .8, 1.6, 3.2 of the second logit: .01 + .04 + .12 + .32 + .8 + 1.92 = 3.21 for (.1, .2), (.3,
    .4), (.5, .6), and .05 + .12 + .12 + .32 + .16 + .64 = 1.41 for the same backward.
    """
    task = ShuffleLearn(FirstPixel())
    with torch.no_grad():
        task.head.weight.copy_(torch.stack([torch.zeros(6), 0.1 * 2.0 ** torch.arange(6)]))
        task.head.bias.zero_()
    output = task(two_tuples())
    expected = (math.log(1 + math.exp(-3.21)) + math.log(1 + math.exp(1.41))) / 2
    torch.testing.assert_close(output.loss, torch.tensor(expected), rtol=0, atol=1e-6)
    assert float(output.metrics["accuracy"]) == 0.5


def test_loss_and_accuracy() -> None:
    """Logits (0, log 3): "in order" has probability 3/4, and the loss of (1, 1, 0) is (2 log 4/3 + log 4) / 3."""
    task = ShuffleLearn(FirstPixel())
    with torch.no_grad():
        task.head.weight.zero_()
        task.head.bias.copy_(torch.tensor([0.0, math.log(3.0)]))
    targets = {"in_order": torch.tensor([1, 1, 0])}
    output = task(Batch((torch.zeros(3, 3, 3, 8, 8),), targets, torch.arange(3), torch.arange(3)))
    expected = (2 * math.log(4 / 3) + math.log(4.0)) / 3
    torch.testing.assert_close(output.loss, torch.tensor(expected), rtol=0, atol=1e-6)
    torch.testing.assert_close(output.metrics["accuracy"], torch.tensor(2 / 3), rtol=0, atol=1e-6)


def test_chance_is_that_of_the_more_frequent_label() -> None:
    assert ShuffleLearn(FirstPixel()).chance == 0.75
    assert ShuffleLearn(FirstPixel(), positive=0.5).chance == 0.5
    assert ShuffleLearn(FirstPixel(), positive=0.9).chance == 0.9
