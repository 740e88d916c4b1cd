"""``cloze`` against numbers of an unofficial code; no official one is published.

BestJuly/VCP at ca99a08 (PyTorch, reports the paper's accuracy again). ``preprocess`` and ``adjacent_shuffle`` of
train_vcp.py and ``load4clips`` of datasets/ucf101.py were run on clips whose pixels count up, 100 t + 10 y + x, 8
frames of 4 x 4 pixels, after ``random.seed(n)``; ``VCPN`` of models/vcopn.py with a base network that hands its input
on, on the weights of ``wave``. Tolerance: exact, but 1e-4 for the head. ``tests/golden/make/cloze.py`` runs them again.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.tasks import video
from torch import Tensor

from vssl_core.contracts import Batch
from vssl_core.testing import FakeBackbone
from vssl_spatial.cloze import Cloze, ClozeHead, ClozePlanner, exchange_parts

# First frame of the middle clip: left alone, turned by 1, 2, 3 quarters, and with its quarters in reverse order.
ORIGINAL = [[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23], [30, 31, 32, 33]]
TURNED = {
    1: [[3, 13, 23, 33], [2, 12, 22, 32], [1, 11, 21, 31], [0, 10, 20, 30]],
    2: [[33, 32, 31, 30], [23, 22, 21, 20], [13, 12, 11, 10], [3, 2, 1, 0]],
    3: [[30, 20, 10, 0], [31, 21, 11, 1], [32, 22, 12, 2], [33, 23, 13, 3]],
}
REVERSED_QUARTERS = [[22, 23, 20, 21], [32, 33, 30, 31], [2, 3, 0, 1], [12, 13, 10, 11]]
# Frames after adjacent_shuffle, by the parts that it exchanged.
EXCHANGED = {
    (0, 1): [2, 3, 0, 1, 4, 5, 6, 7],
    (1, 2): [0, 1, 4, 5, 2, 3, 6, 7],
    (1, 3): [0, 1, 6, 7, 4, 5, 2, 3],
}
EXCHANGED_OF_SEVEN = [0, 1, 4, 5, 2, 3, 6]
# First frames of remote clips for a tuple from frame 20 of 57, clips of 4 frames, 2 apart (400 seeds of load4clips).
REMOTE = {0, 52, 53}
# The unofficial labels: 0 original, 1 rotation, 2 spatial permutation, 3 temporal shuffling, 4 remote clip.
LABELS = ("original", "rotation", "permutation", "adjacent", "remote")
# What its network says of two tuples of features.
HEAD = [
    [0.5921685695648193, 1.0233819484710693, 0.926533579826355, 0.3158785402774811, -0.4197877049446106],
    [0.5940350890159607, 1.0198673009872437, 0.9236223697662354, 0.31852778792381287, -0.4160889983177185],
]


def shown(turns: int, quarters: list[int]) -> list[Tensor]:
    """Return int ``[4, 4]``, the first frame of each of the three clips."""
    task = Cloze(FakeBackbone(), size=4, read_size=4, crop_scale=1.0)
    y, x = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
    clip = (10 * y + x).to(torch.uint8)[None, None, ..., None].repeat(1, 4, 1, 1, 3)
    targets = {"operation": torch.tensor([0]), "turns": torch.tensor([turns]), "quarters": torch.tensor([quarters])}
    batch = Batch((clip, clip, clip), targets, torch.tensor([5]), torch.tensor([0]))
    return [(255 * view[0, 1, 0]).round().int() for view in task.augment(batch).views]


def test_options_of_space() -> None:
    plain = torch.tensor(ORIGINAL, dtype=torch.int32)
    cases = [(0, [0, 1, 2, 3], ORIGINAL), (0, [3, 2, 1, 0], REVERSED_QUARTERS)]
    cases += [(turns, [0, 1, 2, 3], expected) for turns, expected in TURNED.items()]
    for turns, quarters, expected in cases:
        before, middle, after = shown(turns, quarters)
        assert torch.equal(middle, torch.tensor(expected, dtype=torch.int32))
        assert torch.equal(before, plain) and torch.equal(after, plain)


def test_options_of_time() -> None:
    frames = np.arange(8)
    for (one, other), expected in EXCHANGED.items():
        assert exchange_parts(frames, one, other).tolist() == expected
        assert exchange_parts(frames, other, one).tolist() == expected
    assert exchange_parts(np.arange(7), 1, 2).tolist() == EXCHANGED_OF_SEVEN


def test_labels_and_remote_clips() -> None:
    task = Cloze(FakeBackbone())
    assert task.operations == LABELS
    planner = ClozePlanner(4, 1, 2, 16, ("original", "remote"), (32, 32), "stretch", "error")
    rng, remote = np.random.default_rng(0), set()
    for _ in range(2_500):
        views, targets = planner(video(n_frames=57), rng)
        if views[0].frames[0] == 20 and targets["operation"] == 1:
            remote.add(int(views[1].frames[0]))
    assert remote == REMOTE


def wave(*shape: int, pitch: float) -> Tensor:
    """Fixed numbers without a generator: sin(pitch * (k + 1)), k counting through the tensor."""
    k = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(k * pitch + pitch).reshape(shape).float()


def test_head() -> None:
    head = ClozeHead(embed_dim=512, classes=5, hidden=0)
    with torch.no_grad():
        head.operation.weight.copy_(wave(5, 1536, pitch=0.23) * 0.05)
        head.operation.bias.copy_(wave(5, pitch=0.7))
    features = wave(2, 3, 512, pitch=0.9).unbind(1)
    torch.testing.assert_close(head(features), torch.tensor(HEAD), rtol=1e-4, atol=1e-4)


def test_loss() -> None:
    """Logits that are k / 10 for operation k, whatever the clips, make the cross-entropy a formula.

    Of the videos one has no room for a remote clip: guessing is right for (1/4 + 1/5 + 1/5) / 3 of them.
    """
    task = Cloze(FakeBackbone(), size=4, read_size=4, crop_scale=1.0)
    with torch.no_grad():
        task.head.operation.weight.zero_()
        task.head.operation.bias.copy_(torch.arange(5) / 10)
    clip = torch.zeros(3, 3, 4, 4, 4)
    targets = {"operation": torch.tensor([4, 0, 1]), "possible": torch.tensor([5, 4, 5])}
    batch = Batch((clip, clip, clip), targets, torch.arange(3), torch.arange(3))
    found = task(batch)
    total = math.log(sum(math.exp(k / 10) for k in range(5)))
    assert float(found.loss.detach()) == pytest.approx(total - (4 + 0 + 1) / 30, rel=1e-5)
    assert float(found.metrics["accuracy"]) == pytest.approx(1 / 3)
    assert float(found.metrics["accuracy_chance"]) == pytest.approx((1 / 4 + 1 / 5 + 1 / 5) / 3)
    assert task.chance is None and Cloze(FakeBackbone(), short_video="error").chance == 1 / 5
