"""Data set ``folder``: a directory of videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vssl_core.errors import ConfigError, DataError
from vssl_datasets.class_folders import LABEL, rows_of_folders, source_by
from vssl_datasets.config import VIDEO_EXTENSIONS
from vssl_datasets.listing import video_files
from vssl_datasets.table import Row, TableDataset

__all__ = ["FolderDataset"]


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
        index: str = "",
    ) -> None:
        if not root:
            raise ConfigError("data.root is empty; give the directory of your videos: data=folder data.root=PATH")
        self._root = Path(root).expanduser().absolute()
        if not self._root.is_dir():
            raise DataError(f"data.root={root!r} is no directory")
        source = source_by(group_pattern)
        endings = sorted(ending.lower().lstrip(".") for ending in extensions)
        paths = video_files(self._root, endings)
        if not paths:
            raise DataError(f"no videos below data.root={root!r} with the endings .{', .'.join(endings)}")
        self._listed, labelled = rows_of_folders(self._root, paths, labels, source)
        super().__init__(title or self._root.name, {LABEL: "class"} if labelled else {}, index=index)

    def _list(self) -> tuple[Path, list[Row]]:
        return self._root, self._listed
