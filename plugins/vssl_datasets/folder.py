"""Data set ``folder``: a directory of videos."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vssl_core.errors import ConfigError, DataError
from vssl_datasets.config import VIDEO_EXTENSIONS
from vssl_datasets.table import Row, TableDataset

__all__ = ["FolderDataset"]

_SPLITS = ("train", "val", "test")
LABEL = "class"


class FolderDataset(TableDataset):
    """Videos below a directory; see ``config.Folder`` for the options.

    Raises:
        ConfigError: no ``root``, or a ``group_pattern`` that is no regular expression with a group.
        DataError: ``root`` is no directory or holds no videos, or ``labels="folders"`` and some lie outside of folders.
    """

    def __init__(
        self,
        *,
        root: str = "",
        title: str = "",
        labels: str = "auto",
        extensions: Sequence[str] = tuple(VIDEO_EXTENSIONS),
        group_pattern: str = "",
    ) -> None:
        if not root:
            raise ConfigError("data.root is empty; give the directory of your videos: data=folder data.root=PATH")
        self._root = Path(root).expanduser().absolute()
        if not self._root.is_dir():
            raise DataError(f"data.root={root!r} is no directory")
        try:
            self._group = re.compile(group_pattern) if group_pattern else None
        except re.error as error:
            raise ConfigError(f"data.group_pattern={group_pattern!r} is no regular expression: {error}") from error
        if self._group is not None and self._group.groups < 1:
            raise ConfigError(f"data.group_pattern={group_pattern!r} has no group in parentheses to name the source by")
        endings = {f".{ending.lower().lstrip('.')}" for ending in extensions}
        # Hidden files are leftovers of other programs, not videos.
        paths = sorted(
            path.relative_to(self._root)
            for path in self._root.rglob("*")
            if path.suffix.lower() in endings and path.is_file() and not path.name.startswith(".")
        )
        if not paths:
            raise DataError(f"no videos below data.root={root!r} with the endings {', '.join(sorted(endings))}")
        in_splits = any(path.parts[0] == "train" and len(path.parts) > 1 for path in paths)
        if in_splits:
            paths = [path for path in paths if path.parts[0] in _SPLITS and len(path.parts) > 1]
        inner = {path: path.parts[1:] if in_splits else path.parts for path in paths}
        foldered = all(len(parts) > 1 for parts in inner.values())
        if labels == "folders" and not foldered:
            loose = next(path for path, parts in inner.items() if len(parts) == 1)
            raise DataError(f"data.labels=folders, but video {loose.as_posix()!r} lies in no class folder of {root!r}")
        labelled = labels == "folders" or (
            labels == "auto" and foldered and len({parts[0] for parts in inner.values()}) > 1
        )
        self._listed = [
            Row(
                path.as_posix(),
                path.parts[0] if in_splits else "train",
                self._source(path.as_posix()),
                {LABEL: parts[0]} if labelled else {},
            )
            for path, parts in inner.items()
        ]
        super().__init__(title or self._root.name, {LABEL: "class"} if labelled else {})

    def _list(self) -> tuple[Path, list[Row]]:
        return self._root, self._listed

    def _source(self, path: str) -> str:
        """Return the group of a video, empty where the pattern does not say."""
        match = self._group.search(path) if self._group is not None else None
        return match.group(1) or "" if match is not None else ""
