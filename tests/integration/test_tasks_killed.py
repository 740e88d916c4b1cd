"""Every task that is trained, killed with SIGKILL and started again: bit-equal to a run that nobody disturbed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.killing import finish, kill_at_checkpoint, start
from support.kinds import REFUSED, able

from vssl_core.plugins import Registry

REGISTRY = Registry.discover()
STEPS, FEW, BATCH = 12, 6, 4
DATA = ["data=toy-physics", "data.n_train=30", "data.n_test=8"]
ALWAYS = [f"steps={STEPS}", f"batch_size={BATCH}", "log_every=1", "checkpoint_every_s=0", "loader.cache=always"]
TASKS = sorted(entry.spec.name for entry in REGISTRY.entries("tasks") if entry.spec.trains and entry.spec.recipes)
# Where a network's map is too small for a task's small clips.
SUITED = {("colorization", "r2plus1d-tiny"): ["backbone.stem_stride=1"]}


def networks(task: str) -> list[str]:
    return [kind for kind in able(REGISTRY.entry("tasks", task).spec, REGISTRY) if (task, kind) not in REFUSED]


OTHERS = [(task, network) for task in TASKS for network in networks(task)[1:]]


def arguments(task: str, out: Path, workers: int, backbone: str = "") -> list[str]:
    spec = REGISTRY.entry("tasks", task).spec
    backbone = backbone or networks(task)[0]
    network = [f"backbone={backbone}", *SUITED.get((task, backbone), [])]
    label = ["label=law"] if spec.needs_labels else []
    recipe = "tiny" if "tiny" in spec.recipes else min(spec.recipes)
    words = [f"task={task}@{recipe}", *network, *label, *DATA, *ALWAYS, f"loader.workers={workers}", f"out={out}"]
    return ["pretrain", *words]


def result(out: Path) -> dict[str, Any]:
    """Return all of a run that must not depend on whether it was killed."""
    record = json.loads((out / "record.json").read_text())
    return {
        "status": record["status"],
        "heldout": record["heldout"],
        "clips": record["cost"]["clips"],
        "frames_decoded": record["cost"]["frames_decoded"],
        "encoder": json.loads((out / "encoder.json").read_text())["weights_sha"],
        # Heads, teachers and queues too.
        "task": (out / "task.safetensors").read_bytes(),
    }


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_killed_with_and_without_workers(task: str, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "killed"
    finish(start(arguments(task, undisturbed, 0), log), log)
    expected = result(undisturbed)
    assert expected["status"] == "done"
    assert expected["clips"] and expected["clips"] % (STEPS * BATCH) == 0, "one or more of each sample"
    kept = 0
    for workers in (0, 2):
        before = kept
        # Newer versions of Python have a server start the workers, of which a killed run must leave nothing either.
        method = "forkserver" if task == "pace" else "fork"
        kept = kill_at_checkpoint(start(arguments(task, out, workers), log, method), out, log, kept + 2)
        assert before + 2 <= kept < STEPS
        assert not (out / "record.json").exists()
    finish(start(arguments(task, out, 2), log), log)
    assert result(out) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("task", "backbone"), OTHERS)
def test_killed_on_every_other_kind_of_backbone(task: str, backbone: str, tmp_path: Path) -> None:
    """Killed with two workers, gone on with none."""
    log = tmp_path / "log.txt"
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "killed"
    few = [f"steps={FEW}"]
    finish(start([*arguments(task, undisturbed, 0, backbone), *few], log), log)
    expected = result(undisturbed)
    assert expected["status"] == "done"
    kept = kill_at_checkpoint(start([*arguments(task, out, 2, backbone), *few], log), out, log, 2)
    assert 2 <= kept < FEW
    assert not (out / "record.json").exists()
    finish(start([*arguments(task, out, 0, backbone), *few], log), log)
    assert result(out) == expected
