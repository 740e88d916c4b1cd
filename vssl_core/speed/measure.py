"""Measuring a configuration: every stage of its run on this machine, without making a run."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vssl_core.config.schema import PretrainConfig
from vssl_core.contracts import Dataset, Planner, Reader, Video, View
from vssl_core.data.cache import CachedReader, estimate_bytes
from vssl_core.data.home import home
from vssl_core.data.plan import sample_rng
from vssl_core.data.splits import fit_val
from vssl_core.engine.loop import Progress, TrainOptions, to_device
from vssl_core.engine.planned import PlannedPretrain, plan_pretrain
from vssl_core.engine.precision import pick_device, pick_precision
from vssl_core.engine.pretrain import build_task
from vssl_core.engine.source import cached_reader, open_task_source
from vssl_core.errors import ClipError, ConfigError, DataError
from vssl_core.plugins import Registry
from vssl_core.speed.advice import Measured, advise, explained_ms, find_bottleneck
from vssl_core.speed.stages import Stages
from vssl_core.speed.timing import Rate, clips_of

__all__ = ["STAGES", "Speed", "Stage", "measure_speed"]

#: in the order in which a batch passes them
STAGES = ("decode", "cache", "loader", "copy", "augment", "step", "together")

# More than anyone waits for: the loop is stopped by the clock.
_ENDLESS = 1_000_000
# Videos whose size is looked at.
_LOOKED_AT = 64


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its rate (``None`` where this configuration has no such stage) and what was measured, or why not."""

    rate: Rate | None
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """What was measured of a configuration.

    Attributes:
        task, backbone, data: their names.
        device: where the network is.
        precision: number format.
        cores: that the process may use.
        workers: loader processes.
        batch_size: videos a batch.
        clips_a_batch: clips a batch.
        cache: ``"used"``, ``"missing"`` or ``"not used"``.
        stages: by name, in the order of ``STAGES``.
        bottleneck: the stage that decides how long a batch takes.
        explained_ms: how long a batch takes if stages disturb one another in nothing.
        advice: what would make the bottleneck faster; often nothing.
    """

    task: str
    backbone: str
    data: str
    device: str
    precision: str
    cores: int
    workers: int
    batch_size: int
    clips_a_batch: int
    cache: str
    stages: Mapping[str, Stage]
    bottleneck: str
    explained_ms: float
    advice: tuple[str, ...]


def measure_speed(
    config: PretrainConfig,
    registry: Registry,
    *,
    seconds: float = 5.0,
    build_cache: bool = False,
    progress: Progress | None = None,
) -> Speed:
    """Measure every stage of ``config`` alone, then its training loop; no run is made and no checkpoint written.

    A task that needs labels gets ``config.label``, or the set's first. A budget is not needed.

    Args:
        config: the run.
        registry: where its components are.
        seconds: how long each stage is measured, behind a tenth of that without timing it.
        build_cache: build the decoded cache if the configuration wants one that is not there.
        progress: called between stages, and while the cache is built.

    Raises:
        ConfigError: the task is never trained, or the configuration is impossible.
        DataError: no video can be read, or too many cannot.
        TrainingError: loss or gradient is not finite.
    """
    planned = _plan(config, registry)
    config = planned.config
    device = pick_device(config.device)
    splits = fit_val(planned.dataset)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        task = build_task(planned, registry)
        planner = task.planner()
        views = _first_views(splits["fit"], planner, config.seed)
        sizes = sorted({((int(view.size[0]), int(view.size[1])), view.fit) for view in views})
        videos = [*splits["fit"], *splits["val"]]
        cache = _open_cache(planned, videos, sizes, progress if build_cache else None, build_cache)
        planned = _as_measured(planned, cache)
        workers = planned.config.loader.workers
        stages = Stages(seconds, config.batch_size, config.batch_size * len(views), device, config.seed)
        found: dict[str, Stage] = {}

        def tell(stage: str) -> None:
            if progress is not None:
                progress(f"measure {stage}", STAGES.index(stage), len(STAGES), {})

        tell("decode")
        rate = stages.read(planned.dataset.reader(), splits["fit"], planner)
        found["decode"] = Stage(rate, "one thread, from the files")
        tell("cache")
        found["cache"] = Stage(
            stages.read(cache.reader, splits["fit"], planner) if cache.reader is not None else None, cache.note
        )
        task.setup(len(splits["fit"]), _ENDLESS)
        task.to(device)
        tell("loader")
        with open_task_source(planned, task, splits, progress) as source:
            rate, batches = stages.load(source.batches(0, _ENDLESS), workers)
        found["loader"] = Stage(rate, f"{workers} workers" if workers else "in the training process")
        tell("copy")
        pinned = batches[0].views[0].is_pinned() if device.type == "cuda" else False
        found["copy"] = Stage(
            stages.copy(batches) if device.type != "cpu" else None,
            f"{'from' if pinned else 'not from'} page-locked memory" if device.type != "cpu" else "none: on the CPU",
        )
        there = [to_device(batch, device) for batch in batches]
        tell("augment")
        found["augment"] = Stage(stages.augment(task, there), f"on {device.type}")
        tell("step")
        options = TrainOptions(
            total_steps=_ENDLESS,
            optim=config.optim,
            device=device,
            precision=pick_precision(config.precision, device),
            seed=config.seed,
            log_every=config.log_every,
        )
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        found["step"] = Stage(stages.step(task, task.augment(there[0]), options), "forward, backward, optimiser")
        tell("together")
        in_stock = workers * config.loader.prefetch
        with open_task_source(planned, task, splits, progress) as source:
            rate = stages.together(task, source.batches(0, _ENDLESS), options, in_stock)
        found["together"] = Stage(rate, "the training loop")
    if progress is not None:
        progress("measure", len(STAGES), len(STAGES), {})
    measured = _measured(planned, device, found, views, splits["fit"], cache)
    bottleneck = find_bottleneck(measured)
    return Speed(
        task=planned.task.reference,
        backbone=planned.backbone.name if planned.backbone else "",
        data=planned.data.name,
        device=str(device),
        precision=config.precision,
        cores=measured.cores,
        workers=workers,
        batch_size=config.batch_size,
        clips_a_batch=stages.clips_a_batch,
        cache=cache.state,
        stages=found,
        bottleneck=bottleneck,
        explained_ms=explained_ms(measured),
        advice=tuple(advise(bottleneck, measured)),
    )
