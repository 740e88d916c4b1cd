"""Telling the user what takes its time: a bar on a terminal, two plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["Progress", "shown_progress"]

#: called with (done, total)
Progress = Callable[[int, int], None]


@contextmanager
def shown_progress(what: str) -> Iterator[Progress]:
    """Give a callback ``(done, total)`` that is shown on stderr; nothing is shown if it is never called.

    On a terminal a bar with the remaining time. Elsewhere one line when work begins and one with the seconds it took.

    Args:
        what: such as ``"indexing videos of yoga"``.
    """
    began = time.perf_counter()
    terminal = sys.stderr.isatty()
    bar = _Bar(what) if terminal else None
    last = 0

    def tick(done: int, total: int) -> None:
        nonlocal last
        if bar is not None:
            bar.update(done, total)
        elif last == 0:
            print(f"{what}: {total:,}", file=sys.stderr, flush=True)
        last = done

    try:
        yield tick
    finally:
        if bar is not None:
            bar.close()
        if last:
            print(f"{what}: {last:,} in {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)


class _Bar:
    """A rich progress bar that appears with the first update."""

    def __init__(self, what: str) -> None:
        from rich.console import Console
        from rich.progress import Progress as RichProgress

        self._what = what
        self._rich = RichProgress(*RichProgress.get_default_columns(), console=Console(stderr=True), transient=True)
        self._task: TaskID | None = None

    def update(self, done: int, total: int) -> None:
        if self._task is None:
            self._rich.start()
            self._task = self._rich.add_task(self._what, total=total)
        self._rich.update(self._task, completed=done)

    def close(self) -> None:
        if self._task is not None:
            self._rich.stop()
