"""The suites that are shipped can be planned, and hold what they promise."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.first_party import first_party_registry

import vssl_backbones.plugin
import vssl_baselines.plugin
import vssl_bench.plugin
import vssl_contrast.plugin
import vssl_datasets.plugin
import vssl_heads.plugin
import vssl_masked.plugin
import vssl_order.plugin
import vssl_protocols.plugin
import vssl_speed.plugin
from vssl_bench.jobs import Plan
from vssl_bench.plan import make_plan
from vssl_bench.suite import load_suite
from vssl_core.plugins import Registry

_PLUGINS = (
    vssl_backbones, vssl_baselines, vssl_bench, vssl_contrast, vssl_datasets, vssl_heads, vssl_masked, vssl_order,
    vssl_protocols, vssl_speed,
)  # fmt: skip


@pytest.fixture(scope="module")
def registry() -> Registry:
    plugins: dict[str, object] = {package.__name__: package.plugin for package in _PLUGINS}
    return Registry.discover(plugins=plugins, entry_points=False, disable=())


def _plan(registry: Registry, suite: str, *overrides: str) -> Plan:
    return make_plan(load_suite(suite, overrides, registry), registry, Path("runs"))


def _tasks(plan: Plan) -> set[str]:
    return {job.task.partition("@")[0] for job in plan.jobs}


def test_every_suite_that_is_offered_can_be_loaded(registry: Registry) -> None:
    assert registry.names("suites") == [
        "catalogue-ceiling", "catalogue-few-labels", "catalogue-fresh-seeds", "catalogue-longer",
        "catalogue-longer-seeds", "catalogue-search",
        "catalogue-toy", "catalogue-untrained", "catalogue-yoga", "quickstart", "real", "shortcut-audit",
        "shortcut-audit-real", "toy-board", "toy-longer",
    ]  # fmt: skip
    for name in registry.names("suites"):
        assert load_suite(name, (), registry).name == name


def test_quickstart_is_small_and_has_its_floors(registry: Registry) -> None:
    plan = _plan(registry, "quickstart")
    assert not plan.refused and plan.expect_minutes <= 8
    assert {
        "random-init",
        "random-labels of rtt",
        "pixel-baseline",
        "motion-energy",
        "rtt",
        "pace",
        "supervised",
    } == _tasks(plan)
    for task in ("rtt@tiny", "random-labels of rtt@tiny", "random-init"):
        assert {job.seed for job in plan.jobs if job.task == task} == {0, 1, 2}
    assert {job.protocol for job in plan.jobs} == {"", "linear-probe@tiny", "knn@tiny"}


def test_toy_board_has_the_first_tasks_networks_and_protocols(registry: Registry) -> None:
    """It is what its committed records were made with; later tasks stand in the catalogue."""
    plan = _plan(registry, "toy-board")
    assert not plan.refused
    tasks = {
        job.config["task"] if isinstance(job.config["task"], str) else job.config["task"]["name"]
        for job in plan.jobs
        if job.kind == "pretrain"
    }
    assert {task.partition("@")[0] for task in tasks} == {
        "rtt", "pace", "clip-order", "simclr", "videomae", "random-labels", "random-init", "pixel-baseline",
        "motion-energy", "supervised",
    }  # fmt: skip
    backbones = {job.backbone.partition("(")[0] for job in plan.jobs if job.backbone}
    assert backbones == {"r2plus1d-tiny", "r3d-18", "vit-tiny-video", "timm/resnet18"}
    protocols = {job.protocol.partition("@")[0] for job in plan.jobs if job.protocol}
    assert protocols == {"linear-probe", "knn", "retrieval", "temporal-sensitivity"}
    assert {(job.data, job.label) for job in plan.jobs if job.kind == "transfer"} == {
        ("toy-motion", "motion"), ("toy-motion", "appearance"), ("toy-physics", "law"),
    }  # fmt: skip
    seeds = {
        task: {job.seed for job in plan.jobs if job.task == task} for task in ("rtt@tiny", "pace@tiny", "simclr@tiny")
    }
    assert seeds == {"rtt@tiny": set(range(5)), "pace@tiny": set(range(5)), "simclr@tiny": set(range(3))}


def test_every_pretext_task_of_the_boards_has_a_placebo_at_its_own_work(registry: Registry) -> None:
    for suite in ("toy-board", "toy-longer"):
        jobs = [job for job in _plan(registry, suite, "seeds=1").jobs if job.kind == "pretrain" and job.steps]
        placebos = {
            (job.backbone, job.data, job.steps, job.batch_size, job.task)
            for job in jobs
            if job.task.startswith("random-labels")
        }
        for job in jobs:
            if job.task.startswith(("random-labels", "supervised")):
                continue
            of = job.task if job.task.partition("@")[0] in ("rtt", "pace", "clip-order") else "pace@tiny"
            assert (job.backbone, job.data, job.steps, job.batch_size, f"random-labels of {of}") in placebos, job.name


def test_the_audit_trains_seven_tasks_with_and_without_their_protections() -> None:
    everything = first_party_registry()
    for name in ("shortcut-audit", "shortcut-audit-real"):
        suite = load_suite(name, (), everything)
        assert list(suite.protocols) == ["shortcut-audit"]
        configs = [dict(entry.config) for entry in suite.pretrain]
        tasks = [config.pop("task") for config in configs]
        audited = []
        for on, off in zip(tasks[::2], tasks[1::2], strict=True):
            protected, bare = everything.resolve("tasks", on), everything.resolve("tasks", off)
            audited.append(protected.reference)
            assert bare.reference == protected.reference
            assert all(protected.options[key] != value for key, value in off.items() if key != "name")
        names = ("opn", "arrow-of-time", "pace", "clip-order", "speednet", "jigsaw", "cubic-puzzle")
        assert audited == [f"{name}@tiny" for name in names]
        assert configs[::2] == configs[1::2]  # network, steps, batch


def test_ablations_of_the_catalogue_change_one_thing() -> None:
    """Few labels measure its very trainings; fresh seeds train and measure with nothing else changed."""
    everything = first_party_registry()
    whole = {job.run_id for job in _plan(everything, "catalogue-toy").jobs}
    few = {job.run_id for job in _plan(everything, "catalogue-few-labels").jobs if job.kind == "pretrain"}
    again = {job.run_id for job in _plan(everything, "catalogue-fresh-seeds", "seeds=[1,2,3]").jobs}
    assert len(few) == 51 and few <= whole
    assert len(again) == 75 and again <= whole
    both = whole | {job.run_id for job in _plan(everything, "catalogue-few-labels").jobs}
    ceiling = {job.run_id for job in _plan(everything, "catalogue-ceiling", "seeds=[1,2,3]").jobs}
    assert len(ceiling) == 45 and ceiling <= both
    longer = {job.run_id for job in _plan(everything, "catalogue-longer").jobs}
    on = {job.run_id for job in _plan(everything, "catalogue-longer-seeds", "seeds=[1,2,3]").jobs}
    assert len(on) == 36 and on <= longer
    named = {(win.task, win.label, win.protocol) for win in load_suite("catalogue-toy", (), everything).wins}
    for name in ("catalogue-few-labels", "catalogue-fresh-seeds", "catalogue-ceiling"):
        assert {(win.task, win.label, win.protocol) for win in load_suite(name, (), everything).wins} <= named
    again_named = load_suite("catalogue-longer-seeds", (), everything).wins
    there = load_suite("catalogue-longer", (), everything).wins
    assert {(win.task, win.data, win.label, win.protocol) for win in again_named} == {
        (win.task, win.data, win.label, win.protocol) for win in there if win.task in ("cubic-puzzle", "colorization")
    }
    for name in ("catalogue-fresh-seeds", "catalogue-ceiling", "catalogue-longer-seeds"):
        assert {job.seed for job in _plan(everything, name).jobs} == {4, 5, 6, 7, 8}


def test_real_takes_the_users_data(registry: Registry) -> None:
    plan = _plan(registry, "real", "data=toy-physics", "steps=5")
    assert not plan.refused and {job.data for job in plan.jobs if job.kind == "transfer"} == {"toy-physics"}
    assert {job.steps for job in plan.jobs if job.kind == "pretrain"} == {0, 5}
