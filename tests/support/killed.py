"""Every task on every kind of network that can take it, small enough to be killed in a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.kinds import REFUSED, able
from vssl_core.plugins import Registry

REGISTRY = Registry.discover()
STEPS, BATCH = 12, 4
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
