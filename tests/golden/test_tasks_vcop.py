"""``clip-order`` against the formula, the official head and the official numbering of orders.

Official: xudejing/video-clip-order-prediction at 7a1710d. Numbers of the head are the output of ``VCOPN``
(models/vcopn.py) for the weights and features below, tolerance 1e-4 (largest difference 3e-7). The numbering is what
``order_class_index`` (train_vcop.py) returns for every order of three. Where clips lie is worked out by hand from
``UCF101VCOPDataset`` (datasets/ucf101.py): each next clip starts ``clip_len + interval`` after the one before, and the
tuple takes ``clip_len * tuple_len + interval * (tuple_len - 1)`` frames.
``tests/golden/make/clip_order.py`` runs all three again.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from support.tasks import TinyNet, make_batch, video
from torch import Tensor, nn

from vssl_core.contracts import Batch, Features
from vssl_order.clip_order import ClipOrder, OrderHead

# order_class_index([first shown, second shown, third shown]), each by its place in time
OFFICIAL_CLASSES = {(0, 1, 2): 0, (0, 2, 1): 1, (1, 0, 2): 2, (1, 2, 0): 3, (2, 0, 1): 4, (2, 1, 0): 5}


def wave(*shape: int, pitch: float) -> Tensor:
    """Fixed numbers without a generator: sin(pitch * (k + 1)), k counting through the tensor."""
    k = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(k * pitch + pitch).reshape(shape).float()


def fixed_head() -> OrderHead:
    head = OrderHead(embed_dim=4, clips=3, hidden=512).eval()
    with torch.no_grad():
        head.pair.weight.copy_(wave(512, 8, pitch=0.37))
        head.pair.bias.copy_(wave(512, pitch=0.11))
        head.order.weight.copy_(wave(6, 1536, pitch=0.23) * 0.05)
        head.order.bias.copy_(wave(6, pitch=0.7))
    return head


OFFICIAL_LOGITS = [
    [
        1.0379043817520142,
        1.1188721656799316,
        0.5091814398765564,
        0.0963338315486908,
        -0.06769323348999,
        -0.548775374889,
    ],
    [
        0.7376675605773926,
        1.0265493392944336,
        0.7819761037826538,
        0.26974254846572876,
        -0.28894385695,
        -0.787948906421,
    ],
]


def test_official_numbers() -> None:
    """Output of VCOPN (xudejing/video-clip-order-prediction, models/vcopn.py) with the same weights and features."""
    features = wave(2, 3, 4, pitch=0.9).unbind(1)
    torch.testing.assert_close(fixed_head()(features), torch.tensor(OFFICIAL_LOGITS), rtol=1e-4, atol=1e-4)


class FourReds(nn.Module):
    """Features of a clip: the red of the first pixel of each of its four frames."""

    embed_dim = 4

    def forward(self, clips: Tensor) -> Features:
        pooled = clips[:, 0, :, 0, 0]
        return Features(pooled[..., None, None, None], pooled)


def test_the_task_gives_the_official_numbers() -> None:
    """The same features as clips, the k-th of each sample in view k; class 1 has the largest logit of both samples."""
    task = ClipOrder(FourReds(), frames=4, size=8, read_size=0).eval()
    task.head = fixed_head()
    views = tuple(clip.view(2, 1, 4, 1, 1).expand(2, 3, 4, 2, 2) for clip in wave(2, 3, 4, pitch=0.9).unbind(1))
    target = torch.tensor([1, 4])
    logits = torch.tensor(OFFICIAL_LOGITS)
    expected = (logits.logsumexp(dim=1) - logits[torch.arange(2), target]).mean()
    output = task(Batch(views, {"order": target}, torch.arange(2), torch.arange(2)))
    torch.testing.assert_close(output.loss, expected, rtol=1e-4, atol=1e-4)
    assert float(output.metrics["accuracy"]) == 0.5


def test_formula() -> None:
    head = fixed_head()
    a, b, c = wave(2, 3, 4, pitch=0.31).unbind(1)
    weight, bias = head.pair.weight, head.pair.bias
    for row in range(2):
        pairs = [(a, b), (a, c), (b, c)]
        hidden = [torch.clamp(weight @ torch.cat([x[row], y[row]]) + bias, min=0) for x, y in pairs]
        expected = head.order.weight @ torch.cat(hidden) + head.order.bias
        torch.testing.assert_close(head([a, b, c])[row], expected, rtol=1e-4, atol=1e-5)


def test_dropout_stands_before_the_last_layer() -> None:
    head = OrderHead(embed_dim=4, clips=4, hidden=8, dropout=0.5)
    with torch.no_grad():
        head.pair.bias.fill_(10.0)  # no feature of a pair is 0 of itself
    given: list[Tensor] = []
    head.order.register_forward_pre_hook(lambda module, arguments: given.append(arguments[0]))
    torch.manual_seed(0)
    features = [torch.randn(2, 4) for _ in range(4)]
    head.eval()
    assert torch.equal(head(features), head(features))
    whole = given[0]
    assert (whole > 0).all()
    head.train()
    logits = head(features)
    assert logits.shape == (2, 24)
    assert (logits != 0).all()
    kept = given[-1] != 0
    assert 0.3 < float(kept.float().mean()) < 0.7
    torch.testing.assert_close(given[-1][kept], 2 * whole[kept], rtol=1e-5, atol=1e-6)


def test_orders_are_numbered_as_officially() -> None:
    planner = ClipOrder(TinyNet()).planner()
    seen = {}
    for draw in range(60):
        views, targets = planner(video(n_frames=64), np.random.default_rng(draw))
        starts = [int(view.frames[0]) for view in views]
        assert sorted(starts) == [0, 24, 48], "clips of 16 frames, 8 apart, in 64 frames: there is one place for them"
        assert all(view.frames.tolist() == list(range(view.frames[0], view.frames[0] + 16)) for view in views)
        seen[tuple(start // 24 for start in starts)] = targets["order"]
    assert seen == OFFICIAL_CLASSES


def test_loss_is_the_cross_entropy_of_the_order() -> None:
    """Worked out by hand: equal logits cost log 6; a logit of log 5 above five zeros is right half the time."""
    task = ClipOrder(TinyNet(), frames=4, gap=0, size=16, read_size=0, dropout=0.0)
    batch = task.augment(make_batch(task, n=2))
    with torch.no_grad():
        task.head.order.weight.zero_()
        task.head.order.bias.zero_()
    torch.testing.assert_close(task(batch).loss, torch.tensor(math.log(6.0)), rtol=0, atol=1e-6)
    with torch.no_grad():
        task.head.order.bias[4] = math.log(5.0)
    right = batch._replace(targets={"order": torch.full((2,), 4)})
    torch.testing.assert_close(task(right).loss, torch.tensor(math.log(2.0)), rtol=0, atol=1e-6)
    assert float(task(right).metrics["accuracy"]) == 1.0
