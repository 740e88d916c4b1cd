"""What a word of the command line means by a set of videos: a directory, a CSV file, an index, or a data set."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import yaml

from vssl_core.errors import DataError, near_names
from vssl_datasets.config import VIDEO_EXTENSIONS
from vssl_datasets.csv_table import opened_csv
from vssl_datasets.listing import check_names, copies, frame_folders, video_files

if TYPE_CHECKING:
    from vssl_core.contracts import Dataset
    from vssl_core.plugins import Registry

__all__ = ["Known", "Shared", "contents", "listed", "shared"]


class Known(NamedTuple):
    """A video of a set: its name, the hash of its file (empty for one that cannot be read), and its group."""

    name: str
    content: str
    group: str


class Shared(NamedTuple):
    """Two videos, and what they share."""

    first: str
    second: str
    by: str


def listed(source: Path, root: Path | None, column: str, *, pictures: bool = True) -> tuple[Path, list[str]]:
    """Return a root and the videos below it that a directory or a CSV file names.

    Of a path in a CSV file that is absent it is the copy that ``prepare`` wrote, where that is there.

    Args:
        source: a directory or a CSV file.
        root: what the paths of the CSV file are relative to; ``None``: its own directory.
        column: of the CSV file.
        pictures: list folders of pictures too; pictures beside videos are ignored.

    Raises:
        DataError: there is no such place, it names no videos, a path leads out of the root, or a name or the CSV file
            is not in UTF-8.
    """
    if source.is_dir():
        paths = video_files(source, VIDEO_EXTENSIONS)
        paths += frame_folders(source, paths) if pictures else []
        if not paths:
            raise DataError(f"no videos below {source} with the endings .{', .'.join(VIDEO_EXTENSIONS)}")
        check_names(source, paths)
        return source, sorted(paths)
    if not source.is_file():
        raise DataError(f"{source} is neither a directory of videos nor a CSV file that lists them")
    with opened_csv(source) as reader:
        header = list(reader.fieldnames or ())
        if column not in header:
            raise DataError(
                f"{source.name} has no column {column!r}; it has {', '.join(map(repr, header))}"
                f"{near_names(column, header)}. Name it with --column"
            )
        found = set()
        for line, row in enumerate(reader, start=2):
            text = (row[column] or "").strip()
            if not text:
                raise DataError(f"{source.name}, line {line}: column {column!r} is empty; expected a path")
            found.add(text if text.startswith("/") else "/".join(PurePosixPath(text).parts))
    paths = sorted(found)
    for path in paths:
        if path.startswith("/") or ".." in PurePosixPath(path).parts or "\0" in path:
            raise DataError(
                f"{source.name}: path {path!r} must be relative to {root or source.parent} and stay below it"
            )
    if not paths:
        raise DataError(f"{source} lists no videos")
    place = root or source.parent
    copy_of = copies(place, paths)
    return place, sorted(copy_of.get(path, path) for path in paths)


def contents(text: str, registry: Registry) -> list[Known]:
    """Return the videos of a set that is named on the command line.

    Args:
        text: a directory, a CSV file, an index, or ``NAME,KEY=VALUE,...`` of a data set.
        registry: where data sets are found.
    """
    from vssl_core.data.index import Index

    place = Path(text).expanduser()
    if place.is_dir():
        return _of_dataset(registry.build("datasets", {"name": "folder", "root": str(place)}))
    if place.is_file() and place.suffix == ".csv":
        return _of_dataset(registry.build("datasets", {"name": "csv", "csv": str(place.absolute()), "labels": []}))
    if place.is_file():
        rows = Index(place).columns("path", "content_hash", "reason")
        return [Known(path, "" if reason else content, path) for path, content, reason in rows]
    name, *options = text.split(",")
    chosen = {key: yaml.safe_load(value) for key, _, value in (option.partition("=") for option in options)}
    return _of_dataset(registry.build("datasets", {"name": name, **chosen}))


def _of_dataset(dataset: Dataset) -> list[Known]:
    known = []
    for split in dataset.splits():
        rows = zip(dataset.videos(split), dataset.content_hashes(split), dataset.groups(split), strict=True)
        known += [Known(video.video_id, content if video.n_frames else "", group) for video, content, group in rows]
    return known


def shared(first: list[Known], second: list[Known]) -> list[Shared]:
    """Return the videos of the second set that are in the first: the same file, or another one of a group."""
    by_content = {video.content: video.name for video in first if video.content}
    # A video without a known group is one of its own: equal names of two sets do not make such videos one source.
    by_group = {video.group: video.name for video in first if video.group != video.name}
    found = []
    for video in second:
        if video.content in by_content:
            found.append(Shared(by_content[video.content], video.name, "content"))
        elif video.group != video.name and video.group in by_group:
            found.append(Shared(by_group[video.group], video.name, f"group {video.group}"))
    return found
