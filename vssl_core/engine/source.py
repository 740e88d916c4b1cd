"""Where a pretraining run's batches come from: the videos, the planner of its task, and the decoded cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from vssl_core.config.schema import LoaderConfig
from vssl_core.contracts import Batch, Dataset, Reader, Video, View
from vssl_core.data.cache import CachedReader, estimate_bytes, open_cache
from vssl_core.data.home import home
from vssl_core.data.loader import Loader, Quarantine
from vssl_core.data.plan import sample_rng
from vssl_core.data.videos import JoinedVideos
from vssl_core.engine.loop import Progress
from vssl_core.engine.planned import PlannedPretrain
from vssl_core.errors import ClipError, ConfigError

__all__ = ["TaskSource", "cached_reader", "open_task_source", "planned_sizes"]


def _planned_views(planner: Any, videos: Sequence[Video], seed: int) -> Sequence[View]:
    """Return the views that a planner asks for of the first video that is long enough for it."""
    for video in videos:
        try:
            views: Sequence[View] = planner(video, sample_rng(seed, 0, video.index))[0]
        except ClipError:
            continue
        return views
    return []


def planned_sizes(planner: Any, videos: Sequence[Video], seed: int) -> list[tuple[tuple[int, int], str]]:
    """Return the (size, fit) pairs that a planner asks for; empty where no video is long enough for it."""
    return _sizes(_planned_views(planner, videos, seed))


def _sizes(views: Sequence[View]) -> list[tuple[tuple[int, int], str]]:
    return sorted({(view.size, view.fit) for view in views})


def cached_reader(
    dataset: Dataset,
    videos: Sequence[Video],
    sizes: Sequence[tuple[tuple[int, int], str]],
    config: LoaderConfig,
    progress: Progress | None,
) -> tuple[Reader, float]:
    """Return a reader over the decoded cache where ``config.cache`` wants one, and the seconds that filling it took.

    The cache holds the same bits that decoding gives, so it changes how long a run takes and nothing else.
    """
    reader = dataset.reader()
    most = config.cache_max_gb * 2**30
    wanted = config.cache == "always" or (config.cache == "auto" and estimate_bytes(videos, sizes, most=most) <= most)
    if not wanted or not sizes or not videos:
        return reader, 0.0

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress("decode", done, total, {})

    folder = home() / "decoded" / dataset.fingerprint()[:16]
    cached = open_cache(reader, list(videos), sizes, folder, report)
    return cached, cached.seconds


class TaskSource:
    """Batches of the training videos and of the held-out ones; ``close`` ends its loader workers."""

    def __init__(self, train: Loader, heldout: Loader, cache_s: float) -> None:
        self._train = train
        self._heldout = heldout
        self._frames_before = 0
        self.cache_s = cache_s

    def batches(self, start_step: int, total_steps: int) -> Iterator[Batch]:
        """Yield training batches ``start_step`` .. ``total_steps - 1``."""
        return self._train.batches(start_step, total_steps)

    def heldout(self, n_batches: int) -> Iterator[Batch]:
        """Yield the same held-out batches at every call."""
        return self._heldout.heldout(n_batches)

    @property
    def frames_decoded(self) -> int:
        """Frames handed to training so far, earlier sessions of a resumed run counted in."""
        return self._frames_before + self._train.frames_decoded

    def unreadable(self) -> list[dict[str, str]]:
        """Return every video that was left out, with its split and the reason, as records name them."""
        return [
            {"video_id": video_id, "split": split, "reason": reason}
            for split, loader in (("fit", self._train), ("val", self._heldout))
            for video_id, reason in loader.quarantine.reasons.items()
        ]

    def state(self) -> Mapping[str, Any]:
        """Return what a checkpoint keeps."""
        return {
            "frames_decoded": self.frames_decoded,
            "cache_s": self.cache_s,
            "unreadable": dict(self._train.quarantine.reasons),
            "barred": {"fit": self._train.barred, "val": self._heldout.barred},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what a checkpoint kept."""
        self._frames_before = int(state["frames_decoded"])
        self.cache_s = max(self.cache_s, float(state["cache_s"]))
        self._train.quarantine.restore(state["unreadable"])
        self._train.bar(state["barred"]["fit"])
        self._heldout.bar(state["barred"]["val"])

    def close(self) -> None:
        """End the loader workers."""
        self._train.close()
        self._heldout.close()


@contextmanager
def open_task_source(
    planned: PlannedPretrain, task: Any, splits: Mapping[str, Sequence[Video]], progress: Progress | None
) -> Iterator[TaskSource]:
    """Open the batches of a run: ``fit`` videos to train on, ``val`` videos held out."""
    config = planned.config
    planner = task.planner()
    fit, val = splits["fit"], splits["val"]
    views = _planned_views(planner, fit, config.seed)
    sizes = _sizes(views)
    if config.pixels == "rgb24":
        reader, cache_s = cached_reader(planned.dataset, JoinedVideos(fit, val), sizes, config.loader, progress)
    else:
        reader, cache_s = _unconverted(planned), 0.0
    # Frames that are there already cost less than workers do; flow is computed of them all the same.
    in_memory = isinstance(reader, CachedReader) and all(view.flow is None for view in views)
    workers = config.loader.workers if config.loader.workers >= 0 else (0 if in_memory else 2)

    def loader(videos: Sequence[Video]) -> Loader:
        return Loader(
            videos,
            planner,
            reader,
            batch_size=config.batch_size,
            seed=config.seed,
            workers=workers,
            prefetch=config.loader.prefetch,
            labels=_labels(planned, videos) if planned.task.spec.needs_labels else None,
            quarantine=Quarantine(config.loader.max_bad, len(videos), planned.folder / "unreadable.jsonl"),
            pin_memory=torch.cuda.is_available(),
            limit_s=config.loader.limit_s,
        )

    source = TaskSource(loader(fit), loader(val), cache_s)
    try:
        yield source
    finally:
        source.close()


def _unconverted(planned: PlannedPretrain) -> Reader:
    """Return a reader whose frames are converted on the device.

    Raises:
        ConfigError: the data set has none, or a decoded cache is insisted on, which holds RGB.
    """
    config = planned.config
    if config.loader.cache == "always":
        raise ConfigError(f"pixels={config.pixels} reads from the files; loader.cache=always contradicts it")
    other = getattr(planned.dataset.reader(), "with_pixels", None)
    if other is None:
        raise ConfigError(f"data set {planned.dataset.name!r} cannot hand over pixels={config.pixels}; use rgb24")
    reader: Reader = other(config.pixels)
    return reader


def _labels(planned: PlannedPretrain, videos: Sequence[Video]) -> np.ndarray:
    """Return int64 ``[len(videos)]``, for the one task that is given labels."""
    dataset, label = planned.dataset, planned.config.label
    by_index: dict[int, int] = {}
    for split in ("train", "val"):
        if split in dataset.splits():
            rows = dataset.videos(split)
            by_index |= {
                video.index: int(value) for video, value in zip(rows, dataset.targets(split, label).values, strict=True)
            }
    return np.array([by_index[video.index] for video in videos], dtype=np.int64)
