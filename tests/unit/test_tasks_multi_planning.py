"""What a sum of tasks is before anything is built: what it asks of a backbone, and what decides its ``run_id``."""

from __future__ import annotations

from typing import Any

import pytest

import vssl_backbones.plugin
import vssl_baselines.plugin
import vssl_contrast.plugin
import vssl_masked.plugin
import vssl_speed.plugin
from vssl_core.engine.planned import check_pair
from vssl_core.errors import ConfigError
from vssl_core.plugins import Registry, Resolved
from vssl_core.store.identity import component_identity

_PACKAGES = (vssl_backbones, vssl_baselines, vssl_contrast, vssl_masked, vssl_speed)


@pytest.fixture(scope="module")
def registry() -> Registry:
    plugins: dict[str, object] = {package.__name__: package.plugin for package in _PACKAGES}
    return Registry.discover(plugins=plugins, entry_points=False, disable=())


def _resolved(registry: Registry, **of: Any) -> Resolved:
    return registry.resolve("tasks", {"name": "multi", "of": of})


def test_a_sum_asks_for_what_its_tasks_ask_for(registry: Registry) -> None:
    both = _resolved(registry, pace=1, videomae=0.5)
    assert both.requires == {"masking"} and both.spec.requires == frozenset()
    reason = check_pair(both, registry.resolve("backbones", "r3d-18"))
    assert reason is not None and "task multi needs a backbone that offers masking" in reason
    assert check_pair(both, registry.resolve("backbones", "vit-tiny-video")) is None
    assert check_pair(_resolved(registry, pace=1), registry.resolve("backbones", "r3d-18")) is None


def test_so_does_the_placebo_of_one(registry: Registry) -> None:
    placebo = registry.resolve("tasks", {"name": "random-labels", "of": {"name": "multi", "of": {"videomae": 1}}})
    assert placebo.requires == {"masking"}


def test_spelling_does_not_decide_the_run(registry: Registry) -> None:
    spellings: list[dict[str, Any]] = [
        {"pace@tiny": 1, "simclr": 0.5},
        {"pace": {"recipe": "tiny"}, "simclr": {"weight": 0.5}},
        {"pace": {"weight": 1.0, "options": registry.resolve("tasks", "pace@tiny").options}, "simclr": 0.5},
    ]
    identities = [component_identity(_resolved(registry, **of)) for of in spellings]
    assert identities[0] == identities[1] == identities[2]
    assert identities[0]["options"] == {"of": {"pace": 1.0, "simclr": 0.5}, "draws": "alone"}
    assert identities[0]["inner"]["of.pace"]["name"] == "pace"


@pytest.mark.parametrize(
    "of", [{"pace@tiny": 2, "simclr": 0.5}, {"pace": 1, "simclr": 0.5}, {"pace@tiny": 1}, {"pace@tiny": 1, "rtt": 0.5}]
)
def test_weights_options_and_tasks_do(registry: Registry, of: dict[str, Any]) -> None:
    first = component_identity(_resolved(registry, **{"pace@tiny": 1, "simclr": 0.5}))
    assert component_identity(_resolved(registry, **of)) != first


def test_what_is_wrong_inside_is_named_when_it_is_resolved(registry: Registry) -> None:
    with pytest.raises(ConfigError, match=r"task\.of\.pace.*ratez"):
        _resolved(registry, pace={"options": {"ratez": 3}})
    with pytest.raises(ConfigError, match="no task 'pacee'"):
        _resolved(registry, pacee=1)
    with pytest.raises(ConfigError, match=r"task\.of\.pace='much'"):
        _resolved(registry, pace="much")
