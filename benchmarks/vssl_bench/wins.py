"""Named cells: which tasks win the one cell that was named for each of them before anything was measured.

A board of many tasks, labels and protocols always has some cell in which a task looks good. Naming one cell a task
beforehand, and testing these alone (Welch against the placebo, Holm over the tasks), leaves nothing to pick from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vssl_bench.cells import Cell
from vssl_bench.jobs import PlannedJob, PlannedWin
from vssl_bench.rows import column_key, row_key
from vssl_bench.stats import holm
from vssl_bench.suite import Suite, WinEntry
from vssl_core.errors import ConfigError, near_names

__all__ = ["ALPHA", "Win", "count_wins", "judge_wins", "planned_wins"]

ALPHA = 0.05


@dataclass(kw_only=True, slots=True)
class Win:
    """A named cell and what became of it. Absent numbers are None.

    Attributes:
        cell: what was measured there; None: nothing yet.
        p_holm: Welch's p against the placebo, adjusted over all named cells that could be tested.
        won: whether the gain is above 0 with ``p_holm`` below 0.05; None: undecided, for want of the cell, of its
            placebo or of seeds.
    """

    task: str
    data: str
    label: str
    protocol: str
    reason: str
    cell: Cell | None
    p_holm: float | None
    won: bool | None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def planned_wins(suite: Suite, jobs: Iterable[PlannedJob]) -> tuple[PlannedWin, ...]:
    """Find the named cells of a suite among its jobs; in a sweep each setting of a task has the task's cell.

    Raises:
        ConfigError: no job measures a named cell, or several rows of a suite without a sweep do.
    """
    jobs = list(jobs)
    rows = {job.run_id: row_key(job.identity) for job in jobs if job.kind == "pretrain"}
    transfers = [job for job in jobs if job.kind == "transfer"]
    found: list[PlannedWin] = []
    for entry in suite.wins:
        cells = {(rows[job.needs[0]], column_key(job.identity)) for job in transfers if _is_named(entry, job)}
        if not cells or (len(cells) > 1 and not suite.sweeps):
            known = sorted({_cell_words(job) for job in transfers if _is_task(entry.task, job.task)})
            near = near_names(entry.task, sorted({job.task for job in transfers}))
            said = f"{len(cells)} rows measure it" if cells else "nothing measures it"
            raise ConfigError(
                f"suite {suite.name}: wins: {entry.task} on {entry.data}, {entry.label}, {entry.protocol}: {said}; its "
                f"cells: {'; '.join(known) or f'none, it is no task of the suite{near}'}"
            )
        words = {name: getattr(entry, name) for name in ("task", "data", "label", "protocol", "reason")}
        found += [PlannedWin(**words, row=row, column=column) for row, column in sorted(cells)]
    return tuple(found)


def _is_named(entry: WinEntry, job: PlannedJob) -> bool:
    """Whether a job measures a named cell; ``*`` stands for the one set or label that a suite of one's own data has."""
    pairs = ((entry.data, job.data), (entry.label, job.label), (entry.protocol, job.protocol))
    return _is_task(entry.task, job.task) and all(wanted in ("*", found) for wanted, found in pairs)


def _is_task(name: str, shown: str) -> bool:
    """``pace`` means ``pace@tiny`` and ``pace(rates=3)`` too, but no placebo of it."""
    return name in (shown, shown.partition("(")[0], shown.partition("@")[0].partition("(")[0])


def _cell_words(job: PlannedJob) -> str:
    return f"{job.data}, {job.label}, {job.protocol}"


def judge_wins(planned: Sequence[PlannedWin], cells: Mapping[tuple[str, str], Cell]) -> list[Win]:
    """Say of every named cell whether its task won it.

    Args:
        planned: the cells, by the keys of their rows and columns.
        cells: everything that was measured, by the same keys, with their tests against the placebos.
    """
    found = [(win, cells.get((win.row, win.column))) for win in planned]
    # The family is every named cell: one that failed, or is not measured yet, makes the others no easier to win, and
    # what it brings later takes no win away.
    adjusted = holm({k: 1.0 if cell is None or cell.p is None else cell.p for k, (_, cell) in enumerate(found)})
    wins = []
    for k, (win, cell) in enumerate(found):
        # Cells are tested over the tasks of their column too: that says whether both sides are whole.
        whole = cell is not None and cell.p_holm is not None
        p = adjusted[k] if whole else None
        gain = cell.gain_over_placebo if cell is not None else None
        wins.append(
            Win(
                task=win.task,
                data=win.data,
                label=win.label,
                protocol=win.protocol,
                reason=win.reason,
                cell=cell,
                p_holm=p,
                won=None if p is None or gain is None else p < ALPHA and gain > 0,
            )
        )
    return wins


def count_wins(wins: Sequence[Win]) -> str:
    """Return in words how many tasks won their cells, and what is open."""
    won = sum(bool(win.won) for win in wins)
    words = f"{won} of {len(wins)} tasks win the cell that was named for them"
    open_wins = [win for win in wins if win.won is None]
    if open_wins:
        ahead = sum((win.cell.gain_over_placebo or 0.0) > 0 for win in open_wins if win.cell is not None)
        words += f"; {len(open_wins)} cannot be tested for want of seeds or runs, {ahead} of which are ahead so far"
    return words
