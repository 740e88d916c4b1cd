"""Options of this package's data sets."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import option

__all__ = ["VIDEO_EXTENSIONS", "Csv", "Folder", "ToyMotion", "ToyPhysics"]

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

    Sub-folders ``train``, ``val`` and ``test`` are splits where there is a ``train``; otherwise everything is
    ``train``. Where all videos of the splits lie in two or more folders below them, those folders are the classes of
    label ``class``.
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
