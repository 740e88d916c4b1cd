"""Cutting a validation split by group, and refusing overlaps between splits and between pretraining and test videos."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vssl_core.contracts import Dataset, Video
from vssl_core.data.videos import VideoSubset
from vssl_core.errors import DataError

__all__ = ["check_overlap", "check_splits", "cut_validation", "fit_val"]


def cut_validation(
    groups: Sequence[str], labels: np.ndarray | None = None, fraction: float = 0.2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Cut about ``fraction`` of the rows off, whole groups at a time.

    Where ``labels`` are given (int ``[N]``, classes) their shares are kept alike as far as groups allow
    (scikit-learn's ``StratifiedGroupKFold``), otherwise groups are drawn (``GroupShuffleSplit``).

    Returns:
        int64 ``(fit_rows, val_rows)``, each sorted; together every row once.

    Raises:
        DataError: fewer than two groups: nothing can be held out.
    """
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

    _, numbers = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    n_groups = int(numbers.max()) + 1 if len(numbers) else 0
    if n_groups < 2:
        raise DataError(
            f"a validation split needs videos of at least 2 groups, there are {n_groups}; add videos, "
            "give a 'val' split, or a finer group column"
        )
    rows = np.zeros(len(numbers), dtype=np.int8)
    folds = min(max(2, round(1 / fraction)), n_groups)
    if labels is not None and np.unique(labels, return_counts=True)[1].max() >= folds:
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            # A class with fewer members than folds is put where it fits; that is what is wanted here.
            warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
            options = list(splitter.split(rows, labels, numbers))
        # Groups can be uneven: take the first fold that leaves both sides something.
        fit, val = next((fit, val) for fit, val in options if len(fit) and len(val))
    else:
        fit, val = next(GroupShuffleSplit(n_splits=1, test_size=fraction, random_state=seed).split(rows, None, numbers))
    return np.sort(fit).astype(np.int64), np.sort(val).astype(np.int64)


def fit_val(dataset: Dataset, label: str = "") -> dict[str, Sequence[Video]]:
    """Return the videos to fit on and those to choose by: ``{"fit": [...], "val": [...]}``.

    A set's own ``"val"`` split is used where it has one; otherwise ``"train"`` is cut by group, with the classes of
    ``label`` kept alike if a label of classes is named. Without a label no label is looked at.

    Raises:
        DataError: the set has no videos to train on, or a single group.
    """
    train = dataset.videos("train")
    if "val" in dataset.splits():
        return {"fit": train, "val": dataset.videos("val")}
    targets = dataset.targets("train", label) if label else None
    classes = targets.values if targets is not None and targets.kind == "class" else None
    fit, val = cut_validation(dataset.groups("train"), classes)
    return {"fit": VideoSubset(train, fit), "val": VideoSubset(train, val)}


def check_overlap(pretrain_dataset: Dataset, pretrain_videos: Sequence[Video], transfer_dataset: Dataset) -> None:
    """Make sure that no pretraining video stands in the test split of the set that it is measured on.

    Files are compared by content. Groups are compared too where the two sets are of one stock: equal fingerprints, or
    any file in common between their whole listings, by path or by content, whatever labels either reads. A set without
    a test split overlaps with nothing.

    Raises:
        DataError: an overlap; the first three pairs are named.
    """
    if "test" not in transfer_dataset.splits():
        return
    listed, theirs = _listing(pretrain_dataset), _listing(transfer_dataset)
    indices = {video.index for video in pretrain_videos}
    used = [item for item in listed if item.video.index in indices]
    same_stock = pretrain_dataset.fingerprint() == transfer_dataset.fingerprint() or _share_files(listed, theirs)
    # The pretraining set may know a test video under a group that the measured set does not name.
    known_as = {item.content: item.group for item in listed if item.video.n_frames} if same_stock else {}
    test = [item for item in theirs if item.split == "test"]
    found = _overlaps(used, test, by_group=same_stock, known_as=known_as)
    if found:
        raise DataError(
            f"{len(found)} test videos of {transfer_dataset.name!r} overlap with the pretraining videos of "
            f"{pretrain_dataset.name!r}: {'; '.join(found[:3])}. Pretrain on videos that are not in the test split"
        )


def check_splits(dataset: Dataset) -> None:
    """Make sure that a set's splits share neither a file nor a group: test against the rest, ``"val"`` against train.

    Where a set has no ``"val"`` of its own, validation is cut from train by group and cannot share one.

    Raises:
        DataError: an overlap; the first three pairs are named.
    """
    listed = _listing(dataset)
    by_split = {split: [item for item in listed if item.split == split] for split in dataset.splits()}
    train, val, test = (by_split.get(split, []) for split in ("train", "val", "test"))
    compared = (
        ([*train, *val], test, "what is measured on the test split would have been trained or chosen on"),
        (train, val, "choices would be made on videos that were trained on"),
    )
    for ours, others, why in compared:
        found = _overlaps(ours, others, by_group=True)
        if found:
            raise DataError(
                f"{len(found)} {others[0].split} videos of {dataset.name!r} overlap with its other splits: "
                f"{'; '.join(found[:3])}. Put all videos of a group, and all copies of a file, into one split: {why}"
            )


@dataclass(frozen=True, slots=True)
class _Listed:
    """One video of a set's listing, with what tells where it comes from."""

    video: Video
    split: str
    content: str
    group: str


def _listing(dataset: Dataset) -> list[_Listed]:
    """Return every video of every split; hashes and groups come with the set's index, nothing is read for it."""
    return [
        _Listed(video, split, content, group)
        for split in dataset.splits()
        for video, content, group in zip(
            dataset.videos(split), dataset.content_hashes(split), dataset.groups(split), strict=True
        )
    ]


def _share_files(ours: Sequence[_Listed], others: Sequence[_Listed]) -> bool:
    """Return whether any path, or the content of any readable file, stands in both listings."""

    def paths(listed: Sequence[_Listed]) -> set[str]:
        return {item.video.source for item in listed if item.video.source}

    def contents(listed: Sequence[_Listed]) -> set[str]:
        return {item.content for item in listed if item.video.n_frames}

    return not (paths(ours).isdisjoint(paths(others)) and contents(ours).isdisjoint(contents(others)))


def _overlaps(
    used: Sequence[_Listed], others: Sequence[_Listed], *, by_group: bool, known_as: Mapping[str, str] | None = None
) -> list[str]:
    """Describe each video of ``others`` whose file or group was used.

    Args:
        used: videos that were seen.
        others: videos that must not have been.
        by_group: compare groups too.
        known_as: further group names of files, by content.
    """
    # Unreadable files are often empty, and all empty files are the same.
    by_content = {item.content: item.video.video_id for item in used if item.video.n_frames}
    by_name = {item.group: item.video.video_id for item in used if item.group != item.video.video_id}
    # A video without a known group is one of its own: equal names of two sets do not make such videos one source.
    lone = {item.group for item in used if item.group == item.video.video_id}
    found = []
    for item in others:
        name = f"{item.split} video {item.video.video_id}"
        if item.video.n_frames and item.content in by_content:
            found.append(f"{by_content[item.content]} and {name} are the same file")
            continue
        if not by_group:
            continue
        also = known_as.get(item.content, item.group) if known_as and item.video.n_frames else item.group
        for group in (item.group, also):
            if group in by_name or (group in lone and group != item.video.video_id):
                found.append(f"{by_name.get(group, group)} and {name} are both of group {group!r}")
                break
    return found
