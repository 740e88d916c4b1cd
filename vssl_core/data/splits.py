"""Cutting a validation split by group, and refusing overlaps between pretraining and test videos."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from vssl_core.contracts import Dataset, Video
from vssl_core.errors import DataError

__all__ = ["check_overlap", "cut_validation", "fit_val"]


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


def fit_val(dataset: Dataset, label: str = "") -> dict[str, list[Video]]:
    """Return the videos to fit on and those to choose by: ``{"fit": [...], "val": [...]}``.

    A set's own ``"val"`` split is used where it has one; otherwise ``"train"`` is cut by group, with the classes of
    ``label`` kept alike if a label of classes is named. Without a label no label is looked at.

    Raises:
        DataError: the set has no videos to train on, or a single group.
    """
    train = list(dataset.videos("train"))
    if "val" in dataset.splits():
        return {"fit": train, "val": list(dataset.videos("val"))}
    targets = dataset.targets("train", label) if label else None
    classes = targets.values if targets is not None and targets.kind == "class" else None
    fit, val = cut_validation(dataset.groups("train"), classes)
    return {"fit": [train[row] for row in fit], "val": [train[row] for row in val]}


def check_overlap(pretrain_dataset: Dataset, pretrain_videos: Sequence[Video], transfer_dataset: Dataset) -> None:
    """Make sure that no pretraining video stands in the test split of the set that it is measured on.

    Files are compared by content; within one set (equal fingerprints) groups are compared too. A set without a test
    split overlaps with nothing.

    Raises:
        DataError: an overlap; the first three pairs are named.
    """
    if "test" not in transfer_dataset.splits():
        return
    used = {video.index for video in pretrain_videos}
    same_set = pretrain_dataset.fingerprint() == transfer_dataset.fingerprint()
    by_hash: dict[str, str] = {}
    by_group: dict[str, str] = {}
    for split in pretrain_dataset.splits():
        videos = pretrain_dataset.videos(split)
        hashes, groups = pretrain_dataset.content_hashes(split), pretrain_dataset.groups(split)
        for video, content, group in zip(videos, hashes, groups, strict=True):
            if video.index in used:
                # Unreadable files are often empty, and all empty files are the same.
                if video.n_frames:
                    by_hash[content] = video.video_id
                by_group[group] = video.video_id
    found = []
    test = transfer_dataset.videos("test")
    hashes, groups = transfer_dataset.content_hashes("test"), transfer_dataset.groups("test")
    for video, content, group in zip(test, hashes, groups, strict=True):
        if content in by_hash:
            found.append(f"{by_hash[content]} and test video {video.video_id} are the same file")
        elif same_set and group in by_group:
            found.append(f"{by_group[group]} and test video {video.video_id} are both of group {group!r}")
    if found:
        raise DataError(
            f"{len(found)} test videos of {transfer_dataset.name!r} overlap with the pretraining videos of "
            f"{pretrain_dataset.name!r}: {'; '.join(found[:3])}. Pretrain on videos that are not in the test split"
        )
