"""Batches depend on (seed, step) alone: not on workers, not on where a run was resumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from support.videos import ClipPlanner, PatternReader, UnevenPlanner, rows

from vssl_core.contracts import Batch, Reader, Video, View
from vssl_core.data.loader import Loader, Quarantine
from vssl_core.errors import ConfigError, DataError


def _loader(n_videos: int = 10, workers: int = 0, **options: Any) -> Loader:
    defaults: dict[str, Any] = {"batch_size": 4, "seed": 7}
    planner, reader = options.pop("planner", ClipPlanner()), options.pop("reader", PatternReader())
    return Loader(rows(n_videos), planner, reader, workers=workers, **{**defaults, **options})


def _equal(left: Iterable[Batch], right: Iterable[Batch]) -> None:
    for mine, other in zip(left, right, strict=True):
        for a, b in zip(mine.views, other.views, strict=True):
            assert torch.equal(a, b)
        assert mine.targets.keys() == other.targets.keys()
        for name in mine.targets:
            assert torch.equal(mine.targets[name], other.targets[name]), name
        assert torch.equal(mine.seeds, other.seeds)
        assert torch.equal(mine.index, other.index)


def test_batch_layout() -> None:
    batch = next(_loader(labels=np.arange(10) * 2).batches(0, 1))
    assert [(tuple(view.shape), view.dtype) for view in batch.views] == [
        ((4, 4, 8, 8, 3), torch.uint8),
        ((4, 1, 4, 6, 3), torch.uint8),
    ]
    types = {name: (target.dtype, tuple(target.shape)) for name, target in batch.targets.items()}
    assert types == {
        "speed": (torch.int64, (4,)),
        "shift": (torch.float32, (4,)),
        "order": (torch.int64, (4, 3)),
        "flow": (torch.float32, (4, 2, 2)),
        "mirrored": (torch.bool, (4,)),
        "label": (torch.int64, (4,)),
    }
    assert torch.equal(batch.targets["label"], batch.index * 2)
    assert batch.seeds.dtype == batch.index.dtype == torch.int64


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same_batches(workers: int) -> None:
    state = torch.get_rng_state()
    here, there = _loader(), _loader(workers=workers)
    _equal(here.batches(0, 9), there.batches(0, 9))
    _equal(here.heldout(3), there.heldout(3))
    # The workers live on: a second stream is the first again.
    _equal(here.batches(0, 4), there.batches(0, 4))
    assert here.frames_decoded == there.frames_decoded == (9 * 4 + 10 + 4 * 4) * 5
    there.close()
    assert torch.equal(state, torch.get_rng_state()), "nothing is drawn from the global generator"


@pytest.mark.slow
def test_spawned_workers() -> None:
    there = _loader(workers=1, start_method="spawn")
    _equal(_loader().batches(0, 3), there.batches(0, 3))
    assert there.frames_decoded == 3 * 4 * 5
    there.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_resuming_needs_no_replay(workers: int) -> None:
    whole = list(_loader().batches(0, 12))
    reader = PatternReader()
    _equal(whole[5:], _loader(workers=workers, reader=reader).batches(5, 12))
    assert reader.calls in (0, 7 * 4)


def test_an_abandoned_stream_does_not_leak_into_the_next() -> None:
    there = _loader(workers=2)
    stream = there.batches(0, 20)
    next(stream), next(stream)
    _equal(_loader().batches(3, 6), there.batches(3, 6))
    with pytest.raises(RuntimeError, match="cannot go on"):
        next(stream)
    there.close()


def test_every_epoch_is_a_permutation() -> None:
    order = torch.cat([batch.index for batch in _loader().batches(0, 15)]).tolist()
    epochs = [order[at : at + 10] for at in range(0, 60, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6
    other = torch.cat([batch.index for batch in _loader(seed=8).batches(0, 15)]).tolist()
    assert other != order


def test_a_set_smaller_than_a_batch_fills_it() -> None:
    batch = next(_loader(3, batch_size=8).batches(0, 1))
    assert Counter(batch.index.tolist()) in (
        Counter({0: 3, 1: 3, 2: 2}),
        Counter({0: 3, 1: 2, 2: 3}),
        Counter({0: 2, 1: 3, 2: 3}),
    )
    assert len(set(batch.seeds.tolist())) == 8, "a video that comes again is drawn anew"


def test_heldout_is_one_order_for_every_run() -> None:
    first, second = list(_loader(seed=1).heldout(99)), list(_loader(seed=2).heldout(99))
    _equal(first, second)
    assert [len(batch.index) for batch in first] == [4, 4, 2]
    order = torch.cat([batch.index for batch in first]).tolist()
    assert sorted(order) == list(range(10))
    assert order != list(range(10)), "a few batches must not hold the first folders alone"
    _equal(first[:2], _loader().heldout(2))


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_videos_leave_their_slot_out(workers: int) -> None:
    quarantine = Quarantine(0.2, 10)
    loader = _loader(workers=workers, reader=PatternReader(broken=[3, 8]), quarantine=quarantine)
    good = list(_loader().batches(0, 5))
    for batch, full in zip(loader.batches(0, 5), good, strict=True):
        keep = [at for at, index in enumerate(full.index.tolist()) if index not in (3, 8)]
        _equal(
            [batch],
            [
                Batch(
                    tuple(view[keep] for view in full.views),
                    {name: target[keep] for name, target in full.targets.items()},
                    full.seeds[keep],
                    full.index[keep],
                )
            ],
        )
    assert dict(quarantine.reasons) == {"v003.mp4": "v003.mp4 is broken", "v008.mp4": "v008.mp4 is broken"}
    loader.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_bad_videos_stop_the_run(workers: int) -> None:
    loader = _loader(
        30, workers=workers, batch_size=10, reader=PatternReader(broken=range(12)), quarantine=Quarantine(0.35, 30)
    )
    with pytest.raises(DataError) as raised:
        list(loader.batches(0, 30))
    message = str(raised.value)
    assert message.startswith("11 of 30 videos gave no clip so far, more than loader.max_bad=0.35 allows")
    assert message.count(" is broken") == 10
    loader.close()


def test_by_default_no_bad_video_is_tolerated() -> None:
    with pytest.raises(DataError, match="1 of 10 videos gave no clip"):
        list(_loader(reader=PatternReader(broken=[5])).batches(0, 5))


def test_a_batch_without_a_readable_video() -> None:
    reader = PatternReader(broken=range(10))
    with pytest.raises(DataError, match=r"no video of a batch could be read: v00.*raise batch_size"):
        next(_loader(reader=reader, quarantine=Quarantine(1.0, 10)).batches(0, 5))
    quarantine = Quarantine(1.0, 10)
    assert list(_loader(reader=reader, quarantine=quarantine).heldout(5)) == []
    assert len(quarantine) == 10


class _Never(ClipPlanner):
    def __call__(self, video: Video, rng: np.random.Generator) -> Any:
        raise AssertionError("a video without frames cannot be planned")


class _Reasons(PatternReader):
    def __call__(self, video: Video, views: Sequence[View]) -> list[np.ndarray]:
        return super().__call__(video, views) if views else _refuse(video)


def _refuse(video: Video) -> list[np.ndarray]:
    from vssl_core.errors import ClipError

    raise ClipError(f"{video.video_id} is empty")


def test_unreadable_rows_give_the_readers_reason() -> None:
    quarantine = Quarantine(1.0, 4)
    reader: Reader = _Reasons()
    loader = Loader(rows(4, n_frames=0), _Never(), reader, batch_size=2, seed=0, workers=0, quarantine=quarantine)
    assert list(loader.heldout(2)) == []
    assert quarantine.reasons["v001.mp4"] == "v001.mp4 is empty"


@pytest.mark.parametrize("workers", [0, 2])
def test_mixed_shapes_are_named(workers: int) -> None:
    loader = _loader(workers=workers, planner=UnevenPlanner())
    with pytest.raises(
        DataError, match=r"views of different shapes in one batch: \[\dx8x8x3, 1x4x6x3\] for video 'v\d+\.mp4'"
    ):
        list(loader.batches(0, 3))
    loader.close()


def test_ranks_share_a_batch() -> None:
    whole = list(_loader().batches(0, 5))
    parts = [list(_loader(rank=rank, world_size=2).batches(0, 5)) for rank in range(2)]
    for full, even, odd in zip(whole, *parts, strict=True):
        assert torch.equal(torch.stack([even.seeds, odd.seeds], dim=1).flatten(), full.seeds)
        assert torch.equal(torch.stack([even.views[0], odd.views[0]], dim=1).flatten(0, 1), full.views[0])


def test_impossible_loaders() -> None:
    with pytest.raises(DataError, match="no videos to load"):
        _loader(0)
    with pytest.raises(DataError, match="3 labels for 10 videos"):
        _loader(labels=np.arange(3))
    with pytest.raises(ConfigError, match="batch_size=4 is smaller than the number of processes, 8"):
        _loader(world_size=8)
