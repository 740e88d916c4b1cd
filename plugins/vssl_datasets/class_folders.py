"""What the folders above a video say of it: its split, its class, and by a pattern its source."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from vssl_core.errors import ConfigError, DataError
from vssl_datasets.table import Row

__all__ = ["LABEL", "rows_of_folders", "source_by"]

LABEL = "class"

#: what folders are called in small letters -> the split that they are
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_logger = logging.getLogger(__name__)


def rows_of_folders(
    root: Path, paths: Sequence[str], labels: str, source: Callable[[str], str]
) -> tuple[list[Row], bool]:
    """Return a row for each video and whether they have classes.

    Folders ``train``, ``val`` (or ``valid``, ``validation``) and ``test`` are splits, in capital letters or small ones.
    Videos that lie beside them in no folder are left out, with a warning. The next folder is the class, where all
    videos lie in one and there are two or more (``labels="auto"``).

    Args:
        root: what the paths are relative to.
        paths: of videos (or of their folders), with forward slashes.
        labels: ``"auto"``, ``"folders"`` (insist) or ``"none"``.
        source: path -> group.

    Raises:
        DataError: other folders with videos lie beside the splits, or ``labels="folders"`` and a video lies in no class
            folder.
    """
    parts_of = {path: PurePosixPath(path).parts for path in sorted(paths)}
    split_of = _splits(root, sorted({parts[0] for parts in parts_of.values() if len(parts) > 1}))
    in_splits = bool(split_of)
    if in_splits:
        beside = [path for path, parts in parts_of.items() if len(parts) == 1]
        if beside:
            _logger.warning(
                "%d videos lie beside the folders of splits of %s and are left out, such as %r; put them into one",
                len(beside),
                root,
                beside[0],
            )
        parts_of = {path: parts for path, parts in parts_of.items() if len(parts) > 1}
    inner = {path: parts[1:] if in_splits else parts for path, parts in parts_of.items()}
    loose = next((path for path, parts in inner.items() if len(parts) == 1), None)
    if labels == "folders" and loose is not None:
        raise DataError(f"data.labels=folders, but video {loose!r} lies in no class folder of {str(root)!r}")
    labelled = labels == "folders" or (
        labels == "auto" and loose is None and len({parts[0] for parts in inner.values()}) > 1
    )
    rows = [
        Row(
            path,
            split_of[parts_of[path][0]] if in_splits else "train",
            source(path),
            {LABEL: parts[0]} if labelled else {},
        )
        for path, parts in inner.items()
    ]
    return rows, labelled


def _splits(root: Path, folders: Sequence[str]) -> dict[str, str]:
    """Return the splits that folders are; nothing where they are classes.

    Raises:
        DataError: some are splits, and some are not: whichever is meant, videos would be lost or trained on unseen.
    """
    found = {name: _SPLITS[name.casefold()] for name in folders if name.casefold() in _SPLITS}
    others = [name for name in folders if name not in found]
    if found and others:
        told = ", ".join(f"{name!r} as split {split!r}" for name, split in found.items())
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise DataError(
            f"{str(root)!r} has folders that are taken for splits ({told}), and others with videos beside them "
            f"({', '.join(map(repr, others[:3]))}{more}). Put all videos into folders train, val and test, classes "
            f"below those; or, where they are classes, give no folder one of the names {', '.join(_SPLITS)}"
        )
    return found


def source_by(group_pattern: str) -> Callable[[str], str]:
    """Return what finds the group of a path: the pattern's first group, or ``""`` where that does not match.

    Raises:
        ConfigError: it is no regular expression with a group.
    """
    if not group_pattern:
        return lambda path: ""
    try:
        pattern = re.compile(group_pattern)
    except re.error as error:
        raise ConfigError(f"data.group_pattern={group_pattern!r} is no regular expression: {error}") from error
    if pattern.groups < 1:
        raise ConfigError(f"data.group_pattern={group_pattern!r} has no group in parentheses to name the source by")

    def source(path: str) -> str:
        match = pattern.search(path)
        return match.group(1) or "" if match is not None else ""

    return source
