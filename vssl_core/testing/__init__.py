"""The public conformance kit for plugins: fake videos, an isolated registry, and a check per kind of component.

A plugin's own tests are a few lines::

    from acme_speed import plugin
    from vssl_core.testing import check_task, isolated_registry

    def test_conformance():
        registry = isolated_registry(acme_speed=plugin)
        for entry in registry.entries("tasks"):
            check_task(entry, registry)

A check raises ``ConformanceError`` (an ``AssertionError``) that says what was found and what the contract asks.
Importing this package costs nothing: each check's module is imported when the check is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vssl_core.testing.backbones import check_backbone, check_encoder, check_head
    from vssl_core.testing.components import HEAVY_MODULES, check_component, check_light_imports
    from vssl_core.testing.datasets import check_dataset
    from vssl_core.testing.expect import ConformanceError
    from vssl_core.testing.fakes import FakeBackbone, FakeDataset, FakeReader, fake_batch, fake_videos
    from vssl_core.testing.flows import check_flow
    from vssl_core.testing.protocols import check_protocol
    from vssl_core.testing.registries import isolated_registry
    from vssl_core.testing.services import check_launcher, check_tracker
    from vssl_core.testing.tasks import check_task

__all__ = [
    "HEAVY_MODULES",
    "ConformanceError",
    "FakeBackbone",
    "FakeDataset",
    "FakeReader",
    "check_backbone",
    "check_component",
    "check_dataset",
    "check_encoder",
    "check_flow",
    "check_head",
    "check_launcher",
    "check_light_imports",
    "check_protocol",
    "check_task",
    "check_tracker",
    "fake_batch",
    "fake_videos",
    "isolated_registry",
]

_HOMES = {
    "ConformanceError": "expect",
    "FakeBackbone": "fakes",
    "FakeDataset": "fakes",
    "FakeReader": "fakes",
    "HEAVY_MODULES": "components",
    "check_backbone": "backbones",
    "check_component": "components",
    "check_dataset": "datasets",
    "check_encoder": "backbones",
    "check_flow": "flows",
    "check_head": "backbones",
    "check_launcher": "services",
    "check_light_imports": "components",
    "check_protocol": "protocols",
    "check_task": "tasks",
    "check_tracker": "services",
    "fake_batch": "fakes",
    "fake_videos": "fakes",
    "isolated_registry": "registries",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
