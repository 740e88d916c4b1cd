"""``inpainting``: formula-only, the official code being Lua. Expected values are worked out by hand; within 1e-6.

What is held against the official code (pathak22/context-encoder at 68abd11, train.lua) is what is read in it: the fill
of the hole, 117, 104 and 123 of 255; pixels in [-1, 1]; the mean squared error; and the rim of ``overlapPred`` pixels
inside the predicted region that stays visible and counts 10 times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from support.networks import Blank
from torch import Tensor, nn

from vssl_core.contracts import Batch, Features
from vssl_spatial.inpainting import Inpainting, cut_blocks, paste_blocks


class Says(nn.Module):
    """A decoder that answers one value everywhere."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, features: Features, size: Sequence[int]) -> Tensor:
        return self.value.expand(len(features.map), 3, *size)


def task(**options: Any) -> Inpainting:
    plain = {"frames": 4, "size": 8, "read_size": 0, "crop_scale": 1.0, "flip": 0.0, "place": "centre"}
    made = Inpainting(Blank(), **{**plain, **options})
    made.decoder = Says(0.5)  # type: ignore[assignment]
    return made


def raw(value: int) -> Batch:
    clip = torch.full((2, 4, 8, 8, 3), value, dtype=torch.uint8)
    return Batch((clip,), {}, torch.tensor([3, 4]), torch.tensor([0, 1]))


def test_the_hole_has_the_official_fill_and_the_rest_is_left() -> None:
    """Half of 8 pixels and of 4 frames, in the middle: room for 5 places, (0.5 * 5) = 2; of frames 3, (0.5 * 3) = 1."""
    batch = task().augment(raw(255))
    assert batch.targets["place"].tolist() == [[1, 2, 2]] * 2
    clip = batch.views[0]
    for channel, value in enumerate((117, 104, 123)):
        expected = torch.ones(4, 8, 8)
        expected[1:3, 2:6, 2:6] = value / 255
        torch.testing.assert_close(clip[0, channel], expected, atol=1e-6, rtol=0)
    assert torch.equal(batch.targets["block"], torch.ones(2, 3, 2, 4, 4))


def test_the_loss_is_the_mean_squared_error_in_minus_one_to_one() -> None:
    """White is 1, the answer 0.5: (1 - 0.5)^2. Black is -1: (-1 - 0.5)^2. What is visible has the right colour."""
    for value, expected in ((255, 0.25), (0, 2.25)):
        batch = task().augment(raw(value))
        output = task()(batch)
        assert float(output.loss.detach()) == pytest.approx(expected, abs=1e-6)
        assert float(output.metrics["error"]) == pytest.approx(expected, abs=1e-6)
        assert float(output.metrics["blind"]) == pytest.approx(0, abs=1e-6)


def test_nothing_but_the_block_counts() -> None:
    """White within the block, black around it: still (1 - 0.5)^2. The visible mean is black: blind is (1 + 1)^2."""
    made = task()
    batch = made.augment(raw(0))
    batch = batch._replace(targets={**batch.targets, "block": torch.ones(2, 3, 2, 4, 4)})
    output = made(batch)
    assert float(output.loss.detach()) == pytest.approx(0.25, abs=1e-6)
    assert float(output.metrics["blind"]) == pytest.approx(4.0, abs=1e-6)


def test_the_visible_rim_counts_ten_times() -> None:
    """4 x 4 with a rim of 1: 12 pixels x 10 and 4 x 1, of 16. An error of 0.25: 0.25 * 124 / 16."""
    made = task(overlap=1)
    batch = made.augment(raw(255))
    assert (batch.views[0][0, 0, 1] < 1).sum() == 4, "2 x 2 are hidden"
    assert batch.views[0][0, 0, 1, 3:5, 3:5].max() < 1
    assert float(made(batch).loss.detach()) == pytest.approx(0.25 * 124 / 16, abs=1e-6)


def test_blocks_are_cut_and_pasted_where_they_are() -> None:
    clip = torch.arange(2 * 1 * 3 * 4 * 5, dtype=torch.float32).view(2, 1, 3, 4, 5)
    place = torch.tensor([[0, 1, 2], [1, 0, 3]])
    block = cut_blocks(clip, place, (2, 2, 2))
    # Of the first sample frames 0-1, rows 1-2, columns 2-3: 20 t + 5 y + x.
    assert block[0, 0].tolist() == [[[7, 8], [12, 13]], [[27, 28], [32, 33]]]
    assert block[1, 0].tolist() == [[[83, 84], [88, 89]], [[103, 104], [108, 109]]]
    assert torch.equal(paste_blocks(clip, block, place), clip)
    assert int((paste_blocks(clip, -block, place) < 0).sum()) == 16
