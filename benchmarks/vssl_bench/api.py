"""The board from Python and notebooks.

>>> from vssl_bench.api import leaderboard
>>> leaderboard("runs/quickstart").query("role == 'task'")[["row", "protocol", "mean", "low", "high"]]
"""

from __future__ import annotations

from collections.abc import Collection
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from vssl_bench.board import Board, make_board
from vssl_bench.expected import Expected, find_plans
from vssl_bench.render import NAMED
from vssl_core.store.records import read_records

if TYPE_CHECKING:
    import pandas

__all__ = ["leaderboard", "load_board"]


def leaderboard(*places: str | PathLike[str], data: str = "", label: str = "", protocol: str = "") -> pandas.DataFrame:
    """Return the board of records as a data frame, one row per cell; absent numbers are missing values.

    Args:
        *places: folders of runs or of records, or single records; none: ``runs``.
        data: only this data set.
        label: only this label.
        protocol: only this protocol.

    Raises:
        RecordError: a place does not exist.
    """
    import pandas

    board = load_board([Path(place) for place in places or ("runs",)], data=data, label=label, protocol=protocol)
    cells = [cell.plain() for cell in board.cells]
    columns = [*NAMED, *(name for name in (cells[0] if cells else {}) if name not in NAMED)]
    return pandas.DataFrame(cells, columns=columns)


def load_board(
    places: list[Path],
    *,
    title: str = "",
    data: str = "",
    label: str = "",
    protocol: str = "",
    run_ids: Collection[str] | None = None,
) -> Board:
    """Read the records in folders and files and return their board; the title is that of the one suite, if it is one.

    The plans of suites that lie beside the records (``plan.json``) say how many seeds each row should have.

    Args:
        places: folders of runs or of records, or single records.
        title: heading of the board.
        data: only this data set.
        label: only this label.
        protocol: only this protocol.
        run_ids: only these records; None: all.

    Raises:
        RecordError: a place does not exist.
    """
    records, problems = read_records(places)
    if run_ids is not None:
        records = [record for record in records if record["run_id"] in run_ids]
    plans, damaged = find_plans(places)
    refused = [f"refused: {line}" for plan in plans for line in plan.refused]
    titles = {plan.title for plan in plans}
    chosen = title or (titles.pop() if len(titles) == 1 else "vssl leaderboard")
    # A folder of runs and one of kept records may hold one and the same plan.
    notes = list(dict.fromkeys([*problems, *damaged, *refused]))
    return make_board(
        records, title=chosen, data=data, label=label, protocol=protocol, notes=notes, expected=Expected.of(plans)
    )
