"""Data set ``hmdb51``: 6,766 clips of 51 actions, mostly from films; three official splits of 70 and 30 clips a class.

Site: https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/. Paper: Kuehne, Jhuang, Garrote,
Poggio, Serre, "HMDB: A Large Video Database for Human Motion Recognition", ICCV 2011, doi:10.1109/ICCV.2011.6126543.
Files as in the site's test_train_splits.rar: ``CLASS_test_splitN.txt``, a line ``FILE.avi CODE`` for every clip of the
class; 1 is training, 2 is testing, and 0 is used for neither (clips 0 of the official protocol are left out here too).

File names are ``SOURCE_CLASS_BODY_CAMERA_npN_VIEW_QUALITY_NUMBER.avi``, such as
``KUNG_FU_HUSTLE_kick_f_cm_np1_fr_med_45.avi``: visible body parts (h, u, l, f), camera motion (cm, nm), number of
people, viewpoint (fr, ba, le, ri), video quality (bad, med, goo). All 6,766 names are of this form.

The paper keeps clips of one source file on one side of a split, within a class: so the group is CLASS/SOURCE, and no
such group lies on both sides of any of the three splits (counted over the official lists). Over classes that is not so:
133, 149 and 144 of some 1,340 sources have clips of different classes on both sides of splits 1, 2 and 3. That is the
official protocol; groups of whole films would forbid every one of its splits.
"""

from __future__ import annotations

import re

from vssl_core.errors import DataError
from vssl_datasets.annotations import AnnotationFile
from vssl_datasets.official import Clip, OfficialDataset
from vssl_datasets.places import Places

__all__ = ["Hmdb51"]

_CLASSES = 51
_SPLITS = {"0": "", "1": "train", "2": "test"}
_TAGS = r"_[a-z]_(?:cm|nm)_np\d+_[a-z]{2}_[a-z]+_\d+"


class Hmdb51(OfficialDataset):
    """Label ``class`` (51 actions, by name), groups known; see ``config.Hmdb51`` for the options.

    There is no official validation split: where one is needed it is cut from ``train`` by group.

    Raises:
        ConfigError: no ``root``.
        DataError: a folder is missing, there are not 51 lists of the split, or one is not as it should be.
    """

    def __init__(
        self,
        *,
        root: str = "",
        videos: str = "hmdb51_org",
        annotations: str = "testTrainMulti_7030_splits",
        split: int = 1,
        missing: str = "error",
        index: str = "",
    ) -> None:
        places = Places("hmdb51", root)
        folder = places.folder("annotations", annotations)
        ending = f"_test_split{split}.txt"
        found = (path.name for path in folder.glob(f"*{ending}") if not path.name.startswith("."))
        classes = sorted(name.removesuffix(ending) for name in found)
        if len(classes) != _CLASSES:
            raise DataError(
                f"{folder} has {len(classes)} files CLASS{ending} (such as brush_hair{ending}), one for each of "
                f"{_CLASSES} classes is expected; data.annotations says where they are. {places.help}"
            )
        clips: list[Clip] = []
        for label in classes:
            clips += _clips(AnnotationFile(folder / f"{label}{ending}"), label)
        super().__init__(
            places,
            f"hmdb51-split{split}",
            places.folder("videos", videos),
            clips,
            classes,
            missing=missing,
            index=index,
        )


def _clips(file: AnnotationFile, label: str) -> list[Clip]:
    of_class = re.compile(f"(.+)_{re.escape(label)}{_TAGS}")
    clips = []
    for line, text in file.lines():
        name, _, code = text.rpartition(" ")
        if code not in _SPLITS:
            raise file.wrong(line, f"expected a file and 0, 1 or 2, not {text!r}")
        if not _SPLITS[code]:
            continue
        stem = file.name(line, name.strip()).removesuffix(".avi")
        source = of_class.fullmatch(stem)
        clips.append(Clip(stem, _SPLITS[code], label, f"{label}/{source.group(1)}" if source else ""))
    return clips
