"""What the readers of official annotation files share: annotated clips are looked up among the files that are there."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from vssl_core.errors import DataError
from vssl_datasets.config import VIDEO_EXTENSIONS
from vssl_datasets.listing import Listing, direct_folders, video_files
from vssl_datasets.places import Places
from vssl_datasets.table import Row, TableDataset

__all__ = ["LABEL", "Clip", "OfficialDataset"]

LABEL = "class"

_SPLITS = ("train", "val", "test")
_logger = logging.getLogger(__name__)


class Clip(NamedTuple):
    """One annotated video.

    Attributes:
        name: of its file, without the ending, or of its folder of frames; unique.
        split: ``"train"``, ``"val"`` or ``"test"``.
        label: its class.
        group: the source it shares with others; empty: none is known.
    """

    name: str
    split: str
    label: str
    group: str = ""


class OfficialDataset(TableDataset):
    """A data set of annotated clips with one label, ``class``.

    A clip is the video of its name anywhere below the folder of videos, whatever the ending, so that a copy in another
    format or with other folders in between will do.

    Args:
        places: where the set lies.
        name: as in records and on boards.
        videos: the folder of videos, or of folders of frames.
        clips: all that is annotated and used.
        classes: in official order.
        missing: ``"error"``, or ``"leave-out"``: clips whose video is not there are named, counted and left out.
        left_out: what else was left out, for records: split -> reason.
        fold_case: names of files and annotations may differ in capital letters.
        frames_fps: the videos are folders of frames at this rate; 0: they are files.
        index: an index file of the folder of videos, made beforehand; empty: one is made.
    """

    def __init__(
        self,
        places: Places,
        name: str,
        videos: Path,
        clips: Sequence[Clip],
        classes: Sequence[str],
        *,
        missing: str = "error",
        left_out: Mapping[str, str] | None = None,
        fold_case: bool = False,
        frames_fps: float = 0.0,
        index: str = "",
    ) -> None:
        super().__init__(name, {LABEL: "class"}, {LABEL: tuple(classes)}, frames_fps=frames_fps, index=index)
        self._places, self._folder, self._clips = places, videos, clips
        self._missing, self._left_out, self._fold_case = missing, dict(left_out or {}), fold_case
        self._in_folders = frames_fps > 0

    @property
    def provenance(self) -> Mapping[str, str]:
        """Return what was left out of the official set, as ``left_out``, where something was; the records hold it."""
        told = [f"{split}: {reason}" for split, reason in self._left_out.items()]
        total = Counter(clip.split for clip in self._clips)
        absent = Counter(clip.split for clip in self._found[1])
        told += [f"{s}: {absent[s]:,} of {total[s]:,} videos are missing" for s in _SPLITS if absent[s]]
        return {"left_out": "; ".join(told)} if told else {}

    def _list(self) -> tuple[Path, list[Row]]:
        return self._folder, self._found[0]

    @cached_property
    def _found(self) -> tuple[list[Row], list[Clip]]:
        """The rows of the clips whose videos are there, and the clips whose videos are not.

        Raises:
            DataError: some are not and ``missing`` is ``"error"``, or none is there, or two could be meant.
        """
        paths = direct_folders(self._folder) if self._in_folders else video_files(self._folder, VIDEO_EXTENSIONS)
        listing = Listing(paths, endings=not self._in_folders, fold_case=self._fold_case)
        rows, absent = [], []
        for clip in self._clips:
            path = listing.find(clip.name)
            if path is None:
                absent.append(clip)
            else:
                rows.append(Row(path, clip.split, clip.group, {LABEL: clip.label}))
        if absent:
            some = ", ".join(f"{clip.name!r} ({clip.split})" for clip in absent[:3])
            told = f"{len(absent):,} of {len(self._clips):,} videos of {self.name!r} are not below {self._folder}"
            if self._missing == "error" or not rows:
                go_on = ", or go on without what is gone for good: data.missing=leave-out" if rows else ""
                raise DataError(f"{told}: first {some}. {self._places.help}{go_on}")
            _logger.warning("%s and are left out: %s%s", told, some, " ..." if len(absent) > 3 else "")
        return rows, absent
