"""``motion-stats`` against the official code's numbers.

Official: laura-wang/video_repres_sts at e79986b, folder ``sts``, run with OpenCV 5.0.0 and SciPy 1.17.1 on what
``clip`` below makes, colours in OpenCV's order::

    sample = {"u_flow": flow[..., 0], "v_flow": flow[..., 1], "rgb_clip": rgb[..., ::-1].transpose(3, 0, 1, 2)}
    app_statistics((1, 1, 1, 1), motion_statistics((1, 1, 1, 1), sample))

``BOUNDARIES`` are what its ``compute_motion_boudary`` returns of ``flow[:2, :5, :6, 0]`` of clip 4, to four digits,
``ALIKE`` what its ``comput_IoU_all`` returns of that clip's blocks, to six, and ``OCTANTS`` what its
``compute_dominant_color_traverse``, which its labels do not use, returns of them. Labels are equal, boundaries within
6e-5, shares within 1e-6. ``tests/golden/make/motion_stats.py`` runs them again.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vssl_motion.plugin
from vssl_core.contracts import Batch, Features
from vssl_core.testing import isolated_registry
from vssl_motion.clip_statistics import _overlap, appearance_labels, motion_boundaries, motion_labels
from vssl_motion.regions import patterns

MOTION = [
    [11, 7, 6, 7, 3, 7, 2, 7, 4, 3, 6, 7, 10, 1],
    [8, 1, 14, 5, 3, 5, 3, 3, 5, 3, 6, 1, 8, 4],
    [12, 5, 14, 3, 3, 5, 3, 5, 8, 1, 4, 7, 12, 7],
    [14, 7, 5, 3, 1, 7, 3, 1, 4, 7, 1, 3, 3, 13],
    [12, 1, 7, 3, 2, 1, 2, 7, 8, 1, 3, 5, 11, 1],
    [2, 3, 8, 5, 1, 1, 1, 1, 2, 3, 4, 5, 1, 3],
]
APPEARANCE = [
    [14, 8, 8, 6, 1, 5, 4, 6, 6, 8, 3, 7, 8],
    [3, 6, 15, 5, 1, 8, 4, 5, 2, 6, 7, 5, 8],
    [13, 6, 12, 5, 1, 8, 4, 6, 5, 5, 8, 6, 6],
    [16, 6, 9, 6, 2, 5, 4, 5, 8, 7, 2, 5, 7],
    [16, 6, 2, 5, 2, 5, 1, 6, 7, 6, 8, 6, 5],
    [1, 8, 1, 8, 1, 7, 1, 7, 1, 8, 1, 8, 7],
]
# [derivative along the row or down the column, frame, row, column]
BOUNDARIES = [
    [
        [
            [1.3871, -2.4949, 0.861, -2.1422, -4.7817, 2.1035],
            [-0.6326, -4.1504, 2.7062, 0.6314, -5.343, 0.2496],
            [-1.9091, -3.6633, 3.6309, 5.0643, -4.2533, -3.9325],
            [1.9434, -0.5483, -1.1005, 3.4703, -0.805, -2.8841],
            [3.9139, 1.3372, -2.7998, 2.4962, 1.3572, -1.3622],
        ],
        [
            [0.66, 5.5496, -0.1063, -2.0071, 1.2504, -1.7384],
            [1.6612, 2.937, -2.5002, -0.2363, 3.9454, 0.4058],
            [3.0361, 2.7409, -1.0141, 0.9678, 3.0442, 1.3576],
            [1.1557, 0.3777, 1.6784, 2.575, 2.0516, 1.933],
            [-1.3394, -0.386, 5.4842, 3.4121, -2.3887, -1.2701],
        ],
    ],
    [
        [
            [-0.8755, -3.7604, -2.7848, 1.6255, 3.6386, 1.7912],
            [-2.4911, -4.1466, -4.3211, -1.1832, -0.2635, -0.8248],
            [-5.0023, -1.6303, -2.9578, -1.1715, -2.9339, 0.0032],
            [-0.7472, 1.1384, 1.4095, 0.3504, 0.8982, 3.0604],
            [2.6395, 2.3825, 2.8311, -1.2867, -0.0699, 0.4414],
        ],
        [
            [3.3183, 2.3051, 1.411, 1.012, 0.3782, -0.3746],
            [4.0888, 1.4761, 0.0834, -1.7597, 2.1552, 4.8502],
            [-4.1887, -3.3715, 0.3836, 0.4157, 3.2053, 3.0569],
            [-0.8585, -1.6222, -0.3116, 2.2569, -0.109, -4.5494],
            [4.1006, 0.9203, -2.0228, -0.9304, -1.5374, -2.3815],
        ],
    ],
]
ALIKE = [
    0.389462, 0.61039, 0.501832, 0.312344, 0.387282, 0.350627, 0.434093, 0.344274,
    0.286206, 0.343222, 0.308857, 0.61039, 0.509281, 0.290176, 0.511667, 0.284722,
]  # fmt: skip
OCTANTS, OVERALL = [4, 1, 2, 2, 3, 5, 6, 7, 8, 5, 3, 8, 6, 6, 7, 2], 4

PATTERNS = patterns(112)


def clip(case: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 RGB [16, 112, 112, 3], of squares that change or stay, and float32 flow [15, 112, 112, 2]."""
    rng = np.random.default_rng(case)
    square = np.ones((1, 4, 4, 1), np.int64)
    changing = np.kron(rng.integers(0, 256, (16, 28, 28, 3)), square)
    still = np.kron(rng.integers(0, 256, (1, 28, 28, 3)), square)
    stays = np.kron(rng.random((1, 28, 28, 1)) < 0.5 + 0.1 * case, square).astype(bool)
    rgb = np.where(stays, still, changing).astype(np.uint8)
    if case < 3:
        flow = np.kron(rng.normal(size=(15, 14, 14, 2)) * rng.uniform(0.2, 2, (15, 14, 14, 1)), np.ones((1, 8, 8, 1)))
    else:
        flow = rng.normal(size=(15, 112, 112, 2)) + np.kron(3 * rng.normal(size=(15, 8, 8, 2)), np.ones((1, 14, 14, 1)))
    return rgb, flow.astype(np.float32)


def video(rgb: np.ndarray) -> Tensor:
    return torch.from_numpy(rgb).permute(3, 0, 1, 2)[None]


def test_boundaries_are_the_official_ones() -> None:
    flow = torch.from_numpy(clip(4)[1])[None, :2, :5, :6]
    found = motion_boundaries(flow)[0, 0].transpose(0, 1)  # of u, derivative first
    torch.testing.assert_close(found, torch.tensor(BOUNDARIES), atol=6e-5, rtol=0)


@pytest.mark.parametrize("case", range(6))
def test_labels_are_the_official_ones(case: int) -> None:
    rgb, flow = clip(case)
    assert motion_labels(motion_boundaries(torch.from_numpy(flow)[None]), PATTERNS).tolist() == [MOTION[case]]
    assert appearance_labels(video(rgb), PATTERNS, dominant="colour").tolist() == [APPEARANCE[case]]


def test_labels_of_a_batch_are_those_of_its_clips() -> None:
    clips = [clip(case) for case in (1, 4)]
    flow = torch.from_numpy(np.stack([flow for _, flow in clips]))
    rgb = torch.cat([video(rgb) for rgb, _ in clips])
    assert motion_labels(motion_boundaries(flow), PATTERNS).tolist() == [MOTION[1], MOTION[4]]
    assert appearance_labels(rgb, PATTERNS, dominant="colour").tolist() == [APPEARANCE[1], APPEARANCE[4]]


def test_colours_alike_and_dominant_are_the_official_ones() -> None:
    rgb = clip(4)[0]
    alike = _overlap(video(rgb).flatten(3).long(), PATTERNS[0])
    torch.testing.assert_close(alike[0], torch.tensor(ALIKE), atol=1e-6, rtol=0)
    voted = appearance_labels(video(rgb), PATTERNS)[0].tolist()
    assert voted[0:4:2] == [16, 2], "the least and the most alike block"
    assert voted[1:4:2] == [OCTANTS[15], OCTANTS[1]]
    assert voted[12] == OVERALL


class Pooled(nn.Module):
    """Features of a clip: 1 and 2, whatever it shows."""

    embed_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, clips: Tensor) -> Features:
        pooled = self.scale * torch.tensor([[1.0, 2.0]]).expand(len(clips), -1)
        return Features(pooled[..., None, None, None], pooled)


def test_loss_is_the_weighted_sum_of_the_mean_squared_errors() -> None:
    """By hand: answers 1 + 2 x 2 = 5 to each motion number 3 or 8, and 0.5 to each appearance number 2.

    Two motion numbers lie 2.5 off their mean of 5.5: their variance is 2 x 2.5^2 / (2 - 1).
    """
    registry = isolated_registry(vssl_motion=vssl_motion.plugin)
    task = registry.build("tasks", "motion-stats@tiny", Pooled())
    with torch.no_grad():
        task.heads["motion"].weight.copy_(torch.tensor([1.0, 2.0]).expand(14, 2))
        task.heads["appearance"].weight.zero_()
        for head, bias in (("motion", 0.0), ("appearance", 0.5)):
            task.heads[head].bias.fill_(bias)
    targets = {"motion": torch.tensor([[3.0] * 14, [8.0] * 14]), "appearance": torch.full((2, 13), 2.0)}
    output = task(Batch((torch.zeros(2, 3, 8, 32, 32),), targets, torch.arange(2), torch.arange(2)))
    assert float(output.metrics["motion"]) == pytest.approx((2**2 + 3**2) / 2)
    assert float(output.metrics["appearance"]) == pytest.approx(1.5**2)
    assert float(output.metrics["motion_blind"]) == pytest.approx(2 * 2.5**2)
    assert float(output.metrics["appearance_blind"]) == 0
    assert float(output.loss.detach()) == pytest.approx(6.5 + 0.1 * 2.25)
