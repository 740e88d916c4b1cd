"""Data set ``diving48``: 16,997 dives of competitions, 48 kinds that differ in motion alone; labels of version 2.

Site: http://www.svcl.ucsd.edu/projects/resound/dataset.html. Paper: Li, Li, Vasconcelos, "RESOUND: Towards Action
Recognition without Representation Bias", ECCV 2018, doi:10.1007/978-3-030-01231-1_32. Files, all on that page:

- ``Diving48_vocab.json``: a list of 48 dives, each ``["Back", "15som", "05Twis", "FREE"]`` (take-off, somersaults,
  twists, position); their order is that of the classes. A class is named ``Back-15som-05Twis-FREE``. No clip of
  version 2 is of class 30.
- ``Diving48_V2_train.json`` (15,027), ``Diving48_V2_test.json`` (1,970): ``{"vid_name": "-mmq0PT-u8k_00155", "label":
  0, "start_frame": 0, "end_frame": 48}``. Clips are cut already: ``start_frame`` is 0 everywhere, ``end_frame`` the
  last one. Version 1 of these lists has wrong labels, which the authors corrected in October 2020.
- Videos are ``rgb/VID_NAME.mp4``.

``vid_name`` is a YouTube id and a number: the group is the competition filmed. The 58 of training and the 26 of testing
are different ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from vssl_datasets.annotations import AnnotationFile
from vssl_datasets.official import Clip, OfficialDataset
from vssl_datasets.places import Places

__all__ = ["Diving48"]


class Diving48(OfficialDataset):
    """Label ``class`` (48 dives), groups known; see ``config.Diving48`` for the options.

    There is no official validation split: where one is needed it is cut from ``train`` by group.

    Raises:
        ConfigError: no ``root``.
        DataError: a folder or file is missing, or a list is not as it should be.
    """

    def __init__(
        self, *, root: str = "", videos: str = "rgb", annotations: str = "", missing: str = "error", index: str = ""
    ) -> None:
        places = Places("diving48", root)
        folder = places.folder("annotations", annotations)
        classes = _classes(AnnotationFile(places.file("annotations", folder, "Diving48_vocab.json")))
        clips: list[Clip] = []
        for split in ("train", "test"):
            file = AnnotationFile(places.file("annotations", folder, f"Diving48_V2_{split}.json"))
            clips += _clips(file, split, classes)
        super().__init__(
            places, "diving48", places.folder("videos", videos), clips, classes, missing=missing, index=index
        )


def _classes(file: AnnotationFile) -> list[str]:
    found = file.json()
    if not isinstance(found, list) or not all(isinstance(dive, list) for dive in found):
        raise file.wrong("outermost", "expected a list of dives, each a list of its parts")
    return [file.label(f"dive {number}", "-".join(str(part) for part in dive)) for number, dive in enumerate(found)]


def _clips(file: AnnotationFile, split: str, classes: Sequence[str]) -> list[Clip]:
    clips = []
    for number, record in enumerate(file.records({"vid_name": str, "label": int, "start_frame": int}), start=1):
        place = f"entry {number}"
        name, label = file.name(place, record["vid_name"]), record["label"]
        if not 0 <= label < len(classes):
            raise file.wrong(place, f"label {label} is not one of 0 .. {len(classes) - 1}")
        if record["start_frame"] != 0:
            raise file.wrong(place, f"start_frame is {record['start_frame']}; the official clips begin with their dive")
        competition, _, counted = name.rpartition("_")
        clips.append(Clip(name, split, classes[label], competition if counted.isdecimal() else ""))
    return clips
