"""``jigsaw`` against the official Caffe code, its file of orders, and the formulas of its layers.

Official: MehdiNoroozi/JigsawPuzzleSolver at 2fba1c6. The tiles were made by its ``DataTransformer::Transform``: lines
16-279 of caffe-master-jps/src/caffe/data_transformer.cpp, compiled with stand-ins for Caffe's classes (g++), with
crop_size 6, patch_size 2, jitter_size 0 and permutations_100_max.bin, after ``srand(1)``, on the image of ``image()``.
Tolerance: 1e-4 of 255 grey levels. The head is checked against the formula of train_val_cfn_jps.prototxt's layers (no
Caffe at hand), the normalisation against that of the MVN layer of train_val_cfn_jps++.prototxt at 8c7ec09.
``tests/golden/make/jigsaw.py`` makes tiles and orders again.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from vssl_core.contracts import Batch
from vssl_core.pretext.permutations import distant_permutations
from vssl_spatial.jigsaw import Jigsaw, TileHead, normalise_tiles, shift_channels

# Row 83 of permutations_100_max.bin, which srand(1) drew, counted from 0; and the nine tiles in its order: each its
# three channels of 2 x 2 pixels less their mean.
OFFICIAL_ORDER = [8, 7, 4, 1, 0, 2, 5, 3, 6]
OFFICIAL_TILES = [
    [[-4.25, -2.25, 1.75, 4.75], [-4.75, -1.75, 1.25, 5.25], [-5.25, -1.25, 0.75, 5.75]],
    [[-3.25, -1.25, 0.75, 3.75], [-3.75, -0.75, 0.25, 4.25], [-4.25, -0.25, -0.25, 4.75]],
    [[-3.5, -3.5, 0.5, 6.5], [-4.0, -3.0, 0.0, 7.0], [-4.5, -2.5, -0.5, 7.5]],
    [[-6.25, -3.25, 2.75, 6.75], [-6.75, -2.75, 2.25, 7.25], [-7.25, -2.25, 1.75, 7.75]],
    [[-5.25, -2.25, 1.75, 5.75], [-5.75, -1.75, 1.25, 6.25], [-6.25, -1.25, 0.75, 6.75]],
    [[-6.0, -3.0, 5.0, 4.0], [-6.5, -2.5, 4.5, 4.5], [-7.0, -2.0, 4.0, 5.0]],
    [[-3.25, -3.25, 2.75, 3.75], [-3.75, -2.75, 2.25, 4.25], [-4.25, -2.25, 1.75, 4.75]],
    [[-6.25, -1.25, 0.75, 6.75], [-6.75, -0.75, 0.25, 7.25], [-7.25, -0.25, -0.25, 7.75]],
    [[-6.0, 1.0, 1.0, 4.0], [-6.5, 1.5, 0.5, 4.5], [-7.0, 2.0, 0.0, 5.0]],
]
# Of all pairs in permutations_100_max.bin: mean and least number of places in which two orders differ.
OFFICIAL_DISTANCE, OFFICIAL_LEAST = 8.08, 2


class Pixels(nn.Module):
    """Features of a frame are its pixels."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.embed_dim = pixels

    def frame_features(self, video: Tensor) -> Tensor:
        return video.transpose(1, 2).flatten(2)


def image() -> Tensor:
    y, x = torch.meshgrid(torch.arange(6), torch.arange(6), indexing="ij")
    channels = [(7 * y + (3 + c) * x + 50 * c + (x * y) % 5) % 251 for c in range(3)]
    return torch.stack(channels, dim=-1).to(torch.uint8)


def task(**options: object) -> Jigsaw:
    plain = {"size": 2, "gap": 0, "grey": 0.0, "channel_shift": 0, "normalise_tiles": False, "hidden": 8, "joint": 8}
    return Jigsaw(Pixels(12), **{**plain, **options})


def test_tiles_are_those_of_the_official_code() -> None:
    puzzle = task(permutations=20)
    puzzle.orders[3] = torch.tensor(OFFICIAL_ORDER)
    batch = Batch((image()[None, None],), {"order": torch.tensor([[3]])}, torch.tensor([5]), torch.tensor([0]))
    (view,) = puzzle.augment(batch).views
    assert view.shape == (1, 3, 9, 2, 2)
    tiles = 255 * view[0].permute(1, 0, 2, 3).flatten(2)
    found = tiles - tiles.mean(dim=2, keepdim=True)
    torch.testing.assert_close(found, torch.tensor(OFFICIAL_TILES), rtol=0, atol=1e-4)


def test_orders_differ_in_as_many_places_as_the_official_ones() -> None:
    orders = distant_permutations(9, 100)
    assert torch.equal(task().orders, torch.from_numpy(orders))
    differ = (orders[:, None] != orders[None]).sum(axis=2)[~torch.eye(100, dtype=torch.bool).numpy()]
    assert differ.mean() == pytest.approx(OFFICIAL_DISTANCE, abs=0.005)
    assert differ.min() >= OFFICIAL_LEAST


def test_normalisation_is_caffes_mvn_layer() -> None:
    """Worked out by hand: a tile of four pixels, three channels; mean 1/3, mean square deviation 1/36."""
    row = [1 / 3 - 1 / 6, 1 / 3 + 1 / 6]
    tile = torch.tensor([row * 2, row * 2, row[::-1] * 2]).view(1, 3, 1, 2, 2)
    one = torch.tensor([[-1.0, 1.0] * 2, [-1.0, 1.0] * 2, [1.0, -1.0] * 2]).view(1, 3, 1, 2, 2)
    torch.testing.assert_close(normalise_tiles(tile), 0.5 + one / 6)
    # Half as bright and shifted: nothing is left of that.
    torch.testing.assert_close(normalise_tiles(tile / 2 + 0.1), 0.5 + one / 6)
    # A point of 4 x 4 pixels deviates by sqrt(47) from the mean: cut off.
    point = torch.zeros(1, 3, 1, 4, 4)
    point[0, 0, 0, 0, 0] = 1
    assert float(normalise_tiles(point).max()) == 1
    torch.testing.assert_close(normalise_tiles(point)[0, 1, 0, 0, 0], torch.tensor(0.5 - 1 / math.sqrt(47) / 6))
    assert torch.equal(normalise_tiles(torch.full((1, 3, 2, 4, 4), 0.7)), torch.full((1, 3, 2, 4, 4), 0.5))


def test_channels_are_moved_apart() -> None:
    tile = torch.arange(9.0).view(1, 1, 1, 3, 3).expand(1, 3, 1, 3, 3)
    shift = torch.tensor([[0, 0], [1, 0], [-1, 1]]).view(1, 3, 1, 2)
    red, green, blue = shift_channels(tile, shift)[0, :, 0].tolist()
    assert red == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert green == [[3, 4, 5], [6, 7, 8], [6, 7, 8]]
    assert blue == [[1, 2, 2], [1, 2, 2], [4, 5, 5]]


def wave(*shape: int, pitch: float) -> Tensor:
    """Fixed numbers without a generator: sin(pitch * (k + 1)), k counting through the tensor."""
    k = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(k * pitch + pitch).reshape(shape).float()


def test_head_is_fc6_of_each_tile_and_fc7_and_fc8_of_all() -> None:
    head = TileHead(embed_dim=5, tiles=9, classes=7, hidden=4, joint=6, dropout=0.5).eval()
    with torch.no_grad():
        for parameter, pitch in zip(head.parameters(), (0.37, 0.11, 0.23, 0.7, 0.53, 0.29), strict=True):
            parameter.copy_(wave(*parameter.shape, pitch=pitch))
    fc6, fc7, fc8 = head.tile[0], head.joint[0], head.order
    features = wave(2, 9, 5, pitch=0.9)
    for row in range(2):
        tiles = [torch.clamp(fc6.weight @ tile + fc6.bias, min=0) for tile in features[row]]
        joint = torch.clamp(fc7.weight @ torch.cat(tiles) + fc7.bias, min=0)
        torch.testing.assert_close(head(features)[row], fc8.weight @ joint + fc8.bias, rtol=1e-5, atol=1e-5)


def test_loss_is_the_cross_entropy_of_every_puzzle() -> None:
    """Logits that are the same for every puzzle, k / 10 for order k, make the loss a formula."""
    puzzle = task(permutations=20, frames=2)
    with torch.no_grad():
        puzzle.head.order.weight.zero_()
        puzzle.head.order.bias.copy_(torch.arange(20) / 10)
    order = torch.tensor([[3, 19], [0, 7]])
    view = image()[None, None].expand(2, 1, 6, 6, 3)
    batch = Batch((view, view), {"order": order}, torch.tensor([5, 6]), torch.tensor([0, 1]))
    found = puzzle(puzzle.augment(batch))
    total = math.log(sum(math.exp(k / 10) for k in range(20)))
    assert float(found.loss.detach()) == pytest.approx(total - (3 + 19 + 0 + 7) / 40, rel=1e-5)
    assert float(found.metrics["accuracy"]) == 1 / 4
    assert puzzle.chance == 1 / 20
