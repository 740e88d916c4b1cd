"""Timing contestants in turns: what else the machine does falls on all, and none always follows the same one."""

from __future__ import annotations

import math
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["STATISTICS", "Times", "cpu_model", "geometric_mean", "take_turns"]

#: of the rounds the median or the best, of this process's CPU time or of the wall clock
STATISTICS = ("median_cpu", "best_cpu", "median_wall", "best_wall")


@dataclass(frozen=True, slots=True)
class Times:
    """What a contestant took.

    Attributes:
        wall_s: float64 ``[rounds, items]``, seconds by the clock.
        cpu_s: float64 ``[rounds, items]``, CPU seconds of all threads.
    """

    wall_s: np.ndarray
    cpu_s: np.ndarray

    def seconds(self, statistic: str) -> float:
        """Return the seconds an item by one of ``STATISTICS``.

        ``median``: of each round the mean over the items, of these the median. ``best``: of each item its best round,
        of these the mean.
        """
        kind, clock = statistic.split("_")
        taken = self.cpu_s if clock == "cpu" else self.wall_s
        return float(np.median(taken.mean(axis=1)) if kind == "median" else taken.min(axis=0).mean())

    def spread(self) -> float:
        """Return how far rounds lie apart: the range of the middle half of their CPU times, by their median."""
        low, middle, high = np.percentile(self.cpu_s.mean(axis=1), [25, 50, 75])
        return float((high - low) / middle)


def take_turns(
    contestants: Mapping[str, Callable[[int], object]],
    *,
    items: int,
    rounds: int,
    seed: int,
    cpu_clock: Callable[[], float] = time.process_time,
) -> dict[str, Times]:
    """Time every contestant on every item, ``rounds`` times.

    On each item all take their turns, in an order drawn anew. A first round warms up and is not kept.

    Args:
        contestants: by name; called with the number of an item.
        items: how many there are.
        rounds: to keep.
        seed: of the orders.
        cpu_clock: returns CPU seconds so far.
    """
    rng = np.random.default_rng(seed)
    names = sorted(contestants)
    wall_s = {name: np.empty((rounds + 1, items)) for name in names}
    cpu_s = {name: np.empty((rounds + 1, items)) for name in names}
    for turn in range(rounds + 1):
        for item in range(items):
            for place in rng.permutation(len(names)):
                name = names[place]
                wall, cpu = time.perf_counter(), cpu_clock()
                contestants[name](item)
                cpu_s[name][turn, item] = cpu_clock() - cpu
                wall_s[name][turn, item] = time.perf_counter() - wall
    return {name: Times(wall_s[name][1:], cpu_s[name][1:]) for name in names}


def geometric_mean(ratios: Iterable[float]) -> float:
    """Return the geometric mean of positive numbers, of which there must be one."""
    return math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))


def cpu_model() -> str:
    """Return what the processor calls itself, or its architecture where the system does not tell."""
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
