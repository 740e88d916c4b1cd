"""The head of ``clip-order`` against the formula and against numbers of the official ``VCOPN``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vssl_order.clip_order import OrderHead


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


def test_official_numbers() -> None:
    """Output of VCOPN (xudejing/video-clip-order-prediction, models/vcopn.py) with the same weights and features."""
    official = torch.tensor(
        [
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
    )
    features = wave(2, 3, 4, pitch=0.9).unbind(1)
    torch.testing.assert_close(fixed_head()(features), official, rtol=1e-4, atol=1e-4)


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
    head = OrderHead(embed_dim=4, clips=4, hidden=8, dropout=0.5).train()
    torch.manual_seed(0)
    features = [torch.randn(2, 4) for _ in range(4)]
    assert head(features).shape == (2, 24)
    assert not torch.equal(head(features), head(features))
    head.eval()
    assert torch.equal(head(features), head(features))
