"""``rspnet`` against the official code, PeihaoChen/RSPNet, commit 2958779807005ceb06eff49e10fb0d69280f681d.

Made by three steps of ``moco.builder_diffspeed_diffloss.MoCoDiffLossTwoFc(lambda num_classes: MultiTaskWrapper(Net,
num_classes=num_classes, fc_type="linear"), dim=5, K=12, m=0.9, T=0.07, diff_speed=[2])`` and ``Loss(margin=2.0)`` with
SGD at 0.1, in one gloo process (``Tensor.cuda`` replaced by the identity, pyhocon by an empty module, the ranking
target given the shape ``[4, 1]`` of its inputs, without which torch 2 refuses it), on the weights and clips of ``wave``
below; ``Net`` is ``SmallNet`` with its map as ``get_feature``. ``slow`` are the samples that ``_diff_speed`` gave slow
queries. ``tests/golden/make/rspnet.py`` runs them again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssl_core.contracts import Batch, Features
from vssl_speed.rspnet import RelativeSpeed, relative_speed_loss

# Largest differences found: 2e-6 of the similarities over temperature (up to 14), 1e-6 of everything else.
TOLERANCE = {"rtol": 2e-5, "atol": 2e-6}

# The official parameters, in their order, and where they lie here.
PLACES = (
    *("backbone.conv.weight", "backbone.conv.bias", "backbone.norm.weight", "backbone.norm.bias"),
    *("appearance.weight", "appearance.bias", "speed.weight", "speed.bias"),
)
STEPS: list[Mapping[str, Any]] = [
    {
        "slow": [0, 1],
        "appearance": 0.9867689,
        "speed": 1.9770348,
        "near": [14.2818737, 14.2805452, 14.2556591, 14.2589207],
        "far": [14.2204323, 14.2246284, 14.2720852, 14.267992],
        "keys": [
            [0.600382, 0.5123188, -0.1354695, -0.5305765, -0.2778624],
            [0.5992801, 0.5123802, -0.1381882, -0.5331361, -0.2738608],
            [0.5737849, 0.528586, -0.1162497, -0.5410773, -0.2917004],
            [0.5733326, 0.5284789, -0.1183462, -0.542765, -0.2887909],
        ],
        "key_conv_sum": 154.8338318,
        "key_speed_row": [0.4433134, 0.410052, -0.0640274, -0.4692754, -0.3700387, 0.1270005],
        "gradient_sum": 2.8583884,
    },
    {
        "slow": [1, 3],
        "appearance": 3.1012614,
        "speed": 1.9762919,
        "near": [14.2242517, 14.0780506, 14.2138357, 14.0290079],
        "far": [14.2445555, 13.9746132, 14.2567673, 13.9743776],
        "keys": [
            [0.5862114, 0.5255639, -0.1391722, -0.5441828, -0.254234],
            [0.5795336, 0.5310313, -0.1275974, -0.542975, -0.2665403],
            [0.5875611, 0.5258949, -0.1346645, -0.5405088, -0.260619],
            [0.5802165, 0.5304488, -0.1289675, -0.5432234, -0.2650444],
        ],
        "key_conv_sum": 154.8342743,
        "key_speed_row": [0.4432775, 0.410001, -0.0640867, -0.4693569, -0.370021, 0.1270005],
        "gradient_sum": 0.1566784,
    },
    {
        "slow": [0, 1],
        "appearance": 3.979975,
        "speed": 2.0081871,
        "near": [14.2546434, 14.2547617, 14.132741, 14.1311951],
        "far": [14.1067858, 14.1785173, 14.2514915, 14.2692947],
        "keys": [
            [0.5782335, 0.5353487, -0.1437386, -0.552259, -0.2310781],
            [0.5847129, 0.5310049, -0.1496567, -0.5501844, -0.2259306],
            [0.5982664, 0.5208977, -0.1644283, -0.5466172, -0.2119342],
            [0.5999501, 0.5206678, -0.1626709, -0.5443808, -0.2148317],
        ],
        "key_conv_sum": 154.8347168,
        "key_speed_row": [0.4431828, 0.4098556, -0.0642508, -0.4695152, -0.3700089, 0.1270005],
        "gradient_sum": 0.7564741,
    },
]
KEY_NORM_MEAN = [0.1012628, 0.1821275, 0.2285921, 0.2318252, 0.1912236, 0.1145385]


def wave(*shape: int, pitch: float) -> Tensor:
    """Fixed numbers without a generator: sin(pitch * (k + 1)), k counting through the tensor."""
    k = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(k * pitch + pitch).reshape(shape).float()


class SmallNet(nn.Module):
    """One convolution with batch norm."""

    embed_dim = 6

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm3d(6)

    def forward(self, video: Tensor) -> Features:
        feature_map = torch.relu(self.norm(self.conv(video)))
        return Features(feature_map, feature_map.mean((2, 3, 4)))


def set_parameters(parameters: Iterable[Tensor]) -> None:
    """Fixed weights and biases, by their place."""
    with torch.no_grad():
        for place, parameter in enumerate(parameters):
            parameter.copy_(wave(*parameter.shape, pitch=0.31 + 0.13 * place) * 0.5)


def first_queue() -> Tensor:
    return F.normalize(wave(12, 5, pitch=0.77), dim=1)


def official_start() -> RelativeSpeed:
    task = RelativeSpeed(SmallNet(), frames=4, projection=5, queue=12, momentum=0.9)
    ours = dict(task.named_parameters())
    set_parameters(ours[name] for name in PLACES)
    with torch.no_grad():
        task.queue.items.copy_(first_queue())
        for frozen, learning in zip(task.keys.parameters(), task._online().parameters(), strict=True):
            frozen.copy_(learning)
    return task.train()


def whole_clips(step: int) -> list[Tensor]:
    """Two clips of 8 frames of each of four videos."""
    return [wave(4, 3, 8, 4, 4, pitch=pitch + 0.05 * step) for pitch in (0.41, 0.59)]


def official_clips(step: int, slow: list[int]) -> Batch:
    """Cut query and keys out of two clips of 8 frames, as ``_diff_speed``: the first half or every second frame."""
    two = whole_clips(step)
    is_slow = torch.zeros(4, dtype=torch.bool)
    is_slow[slow] = True
    mine = is_slow.view(4, 1, 1, 1, 1)

    def cut(clip: Tensor, at_speed_one: Tensor) -> Tensor:
        return torch.where(at_speed_one, clip[:, :, :4], clip[:, :, ::2])

    views = (cut(two[0], mine), cut(two[1], mine), cut(two[1], ~mine))
    return Batch(views, {}, torch.arange(4), torch.arange(4))


def test_three_steps_are_the_official_ones() -> None:
    task = official_start()
    learning = [parameter for parameter in task.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.1)
    for number, official in enumerate(STEPS):
        key_conv, key_speed = task.keys.module.backbone.conv.weight, task.keys.module.speed.weight
        assert float(key_conv.abs().sum()) == pytest.approx(official["key_conv_sum"], rel=1e-6)
        assert key_speed[0].tolist() == pytest.approx(official["key_speed_row"], abs=2e-6)
        output = task(official_clips(number, official["slow"]))
        assert float(output.metrics["loss_appearance"]) == pytest.approx(official["appearance"], rel=2e-5)
        assert float(output.metrics["loss_speed"]) == pytest.approx(official["speed"], rel=2e-5)
        assert float(output.loss.detach()) == pytest.approx(official["appearance"] + official["speed"], rel=2e-5)
        right = sum(near > far for near, far in zip(official["near"], official["far"], strict=True))
        assert float(output.metrics["accuracy"]) == right / 4
        kept = task.queue.items[4 * number : 4 * number + 4]
        torch.testing.assert_close(kept, torch.tensor(official["keys"]), **TOLERANCE)
        optimizer.zero_grad()
        output.loss.backward()
        gradient = float(task.backbone.conv.weight.grad.abs().sum())
        assert gradient == pytest.approx(official["gradient_sum"], rel=2e-5)
        optimizer.step()
        task.after_step(number + 1, len(STEPS))
    assert task.queue.position == 0, "twelve places, three times four keys"
    # Which kind of keys goes first through the batch norm of the key encoder shows in its statistics.
    mean = task.keys.module.backbone.norm.running_mean
    torch.testing.assert_close(mean, torch.tensor(KEY_NORM_MEAN), **TOLERANCE)


def test_the_ranking_loss_alone() -> None:
    for official in STEPS:
        near, far = torch.tensor(official["near"]), torch.tensor(official["far"])
        assert float(relative_speed_loss(near, far, 2.0)) == pytest.approx(official["speed"], rel=1e-6)
    # By hand: 2 - (3 - 2), 2 - (1 - 2), and nothing where the positive is nearer by more than the margin.
    loss = relative_speed_loss(torch.tensor([3.0, 1.0, 9.0]), torch.tensor([2.0, 2.0, 2.0]), 2.0)
    assert float(loss) == pytest.approx(4 / 3)
