"""Data set ``jester``: 148,092 clips of 27 hand gestures before a webcam, as folders of JPEG frames at 12 a second.

Site: https://www.qualcomm.com/developer/software/jester-dataset. Paper: Materzynska, Berger, Bax, Memisevic, "The
Jester Dataset: A Large-Scale Video Dataset of Human Gestures", ICCV Workshops 2019, doi:10.1109/ICCVW.2019.00349.
Files as in the site's package of labels (older copies: ``jester-v1-train.csv`` ...), separated by semicolons, without
a header:

- ``labels.csv``: a class a line; their order is that of the classes here.
- ``train.csv`` (118,562) and ``validation.csv`` (14,787): ``34870;Drumming Fingers``; ``test.csv`` (14,743): ``1``,
  and in newer packages ``test-answers.csv`` like ``train.csv``.
- ``20bn-jester-v1/ID/00001.jpg`` ...: the frames of a clip.

Test labels were held back for years and results are reported on validation: see ``roles``. Who is seen is not
published, so each clip is a group of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from vssl_datasets.annotations import AnnotationFile
from vssl_datasets.official import Clip, OfficialDataset
from vssl_datasets.places import Places
from vssl_datasets.roles import official_splits

__all__ = ["FPS", "Jester"]

FPS = 12.0

#: official split -> the list that has its labels
_FILES = {"train": "train.csv", "validation": "validation.csv", "test": "test-answers.csv"}


class Jester(OfficialDataset):
    """Label ``class`` (27 gestures); see ``config.Jester`` for the options, ``roles`` for the splits.

    Raises:
        ConfigError: no ``root``.
        DataError: a folder or file is missing, or a list is not as it should be.
    """

    def __init__(
        self,
        *,
        root: str = "",
        videos: str = "20bn-jester-v1",
        annotations: str = "labels",
        measure_on: str = "validation",
        missing: str = "error",
        index: str = "",
    ) -> None:
        places = Places("jester", root)
        folder = places.folder("annotations", annotations)
        names = AnnotationFile(places.file("annotations", folder, "labels.csv"))
        classes = [names.label(line, text) for line, text in names.lines()]
        clips: list[Clip] = []
        for official, split in official_splits(measure_on).items():
            clips += _clips(AnnotationFile(places.file("annotations", folder, _FILES[official])), split, classes)
        super().__init__(
            places,
            "jester",
            places.folder("videos", videos),
            clips,
            classes,
            missing=missing,
            index=index,
            frames_fps=FPS,
        )


def _clips(file: AnnotationFile, split: str, classes: Sequence[str]) -> list[Clip]:
    clips = []
    for line, cells in file.rows(";"):
        if len(cells) != 2:
            raise file.wrong(line, f"expected ID;CLASS, not {';'.join(cells)!r}")
        clips.append(Clip(file.name(line, cells[0]), split, file.label(line, cells[1], classes)))
    return clips
