"""From measured stages to the one that holds the others up, and to what would change that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Measured", "advise", "explained_ms", "find_bottleneck"]

# A part of the loader's time from which reading files, not collating, is what it does.
_MOSTLY = 0.5
# Videos whose short side is this many times what is read of it are worth a smaller copy.
_LARGER = 1.5
# A part of a GPU's memory below which twice the batch fits.
_LITTLE_MEMORY = 0.4


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was found of a configuration and its machine.

    Attributes:
        batch_ms: milliseconds a batch by stage: ``decode`` and ``loader``, ``augment`` and ``step``, and ``cache`` and
            ``copy`` where there are such stages.
        workers: loader processes; 0: batches are read in the training process.
        cores: that this process may use.
        device: type of the device.
        cache: whether the decoded cache is ``"used"``, ``"missing"`` (wanted, but not built) or ``"not used"``.
        cache_bytes: what all decoded frames take on disk; 0: unknown.
        pixels: as they reach the device.
        free_bytes: on the disk where the cache lies.
        files: whether videos are files, of which a copy can be made.
        short_side: of the videos as shown, in pixels; their median.
        read_side: short side of the largest frames that are read, in pixels.
        size: short side of what the network gets, in pixels; 0: unknown.
        batch_size: videos a batch.
        precision: number format.
        has_bf16: whether the device is a GPU that has bf16.
        memory: part of the GPU's memory that the step took; 0 elsewhere.
        has_cuda: whether the machine has a GPU.
    """

    batch_ms: Mapping[str, float]
    workers: int
    cores: int
    device: str
    cache: str
    cache_bytes: int
    pixels: str
    free_bytes: int
    files: bool
    short_side: float
    read_side: int
    size: int
    batch_size: int
    precision: str
    has_bf16: bool
    memory: float
    has_cuda: bool

    @property
    def device_ms(self) -> float:
        """What follows the loader: stages that wait for one another."""
        return sum(self.batch_ms[stage] for stage in ("copy", "augment", "step") if stage in self.batch_ms)


def find_bottleneck(measured: Measured) -> str:
    """Return the stage of ``loader``, ``copy``, ``augment`` and ``step`` that decides how long a batch takes.

    Loader workers read the next batches while the device is busy: then the loader is compared with all that the device
    does. Without workers all stages wait for one another.
    """
    ms = measured.batch_ms
    if measured.workers and ms["loader"] > measured.device_ms:
        return "loader"
    stages = [stage for stage in ("loader", "copy", "augment", "step") if stage in ms]
    return max(stages[1:] if measured.workers else stages, key=lambda stage: ms[stage])


def explained_ms(measured: Measured) -> float:
    """Return how long a batch takes if stages disturb one another in nothing."""
    loader, device = measured.batch_ms["loader"], measured.device_ms
    return max(loader, device) if measured.workers else loader + device


def advise(bottleneck: str, measured: Measured) -> list[str]:
    """Return what would make the bottleneck faster, as far as the measurements tell."""
    if bottleneck == "loader":
        return _advise_loader(measured)
    if bottleneck == "copy":
        return _advise_copy(measured)
    return _advise_compute(bottleneck, measured)


def _advise_loader(measured: Measured) -> list[str]:
    ms = measured.batch_ms
    if measured.cache == "missing":
        return [
            "the decoded cache is not there yet: 'vssl pretrain' decodes every video once before it trains; "
            "--build-cache does so now, and measures with it"
        ]
    advice = _more_workers(measured)
    reading = ms.get("cache", ms["decode"]) / max(1, measured.workers)
    if measured.cache == "used" or reading < _MOSTLY * ms["loader"]:
        return advice + _smaller_frames(measured)
    if 0 < measured.cache_bytes < measured.free_bytes:
        advice.append(
            f"loader.cache=always: all decoded frames take {measured.cache_bytes / 2**30:.1f} GiB, and "
            f"{measured.free_bytes / 2**30:.0f} GiB are free"
        )
    if measured.files and measured.short_side >= _LARGER * measured.read_side:
        side = measured.read_side + measured.read_side % 2
        advice.append(
            f"vssl data prepare --short-side {max(16, side)}: the videos' short side is {measured.short_side:.0f} "
            f"pixels and {measured.read_side} are read (the copy is another data set: results on it are not mixed)"
        )
    return advice + _smaller_frames(measured)


def _more_workers(measured: Measured) -> list[str]:
    """Advise workers where cores are idle and reading is too slow for the device."""
    one_worker = measured.batch_ms["loader"] * max(1, measured.workers)
    needed = math.ceil(one_worker / measured.device_ms)
    if measured.cores <= max(1, measured.workers):
        return []
    workers = min(needed, measured.cores)
    if workers <= measured.workers:
        return []
    words = f"loader.workers={workers}: there are {measured.cores} cores"
    return [words if needed <= measured.cores else f"{words}; {needed} workers would keep up with the device"]


def _smaller_frames(measured: Measured) -> list[str]:
    if not 0 < measured.size < measured.read_side:
        return []
    return [
        f"a smaller task.read_size: {measured.read_side} pixels are read and {measured.size} are shown (this changes "
        "results)"
    ]


def _advise_copy(measured: Measured) -> list[str]:
    advice = []
    if measured.workers == 0:
        advice.append("loader.workers=1: batches of workers lie in page-locked memory, which is copied faster")
    if measured.pixels == "rgb24" and measured.cache == "not used":
        advice.append("pixels=yuv420: half the bytes (this changes results)")
    return advice + _smaller_frames(measured)


def _advise_compute(bottleneck: str, measured: Measured) -> list[str]:
    advice = []
    if measured.device == "cpu" and measured.has_cuda:
        advice.append("device=cuda: this machine has a GPU")
    if bottleneck == "augment":
        return advice + _smaller_frames(measured)
    if measured.has_bf16 and measured.precision == "fp32":
        advice.append("precision=bf16: this GPU has it (this changes results)")
    if 0 < measured.memory < _LITTLE_MEMORY:
        advice.append(
            f"batch_size={2 * measured.batch_size}: the step takes {100 * measured.memory:.0f} % of the GPU's memory "
            "(this changes results)"
        )
    return advice
