"""The records and protocols that the core and its plugins agree on.

This module imports neither torch nor numpy, so that a plugin's ``plugin.py`` may import it for free. Shapes are
written ``[B, T, H, W, 3]``: B samples, T frames, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

__all__ = [
    "Backbone",
    "Batch",
    "Build",
    "ClipRecipe",
    "Dataset",
    "Evaluation",
    "FeatureSet",
    "Features",
    "FitResult",
    "Head",
    "Job",
    "JobState",
    "Launcher",
    "Metric",
    "Planner",
    "PretextTask",
    "Reader",
    "RunInfo",
    "Spec",
    "StepOutput",
    "Targets",
    "Tracker",
    "TransferContext",
    "TransferProtocol",
    "Video",
    "View",
]


# --------------------------------------------------------------------------------------------- discovery


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """What a plugin says of one component. Cheap to import: names only, nothing heavy behind them.

    Attributes:
        name: kebab-case, unique within its kind; what configurations say.
        target: ``"package.module:Attribute"``, imported on first use. For suites ``"package:path/in/package.yaml"``.
        config: ``"package.config:Dataclass"`` with a documented default for every field; ``""`` if there are no options.
        summary: one line for ``vssl list``.
        version: raised when results stop being comparable with those of the version before.
        paper: arXiv id or DOI.
        requires: capabilities asked of the backbone: ``"map"``, ``"tokens"``, ``"masking"``, ``"frames"``.
        provides: capabilities that a backbone offers.
        needs_labels: the task is given labels (``supervised`` alone among the first-party tasks).
        trains: ``False`` for floors: nothing is trained, whatever budget the configuration names.
        uses_backbone: ``False`` for floors that bring an encoder of their own (pixels, motion energy).
        recipes: named sets of options: ``rtt@tiny`` is ``rtt`` with ``recipes["tiny"]`` under the user's own options.
        extras: pip extras that the target needs; named in the import error.
    """

    name: str
    target: str
    config: str = ""
    summary: str = ""
    version: int = 1
    paper: str = ""
    requires: frozenset[str] = frozenset()
    provides: frozenset[str] = frozenset()
    needs_labels: bool = False
    trains: bool = True
    uses_backbone: bool = True
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    extras: tuple[str, ...] = ()


class Build(Protocol):
    """``build(kind, name, *args, **options)``: how a component gets another one by name."""

    def __call__(self, kind: str, name: str, *args: Any, **options: Any) -> Any: ...


# ------------------------------------------------------------------------------------------------- video


@dataclass(frozen=True, slots=True)
class Video:
    """One row of a data set, without its label.

    Attributes:
        index: position in the whole data set, all splits counted; unique.
        video_id: stable name within the data set (its path relative to the root).
        source: path of the file.
        n_frames: frames that the container really holds, counted packet by packet, not read from a header.
        fps: mean frames a second.
        duration_s: seconds.
        size: height and width as shown (rotation applied).
        motion: optional float32 ``[n_frames]`` of motion energy.
    """

    index: int
    video_id: str
    source: str
    n_frames: int
    fps: float
    duration_s: float
    size: tuple[int, int]
    motion: np.ndarray | None = None


class View(NamedTuple):
    """One clip to read, decided before anything is decoded.

    Attributes:
        frames: int64 ``[T]``, indices in display order; any order and repeats are allowed.
        size: height and width of the frames handed to the device.
        fit: how a frame comes to that size: ``"short-side-crop"`` (scale, then centre crop), ``"stretch"`` or ``"pad"``.
    """

    frames: np.ndarray
    size: tuple[int, int]
    fit: str = "short-side-crop"


class Planner(Protocol):
    """``task.planner()``: small and picklable, no tensors inside; it runs in loader workers."""

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return the views to read and the self-made targets (numbers or small arrays).

        Raises:
            ClipError: the video is too short for what the task asks.
        """
        ...


class Reader(Protocol):
    """Reads pixels of a data set; picklable, it runs in loader workers."""

    def __call__(self, video: Video, views: Sequence[View]) -> list[np.ndarray]:
        """Return uint8 RGB ``[T, H, W, 3]`` per view, all read in one pass over the file.

        Raises:
            ClipError: the file cannot be read, or does not hold the frames asked for.
        """
        ...


class Batch(NamedTuple):
    """What the loader hands to a task.

    Attributes:
        views: per view uint8 ``[B, T, H, W, 3]`` RGB; after ``augment`` float ``[B, 3, T, H, W]`` in [0, 1].
        targets: the self-made labels, each ``[B, ...]``.
        seeds: int64 ``[B]``: every random draw for a sample comes from its own seed, so that a split batch, another rank
            or another worker count draws the same.
        index: int64 ``[B]``: ``Video.index`` of each sample.
    """

    views: tuple[Tensor, ...]
    targets: Mapping[str, Tensor]
    seeds: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody calls on a batch


class Targets(NamedTuple):
    """Labels of one split, in the order of ``Dataset.videos(split)``.

    Attributes:
        kind: ``"class"``, ``"multi-label"`` or ``"number"``.
        values: int64 ``[N]``, uint8 ``[N, C]`` or float32 ``[N]``.
        classes: class names; empty for numbers.
    """

    kind: str
    values: np.ndarray
    classes: tuple[str, ...]


class Dataset(Protocol):
    """Videos in splits. Labels, groups and segments are for protocols alone: a ``Video`` carries none."""

    name: str

    def splits(self) -> Sequence[str]:
        """``"train"`` and, where they exist, ``"val"`` and ``"test"``."""
        ...

    def videos(self, split: str) -> Sequence[Video]: ...
    def labels(self) -> Sequence[str]:
        """Names of the labels this set has; empty for unlabelled sets."""
        ...

    def targets(self, split: str, label: str) -> Targets: ...
    def groups(self, split: str) -> Sequence[str]:
        """Per video the source it shares with others (performer, recording); its own id where none is known."""
        ...

    def content_hashes(self, split: str) -> Sequence[str]:
        """Per video a hash of the file's bytes."""
        ...

    def reader(self) -> Reader: ...
    def fingerprint(self) -> str:
        """What the results depend on, as one stable hash: equal sets give equal fingerprints on every machine."""
        ...


# ------------------------------------------------------------------------------------------------ models


class Features(NamedTuple):
    """What a backbone returns: ``map`` float ``[B, D, t, h, w]`` and ``pooled`` float ``[B, D]``."""

    map: Tensor
    pooled: Tensor


class StepOutput(NamedTuple):
    """What a task returns for a batch: ``loss`` (scalar with gradient) and detached scalar ``metrics``."""

    loss: Tensor
    metrics: Mapping[str, Tensor]


class Backbone(Protocol):
    """An ``nn.Module`` from float ``[B, 3, T, H, W]`` in [0, 1] to ``Features``.

    The backbone normalises its input itself, as its recorded ``input_mode`` says, so that nobody else needs to know how.

    Attributes:
        embed_dim: D of its features.
        input_mode: ``"raw"`` or ``"temporal-residual"``.
        sampling: what the encoder insists on reading, over the protocol's own clip recipe (``{"frames": 1, "clips": 1}``
            for a one-frame network); recorded. Empty for nearly all.

    Capability ``"masking"``: ``preprocess(video)`` -> the normalised video that is embedded, ``embed(video)`` -> tokens
    ``[B, N, D]`` and grid ``(t, h, w)`` with ``patch_size`` ``(t, h, w)``, ``encode(tokens, keep)`` -> ``[B, K, D]`` for
    ``keep`` int64 ``[B, K]``. Capability ``"frames"``: ``frame_features(video)`` -> ``[B, T, D]``.
    """

    embed_dim: int
    input_mode: str
    sampling: Mapping[str, Any]

    def __call__(self, video: Tensor) -> Features: ...


class Head(Protocol):
    """An ``nn.Module`` built as ``Head(embed_dim, n_outputs, **options)``: ``Features`` -> float ``[B, n_outputs]``."""

    def __call__(self, features: Features) -> Tensor: ...


class PretextTask(Protocol):
    """An ``nn.Module`` built as ``Task(backbone, **options)``; teachers stand frozen inside it.

    A constructor that names ``build`` among its keywords is handed ``Build``; one that names ``n_classes`` (tasks whose
    Spec says ``needs_labels``) is handed the number of classes.
    """

    chance: float | None

    def setup(self, n_videos: int, total_steps: int) -> None:
        """Called once before training: memory banks, schedules."""
        ...

    def planner(self) -> Planner: ...
    def augment(self, batch: Batch) -> Batch:
        """On the device, batched, every draw from ``batch.seeds``: uint8 views in, float [0, 1] views out."""
        ...

    def __call__(self, batch: Batch) -> StepOutput: ...
    def evaluate(self, batch: Batch) -> Mapping[str, tuple[Tensor, int]]:
        """Sums and counts on an augmented batch of held-out videos, such as ``{"accuracy": (correct, n)}``; changes nothing."""
        ...

    def param_groups(self) -> list[dict[str, Any]]: ...
    def after_step(self, step: int, total_steps: int) -> None:
        """Called after the optimiser's step: EMA, queues."""
        ...

    def encoder(self) -> nn.Module:
        """The ``Backbone`` to export."""
        ...


# ---------------------------------------------------------------------------------------------- transfer


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRecipe:
    """How a video is read for transfer; no randomness. Everything here decides a number and is recorded.

    Attributes:
        frames: frames a clip.
        stride: distance between two of them, in frames.
        clips: clips a video, their centres spread evenly.
        size: height and width in pixels of the network's input.
        perturb: ``"none"``, ``"reverse"``, ``"shuffle"`` (a fixed permutation per video and clip, never the identity) or
            ``"freeze"`` (the middle frame repeated).
        whole: ``True``: each clip's frames are spread over the whole video and ``stride`` is unused.
        settle_batches: batches of ``fit`` clips on which batch norm's statistics are re-estimated before extraction; 0: none.
    """

    frames: int
    stride: int
    clips: int
    size: int
    perturb: str = "none"
    whole: bool = False
    settle_batches: int = 0


class FeatureSet(NamedTuple):
    """Frozen features of one split.

    Attributes:
        values: float32 ``[N, clips, D]`` of the readable videos.
        rows: int64 ``[N]``: their positions in the split.
        n_videos: size of the split, the unreadable ones counted.
    """

    values: np.ndarray
    rows: np.ndarray
    n_videos: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One number of a protocol.

    Attributes:
        name: such as ``"top1"`` or ``"recall@5"``.
        value: fraction in [0, 1] unless ``unit`` says otherwise.
        n: test videos counted, the unreadable ones as wrong.
        chance: what guessing gives, where that is known.
        primary: the one number of this protocol that a board shows.
    """

    name: str
    value: float
    n: int
    chance: float | None = None
    primary: bool = False
    unit: str = "fraction"


class Evaluation(NamedTuple):
    """Per test video values of one metric, float ``[n_test]`` in split order; unreadable videos hold 0."""

    values: np.ndarray
    n_unreadable: int


class FitResult(NamedTuple):
    """What ``TransferContext.fit`` did: optimiser steps, clips seen, last loss and validation accuracy."""

    steps: int
    clips: int
    loss: float
    val_accuracy: float


class TransferContext(Protocol):
    """What a protocol may touch. Splits: ``"fit"`` and ``"val"`` (cut from train by group), ``"train"`` (both)."""

    seed: int
    device: Any
    work_dir: Path
    encoder: Any
    weights_sha: str

    def features(self, split: str, recipe: ClipRecipe) -> FeatureSet:
        """Features of ``"fit"``, ``"val"`` or ``"train"``, extracted once and shared by every frozen protocol."""
        ...

    def targets(self, split: str) -> Targets:
        """Labels of ``"fit"``, ``"val"`` or ``"train"``."""
        ...

    def groups(self, split: str) -> Sequence[str]: ...
    def evaluate_once(
        self,
        name: str,
        recipe: ClipRecipe,
        predict: Callable[[FeatureSet], np.ndarray],
        score: Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]],
    ) -> Mapping[str, Evaluation]:
        """Read the test split, once per name: ``predict`` sees features without labels, ``score`` compares.

        ``score(predictions [N, ...], labels [N])`` returns float ``[N]`` per metric. A second call of one name is an error.
        """
        ...

    def fit(self, module: Any, *, steps: int, batch_size: int, optim: Mapping[str, Any]) -> FitResult:
        """Train a task-like module on the labelled ``fit`` videos with the engine's own loop."""
        ...


class TransferProtocol(Protocol):
    """Versioned; its options say everything that decides a number."""

    def run(self, context: TransferContext) -> Sequence[Metric]: ...


# ----------------------------------------------------------------------------------- trackers and launchers


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """Who a run is, for trackers: nothing secret, nothing large."""

    run_id: str
    name: str
    suite: str
    job_type: str
    folder: Path
    config: Mapping[str, Any]
    tags: tuple[str, ...] = ()


class Tracker(Protocol):
    """Gets a copy of what happens. What it raises is logged, never fatal; the record is the truth."""

    def start(self, run: RunInfo) -> None: ...
    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...
    def summary(self, values: Mapping[str, Any]) -> None: ...
    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None: ...
    def artifact(self, name: str, path: Path) -> None: ...
    def finish(self, status: str) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Work for a launcher: ``target`` (``"module:function"``) is called with ``payload`` (plain JSON) in another process."""

    job_id: str
    target: str
    payload: Mapping[str, Any]
    log: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class JobState:
    """``status`` is ``"waiting"``, ``"running"``, ``"done"``, ``"failed"`` or ``"cancelled"``; ``message`` says why."""

    status: str
    message: str = ""
    result: Mapping[str, Any] | None = None


class Launcher(Protocol):
    """Runs jobs somewhere. ``capacity`` jobs run at a time; submitting more queues them."""

    capacity: int

    def submit(self, job: Job) -> None: ...
    def poll(self) -> Mapping[str, JobState]:
        """State of every submitted job by ``job_id``; returns at once."""
        ...

    def cancel(self, job_id: str) -> None: ...
    def close(self) -> None:
        """End every process; running jobs are stopped and keep their checkpoints."""
        ...

