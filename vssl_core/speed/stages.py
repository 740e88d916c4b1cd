"""The stages of a pretraining run, each measured alone, and the training loop with all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, cycle
from typing import Any

import numpy as np
import torch

from vssl_core.contracts import Batch, Planner, Reader, Video
from vssl_core.data.plan import sample_rng
from vssl_core.engine.loop import TrainOptions, to_device, train
from vssl_core.errors import ClipError, DataError
from vssl_core.speed.timing import WARM_UP, Rate, clips_of, repeat, synchronize

__all__ = ["Stages"]

# Reading is timed by this many videos: one batch of large ones can take longer than the whole measurement.
_VIDEOS_A_PART = 8
# Batches that the device's stages take turns with.
_KEPT = 2
_CPU = torch.device("cpu")


class _Enough(Exception):
    """The training loop has run for long enough."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Measures one configuration's stages.

    Attributes:
        seconds: how long each is measured; a stage that takes longer than that for one batch is measured on one.
        batch_size: videos a batch.
        clips_a_batch: clips of a full batch.
        device: where the task is.
        seed: of the run.
    """

    seconds: float
    batch_size: int
    clips_a_batch: int
    device: torch.device
    seed: int

    def read(self, reader: Reader, videos: Sequence[Video], planner: Planner) -> Rate:
        """Measure one thread that reads planned views in a random order; unreadable videos are passed over.

        Raises:
            DataError: no video can be read.
        """
        samples = _samples(reader, videos, planner, self.seed)
        part = min(self.batch_size, _VIDEOS_A_PART)
        return repeat(
            lambda: sum(next(samples) for _ in range(part)),
            seconds=self.seconds,
            clips_a_batch=self.clips_a_batch,
            device=_CPU,
        )

    def load(self, batches: Iterator[Batch], workers: int) -> tuple[Rate, list[Batch]]:
        """Measure a loader that has nobody to wait for; return its first batches too."""
        kept: list[Batch] = []

        def work() -> int:
            # Workers deliver in turns: between two batches there may be a long time, and nothing before the next.
            clips = 0
            for _ in range(max(1, workers)):
                batch = next(batches)
                clips += clips_of(batch)
                if len(kept) < _KEPT:
                    kept.append(batch)
            return clips

        return repeat(work, seconds=self.seconds, clips_a_batch=self.clips_a_batch, device=_CPU), kept

    def copy(self, batches: Sequence[Batch]) -> Rate:
        """Measure copying batches to the device, in the memory in which the loader hands them over."""
        turns = cycle(batches)
        return self._on_device(lambda: clips_of(to_device(next(turns), self.device)))

    def augment(self, task: Any, batches: Sequence[Batch]) -> Rate:
        """Measure ``task.augment`` on batches that are on the device."""
        turns = cycle(batches)
        return self._on_device(lambda: clips_of(task.augment(next(turns))))

    def step(self, task: Any, batch: Batch, options: TrainOptions) -> Rate:
        """Measure the training loop on one augmented batch, over and over: forward, backward, optimiser.

        Raises:
            TrainingError: loss or gradient is no longer finite.
        """
        fed = _Fed(cycle([batch]))
        per_clip: list[float] = []
        began = last = time.perf_counter()
        counted, warm = 0, False

        def progress(phase: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
            nonlocal began, last, counted, warm
            synchronize(self.device)
            now = time.perf_counter()
            if warm:
                per_clip.append((now - last) / (fed.clips - counted))
                if now - began >= self.seconds:
                    raise _Enough
            elif now - began >= WARM_UP * self.seconds:
                began, warm = now, True
            last, counted = now, fed.clips

        with suppress(_Enough):
            train(_Augmented(task), fed, options, progress=progress)
        return Rate.of(statistics.median(per_clip), self.clips_a_batch, fed.clips)

    def together(self, task: Any, batches: Iterator[Batch], options: TrainOptions, in_stock: int) -> Rate:
        """Measure the training loop as it trains, its mean rate.

        Args:
            task: is trained.
            batches: from the loader.
            options: of the loop.
            in_stock: batches that workers have ready when training begins, which would count as read at no cost.

        Raises:
            DataError: too many videos are unreadable.
            TrainingError: loss or gradient is no longer finite.
        """
        fed = _Fed(batches)
        began, start, counted, elapsed = time.perf_counter(), 0.0, 0, 0.0

        def progress(phase: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
            nonlocal start, counted, elapsed
            now = time.perf_counter()
            if start:
                if now - start >= self.seconds:
                    synchronize(self.device)
                    elapsed = time.perf_counter() - start
                    raise _Enough
            elif done * options.optim.accumulate > in_stock or now - began >= self.seconds:
                synchronize(self.device)
                start, counted = time.perf_counter(), fed.clips

        with suppress(_Enough):
            train(task, fed, options, progress=progress)
        return Rate.of(elapsed / (fed.clips - counted), self.clips_a_batch, fed.clips - counted)

    def _on_device(self, work: Any) -> Rate:
        return repeat(work, seconds=self.seconds, clips_a_batch=self.clips_a_batch, device=self.device)


def _samples(reader: Reader, videos: Sequence[Video], planner: Planner, seed: int) -> Iterator[int]:
    """Read one video after the other; yield how many clips were read of it."""
    failed = 0
    for epoch in count():
        for row in np.random.default_rng([seed, epoch]).permutation(len(videos)).tolist():
            video = videos[row]
            try:
                views, _ = planner(video, sample_rng(seed, epoch, video.index))
                clips = len(reader(video, views))
            except ClipError as error:
                failed += 1
                if failed == len(videos):
                    raise DataError(f"none of {len(videos)} videos can be read; the last one: {error}") from error
                continue
            failed = 0
            yield clips


class _Fed:
    """A source of batches for the training loop that counts the clips it hands out."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self.clips = 0

    def batches(self, start_step: int, total_steps: int) -> Iterator[Batch]:
        """Yield whatever comes."""
        for batch in self._batches:
            self.clips += clips_of(batch)
            yield batch

    def state(self) -> Mapping[str, Any]:
        """Nothing is checkpointed."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing was checkpointed."""


class _Augmented:
    """A task whose batches have been augmented already."""

    def __init__(self, task: Any) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def __call__(self, batch: Batch) -> Any:
        return self._task(batch)

    def augment(self, batch: Batch) -> Batch:
        return batch
