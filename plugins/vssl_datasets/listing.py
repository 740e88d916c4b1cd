"""What lies in a folder: every directory is listed once and no file touched, so that 700,000 of them take seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from vssl_core.data.frames import PICTURE_ENDINGS
from vssl_core.errors import DataError

__all__ = ["Listing", "direct_folders", "frame_folders", "video_files"]

_PICTURES = tuple(PICTURE_ENDINGS)
#: what file managers leave behind
_LEFTOVERS = ("thumbs.db", "desktop.ini")


class Listing:
    """Paths by the name that annotations know them by: a file's without its ending, or a folder's.

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
            key = self._key(name.rpartition(".")[0] if endings else name)
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


def frame_folders(folder: Path) -> list[str]:
    """Return the folders below a folder that hold pictures, as paths relative to it.

    Raises:
        DataError: one of them holds something else besides, or ``folder`` itself holds pictures.
    """
    found = []
    for path, files, folders in _walk(folder):
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
    """Yield ``("" or "PATH/", files, folders)`` of a folder and those below; links to folders are followed, once."""
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        path = waiting.pop()
        files: list[str] = []
        folders: list[str] = []
        here = os.stat(folder / path)
        if (here.st_dev, here.st_ino) in seen:
            continue
        seen.add((here.st_dev, here.st_ino))
        with os.scandir(folder / path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower() in _LEFTOVERS:
                    continue
                (folders if entry.is_dir() else files).append(entry.name)
        waiting.extend(f"{path}{name}/" for name in folders)
        yield path, files, folders
