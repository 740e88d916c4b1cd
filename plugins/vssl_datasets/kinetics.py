"""Data set ``kinetics``: clips of 10 s from YouTube, 400, 600 or 700 human actions, as the annotation files say.

Site: https://github.com/cvdfoundation/kinetics-dataset (videos and annotations; DeepMind's own page is gone). Papers:
arXiv:1705.06950 (400), 1808.01340 (600), 1907.06987 (700), 2010.10864 (700-2020). Files:

- ``train.csv``, ``val.csv`` (DeepMind: ``validate.csv``) and ``test.csv``, with the columns ``label, youtube_id,
  time_start, time_end, split`` and sometimes ``is_cc``. ActivityNet's copies are called ``kinetics-400_train.csv`` ...
- ``test.csv`` has no labels in 700 and 700-2020 and in older copies of 400 and 600: see ``roles`` for what is measured
  on. The 700 paper asks for results on the validation split.
- A video is ``YOUTUBEID_START_END.mp4``, seconds in six digits, in class folders (ActivityNet's crawler) or flat in
  ``train``, ``val`` and ``test`` (CVDF).

Videos disappear from YouTube, so that copies differ in size: what ``missing=leave-out`` leaves out stands in the
records, and sets that lack different videos have different fingerprints.

The group is the YouTube video. Within a class no two clips share one, over classes some do: among the 30,000 clips of
600's validation and the 72,924 of its test split 28 videos stand in both (400: none). Clips of ``train`` and ``val``
whose video is in the test split too are left out, and those of ``train`` whose video is in ``val``: whole is the
split that is measured on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vssl_core.errors import DataError
from vssl_datasets.annotations import AnnotationFile
from vssl_datasets.official import Clip, OfficialDataset
from vssl_datasets.places import Places
from vssl_datasets.roles import official_splits

__all__ = ["Kinetics"]

_FILES: Mapping[str, tuple[str, ...]] = {
    "train": ("train.csv",),
    "validation": ("val.csv", "validate.csv", "validation.csv"),
    "test": ("test.csv",),
}
_COLUMNS = ("label", "youtube_id", "time_start", "time_end")
_YOUTUBE_ID = re.compile(r"[0-9A-Za-z_-]{11}")


class Kinetics(OfficialDataset):
    """Label ``class`` (by name), groups known; see ``config.Kinetics`` for the options, ``roles`` for the splits.

    Raises:
        ConfigError: no ``root``.
        DataError: a folder or file is missing, or a list is not as it should be or has no labels.
    """

    def __init__(
        self,
        *,
        root: str = "",
        videos: str = "",
        annotations: str = "annotations",
        measure_on: str = "validation",
        missing: str = "error",
        index: str = "",
    ) -> None:
        places = Places("kinetics", root)
        folder = places.folder("annotations", annotations)
        classes: dict[str, None] = {}
        clips: dict[str, list[Clip]] = {}
        for official, split in official_splits(measure_on).items():
            file = AnnotationFile(places.file("annotations", folder, *_FILES[official]))
            clips[split] = _clips(file, split, classes)
        left_out = _apart(clips)
        super().__init__(
            places,
            f"kinetics-{len(classes)}",
            places.folder("videos", videos),
            [clip for listed in clips.values() for clip in listed],
            sorted(classes),
            missing=missing,
            index=index,
            left_out=left_out,
        )


def _clips(file: AnnotationFile, split: str, classes: dict[str, None]) -> list[Clip]:
    """Read one list; the training list, which comes first, says what classes there are."""
    rows = file.rows()
    _, header = next(rows, (1, []))
    absent = [column for column in _COLUMNS if column not in header]
    if absent == ["label"]:
        raise DataError(
            f"{file.path} has no labels: this release holds them back. Take a list with labels, or measure on the "
            "validation split with data.measure_on=validation"
        )
    if absent:
        raise file.wrong(1, f"there is no column {absent[0]!r} among {', '.join(map(repr, header))}")
    label, video, start, end = (header.index(column) for column in _COLUMNS)
    known = {} if split == "train" else classes
    checked: set[str] = set()
    clips = []
    for line, cells in rows:
        if len(cells) != len(header):
            raise file.wrong(line, f"{len(header)} cells are expected, not {len(cells)}")
        if cells[label] not in checked:
            checked.add(file.label(line, cells[label], known))
        if not _YOUTUBE_ID.fullmatch(cells[video]):
            raise file.wrong(line, f"{cells[video]!r} is no id of a YouTube video")
        try:
            name = f"{cells[video]}_{int(cells[start]):06d}_{int(cells[end]):06d}"
        except ValueError as error:
            raise file.wrong(line, f"{cells[start]!r} and {cells[end]!r} are not both whole seconds") from error
        clips.append(Clip(name, split, cells[label], cells[video]))
    if split == "train":
        classes.update(dict.fromkeys(checked))
    return clips


def _apart(clips: dict[str, list[Clip]]) -> dict[str, str]:
    """Take out what shares its YouTube video with a split that is looked at later; return what that was, in words."""
    told: dict[str, str] = {}
    later: set[str] = set()
    for split in ("test", "val", "train"):
        if split not in clips:
            continue
        kept = [clip for clip in clips[split] if clip.group not in later]
        if len(kept) < len(clips[split]):
            told[split] = (
                f"{len(clips[split]) - len(kept):,} of {len(clips[split]):,} share their video with a later split"
            )
        clips[split] = kept
        later.update(clip.group for clip in kept)
    return told
