"""``cubic-puzzle``, formula-only: no official code is published; every expected value here is worked out by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from support.tasks import video
from torch import Tensor

from vssl_core.contracts import Batch
from vssl_core.testing import FakeBackbone
from vssl_spatial.cubic_puzzle import CubicPuzzle, PieceHead

# A frame of 4 x 4 pixels that count up, 10 y + x, has these four quarters, row by row.
QUARTERS = [[[0, 1], [10, 11]], [[2, 3], [12, 13]], [[20, 21], [30, 31]], [[22, 23], [32, 33]]]


def task(**options: object) -> CubicPuzzle:
    plain = {"frames": 2, "size": 2, "gap": 0, "gap_frames": 0, "channel_replication": 0.0, "hidden": 8}
    return CubicPuzzle(FakeBackbone(patch_size=(1, 2, 2)), **{**plain, **options})


def batch(order: int, place: list[int], *, time: int = 0, upside_down: int = 0, pixels: Tensor | None = None) -> Batch:
    y, x = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
    frame = (10 * y + x).to(torch.uint8)[..., None].repeat(1, 1, 3) if pixels is None else pixels
    # 40 more for each view, 80 more for each frame.
    views = tuple(
        torch.stack([frame + 40 * v + 80 * t for t in range(2)])[None].to(torch.uint8) if pixels is None else frame
        for v in range(4)
    )
    targets = {
        "order": torch.tensor([order]),
        "place": torch.tensor([place]),
        "time": torch.tensor([time]),
        "upside_down": torch.tensor([upside_down]),
    }
    return Batch(views, targets, torch.tensor([5]), torch.tensor([0]))


def first_frames(found: Batch) -> list[list[list[int]]]:
    """Return the first frame of each view, less what its number adds."""
    return [((255 * view[0, 1, 0]).round().int() - 40 * v).tolist() for v, view in enumerate(found.views)]


def test_each_view_shows_its_cell() -> None:
    found = task().augment(batch(9, [1, 2, 3, 0]))
    assert first_frames(found) == [QUARTERS[1], QUARTERS[2], QUARTERS[3], QUARTERS[0]]
    second = [((255 * view[0, 1, 1]).round().int() - 40 * v - 80).tolist() for v, view in enumerate(found.views)]
    assert second == first_frames(found)
    assert first_frames(task().augment(batch(9, [2, 2, 2, 2], time=1))) == [QUARTERS[2]] * 4


def test_a_puzzle_upside_down_is_turned_as_a_whole() -> None:
    """What stands at the top left is what lay at the bottom right, turned by 180 degrees."""
    found = task(upside_down=True).augment(batch(0, [0, 1, 2, 3], upside_down=1))
    turned = [[row[::-1] for row in quarter[::-1]] for quarter in QUARTERS[::-1]]
    assert turned[0] == [[33, 32], [23, 22]]
    assert first_frames(found) == turned


def test_a_mirrored_puzzle_is_mirrored_as_a_whole() -> None:
    """What stands at the top left is what lay at the top right, mirrored."""
    found = task(flip=1.0).augment(batch(0, [0, 1, 2, 3]))
    mirrored = [[row[::-1] for row in QUARTERS[place]] for place in (1, 0, 3, 2)]
    assert mirrored[0] == [[3, 2], [13, 12]]
    assert first_frames(found) == mirrored


def test_one_channel_stands_for_all_three_in_every_piece() -> None:
    pixels = torch.tensor([30, 90, 150], dtype=torch.uint8).expand(1, 2, 4, 4, 3)
    puzzle = task(channel_replication=1.0)
    given = batch(0, [0, 1, 2, 3], pixels=pixels)
    chosen = set()
    for seed in range(20):
        views = puzzle.augment(given._replace(seeds=torch.tensor([seed]))).views
        values = {round(255 * float(value)) for view in views for value in view.unique()}
        assert len(values) == 1
        chosen |= values
    assert chosen == {30, 90, 150}
    plain = task().augment(given).views[2]
    assert (255 * plain[0, :, 0, 0, 0]).round().tolist() == [30, 90, 150]


def test_orders_are_numbered_as_permutations_are_listed() -> None:
    planner = task().planner()
    listed = list(itertools.permutations(range(4)))
    assert listed[9] == (1, 2, 3, 0) and listed[23] == (3, 2, 1, 0)
    rng, seen = np.random.default_rng(0), set()
    for _ in range(400):
        views, targets = planner(video(n_frames=8), rng)
        order = listed[targets["order"]]
        seen.add(targets["order"])
        starts = [int(view.frames[0]) for view in views]
        if targets["time"]:
            assert starts == [2 * piece for piece in order]
            assert len(set(targets["place"].tolist())) == 1
        else:
            assert targets["place"].tolist() == list(order)
            assert len(set(starts)) == 1
    assert seen == set(range(24))


def wave(*shape: int, pitch: float) -> Tensor:
    """Fixed numbers without a generator: sin(pitch * (k + 1)), k counting through the tensor."""
    k = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(k * pitch + pitch).reshape(shape).float()


def test_head_joins_the_pieces_in_the_order_shown() -> None:
    head = PieceHead(embed_dim=3, classes=24, hidden=5, dropout=0.5).eval()
    with torch.no_grad():
        for parameter, pitch in zip(head.parameters(), (0.37, 0.11, 0.23, 0.7), strict=True):
            parameter.copy_(wave(*parameter.shape, pitch=pitch))
    features = wave(2, 4, 3, pitch=0.9)
    joint = head.joint[0]
    for row in range(2):
        hidden = torch.clamp(joint.weight @ features[row].flatten() + joint.bias, min=0)
        expected = head.order.weight @ hidden + head.order.bias
        torch.testing.assert_close(head(features.unbind(1))[row], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("upside_down", "classes"), [(False, 24), (True, 48)])
def test_loss(upside_down: bool, classes: int) -> None:
    """Logits that are k / 10 for class k, whatever the pieces, make the cross-entropy a formula."""
    puzzle = task(upside_down=upside_down)
    assert puzzle.chance == 1 / classes
    with torch.no_grad():
        puzzle.head.order.weight.zero_()
        puzzle.head.order.bias.copy_(torch.arange(classes) / 10)
    total = math.log(sum(math.exp(k / 10) for k in range(classes)))
    for turned in range(1 + upside_down):
        found = puzzle(puzzle.augment(batch(23, [3, 2, 1, 0], upside_down=turned)))
        label = 23 + 24 * turned
        assert float(found.loss.detach()) == pytest.approx(total - label / 10, rel=1e-5)
        assert float(found.metrics["accuracy"]) == float(label == classes - 1)
