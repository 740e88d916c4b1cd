"""What a protocol reads, may touch and returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from vssl_core.contracts.models import PretextTask
from vssl_core.contracts.video import Batch, Targets

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "ClipRecipe",
    "Evaluation",
    "FeatureSet",
    "FitResult",
    "Metric",
    "TrainedPretext",
    "TransferContext",
    "TransferProtocol",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRecipe:
    """How a video is read for transfer; no randomness. Everything here decides a number and is recorded.

    Attributes:
        frames: frames a clip.
        stride: distance between two of them, in frames.
        clips: clips a video, their centres spread evenly.
        size: height and width in pixels of the network's input.
        perturb: ``"none"``, ``"reverse"``, ``"shuffle"`` (a fixed permutation per video and clip, never the identity)
            or ``"freeze"`` (the middle frame repeated).
        whole: ``True``: each clip's frames are spread over the whole video and ``stride`` is unused.
        settle_batches: batches of ``fit`` clips on which batch norm is re-estimated before extraction; 0: none.
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
        n: test videos counted, the unreadable ones as wrong, or what ``counted_in`` says of the name.
        chance: what guessing gives, where that is known.
        primary: the one number of this protocol that a board shows.
        standard_error: of ``value`` over the videos counted, for numbers that are no plain fraction of them; boards add
            it to the spread over seeds.
    """

    name: str
    value: float
    n: int
    chance: float | None = None
    primary: bool = False
    unit: str = "fraction"
    standard_error: float | None = None


def counted_in(name: str) -> str:
    """Return what a metric of this name counts.

    ``"held-out samples"`` of the videos that pretraining held out for ``heldout_...``, ``"validation videos"`` for
    ``val_...``, ``"test videos"`` for any other.
    """
    for prefix, counted in (("heldout_", "held-out samples"), ("val_", "validation videos")):
        if name.startswith(prefix):
            return counted
    return "test videos"


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


class TrainedPretext(Protocol):
    """The whole trained task, for audits of it: head, teachers and all, in eval mode on the device.

    Attributes:
        name: the task as users write it.
        task: it; an audit leaves it as it was.
    """

    name: str
    task: PretextTask

    def heldout(self, n_batches: int = 0) -> Iterator[Batch]:
        """Yield raw batches of the videos that pretraining held out, the same at every call, each video at most once.

        On the device, before ``task.augment``; at most ``n_batches`` of them, 0: all.
        """
        ...


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

        ``score(predictions [N, ...], labels [N])`` returns float ``[N]`` per metric. No name is taken twice.
        """
        ...

    def fit(self, module: Any, *, steps: int, batch_size: int, optim: Mapping[str, Any]) -> FitResult:
        """Train a task-like module on the labelled ``fit`` videos with the engine's own loop."""
        ...

    def pretext(self) -> TrainedPretext:
        """The trained pretext task, for protocols that audit it rather than its encoder.

        Raises:
            ConfigError: the run trained nothing.
        """
        ...


class TransferProtocol(Protocol):
    """Versioned; its options say everything that decides a number."""

    def run(self, context: TransferContext) -> Sequence[Metric]: ...
