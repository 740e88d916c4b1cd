"""Folders of pictures that are videos: their frames are the pictures in natural order of their names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from vssl_core.errors import ClipError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["PICTURE_ENDINGS", "natural_key", "picture_entries", "picture_names", "picture_size", "read_pictures"]

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png"})
_FORMATS = ("JPEG", "PNG")


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sorting key by which ``img_2`` stands before ``img_10``."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"([0-9]+)", name)]


def picture_names(folder: str) -> list[str]:
    """Return the pictures of a folder in natural order; hidden files are none.

    Raises:
        ClipError: there is no such folder.
    """
    try:
        names = [entry.name for entry in picture_entries(folder)]
    except OSError as error:
        raise ClipError(f"{folder}: {error.strerror}") from error
    return sorted(names, key=natural_key)


def picture_entries(folder: str) -> list[os.DirEntry[str]]:
    """Return the pictures of a folder in the order of the disk; hidden files are none.

    Raises:
        OSError: there is no such folder.
    """
    with os.scandir(folder) as entries:
        return [e for e in entries if os.path.splitext(e.name)[1].lower() in PICTURE_ENDINGS and e.name[0] != "."]


def picture_size(file: str) -> tuple[int, int]:
    """Return height and width of a picture as stored.

    Raises:
        ClipError: it is no picture that can be read.
    """
    from PIL import Image

    try:
        with Image.open(file, formats=_FORMATS) as image:
            return image.height, image.width
    except Exception as error:  # what the library raises for a damaged header is of any type
        raise ClipError(f"{file}: {_unreadable(error)}") from error


def read_pictures(
    folder: str,
    n_frames: int,
    wanted: np.ndarray,
    emit: Callable[[int, np.ndarray], None],
    *,
    newest_ns: int | None = None,
) -> Mapping[int, str]:
    """Read the frames ``wanted`` of a folder and pass each to ``emit`` as uint8 ``[H, W, 3]``, RGB.

    Args:
        folder: of pictures.
        n_frames: how many it held when it was indexed.
        wanted: int64, rising, without repeats.
        emit: called with a frame's index and its pixels.
        newest_ns: when the youngest picture was written, at indexing; ``None``: younger ones are read too.

    Returns:
        The frames that could not be read, with their reasons.

    Raises:
        ClipError: the folder is gone or has changed, or a frame outside of it is wanted.
    """
    from PIL import Image

    names = picture_names(folder)
    if len(names) != n_frames:
        raise ClipError(f"{folder}: {len(names)} pictures, {n_frames} when it was indexed; index it again")
    missing: dict[int, str] = {}
    for frame in wanted.tolist():
        if not 0 <= frame < n_frames:
            raise ClipError(f"{folder}: frame {frame} is wanted, but it has {n_frames} frames")
        file = os.path.join(folder, names[frame])
        try:
            if newest_ns is not None and os.stat(file).st_mtime_ns > newest_ns:
                raise ClipError(f"{file}: changed since it was indexed; start the run again to index it anew")
            with Image.open(file, formats=_FORMATS) as image:
                pixels = _rgb(image)
        except ClipError:
            raise
        except Exception as error:  # as in picture_size
            missing[frame] = _unreadable(error)
            continue
        emit(frame, pixels)
    return missing


def _unreadable(error: Exception) -> str:
    return f"not a readable picture ({type(error).__name__}: {error})"


def _rgb(image: Image.Image) -> np.ndarray:
    """Return a picture as uint8 ``[H, W, 3]``."""
    if image.mode.split(";")[0] != "I":
        return np.asarray(image.convert("RGB"))
    # Grey of 16 bits: convert would cut off at 255 what goes to 65535.
    grey = (np.clip(np.asarray(image), 0, 65535).astype(np.uint32) + 128) // 257
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
