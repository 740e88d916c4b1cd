"""Data set ``ssv2``: Something-Something V2, 220,847 clips of people doing one of 174 things with something.

Site: https://www.qualcomm.com/developer/software/something-something-v-2-dataset. Paper: Goyal et al., "The 'something
something' video database for learning and evaluating visual common sense", ICCV 2017, arXiv:1706.04261. Files as in the
site's 20bn-something-something-download-package-labels.zip (older copies: ``something-something-v2-train.json`` ...):

- ``labels.json``: ``{"Approaching something with your camera": "0", ...}``; the order of the classes.
- ``train.json`` (168,913), ``validation.json`` (24,777): a list of ``{"id": "78687", "label": "holding potato next to
  vicks vaporub bottle", "template": "Holding [something] next to [something]", "placeholders": [...]}``. The class is
  the template without its brackets.
- ``test.json`` (27,157): ``{"id": "1420"}`` alone. ``test-answers.csv``, in newer packages: ``ID;CLASS``.
- Videos are ``ID.webm``.

Test labels were held back for years and results are reported on validation: see ``roles``. Who filmed a clip is not
published, so each is a group of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from vssl_datasets.annotations import AnnotationFile
from vssl_datasets.official import Clip, OfficialDataset
from vssl_datasets.places import Places
from vssl_datasets.roles import official_splits

__all__ = ["SomethingSomethingV2"]

_WITHOUT_BRACKETS = str.maketrans("", "", "[]")


class SomethingSomethingV2(OfficialDataset):
    """Label ``class`` (174 templates); see ``config.SomethingSomethingV2`` for the options, ``roles`` for the splits.

    Raises:
        ConfigError: no ``root``.
        DataError: a folder or file is missing, or a list is not as it should be.
    """

    def __init__(
        self,
        *,
        root: str = "",
        videos: str = "20bn-something-something-v2",
        annotations: str = "labels",
        measure_on: str = "validation",
        missing: str = "error",
        index: str = "",
    ) -> None:
        places = Places("ssv2", root)
        folder = places.folder("annotations", annotations)
        classes = _classes(AnnotationFile(places.file("annotations", folder, "labels.json")))
        clips: list[Clip] = []
        for official, split in official_splits(measure_on).items():
            file = AnnotationFile(places.file("annotations", folder, f"{official}.json"))
            if official == "test":
                answers = AnnotationFile(places.file("annotations", folder, "test-answers.csv"))
                clips += _answered(file, answers, split, classes)
            else:
                clips += _clips(file, split, classes)
        super().__init__(
            places, "ssv2", places.folder("videos", videos), clips, list(classes), missing=missing, index=index
        )


def _classes(file: AnnotationFile) -> dict[str, int]:
    """Return the classes in official order."""
    found = file.json()
    if not isinstance(found, Mapping):
        raise file.wrong("outermost", "expected an object of classes and their numbers")
    numbers: dict[str, int] = {}
    for name, number in found.items():
        if not str(number).isdecimal():
            raise file.wrong(f"class {name!r}", f"its number is {number!r}")
        numbers[file.label("a class", name)] = int(number)
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise file.wrong("numbers", f"expected 0 to {len(numbers) - 1}, each once")
    return dict(sorted(numbers.items(), key=lambda item: item[1]))


def _clips(file: AnnotationFile, split: str, classes: Mapping[str, int]) -> list[Clip]:
    clips = []
    for number, record in enumerate(file.records({"id": str, "template": str}), start=1):
        place = f"entry {number}"
        label = file.label(place, record["template"].translate(_WITHOUT_BRACKETS), classes)
        clips.append(Clip(file.name(place, record["id"]), split, label))
    return clips


def _answered(file: AnnotationFile, answers: AnnotationFile, split: str, classes: Mapping[str, int]) -> list[Clip]:
    labels = {}
    for line, cells in answers.rows(";"):
        if len(cells) != 2:
            raise answers.wrong(line, f"expected ID;CLASS, not {';'.join(cells)!r}")
        labels[cells[0]] = answers.label(line, cells[1], classes)
    clips = []
    for number, record in enumerate(file.records({"id": str}), start=1):
        name = file.name(f"entry {number}", record["id"])
        if name not in labels:
            raise file.wrong(f"entry {number}", f"{answers.path.name} has no answer for video {name!r}")
        clips.append(Clip(name, split, labels[name]))
    return clips
