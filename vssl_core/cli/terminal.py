"""How the verbs write: tables and JSON to standard output, progress and remarks to standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from rich.console import Console
from rich.table import Column, Table

from vssl_core.plugins import PluginInfo

__all__ = ["Progress", "note_broken", "output", "print_json", "progress_display", "remarks", "simple_table"]

#: progress(phase, done, total, metrics)
Progress = Callable[[str, int, int, Mapping[str, float]], None]

_PIPE_WIDTH = 200
_LINE_EVERY_S = 10.0


def _console(stream: IO[str]) -> Console:
    # A pipe has no width of its own: rich's 80 columns would break every row.
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def output() -> Console:
    """Return a console on standard output."""
    return _console(sys.stdout)


def remarks() -> Console:
    """Return a console on standard error."""
    return _console(sys.stderr)


def print_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def simple_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", whole: Sequence[str] = ()
) -> Table:
    """Return a plain table without its empty columns; those in ``whole`` and the first are never broken over lines."""
    kept = [k for k in range(len(columns)) if any(row[k] for row in rows)]
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for k in kept:
        table.add_column(columns[k], no_wrap=k == 0 or columns[k] in whole, overflow="fold")
    for row in rows:
        table.add_row(*(row[k] for k in kept))
    return table


def note_broken(plugins: Sequence[PluginInfo]) -> None:
    """Write which plugins are broken, to standard error."""
    console = remarks()
    for info in plugins:
        if info.status == "broken":
            console.print(f"broken plugin: {info.describe()}", style="yellow", soft_wrap=True)


@contextmanager
def progress_display(*, quiet: bool = False) -> Iterator[Progress | None]:
    """Yield a progress callback: a bar with rate and time left on a terminal, a line now and then elsewhere."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as callback:
            yield callback
    else:
        yield _lines(sys.stderr)


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=8)),
        BarColumn(bar_width=20, table_column=Column(min_width=10)),
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=9)),
        TextColumn("{task.fields[rate]}", table_column=Column(no_wrap=True, min_width=7)),
        TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
        # Last and cut first: a narrow terminal loses metrics, not the bar.
        TextColumn("{task.fields[metrics]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    with Bars(*columns, console=remarks(), expand=True) as bars:
        rows: dict[str, Any] = {}

        def callback(phase: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
            if phase not in rows:
                rows[phase] = bars.add_task(phase, total=total or None, rate="", metrics="")
            row = bars.tasks[bars.task_ids.index(rows[phase])]
            rate = f"{row.speed:.1f}/s" if row.speed else ""
            words = _words(metrics) or row.fields["metrics"]
            bars.update(rows[phase], completed=done, total=total or None, rate=rate, metrics=words)

        yield callback


def _lines(stream: IO[str]) -> Progress:
    began: dict[str, tuple[float, int]] = {}
    last: dict[str, float] = {}

    def callback(phase: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        now = time.monotonic()
        first = phase not in began
        began.setdefault(phase, (now, done))
        if not first and done < total and now - last[phase] < _LINE_EVERY_S:
            return
        last[phase] = now
        start_s, start_done = began[phase]
        rate = (done - start_done) / (now - start_s) if now > start_s and done > start_done else 0.0
        left = f", {rate:.1f}/s, {(total - done) / rate:.0f} s left" if rate and done < total else ""
        stream.write(f"{phase}: {done}/{total}{left}{'  ' if metrics else ''}{_words(metrics)}\n")
        stream.flush()

    return callback


def _words(metrics: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
