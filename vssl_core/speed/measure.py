"""Measuring a configuration: every stage of its run on this machine, without making a run."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from vssl_core.config.schema import PretrainConfig
from vssl_core.contracts import Batch, Dataset, Planner, Reader, Video, View
from vssl_core.data.cache import CachedReader, estimate_bytes
from vssl_core.data.home import home
from vssl_core.data.plan import sample_rng
from vssl_core.data.splits import fit_val
from vssl_core.data.videos import JoinedVideos
from vssl_core.data.yuv import YuvBatch
from vssl_core.engine.loop import Progress, TrainOptions, to_device
from vssl_core.engine.planned import PlannedPretrain, plan_pretrain
from vssl_core.engine.precision import pick_device, pick_precision
from vssl_core.engine.pretrain import build_task
from vssl_core.engine.source import cached_reader, open_task_source
from vssl_core.errors import ClipError, ConfigError, DataError
from vssl_core.plugins import Registry
from vssl_core.pretext.motion import measure_motion
from vssl_core.speed.advice import Measured, advise, explained_ms, find_bottleneck
from vssl_core.speed.stages import Stages
from vssl_core.speed.timing import Rate

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
    found: dict[str, Stage] = {}

    def tell(stage: str) -> None:
        if progress is not None:
            progress("measure", STAGES.index(stage), len(STAGES), {})

    # Bad videos are noted in a run's folder: here in one that does not stay.
    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with tempfile.TemporaryDirectory(prefix="vssl-speed-") as folder, forked:
        task = build_task(planned, registry)
        planner = task.planner()
        measure_motion(planner, planned.dataset)
        splits = fit_val(planned.dataset)
        views = _first_views(splits["fit"], planner, config.seed)
        cache = _open_cache(planned, JoinedVideos(splits["fit"], splits["val"]), views, progress, build_cache)
        planned = _as_measured(planned, cache, folder)
        config = planned.config
        workers = config.loader.workers
        stages = Stages(seconds, config.batch_size, config.batch_size * len(views), device, config.seed)
        # Tasks' schedules and the loop's end at the same step, which is never reached.
        task.setup(len(splits["fit"]), _ENDLESS)
        task.to(device)
        # Opened first, which finds wrong options; workers start when batches are asked for.
        with open_task_source(planned, task, splits, progress) as source:
            tell("decode")
            rate = stages.read(_file_reader(planned), splits["fit"], planner)
            found["decode"] = Stage(rate, "one thread, from the files")
            tell("cache")
            cached = stages.read(cache.reader, splits["fit"], planner) if cache.reader is not None else None
            found["cache"] = Stage(cached, cache.note)
            tell("loader")
            rate, batches = stages.load(source.batches(0, _ENDLESS), workers)
            found["loader"] = Stage(rate, _counted(workers, "worker") if workers else "in the training process")

        tell("copy")
        found["copy"] = _copy(stages, batches)
        tell("augment")
        there = [to_device(batch, device) for batch in batches]
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
        memory = _memory(device)

        tell("together")
        with open_task_source(planned, task, splits, progress) as source:
            in_stock = workers * config.loader.prefetch
            rate = stages.together(task, source.batches(0, _ENDLESS), options, in_stock)
        found["together"] = Stage(rate, "the training loop")
    if progress is not None:
        progress("measure", len(STAGES), len(STAGES), {})

    measured = _measured(planned, device, found, views, splits["fit"], memory, cache)
    bottleneck = find_bottleneck(measured)
    if bottleneck == "loader" and cache.state == "not used" and config.pixels == "rgb24":
        # Only here: of a million videos it takes a while.
        cache_bytes = estimate_bytes(
            JoinedVideos(splits["fit"], splits["val"]), _sizes(views), most=measured.free_bytes
        )
        measured = replace(measured, cache_bytes=cache_bytes)
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


def _plan(config: PretrainConfig, registry: Registry) -> PlannedPretrain:
    """Resolve what is measured; what a run needs and speed does not depend on is filled in."""
    task = registry.resolve("tasks", config.task)
    if not task.spec.trains:
        raise ConfigError(
            f"task {task.name} is never trained and shows a network nothing; 'vssl list tasks' marks those"
        )
    if not config.steps and not config.epochs:
        config = replace(config, steps=_ENDLESS)
    if task.spec.needs_labels and not config.label:
        dataset: Dataset = registry.build("datasets", config.data)
        config = replace(config, label=next(iter(dataset.labels()), ""))
    return plan_pretrain(config, registry)


def _first_views(videos: Sequence[Video], planner: Planner, seed: int) -> Sequence[View]:
    """Return what is read of the first video that is long enough.

    Raises:
        DataError: none is.
    """
    reason = "there is none"
    for video in videos:
        try:
            views, _ = planner(video, sample_rng(seed, 0, video.index))
        except ClipError as error:
            reason = str(error)
            continue
        return views
    raise DataError(f"no video gives a sample: {reason}")


class _NotBuilt(Exception):
    """The decoded cache would have to be built."""


@dataclass(frozen=True, slots=True)
class _Cache:
    """The decoded cache as this configuration finds it: ``state`` as in ``Speed.cache``."""

    state: str
    note: str
    reader: Reader | None = None


def _sizes(views: Sequence[View]) -> list[tuple[tuple[int, int], str]]:
    """Return the (size, fit) pairs of views, as caches are kept by them."""
    return sorted({((int(view.size[0]), int(view.size[1])), view.fit) for view in views})


def _open_cache(
    planned: PlannedPretrain, videos: Sequence[Video], views: Sequence[View], progress: Progress | None, build: bool
) -> _Cache:
    loader, pixels = planned.config.loader, planned.config.pixels
    if pixels != "rgb24":
        return _Cache("not used", f"not used: pixels={pixels}")

    def refuse(phase: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        raise _NotBuilt

    try:
        # Progress is told while a cache is being built and at no other time: stopped there, nothing of it is kept.
        reader, _ = cached_reader(planned.dataset, videos, _sizes(views), loader, progress if build else refuse)
    except _NotBuilt:
        return _Cache("missing", f"{_bytes(videos, views)}, not there yet: --build-cache")
    if isinstance(reader, CachedReader):
        return _Cache("used", f"one thread, {_bytes(videos, views)}", reader)
    why = f"more than loader.cache_max_gb={loader.cache_max_gb:g}" if loader.cache == "auto" else "loader.cache=never"
    return _Cache("not used", f"not used: {why}")


def _bytes(videos: Sequence[Video], views: Sequence[View]) -> str:
    size = estimate_bytes(videos, _sizes(views))
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"


def _as_measured(planned: PlannedPretrain, cache: _Cache, folder: str) -> PlannedPretrain:
    """Return the run in another folder, without a cache that is not there, and with its number of workers settled."""
    loader = planned.config.loader
    if cache.state == "missing":
        loader = replace(loader, cache="never")
    if loader.workers < 0:
        loader = replace(loader, workers=0 if cache.state == "used" else 2)
    return replace(planned, config=replace(planned.config, loader=loader, out=folder))


def _file_reader(planned: PlannedPretrain) -> Reader:
    """Return the reader that decodes, to the pixels that the run asks for."""
    reader = planned.dataset.reader()
    other = getattr(reader, "with_pixels", None)
    converted: Reader = reader if other is None else other(planned.config.pixels)
    return converted


def _copy(stages: Stages, batches: Sequence[Batch]) -> Stage:
    view = batches[0].views[0]
    unconverted = isinstance(view, YuvBatch)
    if stages.device.type == "cpu":
        return Stage(stages.copy(batches), "conversion to RGB") if unconverted else Stage(None, "none: it is the CPU")
    pinned = view.planes.is_pinned() if isinstance(view, YuvBatch) else view.is_pinned()
    memory = f"{'from' if pinned else 'not from'} page-locked memory"
    return Stage(stages.copy(batches), f"{memory}, with conversion to RGB" if unconverted else memory)


def _memory(device: torch.device) -> float:
    """Return which part of a GPU's memory was in use at most."""
    if device.type != "cuda":
        return 0.0
    return torch.cuda.max_memory_reserved(device) / torch.cuda.get_device_properties(device).total_memory


def _measured(
    planned: PlannedPretrain,
    device: torch.device,
    found: Mapping[str, Stage],
    views: Sequence[View],
    videos: Sequence[Video],
    memory: float,
    cache: _Cache,
) -> Measured:
    looked_at = [videos[row] for row in range(min(len(videos), _LOOKED_AT))]
    options = planned.task.options
    return Measured(
        batch_ms={name: stage.rate.batch_ms for name, stage in found.items() if stage.rate is not None},
        workers=planned.config.loader.workers,
        cores=_cores(),
        device=device.type,
        cache=cache.state,
        cache_bytes=0,
        pixels=planned.config.pixels,
        free_bytes=_free_bytes(home()),
        files=all(Path(video.source).is_file() for video in looked_at),
        short_side=statistics.median(min(video.size) for video in looked_at),
        read_side=max(min(view.size) for view in views),
        size=int(options["size"]) if "size" in options else 0,
        batch_size=planned.config.batch_size,
        precision=planned.config.precision,
        has_bf16=device.type == "cuda" and torch.cuda.is_bf16_supported(),
        memory=memory,
        has_cuda=torch.cuda.is_available(),
    )


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _free_bytes(folder: Path) -> int:
    """Return the free space of the disk on which a folder is, or will be."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).free


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
