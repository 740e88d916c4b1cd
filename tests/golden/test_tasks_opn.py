"""``opn`` against the official classes, the official crops and channels, and the head's official form in PyTorch.

Official: HsinYingLee/OPN at d0ba14e, Caffe. ``train_temporal_four.forward`` (UCF_datalayers.py) was run with stand-ins
for caffe and SciPy, on four frames of constant grey, until each of its 12 orders had come both ways round; ``select``,
which the file does not define, was [0, 1, 2, 3]. Of each run: which frame in time is shown at which place, and the
label. Run 400 times after ``random.seed(0)`` on frames that show their coordinates, it gave crops whose first row was 7
to 27 in a region that starts at 7, three equal channels in every frame, and 80 of the 81 combinations of one of three
channels in each of four frames. Exact.

The head is ``OPN`` (xudejing/video-clip-order-prediction at 7a1710d, models/opn.py) with its last layer cut to the 12
classes that HsinYingLee/OPN's ``fc8_tp`` has: logits and cross-entropy for the weights and features below, tolerance
1e-4 (largest difference 5e-7). ``tests/golden/make/opn.py`` runs both again.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from support.tasks import video
from torch import Tensor, nn

from vssl_core.contracts import Batch
from vssl_order.opn import OrderPrediction

OFFICIAL = [
    ([0, 1, 2, 3], 0),
    ([3, 2, 1, 0], 0),
    ([0, 2, 1, 3], 1),
    ([3, 1, 2, 0], 1),
    ([0, 2, 3, 1], 2),
    ([1, 3, 2, 0], 2),
    ([0, 1, 3, 2], 3),
    ([2, 3, 1, 0], 3),
    ([0, 3, 1, 2], 4),
    ([2, 1, 3, 0], 4),
    ([0, 3, 2, 1], 5),
    ([1, 2, 3, 0], 5),
    ([1, 0, 2, 3], 6),
    ([3, 2, 0, 1], 6),
    ([1, 0, 3, 2], 7),
    ([2, 3, 0, 1], 7),
    ([1, 2, 0, 3], 8),
    ([3, 0, 2, 1], 8),
    ([2, 0, 1, 3], 9),
    ([3, 1, 0, 2], 9),
    ([2, 0, 3, 1], 10),
    ([1, 3, 0, 2], 10),
    ([2, 1, 0, 3], 11),
    ([3, 0, 1, 2], 11),
]
OFFICIAL_LOGITS = [
    [
        1.2729921340942383,
        0.35565274953842163,
        1.438385009765625,
        -0.13474708795547485,
        -0.027989834547042847,
        -1.0189069509506226,
        -1.023600697517395,
        -0.40527522563934326,
        -0.3740544319152832,
        1.1781970262527466,
        0.38266611099243164,
        1.4908959865570068,
    ],
    [
        1.3237581253051758,
        0.1981779932975769,
        1.6886547803878784,
        -0.45570042729377747,
        0.33528900146484375,
        -1.3924156427383423,
        -0.6728633642196655,
        -0.7022535800933838,
        -0.15707474946975708,
        1.0603870153427124,
        0.3908979892730713,
        1.5929687023162842,
    ],
]
OFFICIAL_LOSS = 3.009126663208008  # of targets 3 and 10
# Of 400 tuples: the smallest and the largest first row of a crop, and how many combinations of channels there were.
OFFICIAL_FIRST_ROWS, OFFICIAL_COMBINATIONS = [7, 27], 80


def wave(*shape: int, pitch: float) -> Tensor:
    """Fixed numbers without a generator: sin(pitch * (k + 1)), k counting through the tensor."""
    k = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(k * pitch + pitch).reshape(shape).float()


def set_head(pair: nn.Linear, order: nn.Linear) -> None:
    """Fixed weights of the layer for a pair of frames, and of the last one."""
    with torch.no_grad():
        pair.weight.copy_(wave(512, 8, pitch=0.37))
        pair.bias.copy_(wave(512, pitch=0.11))
        order.weight.copy_(wave(12, 3072, pitch=0.23) * 0.05)
        order.bias.copy_(wave(12, pitch=0.7))


class Given(nn.Module):
    """Features of frames: whatever was given."""

    embed_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.features = wave(2, 4, 4, pitch=0.9)

    def frame_features(self, frames: Tensor) -> Tensor:
        return self.features


def test_classes_are_the_official_ones() -> None:
    """The 24 orders fall into the same 12 pairs, one class each, whatever their numbers."""
    planner = OrderPrediction(Given(), stride=10, select="uniform").planner()
    classes = {}
    for draw in range(400):
        (view,), targets = planner(video(n_frames=31), np.random.default_rng(draw))
        classes[tuple((view.frames // 10).tolist())] = int(targets["order"])
    assert len(classes) == 24
    assert set(classes.values()) == set(range(12))
    pairs = {(classes[tuple(shown)], label) for shown, label in OFFICIAL}
    assert len(pairs) == 12, "one class of ours for each official one"


def test_head_gives_the_official_numbers() -> None:
    task = OrderPrediction(Given(), frame_width=0).eval()
    set_head(task.head.pair, task.head.order)
    logits = task.head(task.backbone.features.unbind(1))
    torch.testing.assert_close(logits, torch.tensor(OFFICIAL_LOGITS), rtol=1e-4, atol=1e-4)
    batch = Batch((torch.zeros(2, 3, 4, 8, 8),), {"order": torch.tensor([3, 10])}, torch.arange(2), torch.arange(2))
    output = task(batch)
    torch.testing.assert_close(output.loss, torch.tensor(OFFICIAL_LOSS), rtol=1e-4, atol=1e-4)
    assert float(output.metrics["accuracy"]) == 0.0, "the largest logits are those of class 11 and class 2"


def test_the_layer_of_each_frame_is_fc6() -> None:
    """fc6 of train_opn_nobn.prototxt: linear, ReLU, dropout; then fc7 of every pair, and fc8. Written out as loops."""
    task = OrderPrediction(Given(), frame_width=5, hidden=6).eval()
    with torch.no_grad():
        task.frame[0].weight.copy_(wave(5, 4, pitch=0.53))
        task.frame[0].bias.copy_(wave(5, pitch=0.19))
        task.head.pair.weight.copy_(wave(6, 10, pitch=0.37))
        task.head.pair.bias.copy_(wave(6, pitch=0.11))
        task.head.order.weight.copy_(wave(12, 36, pitch=0.23))
        task.head.order.bias.copy_(wave(12, pitch=0.7))
    expected = []
    clipped = 0
    for sample in task.backbone.features:
        linear = [task.frame[0].weight @ frame + task.frame[0].bias for frame in sample]
        clipped += sum(int((values < 0).sum()) for values in linear)
        frames = [values.clamp(min=0) for values in linear]
        pairs = [
            (task.head.pair.weight @ torch.cat([frames[i], frames[j]]) + task.head.pair.bias).clamp(min=0)
            for i in range(4)
            for j in range(i + 1, 4)
        ]
        expected.append(task.head.order.weight @ torch.cat(pairs) + task.head.order.bias)
    assert clipped > 5, "the ReLU has something to do"
    logits = torch.stack(expected)
    batch = Batch((torch.zeros(2, 3, 4, 8, 8),), {"order": torch.tensor([3, 10])}, torch.arange(2), torch.arange(2))
    loss = (logits.logsumexp(dim=1) - logits[torch.arange(2), torch.tensor([3, 10])]).mean()
    torch.testing.assert_close(task(batch).loss, loss, rtol=1e-5, atol=1e-5)
    task.train()
    given: list[Tensor] = []
    task.head.register_forward_pre_hook(lambda module, arguments: given.extend(arguments[0]))
    torch.manual_seed(0)
    task(batch)
    shown = torch.stack(given, dim=1)  # dropout .5 keeps twice the value, or nothing
    whole = torch.stack([task.frame[:2](frame) for frame in task.backbone.features])
    kept = shown != 0
    torch.testing.assert_close(shown[kept], 2 * whole[kept], rtol=1e-5, atol=1e-6)
    assert 0.2 < float(kept[whole > 0].float().mean()) < 0.8


def test_crops_and_channels_are_the_official_ones() -> None:
    """Crops stay in their region of 100 pixels, and each frame has one channel, its own, three times."""
    task = OrderPrediction(Given(), region=0, read_size=100, flip=0.0, select="uniform")
    n = 120
    coordinates = torch.arange(100, dtype=torch.uint8)
    frame = torch.stack(
        [coordinates[:, None].expand(100, 100), coordinates[None].expand(100, 100), torch.full((100, 100), 200)], dim=2
    ).to(torch.uint8)
    video_BTHW3 = frame.expand(n, 4, 100, 100, 3)
    (clip,) = task.augment(Batch((video_BTHW3,), {}, torch.arange(n) * 7919 + 1, torch.arange(n))).views
    assert torch.equal(clip[:, 0], clip[:, 1])
    assert torch.equal(clip[:, 0], clip[:, 2])
    shown = 255 * clip[:, 0]
    down, across = shown[:, :, -1, 0] - shown[:, :, 0, 0], shown[:, :, 0, -1] - shown[:, :, 0, 0]
    kind = torch.where(down > 40, 0, torch.where(across > 40, 1, 2))
    assert len({tuple(row) for row in kind.tolist()}) > 50, "of 81 combinations"
    rows = shown[:, :, :, 0][kind == 0]
    assert rows.min() >= -0.01
    assert rows.max() <= 99.01
    assert rows[:, 0].std() > 2, "the crop is not always at one place"
    height = rows[:, -1] - rows[:, 0]
    assert height.min() > 100 * math.sqrt(0.64 * 0.75) - 2, "of 64 % of the area or more, no wider than 4:3"
