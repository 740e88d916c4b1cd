"""Videos, the clips planned from them, batches, and data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = ["Batch", "Dataset", "FlowProvider", "Planner", "Reader", "Targets", "Video", "View"]


@dataclass(frozen=True, slots=True)
class Video:
    """One row of a data set, without its label.

    Attributes:
        index: position in the whole data set, all splits counted; unique.
        video_id: stable name within the data set (its path relative to the root; segments add ``#START-END``).
        source: path of the file, or of the folder of pictures.
        n_frames: frames that can really be read, counted packet by packet, not taken from a header.
        fps: mean frames a second.
        duration_s: seconds.
        size: height and width as shown (rotation applied).
        motion: optional float32 ``[n_frames]`` of motion energy.
        first_frame: where it begins in its file, for a segment of a longer video; views count from there.
    """

    index: int
    video_id: str
    source: str
    n_frames: int
    fps: float
    duration_s: float
    size: tuple[int, int]
    motion: np.ndarray | None = None
    first_frame: int = 0


class FlowProvider(Protocol):
    """Computes optical flow; built as ``Flow(**options)``, picklable, equal to its copy: it runs in loader workers."""

    @property
    def name(self) -> str:
        """What configurations say."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same frames would give other flow: with the method, its options and its library."""
        ...

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Return how far each pixel moves from each frame to the next.

        The flow of a pair depends on its two frames alone, bit by bit: pairs are kept and computed one by one.

        Args:
            frames: uint8 RGB ``[T, H, W, 3]``, T of 2 or more.

        Returns:
            float32 ``[T - 1, H, W, 2]``: pixels to the right, and down.
        """
        ...


class View(NamedTuple):
    """One clip to read, decided before anything is decoded.

    Attributes:
        frames: int64 ``[T]``, indices in display order; any order and repeats are allowed.
        size: height and width of the frames handed to the device.
        fit: how a frame comes to that size: ``"short-side-crop"`` (scale, then centre crop), ``"stretch"``, ``"pad"``.
        flow: computes the optical flow from each of the frames to the next, which is handed over in their place, as
            float16 ``[T - 1, H, W, 2]``; ``None``: the frames themselves. Readers do not look at it.
    """

    frames: np.ndarray
    size: tuple[int, int]
    fit: str = "short-side-crop"
    flow: FlowProvider | None = None


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
        views: per view uint8 ``[B, T, H, W, 3]`` RGB; after ``augment`` float ``[B, 3, T, H, W]`` in [0, 1]. A view of
            flow is float16 ``[B, T - 1, H, W, 2]``, pixels to the right and down; ``augment`` makes targets of it.
        targets: the self-made labels, each ``[B, ...]``.
        seeds: int64 ``[B]``: every random draw for a sample comes from its own seed, so that a split batch, another
            rank or another worker count draws the same.
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
    @property
    def provenance(self) -> Mapping[str, str]:
        """Where the pixels come from beyond the fingerprint, for the record: generator, encoder; often empty."""
        ...

    def fingerprint(self) -> str:
        """What the results depend on, as one stable hash: equal sets give equal fingerprints on every machine."""
        ...
