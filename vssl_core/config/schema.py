"""The dataclasses that configurations are checked against. Imports nothing heavy.

Every field of every config dataclass has a default and a sentence of documentation, given by ``option``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "ClipOptions",
    "LoaderConfig",
    "OptimConfig",
    "PretrainConfig",
    "TransferConfig",
    "option",
    "unchanged",
]


def option(
    default: Any,
    doc: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[Any] | None = None,
    component: str = "",
    components: str = "",
    before: Any = None,
) -> Any:
    """A documented field of a config dataclass; ``compose`` enforces the bounds and choices.

    A list or dict default is copied for every instance. ``component`` names the kind of a field that holds another
    component (``"tasks"``, ``"heads"``): what that one resolves to decides the ``run_id`` too, however it is spelt.
    ``components`` does so for a field that holds a weighted sum of them (``vssl_core.weighted``).

    An option that is added later says with ``before`` which of its values is what was done without it. A run with that
    value keeps the ``run_id`` that it had, so that nothing is repeated for an option that changes nothing.
    """
    if before is not None and (component or components):
        raise TypeError("before: an option that holds components cannot be added later without new run ids")
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum, "choices": choices}
    metadata |= {"component": component, "components": components, "before": before}
    if isinstance(default, (list, dict)):
        kind = type(default)
        return dataclasses.field(default_factory=lambda: kind(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def unchanged(fields: Iterable[dataclasses.Field[Any]], values: Mapping[str, Any]) -> frozenset[str]:
    """Return the options that were added later and say what was done before (``option(..., before=VALUE)``)."""
    later = {field.name: field.metadata["before"] for field in fields if field.metadata.get("before") is not None}
    return frozenset(name for name, before in later.items() if values[name] == before)


@dataclass(kw_only=True, slots=True)
class ClipOptions:
    """What most tasks share: the clip that is read and how it is augmented. Tasks' configs inherit from it."""

    frames: int = option(16, "frames a clip", minimum=1)
    stride: int = option(2, "distance between two of them, in frames of the video", minimum=1)
    size: int = option(112, "height and width of the network's input, in pixels", minimum=8)
    read_size: int = option(0, "height and width that are decoded, before the random crop; 0: as size", minimum=0)
    fit: str = option(
        "short-side-crop", "how a frame comes to read_size", choices=("short-side-crop", "stretch", "pad")
    )
    crop_scale: float = option(
        0.6, "smallest part of the area that the random crop keeps; 1: no crop", minimum=0.05, maximum=1.0
    )
    flip: float = option(0.0, "probability of a horizontal flip of the whole clip", minimum=0.0, maximum=1.0)
    jitter: float = option(
        0.2, "strength of brightness, contrast and saturation jitter; 0: none", minimum=0.0, maximum=1.0
    )
    short_video: str = option(
        "error",
        "a video shorter than the clip: error (left out and named), loop or pad",
        choices=("error", "loop", "pad"),
    )


@dataclass(kw_only=True, slots=True)
class OptimConfig:
    """Optimiser and schedule, both from timm."""

    name: str = option("adamw", "optimiser, by timm's name")
    lr: float = option(3e-3, "peak learning rate", minimum=0.0)
    weight_decay: float = option(0.05, "strength of the weight decay", minimum=0.0)
    decayed: str = option(
        "matrices",
        "what is decayed: matrices (no biases and norms) or all",
        choices=("matrices", "all"),
        before="matrices",
    )
    momentum: float = option(0.9, "for optimisers that have one", minimum=0.0, maximum=1.0)
    schedule: str = option("cosine", "learning rate over steps", choices=("cosine", "constant", "step"))
    warmup: float = option(0.1, "part of the steps with a linearly rising rate", minimum=0.0, maximum=1.0)
    min_lr: float = option(0.0, "learning rate at the end of the cosine", minimum=0.0)
    decay_at: list[float] = option(
        [0.5, 0.75], "schedule=step: parts of the steps after which the rate is divided by 10"
    )
    clip_grad: float = option(5.0, "largest gradient norm; 0: no clipping", minimum=0.0)
    accumulate: int = option(1, "batches a step", minimum=1)


@dataclass(kw_only=True, slots=True)
class LoaderConfig:
    """How videos are read. Nothing here but max_bad changes a result."""

    workers: int = option(
        -1, "loader processes; 0: in the training process; -1: 0 with the decoded cache, else 2", minimum=-1
    )
    cache: str = option(
        "auto", "keep decoded frames on disk: auto (small sets), always or never", choices=("auto", "always", "never")
    )
    cache_max_gb: float = option(4.0, "cache=auto: largest decoded size in GiB", minimum=0.0)
    prefetch: int = option(2, "batches that a worker prepares ahead", minimum=1)
    limit_s: float = option(
        60.0,
        "seconds that a loader process may be at one video before it is killed and the video left out",
        minimum=0.1,
    )
    max_bad: float = option(
        0.01, "part of the videos that may be unreadable before the run stops", minimum=0.0, maximum=1.0
    )


@dataclass(kw_only=True, slots=True)
class PretrainConfig:
    """One pretraining run; ``task``, ``backbone`` and ``data`` are ``NAME[@RECIPE]`` or a mapping with ``name``."""

    task: Any = option("rtt", "pretext task and its options")
    backbone: Any = option("r2plus1d-tiny", "network and its options")
    data: Any = option("toy-motion", "data set and its options")
    label: str = option("", "which label, for tasks that need labels")
    steps: int = option(0, "optimiser steps; 0: from epochs", minimum=0)
    epochs: float = option(0.0, "passes over the videos, turned into steps when the run is planned", minimum=0.0)
    batch_size: int = option(48, "videos a batch", minimum=1)
    seed: int = option(0, "decides initial weights, order and every draw", minimum=0)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig, metadata={"doc": "optimiser and schedule"})
    loader: LoaderConfig = dataclasses.field(default_factory=LoaderConfig, metadata={"doc": "how videos are read"})
    pixels: str = option(
        "rgb24",
        "how frames reach the device: rgb24, or yuv420 (half the bytes, converted there; not with the decoded cache)",
        choices=("rgb24", "yuv420"),
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:N or mps")
    precision: str = option(
        "auto", "auto (bf16 on GPU, fp32 on CPU), fp32, bf16 or fp16", choices=("auto", "fp32", "bf16", "fp16")
    )
    checkpoint_every_s: float = option(60.0, "seconds between checkpoints", minimum=0.0)
    log_every: int = option(10, "steps between logged metrics", minimum=1)
    heldout_batches: int = option(8, "batches of held-out videos for the task's own accuracy; 0: none", minimum=0)
    trackers: list[str] = option(["jsonl"], "who gets a copy of the metrics")
    out: str = option("", "folder of the run; empty: runs/RUN_ID")


@dataclass(kw_only=True, slots=True)
class TransferConfig:
    """One transfer measurement of an encoder."""

    run: str = option("", "folder of the pretraining run")
    data: Any = option("", "data set and its options; empty: that of the run")
    protocol: Any = option("linear-probe", "protocol and its options")
    label: str = option("", "which label; empty: the set's first")
    seed: int = option(0, "for protocols that draw", minimum=0)
    batch_size: int = option(64, "clips a forward pass of the extraction", minimum=1)
    loader: LoaderConfig = dataclasses.field(default_factory=LoaderConfig, metadata={"doc": "how videos are read"})
    device: str = option("auto", "auto, cpu, cuda, cuda:N or mps")
    trackers: list[str] = option(["jsonl"], "who gets a copy of the result")
    out: str = option("", "folder of the run; empty: inside the pretraining run's folder")
