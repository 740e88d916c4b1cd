"""One pretraining run, from its configuration to an exported encoder and a record."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vssl_core.config.compose import save_yaml, to_plain
from vssl_core.config.schema import PretrainConfig
from vssl_core.contracts import RunInfo
from vssl_core.data.splits import fit_val
from vssl_core.engine.checkpoint import has_checkpoint, save_weights
from vssl_core.engine.encoders import encoder_description, export_encoder
from vssl_core.engine.loop import Progress, TrainCost, TrainOptions, to_device, train
from vssl_core.engine.measure import count_parameters, flops_per_clip
from vssl_core.engine.planned import PlannedPretrain, plan_pretrain
from vssl_core.engine.precision import pick_device, pick_precision
from vssl_core.engine.rehearsal import check_first_batch
from vssl_core.engine.source import TaskSource, open_task_source
from vssl_core.errors import ConfigError
from vssl_core.plugins import Registry
from vssl_core.pretext.motion import measure_motion
from vssl_core.store.environment import environment
from vssl_core.store.records import SCHEMA, component_record, config_record, error_record, no_cost, now, write_record
from vssl_core.store.runs import RunFolder
from vssl_core.store.tracking import Trackers

__all__ = ["Run", "build_task", "run_pretrain"]


@dataclass(frozen=True, slots=True)
class Run:
    """A run that ended: where it lies and its record."""

    folder: Path
    record: Mapping[str, Any]


def build_task(planned: PlannedPretrain, registry: Registry) -> Any:
    """Build backbone and task; the initial weights follow from the seed alone, the backbone's first.

    Two tasks with one seed start from the same backbone, and ``random-init`` is where they started.
    """
    torch.manual_seed(planned.config.seed)
    backbone = registry.build("backbones", planned.config.backbone) if planned.backbone is not None else None
    extra: dict[str, Any] = {}
    if planned.task.spec.needs_labels:
        extra["n_classes"] = len(planned.dataset.targets("train", planned.config.label).classes)
    return registry.build("tasks", planned.config.task, backbone, **extra)


def _heldout(task: Any, source: TaskSource, n_batches: int, device: torch.device) -> dict[str, dict[str, float | int]]:
    """Return the task's own metrics on held-out videos, as means with their counts."""
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for batch in source.heldout(n_batches):
        if len(batch.index) == 0:
            continue
        augmented = task.augment(to_device(batch, device))
        for name, (total, n) in task.evaluate(augmented).items():
            sums[name] = sums.get(name, 0.0) + float(total)
            counts[name] = counts.get(name, 0) + int(n)
    return {name: {"value": sums[name] / counts[name], "n": counts[name]} for name in sums if counts[name]}


def _record(planned: PlannedPretrain, suite: str, device: torch.device, started: str) -> dict[str, Any]:
    task = planned.task
    return {
        "schema": SCHEMA,
        "run_id": planned.run_id,
        "kind": "pretrain",
        "status": "failed",
        "suite": suite,
        "name": task.reference,
        "identity": dict(planned.identity),
        "config": config_record(to_plain(planned.config)),
        "components": {
            "task": component_record(task),
            "backbone": component_record(planned.backbone),
            "data": component_record(planned.data),
        },
        "data": {"name": planned.dataset.name, "fingerprint": planned.fingerprint, "n_videos": 0},
        "needs_labels": task.spec.needs_labels,
        "trains": task.spec.trains,
        "label": planned.config.label if task.spec.needs_labels else "",
        "heldout": {},
        "chance": None,
        "encoder": None,
        "seed": planned.config.seed,
        "cost": no_cost(),
        "unreadable": [],
        "error": None,
        "environment": environment(device),
        "started": started,
        "finished": started,
    }


def _flops(planned: PlannedPretrain, encoder: nn.Module, device: torch.device) -> int | None:
    """Operations of the encoder on one of the task's clips; None for floors, which read no clip of their own."""
    options = planned.task.options
    if not planned.task.spec.trains or "frames" not in options or "size" not in options:
        return None
    return flops_per_clip(encoder.to(device), int(options["frames"]), int(options["size"]), device)


def _train(
    planned: PlannedPretrain,
    task: Any,
    folder: RunFolder,
    record: dict[str, Any],
    trackers: Trackers,
    progress: Progress | None,
    device: torch.device,
) -> TrainCost:
    """Train and fill in what training measured; floors that are not trained pass through."""
    config = planned.config
    if not planned.task.spec.trains:
        return TrainCost()
    measure_motion(task.planner(), planned.dataset)
    splits = fit_val(planned.dataset)
    record["data"]["n_videos"] = len(splits["fit"])
    record["data"]["provenance"] = dict(planned.dataset.provenance)
    with open_task_source(planned, task, splits, progress) as source:
        task.setup(len(splits["fit"]), planned.steps)
        task.to(device)
        options = TrainOptions(
            total_steps=planned.steps,
            optim=config.optim,
            device=device,
            precision=pick_precision(config.precision, device),
            seed=config.seed,
            run_id=planned.run_id,
            checkpoints=folder.checkpoints,
            checkpoint_every_s=config.checkpoint_every_s,
            log_every=config.log_every,
        )
        try:
            cost = train(task, source, options, log=trackers.log, progress=progress)
            record["heldout"] = _heldout(task, source, config.heldout_batches, device)
        finally:
            # A run that stops for them names them too.
            record["unreadable"] = source.unreadable()
        record["chance"] = task.chance
        record["cost"] |= {"frames_decoded": source.frames_decoded, "cache_s": round(source.cache_s, 3)}
    return cost


def _finished(folder: RunFolder, planned: PlannedPretrain) -> Mapping[str, Any] | None:
    """Return the record if this very run is finished already.

    Raises:
        ConfigError: the folder holds another finished run, which would be overwritten.
    """
    record = folder.read_record()
    if record is None or record["status"] != "done":
        return None
    if record["run_id"] != planned.run_id:
        raise ConfigError(
            f"{folder.path} holds the finished run {record['run_id']}, and this is {planned.run_id}; give another out, "
            "or delete that folder"
        )
    return record if folder.encoder_info.exists() else None


def run_pretrain(
    config: PretrainConfig,
    registry: Registry,
    *,
    suite: str = "",
    progress: Progress | None = None,
    rehearsed: bool = False,
) -> Run:
    """Pretrain, export the encoder and write the record; a run that is done already is returned as it is.

    A run without a checkpoint takes one made-up batch through first, on the CPU and before anything is written, unless
    its caller has ``rehearsed`` it.

    A run that was interrupted goes on from its newest checkpoint, to the same bits on one CPU. A failure leaves a
    record with its reason before it is raised. Torch's global generator is left as it was found.

    Raises:
        VsslError: the configuration is impossible, training diverged, or too many videos are unreadable.
        KeyboardInterrupt: after a checkpoint was written.
    """
    planned = plan_pretrain(config, registry)
    config = planned.config
    folder = RunFolder(planned.folder)
    done = _finished(folder, planned)
    if done is not None:
        return Run(folder.path, done)

    device = pick_device(config.device)
    # Before the configuration is written over: what lies there may be of another run.
    begun = has_checkpoint(folder.checkpoints, planned.run_id)
    if not rehearsed and not begun:
        check_first_batch(config, registry, progress)
    folder.path.mkdir(parents=True, exist_ok=True)
    save_yaml(to_plain(replace(config, steps=planned.steps, epochs=0.0)), folder.config)
    record = _record(planned, suite, device, started=now())
    info = RunInfo(
        run_id=planned.run_id,
        name=planned.run_id,
        suite=suite,
        job_type="pretrain",
        folder=folder.path,
        config={key: record[key] for key in ("config", "components", "data", "seed")},
        tags=(planned.task.name, *([planned.backbone.name] if planned.backbone else [])),
    )
    trackers = Trackers(config.trackers, registry, info)
    trackers.start()
    started = time.perf_counter()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            task = build_task(planned, registry)
            cost = _train(planned, task, folder, record, trackers, progress, device)
            encoder = task.encoder()
        record["encoder"] = encoder_description(encoder)
        record["cost"] |= {
            "steps": cost.steps,
            "clips": cost.clips,
            "device_s": round(cost.wall_s, 3),
            "cpu_s": round(cost.cpu_s, 3),
            # A resumed run has trained longer than this session lasted.
            "wall_s": round(max(time.perf_counter() - started, cost.wall_s), 3),
            "parameters": count_parameters(encoder),
            "flops_per_clip": _flops(planned, encoder, device),
        }
        sha = export_encoder(folder, encoder, planned.task, planned.backbone)
        record["encoder"]["weights_sha"] = sha
        if planned.task.spec.trains:
            description = {"format": 1, "run_id": planned.run_id, "task": planned.task.reference}
            save_weights(folder.task, folder.task_info, task, description)
        record["status"] = "done"
    except Exception as error:
        record["error"] = error_record(error)
        raise
    except KeyboardInterrupt:
        trackers.finish("interrupted")
        raise
    finally:
        if record["status"] == "done" or record["error"] is not None:
            record["finished"] = now()
            write_record(folder.record, record)
            trackers.summary({"heldout": record["heldout"], "cost": record["cost"], "status": record["status"]})
            trackers.finish(record["status"])
    # The encoder is out and the record written: checkpoints have done their work.
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
    return Run(folder.path, record)
