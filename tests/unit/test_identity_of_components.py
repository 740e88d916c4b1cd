"""What a component holds inside it decides its run_id, and how it is spelt does not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from vssl_core.api import pretrain
from vssl_core.config.schema import OptimConfig, PretrainConfig
from vssl_core.engine.planned import plan_pretrain
from vssl_core.errors import CheckpointError, ConfigError
from vssl_core.plugins import Registry
from vssl_core.store.identity import component_identity

TOY = {"name": "toy-motion", "n_train": 40, "n_test": 16}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


def raised(registry: Registry, kind: str, name: str) -> Registry:
    """The same registry, with one component at the next version."""
    entries = [
        dataclasses.replace(entry, spec=dataclasses.replace(entry.spec, version=entry.spec.version + 1))
        if (entry.kind, entry.spec.name) == (kind, name)
        else entry
        for every in registry.kinds()
        for entry in registry.entries(every)
    ]
    return Registry(registry.plugins, entries)


def run_id(registry: Registry, **options: object) -> str:
    config = PretrainConfig(**{"data": TOY, "steps": 3, "label": "motion", **options})  # type: ignore[arg-type]
    return plan_pretrain(config, registry).run_id


def test_a_new_version_inside_is_a_new_run(registry: Registry) -> None:
    placebo = {"name": "random-labels", "of": "rtt@tiny"}
    newer = raised(registry, "tasks", "rtt")
    assert run_id(newer, task=placebo) != run_id(registry, task=placebo)
    assert run_id(newer, task="pace@tiny") == run_id(registry, task="pace@tiny")
    newer = raised(registry, "heads", "linear")
    assert run_id(newer, task="supervised@tiny") != run_id(registry, task="supervised@tiny")


def test_spelling_inside_decides_nothing(registry: Registry) -> None:
    short = registry.resolve("tasks", {"name": "random-labels", "of": "rtt@tiny"})
    long = registry.resolve("tasks", {"name": "random-labels", "of": {"name": "rtt", "recipe": "tiny", "frames": 8}})
    assert component_identity(short) == component_identity(long)
    inner = component_identity(short)["inner"]["of"]
    assert inner == component_identity(registry.resolve("tasks", "rtt@tiny"))


def test_the_number_format_is_settled_in_the_plan(registry: Registry) -> None:
    planned = plan_pretrain(PretrainConfig(task="rtt@tiny", data=TOY, steps=3, device="cpu"), registry)
    assert planned.config.precision == planned.identity["precision"] == "fp32"
    explicit = PretrainConfig(task="rtt@tiny", data=TOY, steps=3, device="cpu", precision="bf16")
    assert plan_pretrain(explicit, registry).run_id != planned.run_id


@pytest.mark.slow
def test_a_folder_used_twice_mixes_nothing(registry: Registry, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    out = str(tmp_path / "floor")
    pretrain(registry=registry, task="random-init", data=TOY, out=out)
    with pytest.raises(ConfigError, match="holds the finished run"):
        pretrain(registry=registry, task="random-init", data=TOY, out=out, seed=1)

    def interrupt(phase: str, done: int, total: int, metrics: object) -> None:
        if phase == "train" and done == 2:
            raise KeyboardInterrupt

    half = {"task": "rtt@tiny", "data": TOY, "batch_size": 8, "checkpoint_every_s": 0.0, "out": str(tmp_path / "half")}
    with pytest.raises(KeyboardInterrupt):
        pretrain(registry=registry, steps=4, progress=interrupt, **half)
    with pytest.raises(CheckpointError, match="another task, option, budget or seed"):
        pretrain(registry=registry, steps=3, seed=7, **half)


def test_an_option_that_is_added_later_repeats_no_run(registry: Registry) -> None:
    """``before`` says what was done without it: with that value it is not there."""
    options = component_identity(registry.resolve("tasks", "rtt@tiny"))["options"]
    assert "frames" in options and not {"per_frame_jitter", "grey"} & options.keys()
    options = component_identity(registry.resolve("tasks", "rtt"))["options"]
    assert (options["per_frame_jitter"], options["grey"]) == (True, 0.2)
    identity = plan_pretrain(PretrainConfig(task="rtt@tiny", data=TOY, steps=3), registry).identity
    assert "decayed" not in identity["optim"] and identity["optim"]["weight_decay"] == 0.05
    assert run_id(registry, task="rtt@tiny", optim=OptimConfig(decayed="all")) != run_id(registry, task="rtt@tiny")
