"""The board: a pure function of records.

With the plans of suites beside the records it also knows which seeds are missing: rows that lack some are never called
the best, nor their gains significant.

Cells stand in one table only where data set (by fingerprint), split and label are the same, and in one column only
where protocol, version and options are. Runs that differ in anything but the seed are different rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from vssl_bench.cells import Cell, cell_difference, make_cell
from vssl_bench.expected import Expected
from vssl_bench.placebos import find_placebo
from vssl_bench.rows import Column, Record, Row, join_records, row_names, table_names
from vssl_bench.stats import holm
from vssl_bench.wins import Win, judge_wins
from vssl_core.contracts import counted_in

__all__ = ["ALPHA", "ROLES", "Board", "BoardTable", "make_board"]

ALPHA = 0.05
#: in the order in which a board shows them: what costs nothing, what a task must beat, the tasks, what labels can do
ROLES = ("floor", "placebo", "task", "supervised")
_RANDOM_INIT = "random-init"


@dataclass(slots=True)
class BoardTable:
    """Everything measured on one label of one data set.

    Attributes:
        called: what headings call the data: with its options, and never as another table of the label.
        protocols: names of the columns, in order.
        rows: labels of the rows with their cells by protocol; a missing cell was not measured.
    """

    data: str
    fingerprint: str
    label: str
    called: str
    protocols: list[str]
    rows: list[dict[str, Cell]]

    @property
    def name(self) -> str:
        """Data and label."""
        return f"{self.called} · {self.label}"


@dataclass(slots=True)
class Board:
    """Cells, the tables they stand in, where they were made, what should be known beside them, and named cells."""

    title: str
    cells: list[Cell]
    tables: list[BoardTable]
    environments: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    wins: list[Win] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Return the board as JSON."""
        return {
            "title": self.title,
            "cells": [cell.plain() for cell in self.cells],
            "environments": self.environments,
            "notes": self.notes,
            "wins": [win.plain() for win in self.wins],
        }


def make_board(
    records: Iterable[Record],
    *,
    title: str = "vssl leaderboard",
    data: str = "",
    label: str = "",
    protocol: str = "",
    notes: Sequence[str] = (),
    expected: Expected | None = None,
) -> Board:
    """Make the board of all records, or of those on one data set, label or protocol.

    Gains and ties are worked out before anything is filtered away: a row does not lose its placebo to a filter. Rows
    are ordered floors, placebos, tasks and supervised, each by the mean in the first column.

    Args:
        records: finished and failed ones.
        title: heading.
        data: only this data set.
        label: only this label.
        protocol: only this protocol.
        notes: what should be known beside the numbers.
        expected: what the plans beside the records say; None: whatever has a record is all there should be.
    """
    records = list(records)
    expected = expected or Expected()
    rows, columns, problems = join_records(records)
    cells: list[Cell] = []
    tables: dict[tuple[str, str, str], list[Column]] = {}
    for column in columns.values():
        tables.setdefault((column.data, column.fingerprint, column.label), []).append(column)
    shown = []
    everything: dict[tuple[str, str], Cell] = {}
    called = table_names(tables)
    for (set_name, fingerprint, label_name), members in sorted(tables.items()):
        names = row_names([rows[key] for key in rows if any(key in column.measured for column in members)])
        by_column = {column.key: _column_cells(rows, column, names, expected) for column in members}
        everything |= {(key, column): cell for column, found in by_column.items() for key, cell in found.items()}
        wanted = [column for column in members if _chosen(protocol, column.protocol)]
        name = called[set_name, fingerprint, label_name]
        if not wanted or not (_chosen(data, set_name) or data == name) or not _chosen(label, label_name):
            continue
        wanted.sort(key=_column_order)
        table = BoardTable(set_name, fingerprint, label_name, name, [column.protocol for column in wanted], [])
        for row in _sorted_rows(rows, [by_column[column.key] for column in wanted]):
            line = {c.protocol: by_column[c.key][row.key] for c in wanted if row.key in by_column[c.key]}
            table.rows.append(line)
            cells.extend(line.values())
        shown.append(table)
    return Board(
        title,
        cells,
        shown,
        _environments(records),
        [*notes, *problems, *_lost(rows), *_open(rows, columns, expected)],
        judge_wins(expected.wins, everything),
    )


def _lost(rows: dict[str, Row]) -> list[str]:
    """Say which rows are on no table because every run of theirs failed."""
    lines = []
    for row in rows.values():
        if not row.done:
            error = (row.first["error"] or {"message": "no reason given"})["message"]
            lines.append(f"{row.task} {row.backbone}: no run of {len(row.runs)} is done; {error}")
    return lines


def _open(rows: dict[str, Row], columns: dict[str, Column], expected: Expected) -> list[str]:
    """Say which planned rows are on no table because nothing of them was measured, well or badly."""
    shown = {key for column in columns.values() for key in column.measured}
    lost = {row.key for row in rows.values() if not row.done}
    names = [
        " on ".join(part for part in (row.task, row.backbone, row.pretrain_data) if part)
        for key, row in expected.rows.items()
        if row.columns and key not in shown and key not in lost
    ]
    return [f"planned and not measured: {', '.join(names)}"] if names else []


def _chosen(wanted: str, value: str) -> bool:
    return not wanted or wanted in (value, value.partition("@")[0])


def _column_order(column: Column) -> tuple[int, str, str]:
    """The most used first, so that a board leads with what all its rows have; then as they were measured."""
    started = min(record["started"] for measured in column.measured.values() for record in measured.values())
    return -len(column.measured), started, column.protocol


# ----------------------------------------------------------------------------------------------- comparing


def _column_cells(rows: dict[str, Row], column: Column, names: dict[str, str], expected: Expected) -> dict[str, Cell]:
    """Return every cell of a column by row, with its gains, tests and ties."""
    cells = {key: make_cell(rows[key], column, names[key], expected.seeds(key, column.key)) for key in column.measured}
    placebos = [rows[key] for key, cell in cells.items() if cell.role == "placebo" and cell.seeds]
    p_values, whole = {}, set()
    for key, cell in cells.items():
        row = rows[key]
        if row.role in ("floor", "placebo") and row.identity["task"]["name"] == _RANDOM_INIT:
            continue
        start = _random_init(row, rows, cells)
        if start is not None and cell.seeds:
            found = cell_difference(cell, start)
            cell.gain_over_random = found.value
            cell.gain_over_random_low, cell.gain_over_random_high = found.low, found.high
        other = find_placebo(row, placebos, expected.placebo(key)) if row.role == "task" and cell.seeds else None
        if other is not None:
            placebo = cells[other.key]
            found = cell_difference(cell, placebo)
            cell.placebo = placebo.row
            cell.gain_over_placebo = found.value
            cell.gain_over_placebo_low, cell.gain_over_placebo_high = found.low, found.high
            cell.p = found.p
            if found.p is not None:
                p_values[key] = found.p
            if not cell.incomplete and not placebo.incomplete:
                whole.add(key)
    # What lacks seeds counts as tested, so that its last seed makes no other star go out, and gets no star itself.
    for key, adjusted in holm(p_values).items():
        cells[key].p_holm = adjusted if key in whole else None
    _mark_ties([cell for cell in cells.values() if cell.role == "task" and cell.mean is not None])
    return cells


def _random_init(row: Row, rows: dict[str, Row], cells: dict[str, Cell]) -> Cell | None:
    """The untrained network of a row, measured in the same way."""
    for key, cell in cells.items():
        identity = rows[key].identity
        same = identity["task"]["name"] == _RANDOM_INIT and identity["backbone"] == row.identity["backbone"]
        if same and cell.seeds:
            return cell
    return None


def _mark_ties(tasks: Sequence[Cell]) -> None:
    """Mark the best task of a column and those that cannot be told apart from it.

    Told apart means: Welch's p, Holm-adjusted over the comparisons with the best, is below 0.05; where a side has fewer
    than two seeds, that the two intervals do not overlap. A task that lacks seeds is never the best. Where each is
    asked its own question, as in an audit of pretext tasks, there is no best.
    """
    whole = [cell for cell in tasks if not cell.incomplete and counted_in(cell.metric) != "held-out samples"]
    if not whole:
        return
    best = max(whole, key=lambda cell: cell.mean or 0.0)
    best.best = True
    others = {i: cell for i, cell in enumerate(tasks) if cell is not best}
    tests = {i: cell_difference(best, cell).p for i, cell in others.items()}
    adjusted = holm({i: p for i, p in tests.items() if p is not None})
    for i, cell in others.items():
        if i in adjusted:
            cell.tied = adjusted[i] >= ALPHA
        else:
            cell.tied = best.low is None or cell.high is None or cell.high >= best.low


# ------------------------------------------------------------------------------------------------- showing


def _sorted_rows(rows: dict[str, Row], columns: Sequence[dict[str, Cell]]) -> list[Row]:
    keys = list(dict.fromkeys(key for cells in columns for key in cells))

    def order(key: str) -> tuple[Any, ...]:
        row = rows[key]
        first = next((cells[key].mean for cells in columns if key in cells), None)
        untrained = (row.identity["task"]["name"] != _RANDOM_INIT) if row.role == "floor" else False
        return ROLES.index(row.role), untrained, first is None, -(first or 0.0), row.task, row.backbone, row.key

    return [rows[key] for key in sorted(keys, key=order)]


def _environments(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the different environments of the records, with how many were made in each."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        environment = record["environment"]
        if not environment:
            continue
        device, git, libraries = environment["device"], environment["git"], environment["libraries"]
        entry = {
            "device": f"{device['type']} {device['name']}".strip(),
            "threads": device["threads"],
            "python": environment["python"],
            "platform": environment["platform"],
            "vssl": libraries.get("vssl"),
            "torch": libraries.get("torch"),
            "commit": git["commit"],
            "dirty": git["dirty"],
        }
        known = found.setdefault(repr(entry), {**entry, "records": 0})
        known["records"] += 1
    return sorted(found.values(), key=lambda entry: -int(entry["records"]))
