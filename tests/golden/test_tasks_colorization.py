"""``colorization``: formula-only, there is no official code. Expected values are worked out by hand in the comments.

``LAB`` are OpenCV 5.0.0's ``cvtColor(..., COLOR_RGB2Lab)`` of float32 ``RGB``, which interpolates in a table: within
0.2, and within 0.01 for the primaries, which stand in it. All else within 1e-5.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from vssl_core.contracts import Batch
from vssl_spatial.colorization import Colorization, _Maps, colour_clusters, copied_colours
from vssl_spatial.lab_colour import rgb_to_lab

RGB = [
    [0.0, 0.0, 0.0],
    [1.0, 1.0, 1.0],
    [1.0, 0.0, 0.0],
    [0.0, 1.0, 0.0],
    [0.0, 0.0, 1.0],
    [0.5, 0.5, 0.5],
    [0.02, 0.6, 0.9],
    [0.25, 0.1, 0.03],
    [0.9, 0.8, 0.2],
]
LAB = [
    [0.0, 0.0, 0.0],
    [100.0, 0.0, 0.0],
    [53.241, 80.094, 67.203],
    [87.738, -86.188, 83.172],
    [32.294, 79.188, -107.859],
    [53.387, 0.0, 0.0],
    [60.284, -5.953, -47.672],
    [14.484, 17.281, 18.766],
    [81.818, -6.312, 73.234],
]


def test_lab_is_opencvs() -> None:
    found = rgb_to_lab(torch.tensor(RGB))
    torch.testing.assert_close(found, torch.tensor(LAB), atol=0.2, rtol=0)
    torch.testing.assert_close(found[:6], torch.tensor(LAB[:6]), atol=0.01, rtol=0)
    clip = torch.tensor(RGB).T.reshape(1, 3, 1, 3, 3)
    torch.testing.assert_close(rgb_to_lab(clip).flatten(2)[0].T, found, atol=1e-3, rtol=0)


def test_colours_are_copied_by_a_softmax_over_inner_products() -> None:
    """Inner products 0, ln 2 and ln 4 give weights 1, 2 and 4 of 7; at temperature 1/2 they give 1, 4 and 16 of 21."""
    target = torch.tensor([[[1.0, 0.0]]])
    reference = torch.tensor([[[0.0, 5.0], [math.log(2), 1.0], [math.log(4), -3.0]]])
    colours = torch.eye(3)[None]
    torch.testing.assert_close(
        copied_colours(target, reference, colours, 1.0), torch.tensor([[[1.0, 2.0, 4.0]]]) / 7, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        copied_colours(target, reference, colours, 0.5), torch.tensor([[[1.0, 4.0, 16.0]]]) / 21, atol=1e-5, rtol=0
    )


class Fixed(Colorization):
    """A task whose embeddings and colours are given."""

    maps: _Maps

    def _look(self, batch: Batch) -> _Maps:
        return self.maps


class Nothing(nn.Module):
    embed_dim = 1


def fixed(**options: Any) -> Fixed:
    """One target view of two cells, two reference views of two cells; clusters at a = 0, 10, 20, b = 0."""
    task = Fixed(Nothing(), clusters=3, references=2, **options)
    task.centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]])
    task.fitted.fill_(True)
    # The first cell of the target is like the second one of the first reference, the second like no cell.
    embedded = torch.tensor([[[[0.0], [math.log(2)]], [[0.0], [0.0]], [[1.0], [0.0]]]])
    colours = torch.tensor([[[[1.0, 0.0], [9.0, 1.0]], [[2.0, 0.0], [-3.0, 2.0]], [[12.0, 0.0], [19.0, -1.0]]]])
    task.maps = _Maps(embedded, colours, (1, 1, 2))
    return task


def test_the_loss_is_the_cross_entropy_of_what_is_copied() -> None:
    """Reference kinds are 0, 1, 0, 0; those of the target 1 and 2.

    The first cell points with weights 1, 2, 1, 1 of 5 and so copies kind 1 with 2/5: -ln 0.4, and kind 0 with 3/5,
    which is wrong. The second points everywhere alike and kind 2 is nowhere: -ln 1e-6, as low as it gets. Copying from
    everywhere alike answers 0 twice.
    """
    task = fixed().train()
    output = task(Batch((), {}, torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)))
    assert float(output.loss) == pytest.approx((-math.log(0.4) - math.log(1e-6)) / 2, abs=1e-5)
    assert float(output.metrics["accuracy"]) == 0
    assert set(output.metrics) == {"accuracy", "accuracy_chance"} and task.chance is None
    assert float(output.metrics["accuracy_chance"]) == 0


def test_guessing_is_copying_from_everywhere_alike() -> None:
    """Reference kinds are 0, 1, 0, 0, so that 0 is guessed: right for the target's first cell, a = 4, not its second.

    With references of kinds 1, 1, 0, 2 the guess is 1, and the second cell, a = 14, is right alone.
    """
    task = fixed().eval()
    nothing = torch.zeros(1, dtype=torch.int64)
    task.maps.colours[0, -1, :, 0] = torch.tensor([4.0, 14.0])
    assert float(task(Batch((), {}, nothing, nothing)).metrics["accuracy_chance"]) == 0.5
    task.maps.colours[0, :-1, :, 0] = torch.tensor([[9.0, 12.0], [0.0, 19.0]])
    task.maps.colours[0, -1, :, 0] = torch.tensor([19.0, 14.0])
    assert float(task(Batch((), {}, nothing, nothing)).metrics["accuracy_chance"]) == 0.5
    task.maps.colours[0, -1, :, 0] = torch.tensor([11.0, 14.0])
    assert float(task(Batch((), {}, nothing, nothing)).metrics["accuracy_chance"]) == 1


def test_held_out_temperature_sharpens() -> None:
    """At temperature 1/2 the weights are 1, 4, 1, 1 of 7: kind 1 wins with 4/7, which is right."""
    task = fixed().eval()
    output = task(Batch((), {}, torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)))
    assert float(output.loss) == pytest.approx((-math.log(4 / 7) - math.log(1e-6)) / 2, abs=1e-5)
    assert float(output.metrics["accuracy"]) == 0.5
    assert float(output.metrics["accuracy_chance"]) == 0


def test_clusters_are_the_means_that_lloyd_ends_with() -> None:
    """Three clumps: begun with a colour of each, which are the farthest apart, it ends with their means."""
    colours = torch.tensor([[0.0, 0.0], [0.0, 2.0], [30.0, 0.0], [32.0, 0.0], [31.0, 3.0], [0.0, 40.0]])
    found = colour_clusters(colours, 3)
    expected = {(0.0, 1.0), (31.0, 1.0), (0.0, 40.0)}
    assert {tuple(round(x, 4) for x in centre) for centre in found.tolist()} == expected
