"""The heads."""

from __future__ import annotations

import torch

from vssl_core.contracts import Features
from vssl_core.plugins import Registry
from vssl_heads import plugin


def _features(scale: float = 1.0) -> Features:
    pooled = torch.rand(6, 10, generator=torch.Generator().manual_seed(0)) * scale
    return Features(map=pooled[:, :, None, None, None], pooled=pooled)


def test_heads_are_built_by_name() -> None:
    registry = Registry.discover(plugins={"heads": plugin}, entry_points=False)
    for value in ("linear", "mlp", {"name": "mlp", "layers": 2, "hidden": 7, "batch_norm": True, "dropout": 0.5}):
        head = registry.build("heads", value, 10, 4)
        assert head(_features()).shape == (6, 4)


def test_batch_norm_makes_the_linear_head_blind_to_scale() -> None:
    registry = Registry.discover(plugins={"heads": plugin}, entry_points=False)
    head = registry.build("heads", {"name": "linear", "batch_norm": True}, 10, 4)
    torch.testing.assert_close(head(_features(100.0)), head(_features(1.0)), rtol=1e-2, atol=1e-2)
