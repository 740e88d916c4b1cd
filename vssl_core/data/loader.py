"""Batches from videos: the same ones for any number of workers, from any step on."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from vssl_core.contracts import Batch, Planner, Reader, Video
from vssl_core.data.collate import Chunk, SampleKey, Sampler
from vssl_core.data.guard import end_with_parent
from vssl_core.data.quarantine import Quarantine
from vssl_core.data.watch import Heartbeats, Watchdog
from vssl_core.errors import ConfigError, DataError, VsslError

__all__ = ["Loader", "Quarantine"]

_STREAM_ORDER, _STREAM_HELDOUT = 11, 12
# Held-out samples are drawn as of an epoch that training never reaches, whatever the run's seed.
_HELDOUT_SEED, _HELDOUT_EPOCH = 0, 2**31 - 1


class Loader:
    """Reads batches of clips, planned by a task.

    Training order is an endless stream of permutations of the videos, one an epoch; batch ``k`` is positions
    ``k * batch_size`` and on. It depends on (seed, k) alone, so that a run resumes at any step without replaying, and
    no last batch is short. A video that gives no clip leaves its slot out and goes to the quarantine.

    Args:
        videos: the rows to draw from.
        planner: what a task reads of each; runs in the workers, picklable.
        reader: reads pixels; runs in the workers, picklable.
        batch_size: videos a batch, over all ranks.
        seed: decides order and draws.
        workers: processes; 0: read in this one.
        prefetch: batches that each worker prepares ahead.
        labels: int64 ``[n_videos]``: added to the targets as ``"label"``; ``None``: none.
        quarantine: where bad videos go; ``None``: none is tolerated.
        rank: this process among ``world_size``; it gets every ``world_size``-th sample of a batch.
        world_size: processes that share a batch.
        pin_memory: hand batches over in page-locked memory, for copies to a GPU.
        limit_s: how long a worker may be at one sample; a worker that hangs or crashes is replaced, the video that it
            was at goes to the quarantine and is not touched again. Nobody watches where ``workers`` is 0.
        start_method: of the workers: ``"fork"``, ``"spawn"`` or ``"forkserver"``; empty: the platform's default.

    Raises:
        ConfigError: a batch smaller than the number of ranks.
        DataError: no videos, or labels of another length.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        planner: Planner,
        reader: Reader,
        *,
        batch_size: int,
        seed: int,
        workers: int,
        prefetch: int = 2,
        labels: np.ndarray | None = None,
        quarantine: Quarantine | None = None,
        rank: int = 0,
        world_size: int = 1,
        pin_memory: bool = False,
        limit_s: float = 60.0,
        start_method: str = "",
    ) -> None:
        if not videos:
            raise DataError("no videos to load: the split is empty")
        if labels is not None and len(labels) != len(videos):
            raise DataError(f"{len(labels)} labels for {len(videos)} videos")
        if batch_size < world_size:
            raise ConfigError(f"batch_size={batch_size} is smaller than the number of processes, {world_size}")
        self.videos = videos
        self.batch_size = batch_size
        self.seed = seed
        self.quarantine = quarantine if quarantine is not None else Quarantine(0.0, len(videos))
        #: frames handed over so far, over all views
        self.frames_decoded = 0
        self._rank, self._world_size = rank, world_size
        self._sampler = Sampler(videos, planner, reader, labels)
        self._options: dict[str, Any] = {}
        if workers > 0:
            context = multiprocessing.get_context(start_method or None)
            self._options = {
                "num_workers": workers,
                "prefetch_factor": prefetch,
                "persistent_workers": True,
                "pin_memory": pin_memory,
                "multiprocessing_context": context,
                "worker_init_fn": end_with_parent,
            }
        self._train = _Source(self._sampler, self._options, limit_s)
        self._held = _Source(self._sampler, self._options, limit_s)
        self._orders: dict[int, np.ndarray] = {}

    def batches(self, start_step: int, total_steps: int) -> Iterator[Batch]:
        """Yield the batches of steps ``start_step`` .. ``total_steps - 1``.

        Raises:
            DataError: too many bad videos, no readable video in a batch, or views that do not stack.
        """
        keys = (self._train_keys(step) for step in range(start_step, total_steps))
        for chunk in self._run(self._train, keys):
            if chunk.batch is None:
                raise DataError(
                    f"no video of a batch could be read: {'; '.join(f'{name}: {why}' for name, why in chunk.bad[:3])}; "
                    "remove unreadable videos or raise batch_size"
                )
            yield chunk.batch

    def heldout(self, n_batches: int) -> Iterator[Batch]:
        """Yield up to ``n_batches`` batches in one order, with draws that every run shares; each video at most once.

        The order is mixed once and for all, so that a few batches hold a sample of all videos.

        Raises:
            DataError: as ``batches``.
        """
        order = np.random.default_rng([_STREAM_HELDOUT, len(self.videos)]).permutation(len(self.videos))
        parts = [order[at : at + self.batch_size] for at in range(0, len(order), self.batch_size)][:n_batches]
        keys = ([SampleKey(int(row), _HELDOUT_SEED, _HELDOUT_EPOCH) for row in self._share(part)] for part in parts)
        # A batch of unreadable videos alone has nothing to count; its videos are in the quarantine.
        yield from (chunk.batch for chunk in self._run(self._held, keys) if chunk.batch is not None)

    @property
    def barred(self) -> dict[str, str]:
        """Videos that hung or crashed a worker, by ``video_id``, with the reasons: they are not touched again."""
        return {self.videos[row].video_id: reason for row, reason in self._sampler.barred.items()}

    def bar(self, reasons: Mapping[str, str]) -> None:
        """Do not touch some videos, as an earlier session learnt; to be called before batches are drawn."""
        rows = {video.video_id: row for row, video in enumerate(self.videos)} if reasons else {}
        self._sampler.barred |= {rows[name]: reason for name, reason in reasons.items() if name in rows}

    def close(self) -> None:
        """End the workers; a later call of ``batches`` starts new ones."""
        self._train.close()
        self._held.close()

    def _share(self, rows: Any) -> Any:
        return rows[self._rank :: self._world_size]

    def _train_keys(self, step: int) -> list[SampleKey]:
        positions = range(step * self.batch_size, (step + 1) * self.batch_size)
        keys = []
        for position in self._share(positions):
            epoch, place = divmod(position, len(self.videos))
            keys.append(SampleKey(int(self._order(epoch)[place]), self.seed, epoch))
        return keys

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            rng = np.random.default_rng([_STREAM_ORDER, self.seed, epoch])
            self._orders = {known: order for known, order in self._orders.items() if known >= epoch - 1}
            self._orders[epoch] = rng.permutation(len(self.videos))
        return self._orders[epoch]

    def _run(self, source: _Source, keys: Iterable[list[SampleKey]]) -> Iterator[Chunk]:
        try:
            for chunk in source.chunks(keys):
                for video_id, reason in chunk.bad:
                    self.quarantine.add(video_id, reason)
                if chunk.error is not None:
                    raise chunk.error
                self.frames_decoded += chunk.frames
                yield chunk
        except VsslError:
            # Now, not when the error's traceback is collected: by then torch can no longer reach its workers and waits
            # five seconds for each.
            self.close()
            raise


class _Source:
    """Chunks for a stream of keys, read here or by worker processes that live on between streams."""

    def __init__(self, sampler: Sampler, options: dict[str, Any], limit_s: float) -> None:
        self._sampler = sampler
        self._options = options
        self._limit_s = limit_s
        self._stream: list[Iterable[list[SampleKey]]] = []
        self._loader: DataLoader[Chunk] | None = None
        self._watchdog: Watchdog | None = None
        self._calls = 0

    def chunks(self, keys: Iterable[list[SampleKey]]) -> Iterator[Chunk]:
        if not self._options:
            yield from map(self._sampler.__getitems__, keys)
            return
        self._calls += 1
        call = self._calls
        left, handed = iter(keys), deque[list[SampleKey]]()
        # Every turn but the first begins with new workers, at the batch that the dead one's place would have been.
        while True:
            chunks = self._begin(_noted(chain(tuple(handed), left), handed))
            try:
                while call == self._calls:
                    chunk = next(chunks, None)
                    if chunk is None:
                        return
                    handed.popleft()
                    yield chunk
                raise RuntimeError("an earlier iteration of this loader cannot go on after a later one has begun")
            except (RuntimeError, EOFError, OSError):
                # The latter two: a batch that a worker had finished cannot be fetched from it when it is dead.
                victims = self._watchdog.victims() if call == self._calls and self._watchdog is not None else []
                if not victims:
                    raise
                self._sampler.barred |= dict(victims)
                self.close()
                self._calls = call

    def _begin(self, stream: Iterable[list[SampleKey]]) -> Iterator[Chunk]:
        """Give a stream to the workers, started where there are none."""
        # The batch sampler is iterated in this process, so handing it another stream reaches living workers.
        self._stream[:] = [stream]
        if self._loader is not None:
            return iter(self._loader)
        self._sampler.beats = Heartbeats(self._options["num_workers"])
        self._loader = DataLoader(
            self._sampler,  # type: ignore[arg-type]  # map-style by its __getitems__, not by inheritance
            batch_sampler=_Handover(self._stream),
            collate_fn=_as_it_is,
            # torch draws a seed for its workers, which draw nothing: not from the global generator.
            generator=torch.Generator(),
            **self._options,
        )
        with _own_child_signals():
            chunks = iter(self._loader)
        self._watchdog = Watchdog(self._sampler.beats, self._limit_s)
        self._watchdog.start()
        return chunks

    def close(self) -> None:
        """Let go of the workers, which ends them; a stream in progress cannot go on."""
        if self._watchdog is not None:
            self._watchdog.stop()
        self._watchdog = None
        self._loader = None
        self._calls += 1


def _noted(stream: Iterable[list[SampleKey]], handed: deque[list[SampleKey]]) -> Iterator[list[SampleKey]]:
    """Yield a stream, noting what was handed out: what is delivered is taken from the left again."""
    handed.clear()
    for keys in stream:
        handed.append(keys)
        yield keys


@contextmanager
def _own_child_signals() -> Iterator[None]:
    """Keep torch from handling SIGCHLD: its handler raises wherever the training process happens to be.

    Without it a dead worker is found when a batch is asked for, which is where it can be replaced.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCHLD"):
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    yield
    signal.signal(signal.SIGCHLD, before)


class _Handover:
    """A batch sampler that iterates over whatever stream its list holds."""

    def __init__(self, stream: list[Iterable[list[SampleKey]]]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[list[SampleKey]]:
        yield from self._stream[0]


def _as_it_is(chunk: Any) -> Any:
    """Collate nothing: workers hand over whole chunks."""
    return chunk
