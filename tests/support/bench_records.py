"""Records that nobody trained for: boards are pure functions of records, so made-up ones do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vssl_core.store.identity import identity_hash

_OPTIM = {"name": "adamw", "lr": 0.003}
_ENVIRONMENT = {
    "git": {"commit": "0123456789abcdef", "dirty": False},
    "python": "3.11.7",
    "platform": "Linux-x86_64",
    "libraries": {"vssl": "0.1.0", "torch": "2.9.0"},
    "device": {"type": "cpu", "name": "x86_64", "threads": 1},
}


def _component(value: Any, version: int = 1) -> dict[str, Any]:
    given = {"name": value} if isinstance(value, str) else dict(value)
    name, _, recipe = given.pop("name").partition("@")
    return {
        "name": name,
        "recipe": recipe,
        "version": version,
        "options": {"frames": 8, **given},
        "distribution": "vssl",
        "distribution_version": "0.1.0",
    }


def _identity(component: Mapping[str, Any], inner: Mapping[str, Any] | None = None) -> dict[str, Any]:
    identity = {key: component[key] for key in ("name", "version", "options")}
    if inner is None:
        return identity
    return {**identity, "options": {}, "inner": {"of": dict(inner)}}


def pretrain(
    task: Any,
    seed: int = 0,
    *,
    backbone: Any = "r2plus1d-tiny",
    data: str = "toy-motion",
    steps: int = 235,
    accuracy: float | None = None,
    chance: float | None = None,
    trains: bool = True,
    needs_labels: bool = False,
    label: str = "",
    status: str = "done",
    seconds: float = 70.0,
    heldout: Mapping[str, Any] | None = None,
    inner: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A pretraining record; ``inner``: the identity of a placebo's task, which older records do not have."""
    parts = {"task": _component(task), "backbone": _component(backbone) if backbone else None, "data": _component(data)}
    backbone_part = parts["backbone"]
    identity: dict[str, Any] = {
        "kind": "pretrain",
        "task": _identity(parts["task"] or {}, inner),
        "backbone": _identity(backbone_part) if backbone_part else None,
        "seed": seed,
    }
    if trains:
        identity |= {
            "data": {"name": data, "fingerprint": f"{data} 1"},
            "label": label,
            "steps": steps,
            "batch_size": 48,
            "optim": _OPTIM,
        }
    figures = {} if accuracy is None else {"accuracy": {"value": accuracy, "n": 384}}
    return {
        **_base("pretrain", identity, seed, status),
        "name": "x",
        "config": {"task": task, "backbone": backbone or "r2plus1d-tiny", "data": data, "label": label, "seed": seed},
        "components": parts,
        "data": {"name": data, "fingerprint": f"{data} 1", "n_videos": 800},
        "needs_labels": needs_labels,
        "trains": trains,
        "label": label,
        "heldout": figures if heldout is None else dict(heldout),
        "chance": chance,
        "cost": {
            "steps": steps if trains else 0,
            "clips": 48 * steps if trains else 0,
            "frames_decoded": 0,
            "wall_s": seconds if trains else 0.1,
            "device_s": seconds if trains else 0.0,
            "cpu_s": seconds if trains else 0.1,
            "cache_s": 0.0,
            "parameters": 439_856,
            "flops_per_clip": 70_320_128 if trains else None,
        },
    }


def transfer(
    run: Mapping[str, Any],
    value: float,
    *,
    protocol: Any = "linear-probe@tiny",
    version: int = 1,
    data: str = "toy-motion",
    fingerprint: str = "",
    label: str = "motion",
    n: int = 1000,
    chance: float = 0.125,
    status: str = "done",
    unit: str = "fraction",
    metric: str = "top1",
    unreadable: Sequence[str] = (),
) -> dict[str, Any]:
    """A measurement of a pretraining record."""
    component = _component(protocol, version)
    fingerprint = fingerprint or f"{data} 1"
    identity = {
        "kind": "transfer",
        "pretrain": run["run_id"],
        "protocol": _identity(component),
        "data": {"name": data, "fingerprint": fingerprint},
        "label": label,
        "seed": run["seed"],
    }
    metrics = [
        {"name": metric, "value": value, "n": n, "chance": chance, "primary": True, "unit": unit},
        {"name": "val_top1", "value": value, "n": 200, "chance": chance, "primary": False, "unit": "fraction"},
    ]
    return {
        **_base("transfer", identity, run["seed"], status),
        "name": "x",
        "config": {"run": "runs/x", "data": data, "protocol": protocol, "label": label, "seed": run["seed"]},
        "components": {**run["components"], "data": _component(data), "protocol": component},
        "pretrain_run_id": run["run_id"],
        "data": {"name": data, "fingerprint": fingerprint, "n_train": 800, "n_test": n, "classes": []},
        "label": label,
        "metrics": metrics if status == "done" else [],
        "cost": {"wall_s": 5.0, "parameters": 439_856, "flops_per_clip": 70_320_128},
        "unreadable": [{"video_id": video, "split": "test", "reason": "broken"} for video in unreadable],
    }


def _base(kind: str, identity: Mapping[str, Any], seed: int, status: str) -> dict[str, Any]:
    failed = {"type": "TrainingError", "message": "loss not finite at step 3", "traceback": ""}
    return {
        "schema": 1,
        "run_id": f"{kind}-{identity_hash(identity)[:12]}",
        "kind": kind,
        "status": status,
        "suite": "test",
        "identity": dict(identity),
        "seed": seed,
        "unreadable": [],
        "error": failed if status == "failed" else None,
        "environment": _ENVIRONMENT,
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:01:00+00:00",
    }


def row(
    task: Any, values: Sequence[float], protocol: Any = "linear-probe@tiny", **options: Any
) -> list[dict[str, Any]]:
    """Runs of one task over seeds, each with one measurement; ``options`` go where they fit."""
    measure = {k: options.pop(k) for k in ("n", "version", "label", "unit", "metric", "fingerprint") if k in options}
    if options.get("needs_labels"):
        options["label"] = measure.get("label", "motion")
    records = []
    for seed, value in enumerate(values):
        run = pretrain(task, seed, **options)
        measured = {**measure, "data": options.get("data", "toy-motion")}
        records += [run, transfer(run, value, protocol=protocol, **measured)]
    return records


def placebo(of: Any, values: Sequence[float], **options: Any) -> list[dict[str, Any]]:
    """The placebo of a task."""
    return row({"name": "random-labels", "of": of}, values, **options)


def sample() -> list[dict[str, Any]]:
    """A small but whole board: floors, placebos, tasks and supervised on one label."""
    floor: dict[str, Any] = {"trains": False}
    return [
        *row("random-init", [0.22, 0.23, 0.225], **floor),
        *row("pixel-baseline@frames", [0.13], backbone="", **floor),
        *row("motion-energy", [0.45], backbone="", **floor),
        *placebo("rtt@tiny", [0.35, 0.34, 0.36], accuracy=0.2, chance=0.2),
        *placebo("pace@tiny", [0.30, 0.31, 0.29], accuracy=0.25, chance=0.25),
        *row("rtt@tiny", [0.68, 0.67, 0.69], accuracy=0.74, chance=0.2),
        *row("pace@tiny", [0.66, 0.69, 0.62], accuracy=0.55, chance=0.25),
        *row("simclr@tiny", [0.33, 0.32, 0.31]),
        *row("supervised@tiny", [0.89, 0.88, 0.9], accuracy=0.9, chance=0.125, needs_labels=True),
    ]
