"""A video that hangs or crashes a loader worker costs its own slot: nothing hangs, nothing else changes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.videos import ClipPlanner, PatternReader, rows

from vssl_core.contracts import Batch, Video, View
from vssl_core.data.loader import Loader, Quarantine
from vssl_core.errors import DataError

N_VIDEOS = 12


class BadReader(PatternReader):
    """Sleeps over one video, crashes at another, is killed from outside at a third."""

    def __init__(self, hangs: int = -1, crashes: int = -1, killed: int = -1) -> None:
        super().__init__()
        self.hangs, self.crashes, self.killed = hangs, crashes, killed

    def __call__(self, video: Video, views: Sequence[View]) -> list[np.ndarray]:
        if video.index == self.hangs:
            time.sleep(600)
        if video.index == self.crashes:
            os.kill(os.getpid(), signal.SIGSEGV)
        if video.index == self.killed:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(video, views)


def _loader(reader: PatternReader, workers: int) -> Loader:
    quarantine = Quarantine(0.5, N_VIDEOS)
    options = {"batch_size": 4, "seed": 3, "workers": workers, "quarantine": quarantine, "limit_s": 1.0}
    return Loader(rows(N_VIDEOS), ClipPlanner(), reader, **options)  # type: ignore[arg-type]


def _same(left: Sequence[Batch], right: Sequence[Batch]) -> None:
    assert len(left) == len(right)
    for mine, other in zip(left, right, strict=True):
        assert torch.equal(mine.index, other.index)
        assert torch.equal(mine.seeds, other.seeds)
        assert all(torch.equal(a, b) for a, b in zip(mine.views, other.views, strict=True))


@pytest.mark.parametrize("workers", [1, 2])
def test_the_slot_is_left_out_and_the_rest_is_as_ever(workers: int) -> None:
    loader = _loader(BadReader(hangs=2, crashes=7), workers)
    found = list(loader.batches(0, 9))
    expected = list(_loader(PatternReader(broken=[2, 7]), 0).batches(0, 9))
    _same(found, expected)
    assert loader.barred == {
        "v002.mp4": "reading it did not end within 1 s",
        "v007.mp4": "reading it crashed the decoder (SIGSEGV)",
    }
    assert dict(loader.quarantine.reasons) == loader.barred
    # It is not tried again: another hang would take a second.
    began = time.monotonic()
    _same(list(loader.batches(3, 9)), expected[3:])
    assert time.monotonic() - began < 0.9
    loader.close()


def test_what_an_earlier_session_learnt_is_not_tried_again() -> None:
    loader = _loader(BadReader(hangs=2), 2)
    loader.bar({"v002.mp4": "it hung", "gone.mp4": "it hung"})
    began = time.monotonic()
    _same(list(loader.batches(0, 6)), list(_loader(PatternReader(broken=[2]), 0).batches(0, 6)))
    assert dict(loader.quarantine.reasons) == {"v002.mp4": "it hung"}
    assert time.monotonic() - began < 30
    loader.close()


def test_a_worker_that_is_killed_from_outside_blames_no_video() -> None:
    loader = _loader(BadReader(killed=5), 2)
    with pytest.raises(DataError, match="killed from outside"):
        list(loader.batches(0, 9))
    assert not loader.barred


def test_too_many_hanging_videos_stop_the_run() -> None:
    loader = Loader(
        rows(N_VIDEOS),
        ClipPlanner(),
        BadReader(hangs=2),
        batch_size=4,
        seed=3,
        workers=1,
        quarantine=Quarantine(0.01, N_VIDEOS),
        limit_s=0.5,
    )
    with pytest.raises(DataError, match=r"v002\.mp4: reading it did not end"):
        list(loader.batches(0, 9))


class SurprisingReader(PatternReader):
    """Raises, over one video, what no reader should."""

    def __call__(self, video: Video, views: Sequence[View]) -> list[np.ndarray]:
        if video.index == 2:
            raise ValueError(f"broken PNG file {video.source}")
        return super().__call__(video, views)


class SurprisingPlanner(ClipPlanner):
    """Has a mistake that shows at one video."""

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[list[View], dict[str, Any]]:
        if video.index == 2:
            raise ValueError("a planner's mistake")
        return super().__call__(video, rng)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_surprise_while_reading_is_the_videos_reason(workers: int) -> None:
    loader = _loader(SurprisingReader(), workers)
    _same(list(loader.batches(0, 6)), list(_loader(PatternReader(broken=[2]), 0).batches(0, 6)))
    # Named by its id: the reason stands in records, which must not differ between machines.
    reason = "v002.mp4: reading it raised ValueError: broken PNG file v002.mp4"
    assert dict(loader.quarantine.reasons) == {"v002.mp4": reason}
    loader.close()


def test_a_surprise_of_an_empty_video_is_its_reason() -> None:
    videos = rows(N_VIDEOS)
    videos[2] = replace(videos[2], n_frames=0)
    loader = Loader(
        videos, ClipPlanner(), SurprisingReader(), batch_size=4, seed=3, workers=0, quarantine=Quarantine(0.5, N_VIDEOS)
    )
    list(loader.batches(0, 3))
    assert list(loader.quarantine.reasons) == ["v002.mp4"]


def test_a_surprise_while_planning_is_shown() -> None:
    loader = Loader(
        rows(N_VIDEOS),
        SurprisingPlanner(),
        PatternReader(),
        batch_size=4,
        seed=3,
        workers=0,
        quarantine=Quarantine(0.5, N_VIDEOS),
    )
    with pytest.raises(ValueError, match="a planner's mistake"):
        list(loader.batches(0, 3))
