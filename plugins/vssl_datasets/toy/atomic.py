"""Making a folder once: whole or not at all, however many processes ask at the same time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def _exclusive(lock_path: Path) -> Iterator[None]:
    """Hold an advisory lock on ``lock_path``; the system drops it if this process dies."""
    with lock_path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def _sync(path: Path) -> None:
    """Flush a file's bytes, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            _sync(Path(parent, name))
        _sync(Path(parent))


def make_once(target: Path, build: Callable[[Path], None]) -> None:
    """Have ``build`` fill a folder that appears at ``target`` only once it is complete.

    ``build`` gets an empty folder beside ``target``, which is flushed and renamed when it
    returns. Other processes that ask meanwhile wait and then find it made. What a killed process
    left behind is removed by the next one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        return
    with _exclusive(target.parent / f".{target.name}.lock"):
        if target.is_dir():
            return
        # Only the lock's holder makes such folders, so any that exist have lost their maker.
        pattern = f".{target.name}.partial-*"
        for stale in target.parent.glob(pattern):
            shutil.rmtree(stale)
        partial = target.parent / pattern.replace("*", str(os.getpid()))
        partial.mkdir()
        try:
            build(partial)
            _sync_tree(partial)
            partial.rename(target)
            _sync(target.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
