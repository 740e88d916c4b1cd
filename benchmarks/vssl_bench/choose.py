"""Choosing a setting for each task from the records of a search, on validation videos of the task's named cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vssl_bench.rows import Column, Record, Row, join_records
from vssl_bench.suite import WinEntry
from vssl_core.components import Reference

__all__ = ["Choice", "choose"]

_PROBES = ("validation-probe", "linear-probe")
_METRIC = "val_top1"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a search found for one task.

    Attributes:
        tried: learning rate -> validation accuracy, a mean over the seeds of the search, in the order of the rates.
        best: the rate with the highest accuracy, the highest rate of equals; None: nothing was measured.
    """

    task: str
    data: str
    label: str
    tried: Mapping[float, float]
    best: float | None


def choose(records: Iterable[Record], wins: Sequence[WinEntry]) -> list[Choice]:
    """Return the choice for every task with a named cell; no test video has a say in it.

    Args:
        records: of a search: the same tasks at several learning rates, each measured with ``validation-probe`` or
            ``linear-probe``.
        wins: the named cells; data and label of each say where the task is looked at.
    """
    rows, columns, _ = join_records(records)
    probes = [column for column in columns.values() if column.protocol.partition("@")[0].partition("(")[0] in _PROBES]
    return [_choice(win, rows, probes) for win in wins]


def _choice(win: WinEntry, rows: Mapping[str, Row], probes: Sequence[Column]) -> Choice:
    found: dict[float, list[float]] = {}
    for column in probes:
        if (column.data, column.label) != (win.data, win.label):
            continue
        for key, measured in column.measured.items():
            row = rows[key]
            if row.role != "task" or _name(row) != win.task.partition("@")[0]:
                continue
            values = [_value(record) for record in measured.values() if record["status"] == "done"]
            found.setdefault(float(row.identity["optim"]["lr"]), []).extend(values)
    tried = {rate: sum(values) / len(values) for rate, values in sorted(found.items()) if values}
    best = max(tried, key=lambda rate: (tried[rate], rate)) if tried else None
    return Choice(win.task, win.data, win.label, tried, best)


def _name(row: Row) -> str:
    return Reference.parse(row.first["config"]["task"], where="task").name


def _value(record: Mapping[str, Any]) -> float:
    return next(float(metric["value"]) for metric in record["metrics"] if metric["name"] == _METRIC)
