"""Optical flow kept on disk, pair of frames by pair of frames, in files of fixed slots that any process may write."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vssl_core.data.home import home
from vssl_core.errors import ConfigError

__all__ = ["LIMIT_VARIABLE", "FlowCache", "default_cache"]

#: environment variable: how many GiB of flow are kept; 0: none
LIMIT_VARIABLE = "VSSL_FLOW_CACHE_GB"
_DEFAULT_GB = 4.0

_CHECK_BYTES = 16
# Room is looked up anew after so much was written by this process, or, where there was none, after so many seconds.
_WRITTEN_BEFORE_LOOK, _LOOK_AGAIN_S = 1 << 28, 300.0
# A full cache lets go of files that nobody has read for so long. What is in use stays: runs come back to every video
# once an epoch, so that making room for one would always take what is needed next.
_UNUSED_S, _TOUCH_EVERY_S = 86_400.0, 3_600.0

_log = logging.getLogger(__name__)


class FlowCache:
    """Flow of pairs of frames, float16 ``[H, W, 2]`` each. Picklable; used by any number of processes at once.

    There is a file for each video, picture, method and distance of frames. The pair that begins at frame t has slot t,
    its values behind a hash of them: a slot that is empty, or was torn when its writer was killed, does not match, and
    its flow is computed again. Two processes that write one slot write the same bytes. What is not there takes no disk
    where the file system knows sparse files.

    Args:
        folder: where the files are kept.
        most_bytes: as large as they grow together, up to 256 MiB more for each process that writes; 0: nothing is kept.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self._room = 0
        self._written = 0
        self._look_at = 0.0
        self._broken = False

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without what this process knows of the room left."""
        return {"folder": self.folder, "most_bytes": self.most_bytes}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Begin as a new process does."""
        self.__init__(**state)  # type: ignore[misc]

    def read(self, key: Sequence[Any], firsts: Sequence[int], shape: tuple[int, int]) -> list[np.ndarray | None]:
        """Return float16 ``[H, W, 2]`` per pair, ``None`` for those that are not there.

        Args:
            key: what the flow depends on besides the pair's first frame, as JSON.
            firsts: first frames, 0 or more.
            shape: height and width.
        """
        slot = _slot_bytes(shape)
        try:
            place = self._place(key)
            with place.open("rb") as file:
                found = [_checked(_slot(file, first, slot), shape) for first in firsts]
                if time.time() - os.fstat(file.fileno()).st_mtime > _TOUCH_EVERY_S:
                    os.utime(place)
        except FileNotFoundError:
            return [None] * len(firsts)
        except OSError as error:
            self._give_up(error)
            return [None] * len(firsts)
        return found

    def write(self, key: Sequence[Any], flows: Mapping[int, np.ndarray], shape: tuple[int, int]) -> None:
        """Keep float16 ``[H, W, 2]`` per first frame, if there is room; what cannot be written is not kept."""
        slot = _slot_bytes(shape)
        size = slot * len(flows)
        if not size or self._broken or not self._has_room(size):
            return
        try:
            place = self._place(key)
            place.parent.mkdir(parents=True, exist_ok=True)
            # Neither truncated nor appended to: other processes may be writing other slots.
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
            with os.fdopen(descriptor, "r+b", buffering=0) as file:
                for first, flow in flows.items():
                    values = np.ascontiguousarray(flow, dtype=np.float16).tobytes()
                    file.seek(first * slot)
                    file.write(_check(values) + values)
        except OSError as error:
            self._give_up(error)
        self._written += size
        self._room -= size

    def _place(self, key: Sequence[Any]) -> Path:
        digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=16).hexdigest()
        return self.folder / digest[:2] / f"{digest}.flow"

    def _has_room(self, size: int) -> bool:
        known = self._look_at > 0 and self._written < _WRITTEN_BEFORE_LOOK
        if known and (self._room >= size or time.monotonic() < self._look_at):
            return self._room >= size
        try:
            self._room = self.most_bytes - _used(self.folder, self.most_bytes - size)
        except OSError as error:
            self._give_up(error)
            return False
        self._written, self._look_at = 0, time.monotonic() + _LOOK_AGAIN_S
        return self._room >= size

    def _give_up(self, error: OSError) -> None:
        if not self._broken:
            _log.warning("%s: flow is computed anew each time, it cannot be kept there: %s", self.folder, error)
        self._broken = True


def default_cache() -> FlowCache:
    """Return the cache below ``home()``, of the size that ``VSSL_FLOW_CACHE_GB`` says, 4 GiB by default.

    Raises:
        ConfigError: the variable is no number, or below 0.
    """
    text = os.environ.get(LIMIT_VARIABLE, "") or str(_DEFAULT_GB)
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not limit >= 0:
        raise ConfigError(f"{LIMIT_VARIABLE}={text!r}: expected how many GiB of flow are kept, 0 for none")
    return FlowCache(home() / "flow", int(min(limit, 2**20) * 2**30))


def _slot_bytes(shape: tuple[int, int]) -> int:
    return _CHECK_BYTES + shape[0] * shape[1] * 2 * 2


def _slot(file: Any, first: int, size: int) -> bytes:
    file.seek(first * size)
    content: bytes = file.read(size)
    return content


def _check(values: bytes) -> bytes:
    return hashlib.blake2b(values, digest_size=_CHECK_BYTES).digest()


def _checked(content: bytes, shape: tuple[int, int]) -> np.ndarray | None:
    values = content[_CHECK_BYTES:]
    if len(content) != _slot_bytes(shape) or content[:_CHECK_BYTES] != _check(values):
        return None
    return np.frombuffer(values, np.float16).reshape(*shape, 2)


def _used(folder: Path, most: int) -> int:
    """Return the bytes that the files take, after those long unused were removed if they take more than ``most``."""
    files = []
    for place in folder.glob("*/*.flow"):
        try:
            stat = place.stat()
        except FileNotFoundError:  # another process made room
            continue
        taken = getattr(stat, "st_blocks", None)
        files.append((stat.st_mtime, stat.st_size if taken is None else taken * 512, place))
    used = sum(size for _, size, _ in files)
    before = time.time() - _UNUSED_S
    for last, size, place in sorted(files, key=lambda file: file[0]):
        if used <= most or last > before:
            break
        place.unlink(missing_ok=True)
        used -= size
    return used
