"""Data set ``frames``: a directory of folders, each of which holds the frames of one video as pictures."""

from __future__ import annotations

from pathlib import Path

from vssl_core.data.frames import PICTURE_ENDINGS
from vssl_core.errors import ConfigError, DataError
from vssl_datasets.class_folders import LABEL, rows_of_folders, source_by
from vssl_datasets.listing import frame_folders
from vssl_datasets.table import Row, TableDataset

__all__ = ["FramesDataset"]


class FramesDataset(TableDataset):
    """Folders of JPEG or PNG frames below a directory; see ``config.Frames`` for the options.

    Raises:
        ConfigError: no ``root``, or a ``group_pattern`` that is no regular expression with a group.
        DataError: ``root`` is no directory, holds no pictures or holds some itself; a folder holds pictures and
            something else; or ``labels="folders"`` and some videos lie outside of class folders.
    """

    def __init__(
        self,
        *,
        root: str = "",
        title: str = "",
        labels: str = "auto",
        fps: float = 25.0,
        group_pattern: str = "",
        index: str = "",
    ) -> None:
        if not root:
            raise ConfigError("data.root is empty; give the directory of your folders: data=frames data.root=PATH")
        self._root = Path(root).expanduser().absolute()
        if not self._root.is_dir():
            raise DataError(f"data.root={root!r} is no directory")
        source = source_by(group_pattern)
        paths = frame_folders(self._root)
        if not paths:
            raise DataError(
                f"no folders of pictures ({', '.join(sorted(PICTURE_ENDINGS))}) below data.root={root!r}; "
                "`vssl info datasets frames` says how they must lie"
            )
        self._listed, labelled = rows_of_folders(self._root, paths, labels, source)
        super().__init__(title or self._root.name, {LABEL: "class"} if labelled else {}, frames_fps=fps, index=index)

    def _list(self) -> tuple[Path, list[Row]]:
        return self._root, self._listed
