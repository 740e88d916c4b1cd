"""Validation is cut by group, and what is pretrained on never stands in the test split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from support.videos import rows

from vssl_core.contracts import Reader, Targets, Video
from vssl_core.data.splits import check_overlap, cut_validation, fit_val
from vssl_core.errors import DataError


class _Set:
    """Videos in splits with given hashes and groups; label ``kind`` alternates."""

    def __init__(
        self,
        splits: dict[str, int],
        *,
        name: str = "set",
        groups: dict[int, str] | None = None,
        hashes: dict[int, str] | None = None,
    ) -> None:
        self.name = name
        self._groups, self._hashes = groups or {}, hashes or {}
        everything = iter(rows(sum(splits.values())))
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
    import dataclasses

    hashes: dict[int, Any] = {0: "empty", 6: "empty"}
    dataset = _Set({"train": 6, "test": 4}, hashes=hashes)
    dataset._videos["train"][0] = dataclasses.replace(dataset._videos["train"][0], n_frames=0)
    check_overlap(dataset, dataset.videos("train"), dataset)
