"""What a suite plans, as ``plan.json`` says it beside the records: which seeds each row of the board should have.

Records alone cannot tell a row of two seeds from one of five whose other three died with their machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vssl_bench.jobs import Plan, PlannedJob, PlannedRow, PlannedWin
from vssl_bench.rows import column_key, row_key
from vssl_core.errors import RecordError
from vssl_core.store.runs import read_json, write_json

__all__ = ["FILE", "Expected", "SuitePlan", "find_plans", "planned_rows", "read_plan", "write_plan"]

FILE = "plan.json"


def planned_rows(jobs: Iterable[PlannedJob], placebos: Mapping[str, str]) -> tuple[PlannedRow, ...]:
    """Fold the jobs of a whole suite into rows.

    Args:
        jobs: all of them.
        placebos: row key of a task -> row key of the placebo that the suite gives it.
    """
    first: dict[str, PlannedJob] = {}
    seeds: dict[str, set[int]] = {}
    columns: dict[str, dict[str, set[int]]] = {}
    row_of: dict[str, str] = {}
    for job in jobs:
        if job.kind == "pretrain":
            key = row_of[job.run_id] = row_key(job.identity)
            first.setdefault(key, job)
            seeds.setdefault(key, set()).add(job.seed)
        else:
            measured = columns.setdefault(row_of[job.needs[0]], {})
            measured.setdefault(column_key(job.identity), set()).add(job.seed)
    return tuple(
        PlannedRow(
            key=key,
            task=job.task,
            backbone=job.backbone,
            pretrain_data=job.pretrain_data,
            seeds=tuple(sorted(seeds[key])),
            columns={column: tuple(sorted(found)) for column, found in columns.get(key, {}).items()},
            placebo=placebos.get(key),
        )
        for key, job in first.items()
    )


@dataclass(frozen=True, slots=True)
class SuitePlan:
    """A ``plan.json``, read.

    Attributes:
        refused: what the suite asks for that cannot be, a line each.
        rows: of the whole suite, whatever part of it was run.
        wins: the cells that tasks are expected to win.
    """

    suite: str
    title: str
    refused: tuple[str, ...]
    rows: tuple[PlannedRow, ...]
    wins: tuple[PlannedWin, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """The rows and named cells of the plans beside some records; empty where there is no plan."""

    rows: Mapping[str, PlannedRow] = field(default_factory=dict)
    wins: tuple[PlannedWin, ...] = ()

    @classmethod
    def of(cls, plans: Iterable[SuitePlan]) -> Expected:
        """Join plans; a row that several name should have the seeds of all of them."""
        rows: dict[str, PlannedRow] = {}
        wins: dict[tuple[str, str], PlannedWin] = {}
        for plan in plans:
            wins |= {(win.row, win.column): win for win in plan.wins}
            for row in plan.rows:
                rows[row.key] = _joined(rows[row.key], row) if row.key in rows else row
        return cls(rows, tuple(wins.values()))

    def seeds(self, row: str, column: str) -> tuple[int, ...] | None:
        """Return the seeds that a row should be measured with in a column; None where no plan says so."""
        return self.rows[row].columns.get(column) if row in self.rows else None

    def placebo(self, row: str) -> str | None:
        """Return the key of the placebo that a suite gives a row."""
        return self.rows[row].placebo if row in self.rows else None


def _joined(a: PlannedRow, b: PlannedRow) -> PlannedRow:
    columns = {
        key: tuple(sorted({*a.columns.get(key, ()), *b.columns.get(key, ())})) for key in {**a.columns, **b.columns}
    }
    # Two suites that give one row different placebos have decided nothing.
    named = {placebo for placebo in (a.placebo, b.placebo) if placebo}
    return PlannedRow(
        key=a.key,
        task=a.task,
        backbone=a.backbone,
        pretrain_data=a.pretrain_data,
        seeds=tuple(sorted({*a.seeds, *b.seeds})),
        columns=columns,
        placebo=named.pop() if len(named) == 1 else None,
    )


def write_plan(plan: Plan, folder: Path) -> None:
    """Write ``plan.json`` of the whole suite into a folder of runs or of records."""
    plain = {
        "version": 1,
        "suite": plan.suite,
        "title": plan.title,
        "refused": [asdict(refusal) for refusal in plan.refused],
        "rows": [asdict(row) for row in plan.rows],
        "wins": [asdict(win) for win in plan.wins],
    }
    write_json(folder / FILE, plain)


def read_plan(path: Path) -> SuitePlan:
    """Read a ``plan.json``.

    Raises:
        RecordError: it is missing, damaged or no plan.
    """
    plain = read_json(path)
    try:
        return SuitePlan(
            suite=str(plain["suite"]),
            title=str(plain["title"]),
            refused=tuple(f"{refusal['what']}: {refusal['reason']}" for refusal in plain["refused"]),
            rows=tuple(_row(row) for row in plain["rows"]),
            # Plans of before name none.
            wins=tuple(_win(win) for win in plain.get("wins", [])),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RecordError(
            f"{path} is no plan of a suite ({type(error).__name__}: {error}), so nobody knows how many seeds its rows "
            "should have; 'vssl bench run' writes it anew"
        ) from error


def _row(plain: Mapping[str, Any]) -> PlannedRow:
    return PlannedRow(
        key=str(plain["key"]),
        task=str(plain["task"]),
        backbone=str(plain["backbone"]),
        pretrain_data=str(plain["pretrain_data"]),
        seeds=tuple(int(seed) for seed in plain["seeds"]),
        columns={str(key): tuple(int(seed) for seed in seeds) for key, seeds in plain["columns"].items()},
        placebo=None if plain["placebo"] is None else str(plain["placebo"]),
    )


def _win(plain: Mapping[str, Any]) -> PlannedWin:
    return PlannedWin(**{name: str(plain[name]) for name in PlannedWin.__dataclass_fields__})


def find_plans(places: Sequence[Path]) -> tuple[list[SuitePlan], list[str]]:
    """Return the plans that lie beside the records in folders, and a line for each that could not be read.

    A plan lies in the folder itself, or in a folder of runs directly under it: ``runs`` holds one folder a suite.
    """
    plans, problems = [], []
    for place in places:
        below = sorted(path for path in place.glob(f"*/{FILE}") if any(path.parent.glob("*/record.json")))
        for path in [place / FILE, *below]:
            if path.is_file():
                try:
                    plans.append(read_plan(path))
                except RecordError as error:
                    problems.append(str(error))
    return plans, problems
