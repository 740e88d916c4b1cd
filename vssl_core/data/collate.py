"""Making one sample, and one batch of samples: what a loader worker does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from vssl_core.contracts import Batch, Planner, Reader, Video
from vssl_core.data.flow import with_flow
from vssl_core.data.flow_cache import FlowCache, default_cache
from vssl_core.data.guard import read_blamed
from vssl_core.data.plan import sample_rng, sample_seed
from vssl_core.data.watch import Heartbeats
from vssl_core.data.yuv import YuvBatch, YuvClip
from vssl_core.errors import ClipError, DataError, VsslError

__all__ = ["Chunk", "SampleKey", "Sampler", "collate"]


class SampleKey(NamedTuple):
    """Which sample: ``row`` of the loader's videos, drawn with ``seed`` in ``epoch``."""

    row: int
    seed: int
    epoch: int


class _Sample(NamedTuple):
    video: Video
    views: list[Any]
    targets: Mapping[str, Any]
    seed: int


class Chunk(NamedTuple):
    """What a worker hands back for one batch: the readable samples, the others' reasons, frames read; or an error."""

    batch: Batch | None
    bad: list[tuple[str, str]]
    frames: int
    error: VsslError | None


class Sampler:
    """Turns keys into a ``Chunk``; picklable, so that it runs in spawned workers as well as in the training process.

    It is a map-style torch ``Dataset`` that is asked for whole batches (``__getitems__``).
    """

    def __init__(self, videos: Sequence[Video], planner: Planner, reader: Reader, labels: np.ndarray | None) -> None:
        self.videos = videos
        self.planner = planner
        self.reader = reader
        self.labels = labels
        #: row -> why it is not to be touched again
        self.barred: dict[int, str] = {}
        #: where workers say what they are at; ``None``: nobody watches
        self.beats: Heartbeats | None = None
        #: where flow is kept, opened when a view first asks for it
        self._flows: FlowCache | None = None

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self.videos)

    def __getitems__(self, keys: Sequence[SampleKey]) -> Chunk:
        """Read one batch. Errors of ours come back as values: torch would bury their message in a traceback."""
        samples: list[_Sample] = []
        bad: list[tuple[str, str]] = []
        frames = 0
        try:
            for key in keys:
                try:
                    self._beat(key.row)
                    sample = self._sample(key)
                except ClipError as error:
                    bad.append((self.videos[key.row].video_id, str(error)))
                    continue
                samples.append(sample)
                # Fields of flow are computed from frames, not read.
                frames += sum(len(view) for view in sample.views if isinstance(view, YuvClip) or view.dtype == np.uint8)
            batch = collate(samples) if samples else None
        except VsslError as error:
            return Chunk(None, bad, frames, error)
        finally:
            self._beat(None)
        return Chunk(batch, bad, frames, None)

    def _beat(self, row: int | None) -> None:
        worker = get_worker_info()
        if self.beats is None or worker is None:
            return
        if row is None:
            self.beats.rest(worker.id)
        else:
            self.beats.begin(worker.id, row)

    def _sample(self, key: SampleKey) -> _Sample:
        video = self.videos[key.row]
        if key.row in self.barred:
            raise ClipError(self.barred[key.row])
        if video.n_frames < 1:
            # A planner cannot plan for it; the reader knows why.
            read_blamed(self.reader, video, ())
            raise ClipError(f"video {video.video_id!r} has no readable frames")
        views, targets = self.planner(video, sample_rng(key.seed, key.epoch, video.index))
        if self.labels is not None:
            targets = {**targets, "label": int(self.labels[key.row])}
        clips = read_blamed(self.reader, video, views)
        if any(view.flow is not None for view in views):
            self._flows = self._flows or default_cache()
            clips = with_flow(video, views, clips, reader=self.reader, cache=self._flows)
        return _Sample(video, clips, targets, sample_seed(key.seed, key.epoch, video.index))


def collate(samples: Sequence[_Sample]) -> Batch:
    """Stack samples into a ``Batch``.

    Integers become int64, floating point numbers float32, arrays are stacked likewise.

    Raises:
        DataError: samples differ in their number of views, in a view's shape, or in their targets.
    """
    first = samples[0]
    for sample in samples[1:]:
        shapes, expected = [view.shape for view in sample.views], [view.shape for view in first.views]
        if shapes != expected:
            raise DataError(
                f"views of different shapes in one batch: {_shapes(expected)} for video {first.video.video_id!r}, "
                f"{_shapes(shapes)} for {sample.video.video_id!r}; a task's planner must ask for the same number of "
                "views, and per view the same number of frames and the same size, for every video"
            )
        if sample.targets.keys() != first.targets.keys():
            raise DataError(
                f"targets {sorted(first.targets)} for video {first.video.video_id!r} but {sorted(sample.targets)} for "
                f"{sample.video.video_id!r}; a task's planner must return the same targets for every video"
            )
    views = tuple(_stacked_views([sample.views[slot] for sample in samples]) for slot in range(len(first.views)))
    targets = {name: _stacked(name, [sample.targets[name] for sample in samples]) for name in first.targets}
    seeds = torch.tensor([sample.seed for sample in samples], dtype=torch.int64)
    index = torch.tensor([sample.video.index for sample in samples], dtype=torch.int64)
    return Batch(views, targets, seeds, index)


def _stacked_views(views: Sequence[Any]) -> Any:
    """Stack the views of one kind; what is still YUV becomes RGB on the device."""
    if isinstance(views[0], YuvClip):
        planes, matrices = (np.stack([getattr(view, name) for view in views]) for name in ("planes", "to_rgb"))
        return YuvBatch(torch.from_numpy(planes), torch.from_numpy(matrices))
    return torch.from_numpy(np.stack(views))


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    return "[" + ", ".join("x".join(map(str, shape)) for shape in shapes) + "]"


def _stacked(name: str, values: Sequence[Any]) -> Tensor:
    """Stack one target over samples."""
    try:
        stacked = np.stack([np.asarray(value) for value in values])
    except ValueError as error:
        shapes = sorted({np.shape(value) for value in values})
        raise DataError(f"target {name!r} has different shapes in one batch: {shapes}") from error
    if stacked.dtype.kind in "iu":
        return torch.from_numpy(stacked.astype(np.int64))
    if stacked.dtype.kind == "f":
        return torch.from_numpy(stacked.astype(np.float32))
    if stacked.dtype.kind == "b":
        return torch.from_numpy(stacked)
    raise DataError(f"target {name!r} holds {stacked.dtype}; expected integers, floating point numbers or booleans")
