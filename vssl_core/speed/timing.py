"""Timing work by the clip: repeated, warmed up, and with the device waited for."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from vssl_core.contracts import Batch

__all__ = ["WARM_UP", "Rate", "clips_of", "repeat", "synchronize"]

#: part of a stage's seconds for which it runs before it is timed; once at least
WARM_UP = 0.1


@dataclass(frozen=True, slots=True)
class Rate:
    """Clips a second, milliseconds for as many clips as a full batch has, and how many clips were timed."""

    clips_per_s: float
    batch_ms: float
    n_clips: int

    @classmethod
    def of(cls, seconds_a_clip: float, clips_a_batch: int, n_clips: int) -> Rate:
        """Return the rate of work that takes ``seconds_a_clip``."""
        return cls(1 / seconds_a_clip, 1000 * seconds_a_clip * clips_a_batch, n_clips)


def clips_of(batch: Batch) -> int:
    """Return the number of clips in a batch: videos by views, as records count them."""
    return len(batch.index) * len(batch.views)


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def repeat(work: Callable[[], int], *, seconds: float, clips_a_batch: int, device: torch.device) -> Rate:
    """Repeat ``work``, which returns how many clips it did, for some seconds, and once at least.

    Returns:
        The median over the repeats.
    """
    warm = time.perf_counter() + WARM_UP * seconds
    while True:
        work()
        synchronize(device)
        if time.perf_counter() >= warm:
            break
    seconds_a_clip: list[float] = []
    n_clips = 0
    end = time.perf_counter() + seconds
    while not seconds_a_clip or time.perf_counter() < end:
        began = time.perf_counter()
        clips = work()
        synchronize(device)
        seconds_a_clip.append((time.perf_counter() - began) / clips)
        n_clips += clips
    return Rate.of(statistics.median(seconds_a_clip), clips_a_batch, n_clips)
