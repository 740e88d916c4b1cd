"""The check of data sets."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vssl_core.contracts import Dataset, Video, View
from vssl_core.errors import ClipError
from vssl_core.plugins import Entry, Registry
from vssl_core.testing.components import check_component, pick
from vssl_core.testing.expect import Expect, untouched_generators

__all__ = ["check_dataset"]

_SPLITS = ("train", "val", "test")


def check_dataset(component: Entry | str | Mapping[str, Any], registry: Registry, *, reads: int = 2) -> None:
    """Check a data set: rows, labels, groups and hashes agree in number, and its reader reads what it is asked for.

    Test videos that stand in another split too (same bytes) are an error, and so is a fingerprint that changes between
    two constructions.

    Args:
        component: an ``Entry``, or what configurations say; options such as ``root`` go into a mapping.
        registry: where it is looked up.
        reads: videos a split that are decoded.

    Raises:
        ConformanceError: it does not keep its contract.
    """
    check_component("datasets", component, registry)
    entry, value = pick("datasets", component, registry)
    expect = Expect(entry)
    dataset: Dataset = registry.build("datasets", value)
    expect(isinstance(dataset.name, str) and dataset.name, f"name is {dataset.name!r}; expected text")
    splits = list(dataset.splits())
    expect("train" in splits and set(splits) <= set(_SPLITS), f"splits are {splits}; expected 'train' and of {_SPLITS}")
    seen: dict[str, list[Video]] = {split: list(dataset.videos(split)) for split in splits}
    everything = [video for videos in seen.values() for video in videos]
    for what, keys in (("index", [v.index for v in everything]), ("video_id", [v.video_id for v in everything])):
        expect(len(set(keys)) == len(keys), f"two videos share one {what}")
    for split, videos in seen.items():
        expect(videos, f"split '{split}' is empty")
        expect(dataset.videos(split) == videos, f"videos of '{split}' change between two calls")
        for video in videos:
            _check_video(video, expect)
        n = len(videos)
        for method, rows in (("groups", dataset.groups(split)), ("content_hashes", dataset.content_hashes(split))):
            expect(len(rows) == n, f"{method}('{split}') has {len(rows)} rows for {n} videos")
            expect(all(isinstance(row, str) and row for row in rows), f"{method}('{split}') has rows that are no text")
        for label in dataset.labels():
            _check_targets(dataset, split, label, n, expect)
    _check_leak(dataset, splits, expect)
    _check_reader(dataset, seen, reads, expect)
    prints = (dataset.fingerprint(), dataset.fingerprint(), registry.build("datasets", value).fingerprint())
    expect(isinstance(prints[0], str) and prints[0], f"fingerprint is {prints[0]!r}; expected text")
    expect(len(set(prints)) == 1, f"fingerprint changes: {prints}")
    words = dict(dataset.provenance)
    expect(all(isinstance(word, str) for pair in words.items() for word in pair), f"provenance {words} is not text")


def _check_video(video: Video, expect: Expect) -> None:
    good = video.n_frames >= 0 and video.fps >= 0 and video.duration_s >= 0 and len(video.size) == 2
    expect(good, f"video {video.video_id!r} has impossible properties: {video}")
    if video.n_frames:
        expect(video.fps > 0 and min(video.size) > 0, f"video {video.video_id!r} has frames but {video}")


def _check_targets(dataset: Dataset, split: str, label: str, n: int, expect: Expect) -> None:
    kind, values, classes = dataset.targets(split, label)
    where = f"targets('{split}', '{label}')"
    expect(len(values) == n, f"{where} has {len(values)} values for {n} videos")
    if kind == "class":
        expect(
            values.dtype == np.int64 and values.ndim == 1,
            f"{where} is {values.dtype} {values.shape}; expected int64 [N]",
        )
        expect(
            values.min() >= 0 and values.max() < len(classes), f"{where} has classes outside 0 .. {len(classes) - 1}"
        )
    elif kind == "multi-label":
        shape = (n, len(classes))
        expect(
            values.dtype == np.uint8 and values.shape == shape,
            f"{where} is {values.dtype} {values.shape}; expected uint8 {shape}",
        )
        expect(set(np.unique(values)) <= {0, 1}, f"{where} holds values other than 0 and 1")
    else:
        expect(kind == "number", f"{where} is a {kind!r}; expected class, multi-label or number")
        expect(values.dtype == np.float32 and values.ndim == 1, f"{where} is {values.dtype}; expected float32 [N]")
    same = dataset.targets("train", label).classes
    expect(classes == same, f"{where} has other classes than those of 'train': {classes} and {same}")
    expect(len(set(classes)) == len(classes), f"{where} names a class twice")


def _check_leak(dataset: Dataset, splits: Sequence[str], expect: Expect) -> None:
    if "test" not in splits:
        return
    readable = {
        split: {
            h: v.video_id
            for v, h in zip(dataset.videos(split), dataset.content_hashes(split), strict=True)
            if v.n_frames
        }
        for split in splits
    }
    for split in splits:
        if split != "test":
            shared = readable[split].keys() & readable["test"].keys()
            pairs = ", ".join(f"{readable[split][h]} and {readable['test'][h]}" for h in sorted(shared)[:3])
            expect(not shared, f"{len(shared)} videos stand in '{split}' and in 'test': {pairs}")


def _check_reader(dataset: Dataset, seen: Mapping[str, Sequence[Video]], reads: int, expect: Expect) -> None:
    reader = dataset.reader()
    twin = pickle.loads(pickle.dumps(reader))
    for videos in seen.values():
        for video in [video for video in videos if video.n_frames > 1][:reads]:
            frames = np.array([1, 0, video.n_frames - 1, 0], dtype=np.int64)
            views = [View(frames, (24, 32), "stretch"), View(frames[:2], (16, 16), "short-side-crop")]
            with untouched_generators(expect, "its reader"):
                clips = reader(video, views)
            expect(len(clips) == 2, f"its reader gives {len(clips)} clips for 2 views")
            for clip, view in zip(clips, views, strict=True):
                shape = (len(view.frames), *view.size, 3)
                expect(
                    clip.dtype == np.uint8 and clip.shape == shape,
                    f"its reader gives {clip.dtype} {clip.shape}; expected uint8 {shape}",
                )
            expect(np.array_equal(clips[0][1], clips[0][3]), "a frame that is asked for twice differs from itself")
            again = twin(pickle.loads(pickle.dumps(video)), views)
            same = all(np.array_equal(a, b) for a, b in zip(clips, again, strict=True))
            expect(same, "its reader reads otherwise after pickling")
            beyond = View(np.array([video.n_frames], dtype=np.int64), (16, 16))
            try:
                reader(video, [beyond])
            except ClipError:
                continue
            expect(
                False, f"its reader gives frame {video.n_frames} of a video with {video.n_frames}; expected ClipError"
            )
