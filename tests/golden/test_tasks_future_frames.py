"""``future-frames``: formula-only, the official code being Lua. Expected values are worked out by hand; within 1e-6.

What is held against the official code (coupriec/VideoPredictionICLR2016 at 802e902, get_model.lua and
train_iclr_model.lua) is what is read in it: targets averaged down, means and not sums over pixels, a sum over scales,
the two means of ``GDLCriterion``, and the coarser frames both joined to the finer scale's input (``JoinTable``) and
added to its output (``CAddTable``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from support.networks import Blank
from torch import Tensor, nn

from vssl_core.contracts import Batch, Features
from vssl_spatial.future_frames import FutureFrames, gradient_difference
from vssl_spatial.pixel_decoder import FrameDecoder


def test_gradient_differences_by_hand() -> None:
    """Of the target steps down are 2, -1; 4, 0 and to the right 1; 3; 4; of the prediction 0 and 1.

    Down: | |2| - 0 |, |-1|, |4|, 0: sum 7 of 4 steps. Right: |1 - 1|, |3 - 1|, |4 - 1|: sum 5 of 3 steps.
    """
    target = torch.tensor([[0.0, 1.0], [2.0, 5.0], [1.0, 5.0]])
    predicted = torch.tensor([[3.0, 4.0], [3.0, 4.0], [3.0, 4.0]])
    assert float(gradient_difference(predicted, target)) == pytest.approx(7 / 4 + 5 / 3, abs=1e-6)
    # Squared: 4 + 1 + 16 + 0 of 4, and 0 + 4 + 9 of 3.
    assert float(gradient_difference(predicted, target, 2.0)) == pytest.approx(21 / 4 + 13 / 3, abs=1e-6)
    assert float(gradient_difference(-target, target)) == 0, "the size of steps counts, not their sign"


class Says(nn.Module):
    """A decoder that answers one value everywhere."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, features: Features, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        return [self.value.expand(len(features.map), 3, 1, *size) for size in sizes]


def loss(value: float, **options: Any) -> tuple[float, dict[str, float]]:
    """Of an answer ``value`` where the future is black to the left and white to the right, and the past grey."""
    task = FutureFrames(Blank(), **{"size": 8, "read_size": 0, "crop_scale": 1.0, "scales": 2, **options})
    task.decoder = Says(value)  # type: ignore[assignment]
    clip = torch.full((1, 5, 8, 8, 3), 51, dtype=torch.uint8)
    clip[:, 4, :, :3] = 0
    clip[:, 4, :, 3:] = 255
    batch = task.augment(Batch((clip,), {}, torch.tensor([1]), torch.tensor([0])))
    assert batch.views[0].shape == (1, 3, 4, 8, 8) and batch.targets["future"].shape == (1, 3, 1, 8, 8)
    output = task(batch)
    return float(output.loss.detach()), {name: float(metric) for name, metric in output.metrics.items()}


def test_errors_are_means_summed_over_scales() -> None:
    """In [-1, 1] columns are -1 three times and 1 five times; averaged down by 2 they are -1, 0, 1, 1.

    An answer of 0.5: |1.5| * 3/8 + |0.5| * 5/8 = 0.875 and (1.5 + 0.5 + 0.5 + 0.5) / 4 = 0.75.
    Squared: 2.25 * 3/8 + 0.25 * 5/8 = 1 and (2.25 + 3 * 0.25) / 4 = 0.75.
    The past is 2 * 51/255 - 1 = -0.6, so that standing still has 0.16 * 3/8 + 2.56 * 5/8 = 1.66.
    """
    absolute, metrics = loss(0.5, gradient_weight=0.0)
    assert absolute == pytest.approx(0.875 + 0.75, abs=1e-6)
    assert metrics == pytest.approx({"error": 1.0, "still": 1.66}, abs=1e-5)
    assert loss(0.5, gradient_weight=0.0, norm=2)[0] == pytest.approx(1.0 + 0.75, abs=1e-6)


def test_standing_still_is_the_last_frame_of_a_past_that_moves() -> None:
    """The past grows lighter, 0, 51, 102, 153 of 255, and goes on with 204 and 255.

    In [-1, 1] the last frame seen is 0.2, the two to come are 0.6 and 1: (0.16 + 0.64) / 2 = 0.4. The first frame seen,
    -1, would give (2.56 + 4) / 2 = 3.28, and their mean, -0.4, (1 + 1.96) / 2 = 1.48. In words, which count in [0, 1]:
    0.2 and 0.4 away.
    """
    task = FutureFrames(Blank(), size=8, read_size=0, crop_scale=1.0, scales=2, future=2, gradient_weight=0.0)
    task.decoder = Says(0.0)  # type: ignore[assignment]
    clip = torch.tensor([0, 51, 102, 153, 204, 255], dtype=torch.uint8).view(1, 6, 1, 1, 1).expand(1, 6, 8, 8, 3)
    batch = task.augment(Batch((clip,), {}, torch.tensor([1]), torch.tensor([0])))
    assert float(task(batch).metrics["still"]) == pytest.approx(0.4, abs=1e-5)
    (explanation,) = task.explain(batch)
    assert "differ from the last one seen by 0.300 a pixel" in explanation.answer


def test_gradient_differences_are_weighted_and_summed_over_scales() -> None:
    """Flat answers miss one step of 2 in 7 to the right at full size, and two steps of 1 in 3 at half of it."""
    assert loss(0.5, norm_weight=0.0)[0] == pytest.approx(2 / 7 + 2 / 3, abs=1e-6)
    assert loss(0.5, norm_weight=2.0, gradient_weight=3.0)[0] == pytest.approx(
        2 * (0.875 + 0.75) + 3 * (2 / 7 + 2 / 3), abs=1e-5
    )
    assert loss(0.5, norm_weight=0.0, gradient_exponent=2.0)[0] == pytest.approx(4 / 7 + 2 / 3, abs=1e-6)


def test_the_coarser_frames_are_seen_and_added_to() -> None:
    """Channels of the coarser frames are 0.1, 0.2, ...; the finer scale adds 10 times the third of them to each.

    Biases alone make the coarse frames: artanh(0.1), artanh(0.2), ..., in the order of channels (colour, frame). The
    finer scale's convolution takes the third of them, 0.3, and batch norm at rest, mean 0 and variance 1, divides by
    sqrt(1 + 1e-5); what is added is 10 times that everywhere: tanh(3 + 0.1), tanh(3 + 0.2), ...
    """
    decoder = FrameDecoder(4, 2, 8, 2).eval()
    for parameter in decoder.parameters():
        nn.init.zeros_(parameter)
    values = torch.arange(1, 7) / 10
    coarse_stage, fine_stage = decoder.stages
    assert coarse_stage[0].in_channels == 8 and fine_stage[0].in_channels == 8 + 3 * 2
    with torch.no_grad():
        decoder.outs[0].bias.copy_(torch.atanh(values))
        fine_stage[0].weight[0, 8 + 2, 1, 1] = 1
        fine_stage[1].weight.fill_(1)
        decoder.outs[1].weight[:, 0, 1, 1] = 10
    coarse, fine = decoder(Features(torch.randn(1, 4, 2, 2, 2), torch.randn(1, 4)), [(2, 2), (4, 4)])
    assert coarse.shape == (1, 3, 2, 2, 2) and fine.shape == (1, 3, 2, 4, 4)
    torch.testing.assert_close(coarse, values.view(1, 3, 2, 1, 1).expand_as(coarse), atol=1e-6, rtol=0)
    expected = torch.tanh(10 * 0.3 / (1 + 1e-5) ** 0.5 + values)
    torch.testing.assert_close(fine, expected.view(1, 3, 2, 1, 1).expand_as(fine), atol=1e-6, rtol=0)
