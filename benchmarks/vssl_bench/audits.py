"""What is left of a pretext task's own accuracy when something is taken away from its clips, as a table of texts."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_bench.board import Board
from vssl_bench.words import percent

__all__ = ["AuditTable", "audit_tables"]

#: how a protocol that audits calls the accuracy as clips are, and with something taken away
_WHOLE, _WITHOUT = "heldout_accuracy", "heldout_accuracy_"


@dataclass(frozen=True, slots=True)
class AuditTable:
    """One protocol on one data set: ``rows`` of texts under ``heads``."""

    title: str
    heads: list[str]
    rows: list[list[str]]


def audit_tables(board: Board) -> list[AuditTable]:
    """Return a table for each protocol whose number is ``heldout_accuracy`` and that measured it in other ways too.

    A column each perturbation, means over seeds in per cent; empty where the task was not asked (frames in wrong order,
    where their order is the answer).
    """
    tables = []
    for table in board.tables:
        for protocol in table.protocols:
            cells = [row[protocol] for row in table.rows if protocol in row and row[protocol].metric == _WHOLE]
            others = list(dict.fromkeys(name for cell in cells for name in cell.metrics if name.startswith(_WITHOUT)))
            if not others:
                continue
            heads = ["", "as clips are", *(name.removeprefix(_WITHOUT) for name in others), "chance"]
            rows = [
                [cell.row, *(percent(value) for value in (cell.mean, *map(cell.metrics.get, others), cell.chance))]
                for cell in cells
            ]
            tables.append(AuditTable(f"{protocol} on {table.name}: what is left of it, per cent right", heads, rows))
    return tables
