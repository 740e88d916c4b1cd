"""What lies in a folder: every directory is listed once and no file touched, so that 700,000 of them take seconds."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from vssl_core.data.frames import PICTURE_ENDINGS
from vssl_core.data.prepare import CODECS, prepared_path
from vssl_core.errors import DataError
from vssl_datasets.config import VIDEO_EXTENSIONS

__all__ = ["Listing", "check_names", "copies", "direct_folders", "frame_folders", "video_files"]

_PICTURES = tuple(PICTURE_ENDINGS)
#: what file managers leave behind
_LEFTOVERS = ("thumbs.db", "desktop.ini")
_VIDEOS = tuple(f".{ending}" for ending in VIDEO_EXTENSIONS)
_COPIES = tuple({codec.ending for codec in CODECS.values()})


class Listing:
    """Paths by the name that annotations know them by: a file's without its ending, or a folder's.

    A copy that ``prepare`` wrote has the name of its original: ``a.avi.mp4`` is ``a``, and no other name finds it.

    Args:
        paths: relative, with forward slashes.
        endings: they are files, whose endings are no part of the name.
        fold_case: capital letters are no part of the name either.
    """

    def __init__(self, paths: Sequence[str], *, endings: bool = True, fold_case: bool = False) -> None:
        self._fold_case = fold_case
        self._paths: dict[str, str] = {}
        self._twice: dict[str, str] = {}
        for path in paths:
            name = path.rpartition("/")[2]
            key = self._key(_without_ending(name) if endings else name)
            if self._paths.setdefault(key, path) != path:
                self._twice[key] = path

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._paths)

    def find(self, name: str) -> str | None:
        """Return the path of a name; ``None`` where there is none.

        Raises:
            DataError: there are two.
        """
        key = self._key(name)
        if key in self._twice:
            raise DataError(
                f"{self._paths[key]!r} and {self._twice[key]!r} are both named {name!r}; keep one of them, or point "
                "data.videos at the folder that is meant"
            )
        return self._paths.get(key)

    def _key(self, name: str) -> str:
        return name.casefold() if self._fold_case else name


def video_files(folder: Path, endings: Sequence[str]) -> list[str]:
    """Return the files below a folder that end like videos, hidden ones left out, as paths relative to it."""
    wanted = tuple(f".{ending.lower()}" for ending in endings)
    return [f"{path}{name}" for path, files, _ in _walk(folder) for name in files if name.lower().endswith(wanted)]


def direct_folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, hidden ones left out."""
    return next(iter(_walk(folder)))[2]


def copies(root: Path, paths: Iterable[str], there: Collection[str] | None = None) -> dict[str, str]:
    """Return the copy that ``prepare`` wrote of each path that is absent itself, where there is one.

    A copy that is listed itself is a video of its own, and stands for no other.

    Args:
        root: folder that the paths are relative to.
        paths: of files, with forward slashes.
        there: what is there; ``None``: what lies in the folders, each of which is listed once.

    Raises:
        DataError: a path has two copies.
    """
    wanted = set(paths)
    names: dict[str, frozenset[str]] = {}

    def is_there(path: str) -> bool:
        if there is not None:
            return path in there
        folder, _, name = path.rpartition("/")
        if folder not in names:
            names[folder] = _names_in(root / folder)
        return name in names[folder]

    found: dict[str, str] = {}
    for path in sorted(wanted):
        if is_there(path):
            continue
        candidates = sorted({prepared_path(path, codec) for codec in CODECS} - wanted)
        candidates = [copy for copy in candidates if is_there(copy)]
        if len(candidates) > 1:
            raise DataError(
                f"{path!r} is not below {str(root)!r}, and {' and '.join(map(repr, candidates))} could both be its "
                "copy; keep one of them"
            )
        if candidates:
            found[path] = candidates[0]
    return found


def check_names(root: Path, paths: Iterable[str]) -> None:
    """Refuse names that no text file can hold: indexes, tables and records name videos in UTF-8.

    Raises:
        DataError: a path is not valid Unicode.
    """
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"the name of the file {path!r} below {str(root)!r} is not valid UTF-8 ({error.reason}); rename it"
            ) from error


def frame_folders(folder: Path, videos: Sequence[str] = ()) -> list[str]:
    """Return the folders below a folder that hold pictures, as paths relative to it.

    Args:
        folder: where to look.
        videos: files below it that are videos: pictures in a folder above one of them are no frames, but thumbnails.

    Raises:
        DataError: one of them holds something else besides, or ``folder`` itself holds pictures.
    """
    found = []
    holds_videos = _folders_above(videos)
    for path, files, folders in _walk(folder):
        if path in holds_videos:
            continue
        pictures = [name for name in files if name.lower().endswith(_PICTURES)]
        if not pictures:
            continue
        if not path:
            raise DataError(f"{folder} itself holds pictures, such as {pictures[0]!r}; give the folder above it")
        other = next((name for name in files if not name.lower().endswith(_PICTURES)), None)
        if folders or other is not None:
            raise DataError(
                f"folder {path[:-1]!r} of {folder} holds pictures and {(other or folders[0])!r}; a folder of frames "
                "holds nothing but its frames: move the rest elsewhere"
            )
        found.append(path[:-1])
    return found


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield ``("" or "PATH/", files, folders)`` of a folder and those below; links to folders are followed, once.

    Raises:
        DataError: a folder cannot be listed.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        path = waiting.pop()
        files: list[str] = []
        folders: list[str] = []
        try:
            here = os.stat(folder / path)
            if (here.st_dev, here.st_ino) in seen:
                continue
            seen.add((here.st_dev, here.st_ino))
            with os.scandir(folder / path) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name.lower() in _LEFTOVERS:
                        continue
                    (folders if _is_folder(entry) else files).append(entry.name)
        except OSError as error:
            raise DataError(
                f"folder {str(folder / path)!r} cannot be listed ({error.strerror}); make it readable or move it "
                "elsewhere"
            ) from error
        waiting.extend(f"{path}{name}/" for name in folders)
        yield path, files, folders


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder; a link that leads nowhere or to itself is a file, which cannot be read."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _without_ending(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    while f"{dot}{ending}".lower() in _COPIES and stem.lower().endswith(_VIDEOS):
        stem, dot, ending = stem.rpartition(".")
    return stem


def _folders_above(paths: Iterable[str]) -> set[str]:
    """Return every folder above the paths, as ``_walk`` names them."""
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and f"{folder}/" not in found:
            found.add(f"{folder}/")
            folder = folder.rpartition("/")[0]
        if not folder:
            found.add("")
    return found


def _names_in(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        # No such folder: what is listed there is absent, which the index says of each.
        return frozenset()
