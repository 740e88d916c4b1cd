"""Data set ``ucf101``: 13,320 clips of 101 actions from YouTube, 25 groups a class, three official splits.

Site: https://www.crcv.ucf.edu/data/UCF101.php. Paper: Soomro, Zamir, Shah, "UCF101: A Dataset of 101 Human Actions
Classes From Videos in The Wild", arXiv:1212.0402. Files as in the site's UCF101TrainTestSplits-RecognitionTask.zip:

- ``classInd.txt``: ``1 ApplyEyeMakeup``; the order of the classes.
- ``trainlist01.txt``: ``ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1``; ``testlist01.txt``: the same without a number.
- ``v_CLASS_gXX_cYY.avi``: clip YY of group XX of the class. Clips of one group were cut from one source ("share some
  common features, such as similar background"), and each split holds out whole groups; the numbers start anew in each
  class, so the group is CLASS/gXX.

Releases differ in one class: the lists say ``HandstandPushups/v_HandStandPushups_...`` or ``HandStandPushups/...``, and
so do folders on disk. Names are therefore compared without regard to capital letters; the class is called as in
``classInd.txt``.
"""

from __future__ import annotations

import re

from vssl_datasets.annotations import AnnotationFile
from vssl_datasets.official import Clip, OfficialDataset
from vssl_datasets.places import Places

__all__ = ["Ucf101"]

_FILE = re.compile(r"v_.+_(g\d+)_c\d+", re.IGNORECASE)


class Ucf101(OfficialDataset):
    """Label ``class`` (101 actions), groups known; see ``config.Ucf101`` for the options.

    There is no official validation split: where one is needed it is cut from ``train`` by group.

    Raises:
        ConfigError: no ``root``.
        DataError: a folder or file is missing, or a list is not as it should be.
    """

    def __init__(
        self,
        *,
        root: str = "",
        videos: str = "UCF-101",
        annotations: str = "ucfTrainTestlist",
        split: int = 1,
        missing: str = "error",
        index: str = "",
    ) -> None:
        places = Places("ucf101", root)
        folder = places.folder("annotations", annotations)
        classes = _classes(AnnotationFile(places.file("annotations", folder, "classInd.txt")))
        clips: list[Clip] = []
        for part in ("train", "test"):
            file = AnnotationFile(places.file("annotations", folder, f"{part}list{split:02d}.txt"))
            clips += _clips(file, part, classes)
        super().__init__(
            places,
            f"ucf101-split{split}",
            places.folder("videos", videos),
            clips,
            list(classes.values()),
            missing=missing,
            index=index,
            fold_case=True,
        )


def _classes(file: AnnotationFile) -> dict[str, str]:
    """Return the classes in official order, by their names in small letters."""
    numbered: dict[int, str] = {}
    for line, text in file.lines():
        number, _, name = text.partition(" ")
        if not number.isdecimal() or int(number) in numbered:
            raise file.wrong(line, f"expected the number of a class, each once, and its name, not {text!r}")
        numbered[int(number)] = file.label(line, name.strip())
    return {numbered[number].casefold(): numbered[number] for number in sorted(numbered)}


def _clips(file: AnnotationFile, split: str, classes: dict[str, str]) -> list[Clip]:
    numbers = {name: str(number) for number, name in enumerate(classes, start=1)}
    clips = []
    for line, text in file.lines():
        path, _, number = text.partition(" ")
        folder, _, name = path.rpartition("/")
        known = folder.casefold()
        file.label(line, known, classes)
        if number and number.strip() != numbers[known]:
            raise file.wrong(line, f"class {number!r}, but {folder!r} is number {numbers[known]} in classInd.txt")
        stem = file.name(line, name).removesuffix(".avi")
        match = _FILE.fullmatch(stem)
        if match is None:
            raise file.wrong(line, f"{name!r} is not named v_CLASS_gXX_cYY.avi: its group is not known")
        clips.append(Clip(stem, split, classes[known], f"{classes[known]}/{match.group(1).lower()}"))
    return clips
