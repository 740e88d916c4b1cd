"""What the folders above a video say of it: its split, its class, and by a pattern its source."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from vssl_core.errors import ConfigError, DataError
from vssl_datasets.table import Row

__all__ = ["LABEL", "rows_of_folders", "source_by"]

LABEL = "class"

_SPLITS = ("train", "val", "test")


def rows_of_folders(
    root: Path, paths: Sequence[str], labels: str, source: Callable[[str], str]
) -> tuple[list[Row], bool]:
    """Return a row for each video and whether they have classes.

    Folders ``train``, ``val`` and ``test`` are splits where there is a ``train``; what lies beside them is left out.
    The next folder is the class, where all videos lie in one and there are two or more (``labels="auto"``).

    Args:
        root: what the paths are relative to.
        paths: of videos (or of their folders), with forward slashes.
        labels: ``"auto"``, ``"folders"`` (insist) or ``"none"``.
        source: path -> group.

    Raises:
        DataError: ``labels="folders"`` and a video lies in no class folder.
    """
    parts_of = {path: PurePosixPath(path).parts for path in sorted(paths)}
    in_splits = any(parts[0] == "train" and len(parts) > 1 for parts in parts_of.values())
    if in_splits:
        parts_of = {path: parts for path, parts in parts_of.items() if parts[0] in _SPLITS and len(parts) > 1}
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
            parts_of[path][0] if in_splits else "train",
            source(path),
            {LABEL: parts[0]} if labelled else {},
        )
        for path, parts in inner.items()
    ]
    return rows, labelled


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
