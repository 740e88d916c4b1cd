"""Options of this package's data sets."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import option

__all__ = [
    "VIDEO_EXTENSIONS",
    "Csv",
    "Diving48",
    "Folder",
    "Frames",
    "Hmdb51",
    "Jester",
    "Kinetics",
    "OfficialOptions",
    "Segments",
    "SomethingSomethingV2",
    "ToyMotion",
    "ToyPhysics",
    "Ucf101",
]

VIDEO_EXTENSIONS = [
    "3gp",
    "avi",
    "flv",
    "gif",
    "m4v",
    "mkv",
    "mov",
    "mp4",
    "mpeg",
    "mpg",
    "mts",
    "ogv",
    "ts",
    "webm",
    "wmv",
]


@dataclass(kw_only=True, slots=True)
class Folder:
    """A directory of videos, searched to its depths.

    Sub-folders ``train``, ``val`` (``valid``, ``validation``) and ``test`` are splits, and then there may be no others
    with videos; otherwise everything is ``train``. Where all videos of the splits lie in two or more folders below
    them, those folders are the classes of label ``class``.
    """

    root: str = option("", "the directory")
    title: str = option("", "name in records and on boards; empty: the directory's own")
    labels: str = option(
        "auto",
        "auto: folders are classes where all videos lie in two or more; folders: insist; none",
        choices=("auto", "folders", "none"),
    )
    extensions: list[str] = option(VIDEO_EXTENSIONS, "file name endings that are videos")
    group_pattern: str = option(
        "", "regular expression on the relative path; its first group names the source; empty: none is known"
    )
    index: str = option("", "index file of the videos, made by `vssl data index`; empty: one is made and kept")


@dataclass(kw_only=True, slots=True)
class Csv:
    """Videos listed in a CSV file with a header; columns that are not named here are ignored."""

    root: str = option("", "directory that paths are relative to; empty: that of the CSV file")
    csv: str = option("", "the CSV file, relative to root unless absolute")
    title: str = option("", "name in records and on boards; empty: that of the root directory")
    path: str = option("path", "column with the video's path")
    split: str = option(
        "split", "column with train, val or test; where the file has no such column everything is train"
    )
    group: str = option("group", "column with the source that videos share; where there is none each is its own")
    labels: list[str] = option(["label"], "columns with class names; [] for an unlabelled set")
    multi_labels: list[str] = option([], "columns with several class names, separated by a semicolon")
    numbers: list[str] = option([], "columns with a number to regress")
    index: str = option("", "index file of the videos, made by `vssl data index`; empty: one is made and kept")


@dataclass(kw_only=True, slots=True)
class Segments(Csv):
    """Parts of long videos listed in a CSV file: as ``csv``, with a start and an end, in seconds, in each row.

    Where the file has no group column, or a row no group, it is the long video.
    """

    start: str = option("start", "column with the time at which the part begins, in seconds")
    end: str = option("end", "column with the time at which it ends, in seconds")


@dataclass(kw_only=True, slots=True)
class Frames:
    """A directory of folders of JPEG or PNG frames: each folder that holds only pictures is a video.

    The frames are in natural order of their names: 2.jpg before 10.jpg. Sub-folders ``train``, ``val`` and ``test``
    are splits, and then there may be no others with videos; otherwise everything is ``train``. Where all videos of the
    splits lie in two or more folders below them, those folders are the classes of label ``class``.
    """

    root: str = option("", "the directory")
    title: str = option("", "name in records and on boards; empty: the directory's own")
    labels: str = option(
        "auto",
        "auto: folders are classes where all videos lie in two or more; folders: insist; none",
        choices=("auto", "folders", "none"),
    )
    fps: float = option(25.0, "frames a second at which the pictures were taken", minimum=0.001)
    group_pattern: str = option(
        "", "regular expression on the relative path; its first group names the source; empty: none is known"
    )
    index: str = option("", "index file of the folders, made by `vssl data index`; empty: one is made and kept")


@dataclass(kw_only=True, slots=True)
class OfficialOptions:
    """What the readers of official annotation files share."""

    root: str = option("", "directory of the data set")
    index: str = option("", "index file of the videos, made by `vssl data index`; empty: one is made and kept")
    missing: str = option(
        "error",
        "annotated videos that are not there: error, or leave-out (said, and kept in the records; another fingerprint)",
        choices=("error", "leave-out"),
    )


@dataclass(kw_only=True, slots=True)
class Ucf101(OfficialOptions):
    """101 actions, official splits 1 to 3, groups of clips from one source."""

    videos: str = option("UCF-101", "folder of videos, searched to its depths; relative to root unless absolute")
    annotations: str = option("ucfTrainTestlist", "folder of classInd.txt, trainlist01.txt, testlist01.txt ...")
    split: int = option(1, "official split", choices=(1, 2, 3))


@dataclass(kw_only=True, slots=True)
class Hmdb51(OfficialOptions):
    """51 actions, official splits 1 to 3, groups of clips from one source."""

    videos: str = option("hmdb51_org", "folder of videos, searched to its depths; relative to root unless absolute")
    annotations: str = option("testTrainMulti_7030_splits", "folder of brush_hair_test_split1.txt ...")
    split: int = option(1, "official split", choices=(1, 2, 3))


@dataclass(kw_only=True, slots=True)
class Kinetics(OfficialOptions):
    """400, 600 or 700 actions in clips from YouTube, whichever the lists are of; groups are YouTube videos."""

    videos: str = option("", "folder of videos, searched to its depths; relative to root unless absolute; empty: root")
    annotations: str = option("annotations", "folder of train.csv, val.csv or validate.csv, test.csv")
    measure_on: str = option(
        "validation",
        "official split that is `test` here; test: validation is `val`, and test.csv must have labels",
        choices=("validation", "test"),
    )


@dataclass(kw_only=True, slots=True)
class SomethingSomethingV2(OfficialOptions):
    """Something-Something V2: 174 templates of what is done with something."""

    videos: str = option(
        "20bn-something-something-v2", "folder of videos, searched to its depths; relative to root unless absolute"
    )
    annotations: str = option("labels", "folder of labels.json, train.json, validation.json, test.json ...")
    measure_on: str = option(
        "validation",
        "official split that is `test` here; test: validation is `val`, and test-answers.csv is needed",
        choices=("validation", "test"),
    )


@dataclass(kw_only=True, slots=True)
class Diving48(OfficialOptions):
    """48 dives of competitions, labels of version 2; groups are competitions."""

    videos: str = option("rgb", "folder of videos, searched to its depths; relative to root unless absolute")
    annotations: str = option("", "folder of Diving48_V2_train.json, Diving48_V2_test.json, Diving48_vocab.json")


@dataclass(kw_only=True, slots=True)
class Jester(OfficialOptions):
    """27 hand gestures, as folders of frames."""

    videos: str = option("20bn-jester-v1", "folder of folders of frames; relative to root unless absolute")
    annotations: str = option("labels", "folder of labels.csv, train.csv, validation.csv ...")
    measure_on: str = option(
        "validation",
        "official split that is `test` here; test: validation is `val`, and test-answers.csv is needed",
        choices=("validation", "test"),
    )


@dataclass(kw_only=True, slots=True)
class ToyMotion:
    """Sprites that drift, swing, orbit, spin, grow, shrink or stop and go, on moving grounds; 32 frames of 32x32 px."""

    n_train: int = option(0, "training and validation videos; 0: the frozen set's 1,000", minimum=0)
    n_test: int = option(0, "test videos; 0: the frozen set's 1,000", minimum=0)


@dataclass(kw_only=True, slots=True)
class ToyPhysics:
    """Gravity, damped bounces, pendulums, friction and balloons; 80 frames of 32x32 px."""

    n_train: int = option(0, "training and validation videos; 0: the frozen set's 600", minimum=0)
    n_test: int = option(0, "test videos; 0: the frozen set's 1,000", minimum=0)
