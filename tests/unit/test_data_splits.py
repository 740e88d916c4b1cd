"""Validation is cut by group, and what is pretrained on never stands in the test split."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.videos import pictures, rows, write_video

from vssl_core.contracts import Reader, Targets, Video
from vssl_core.data.prepare import prepare
from vssl_core.data.splits import check_overlap, check_splits, cut_validation, fit_val
from vssl_core.errors import DataError
from vssl_datasets.folder import FolderDataset


class _Set:
    """Videos in splits with given hashes and groups; label ``kind`` alternates."""

    def __init__(
        self,
        splits: dict[str, int],
        *,
        name: str = "set",
        groups: dict[int, str] | None = None,
        hashes: dict[int, str] | None = None,
        root: str = "",
    ) -> None:
        self.name = name
        root = root or name
        self._groups, self._hashes = groups or {}, hashes or {}
        everything = iter(
            dataclasses.replace(video, source=f"/{root}/{video.video_id}") for video in rows(sum(splits.values()))
        )
        self._videos = {split: [next(everything) for _ in range(n)] for split, n in splits.items()}

    def splits(self) -> Sequence[str]:
        return list(self._videos)

    def videos(self, split: str) -> Sequence[Video]:
        return self._videos[split]

    def labels(self) -> Sequence[str]:
        return ["kind"]

    def targets(self, split: str, label: str) -> Targets:
        return Targets("class", np.array([video.index % 2 for video in self._videos[split]]), ("even", "odd"))

    def groups(self, split: str) -> Sequence[str]:
        return [self._groups.get(video.index, video.video_id) for video in self._videos[split]]

    def content_hashes(self, split: str) -> Sequence[str]:
        return [self._hashes.get(video.index, f"{self.name}-{video.index}") for video in self._videos[split]]

    def reader(self) -> Reader:
        raise AssertionError("nothing is read")

    def fingerprint(self) -> str:
        return self.name


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_groups_never_cross(labelled: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [f"g{number}" for number in rng.integers(0, 25, 300)]
    labels = rng.integers(0, 4, 300) if labelled else None
    fit, val = cut_validation(groups, labels, seed=seed)
    assert sorted([*fit, *val]) == list(range(300))
    assert not {groups[row] for row in fit} & {groups[row] for row in val}
    assert 0.1 <= len(val) / 300 <= 0.3
    again = cut_validation(groups, labels, seed=seed)
    assert (fit == again[0]).all()
    assert (val == again[1]).all()


def test_classes_keep_their_shares() -> None:
    labels = np.repeat([0, 1, 2], [200, 80, 20])
    groups = [f"g{row // 2}" for row in range(300)]
    _, val = cut_validation(groups, labels)
    assert np.bincount(labels[val], minlength=3).tolist() == [40, 16, 4]


def test_few_groups() -> None:
    fit, val = cut_validation(["a", "a", "a", "b"], np.array([0, 1, 0, 1]))
    assert sorted([*fit, *val]) == [0, 1, 2, 3]
    assert {tuple(fit), tuple(val)} == {(0, 1, 2), (3,)}
    # A class with fewer videos than folds, and one video a class.
    for labels in (np.array([0, 0, 0, 0, 0, 1]), np.arange(6)):
        fit, val = cut_validation(list("abcdef"), labels)
        assert len(fit) + len(val) == 6
        assert len(val) >= 1
    for groups in (["a", "a"], []):
        with pytest.raises(DataError, match="at least 2 groups"):
            cut_validation(groups)


def test_fit_val_uses_the_sets_own_split() -> None:
    own = fit_val(_Set({"train": 6, "val": 2, "test": 3}))
    assert [video.index for video in own["fit"]] == list(range(6))
    assert [video.index for video in own["val"]] == [6, 7]
    cut = fit_val(_Set({"train": 20, "test": 3}, groups={at: f"g{at // 2}" for at in range(20)}))
    assert sorted(video.index for part in cut.values() for video in part) == list(range(20))
    assert len(cut["val"]) == 4
    stratified = fit_val(_Set({"train": 20}), "kind")
    assert sorted(video.index % 2 for video in stratified["val"]) == [0, 0, 1, 1]


def test_no_overlap() -> None:
    dataset = _Set({"train": 6, "test": 4})
    check_overlap(dataset, dataset.videos("train"), dataset)
    check_overlap(dataset, dataset.videos("train"), _Set({"train": 6}, name="other"))


def test_the_same_file_is_an_overlap_across_sets() -> None:
    pretrain = _Set({"train": 6, "test": 1}, hashes={2: "same", 6: "unused"})
    other = _Set({"train": 1, "test": 4}, name="other", hashes={3: "same", 4: "unused"})
    with pytest.raises(
        DataError, match=r"1 test videos of 'other' overlap .* v002\.mp4 and test video v003\.mp4 are the same file"
    ):
        check_overlap(pretrain, pretrain.videos("train"), other)
    kept = [video for video in pretrain.videos("train") if video.index != 2]
    check_overlap(pretrain, kept, other)


def test_a_copy_and_its_original_are_one_video(tmp_path: Path) -> None:
    """Pretraining on the small copy of a test video is pretraining on the test video."""
    originals = tmp_path / "originals"
    for at, place in enumerate(["train/a.mp4", "train/b.avi", "test/c.mp4", "test/d.mp4"]):
        codec = "mpeg4" if place.endswith(".avi") else "libx264"
        write_video(originals / place, pictures(5, 32, 48, seed=at), codec=codec)
    stock = tmp_path / "stock"
    stock.mkdir()
    for name, place in (("x.mp4", "test/c.mp4"), ("y.avi", "train/b.avi")):
        (stock / name).write_bytes((originals / place).read_bytes())
    prepare(stock, ["x.mp4", "y.avi"], tmp_path / "copies", short_side=16, workers=1)
    measured, pretrain = FolderDataset(root=str(originals)), FolderDataset(root=str(tmp_path / "copies"))
    videos = {video.video_id: video for video in pretrain.videos("train")}
    with pytest.raises(DataError, match=r"1 test videos .*x\.mp4 and test video test/c\.mp4 are the same file"):
        check_overlap(pretrain, list(videos.values()), measured)
    check_overlap(pretrain, [videos["y.avi.mp4"]], measured)


def test_a_shared_group_is_an_overlap_within_one_set() -> None:
    groups = {1: "tape", 7: "tape"}
    dataset = _Set({"train": 6, "test": 4}, groups=groups)
    with pytest.raises(DataError, match=r"v001\.mp4 and test video v007\.mp4 are both of group 'tape'"):
        check_overlap(dataset, dataset.videos("train"), dataset)
    elsewhere = _Set({"train": 6, "test": 4}, name="other", groups=groups)
    check_overlap(dataset, dataset.videos("train"), elsewhere)


def test_pretraining_on_test_videos_is_an_overlap() -> None:
    dataset = _Set({"train": 6, "test": 4})
    with pytest.raises(DataError, match="4 test videos"):
        check_overlap(dataset, [*dataset.videos("train"), *dataset.videos("test")], dataset)


def test_empty_files_are_not_the_same_video() -> None:
    hashes: dict[int, Any] = {0: "empty", 6: "empty"}
    dataset = _Set({"train": 6, "test": 4}, hashes=hashes)
    dataset._videos["train"][0] = dataclasses.replace(dataset._videos["train"][0], n_frames=0)
    check_overlap(dataset, dataset.videos("train"), dataset)


@pytest.mark.parametrize("alike", [{"root": "set"}, {"hashes": {3: "set-0"}}], ids=["path", "content"])
def test_groups_count_between_sets_with_any_file_in_common(alike: dict[str, Any]) -> None:
    """One table read twice, with other label columns, has two fingerprints and the same recordings."""
    groups = {1: "tape", 7: "tape"}
    pretrain = _Set({"train": 6, "test": 4}, groups=groups)
    relabelled = _Set({"train": 6, "test": 4}, name="relabelled", groups=groups, **alike)
    with pytest.raises(DataError, match=r"1 test videos .*v001\.mp4 and test video v007\.mp4 are both of group 'tape'"):
        check_overlap(pretrain, pretrain.videos("train"), relabelled)
    check_overlap(pretrain, [v for v in pretrain.videos("train") if v.index != 1], relabelled)


def test_files_that_cannot_be_read_make_no_common_stock() -> None:
    groups: dict[int, str] = {1: "tape", 7: "tape"}
    sets = [_Set({"train": 6, "test": 4}, name=name, groups=groups, hashes={0: "absent"}) for name in "ab"]
    for dataset in sets:
        dataset._videos["train"][0] = dataclasses.replace(dataset._videos["train"][0], n_frames=0)
    check_overlap(sets[0], sets[0].videos("train"), sets[1])


def test_a_group_that_only_the_pretraining_set_names_counts() -> None:
    pretrain = _Set({"train": 6, "test": 4}, groups={1: "tape", 7: "tape"})
    ungrouped = _Set({"train": 6, "test": 4}, name="ungrouped", hashes={7: "set-7"})
    with pytest.raises(DataError, match=r"v001\.mp4 and test video v007\.mp4 are both of group 'tape'"):
        check_overlap(pretrain, pretrain.videos("train"), ungrouped)


def test_a_set_overlaps_with_itself() -> None:
    sizes = {"train": 6, "val": 2, "test": 4}
    check_splits(_Set(sizes))
    check_splits(_Set({"train": 6}))
    check_splits(_Set(sizes, groups={0: "a", 1: "a", 6: "b", 7: "b", 8: "c", 9: "c"}, hashes={0: "x", 1: "x"}))
    for one, other, found in ((1, 9, "test video v009"), (6, 9, "test video v009"), (1, 6, "val video v006")):
        with pytest.raises(DataError, match=rf"v00{one}\.mp4 and {found}\.mp4 are the same file.*into one split"):
            check_splits(_Set(sizes, hashes={one: "x", other: "x"}))
        with pytest.raises(DataError, match=rf"v00{one}\.mp4 and {found}\.mp4 are both of group 'g'"):
            check_splits(_Set(sizes, groups={one: "g", other: "g"}))
