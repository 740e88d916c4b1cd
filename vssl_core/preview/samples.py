"""Samples of a task on a data set, exactly as the network gets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch

from vssl_core.config.schema import PretrainConfig
from vssl_core.contracts import Batch, Dataset, Explanation, PretextTask, Video
from vssl_core.data.loader import Loader
from vssl_core.data.plan import sample_rng
from vssl_core.data.quarantine import Quarantine
from vssl_core.engine.task import evaluating
from vssl_core.errors import ConfigError, DataError, PluginError
from vssl_core.plugins import Registry
from vssl_core.pretext.motion import measure_motion

__all__ = ["Preview", "Sample", "ShownView", "preview_task"]


@dataclass(frozen=True, slots=True)
class ShownView:
    """One augmented clip, or a picture that explains it.

    Attributes:
        pixels: uint8 ``[T, H, W, 3]``.
        frames: the numbers of its frames in the video; empty for pictures that are no frames of it.
        caption: what it is; may be empty.
    """

    pixels: np.ndarray
    frames: tuple[int, ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the network gets of one video, and what it must find.

    Attributes:
        answer: the right answer in words; empty where the task gives none, and ``targets`` have to do.
    """

    video_id: str
    targets: Mapping[str, str]
    views: tuple[ShownView, ...]
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """Samples of one task, and the videos that gave none; ``question`` is empty where the task words none."""

    task: str
    data: str
    chance: float | None
    samples: tuple[Sample, ...]
    left_out: Mapping[str, str]
    question: str = ""


def preview_task(config: PretrainConfig, registry: Registry, n_samples: int) -> Preview:
    """Return ``n_samples`` augmented samples of ``config.task`` on ``config.data``, drawn from ``config.seed``.

    A task that cannot use ``config.backbone`` gets the first one that it can: a preview trains nothing. A task that
    needs labels gets ``config.label``, or the set's first.

    Raises:
        ConfigError: the task is never trained, or its options are wrong.
        DataError: no video gives a sample.
    """
    resolved = registry.resolve("tasks", config.task)
    if not resolved.spec.trains:
        raise ConfigError(
            f"task {resolved.name} is never trained and shows a network nothing; 'vssl list tasks' marks those"
        )
    dataset: Dataset = registry.build("datasets", config.data)
    label = ""
    extra: dict[str, Any] = {}
    if resolved.spec.needs_labels:
        label = config.label or next(iter(dataset.labels()), "")
        extra["n_classes"] = len(dataset.targets("train", label).classes)
    backbone = _backbone(config.backbone, resolved.spec.requires, registry) if resolved.spec.uses_backbone else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        task: PretextTask = registry.build("tasks", config.task, backbone, **extra)
    measure_motion(task.planner(), dataset)
    rows = dataset.videos("train")
    # Spread over the split: neighbours in it are often of one class.
    chosen = np.unique(np.linspace(0, len(rows) - 1, n_samples).round().astype(int))
    videos = [rows[row] for row in chosen.tolist()]
    labels = dataset.targets("train", label).values[chosen] if label else None
    task.setup(len(videos), 1)
    quarantine = Quarantine(1.0, len(videos))
    loader = Loader(
        videos,
        task.planner(),
        dataset.reader(),
        batch_size=len(videos),
        seed=config.seed,
        workers=0,
        labels=labels,
        quarantine=quarantine,
    )
    raw = next(iter(loader.batches(0, 1)), None)
    if raw is None:
        raise DataError(f"none of {len(videos)} videos of {dataset.name!r} gives a sample: {dict(quarantine.reasons)}")
    batch = task.augment(raw)
    explained = _explained(task, batch)
    samples = _samples(task, batch, explained, {video.index: video for video in videos}, config.seed)
    question = explained[0].question if explained else ""
    return Preview(resolved.reference, dataset.name, task.chance, tuple(samples), dict(quarantine.reasons), question)


def _backbone(value: Any, requires: frozenset[str], registry: Registry) -> Any:
    if requires <= registry.resolve("backbones", value).spec.provides:
        return registry.build("backbones", value)
    for entry in registry.entries("backbones"):
        if requires <= entry.spec.provides:
            return registry.build("backbones", entry.spec.name)
    raise ConfigError(f"the task needs a backbone that offers {', '.join(sorted(requires))}; none is installed")


def _explained(task: PretextTask, batch: Batch) -> Sequence[Explanation]:
    """Return one explanation a sample, or none at all; tasks of the first contract have no ``explain``."""
    explain = getattr(task, "explain", None)
    if explain is None:
        return []
    with evaluating(cast(torch.nn.Module, task)), torch.random.fork_rng(devices=[]):
        explained = list(explain(batch))
    if explained and len(explained) != len(batch.index):
        raise PluginError(f"explain returned {len(explained)} explanations of {len(batch.index)} samples")
    return explained


def _samples(
    task: PretextTask, batch: Batch, explained: Sequence[Explanation], videos: Mapping[int, Video], seed: int
) -> list[Sample]:
    planner = task.planner()
    samples = []
    for row, index in enumerate(batch.index.tolist()):
        # The loader's first epoch drew from this very generator, so the plan is that of the batch.
        planned, _ = planner(videos[index], sample_rng(seed, 0, index))
        said = explained[row] if explained else Explanation("", "")
        views = []
        for at, (view, plan) in enumerate(zip(batch.views, planned, strict=False)):
            if said.shown is None or at in said.shown:
                caption = said.captions[at] if at < len(said.captions) else ""
                views.append(ShownView(_pixels(view[row]), tuple(int(frame) for frame in plan.frames), caption))
        views += [ShownView(_pixels(picture), (), caption) for caption, picture in said.pictures]
        targets = {name: _words(target[row]) for name, target in batch.targets.items()}
        samples.append(Sample(videos[index].video_id, targets, tuple(views), said.answer))
    return samples


def _pixels(clip: torch.Tensor) -> np.ndarray:
    """Turn float ``[3, T, H, W]`` into uint8 ``[T, H, W, 3]``."""
    shown: np.ndarray = (clip.clamp(0, 1) * 255).round().byte().permute(1, 2, 3, 0).cpu().numpy()
    return shown


def _words(target: torch.Tensor) -> str:
    values: Sequence[Any] = target.flatten().tolist()
    shown = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in values[:8]]
    return " ".join(shown) + (" ..." if len(values) > len(shown) else "")
