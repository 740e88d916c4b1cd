"""A board as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from vssl_bench.audits import audit_tables
from vssl_bench.board import Board, BoardTable
from vssl_bench.cells import Cell
from vssl_bench.wins import Win, count_wins
from vssl_bench.words import HOW_TO_READ, cost, gain, interval, marks, pretext_words, score, win_verdict
from vssl_core.contracts import counted_in

__all__ = [
    "NAMED",
    "WIN_HEADS",
    "counted",
    "heading",
    "table_rows",
    "to_csv",
    "to_json",
    "to_markdown",
    "win_texts",
]

#: the keys that every cell is promised to have, first and in this order; whatever else is known follows
NAMED = (
    "task", "backbone", "pretrain_data", "data", "protocol", "protocol_version", "label", "metric", "mean", "low",
    "high", "seeds", "n_test", "chance", "pretext_accuracy", "pretext_chance", "gain_over_placebo", "gain_over_random",
    "steps", "clips", "seconds",
)  # fmt: skip

#: headings of what ``win_texts`` returns
WIN_HEADS = ("task", "its cell", "score", "vs placebo", "", "why this cell")


def to_json(board: Board) -> str:
    """Return the board as strict JSON; an absent number is null."""
    plain = board.plain()
    plain["cells"] = [{name: cell[name] for name in NAMED} | cell for cell in plain["cells"]]
    return json.dumps(plain, indent=1, allow_nan=False, ensure_ascii=False)


def to_csv(board: Board) -> str:
    """Return one line per cell; lists and maps are written as JSON, absent numbers as nothing."""
    plain = [cell.plain() for cell in board.cells]
    columns = [*NAMED, *(name for name in (plain[0] if plain else {}) if name not in NAMED)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for cell in plain:
        writer.writerow([json.dumps(v) if isinstance(v := cell[name], (list, dict)) else v for name in columns])
    return out.getvalue()


def to_markdown(board: Board) -> str:
    """Return a section per data set and label, with what the marks mean below."""
    parts = [f"# {_escape(board.title)}\n"]
    for table in board.tables:
        parts.append(f"## {_escape(heading(table))}\n")
        with_data = len({first(row).pretrain_data for row in table.rows} - {"", table.data}) > 0
        columns = ["", "backbone", *(["pretrained on"] if with_data else []), "pretext / chance"]
        parts.append(_line([*columns, *table.protocols, "seeds", "steps", "clips", "time"]))
        parts.append(_line(["---"] * (len(columns) + len(table.protocols) + 4)))
        for row in table.rows:
            cell = first(row)
            cells = [_name(cell), cell.backbone, *([cell.pretrain_data] if with_data else []), pretext_words(cell)]
            texts = [_escape(text) for text in cells]
            texts += [_measured(row[name]) if name in row else "" for name in table.protocols]
            parts.append(_line([*texts, str(max(c.seeds for c in row.values())), *cost(cell)]))
        parts.append("")
    for audit in audit_tables(board):
        parts.append(f"## {_escape(audit.title)}\n")
        parts += [_line([_escape(text) for text in audit.heads]), _line(["---"] * len(audit.heads))]
        parts += [_line([_escape(text) for text in row]) for row in audit.rows]
        parts.append("")
    if board.wins:
        parts.append(f"## Named cells\n\n{_escape(count_wins(board.wins))}.\n")
        parts += [_line(WIN_HEADS), _line(["---"] * len(WIN_HEADS))]
        parts += [_line([_escape(text) for text in win_texts(win)]) for win in board.wins]
        parts.append("")
    parts += [f"- {_escape(line)}" for line in (*HOW_TO_READ, *board.notes)]
    return "\n".join(parts) + "\n"


def win_texts(win: Win) -> list[str]:
    """Return what is said of a named cell: task, cell, score, gain over the placebo, verdict, reason.

    No star: it would speak of a correction over the tasks of the column, and the verdict's is over the named cells.
    """
    measured = ["", ""]
    if win.cell:
        measured = [f"{score(win.cell)} {interval(win.cell)}".strip(), gain(win.cell, starred=False)]
    return [win.task, f"{win.data} · {win.label} · {win.protocol}", *measured, win_verdict(win), win.reason]


def first(row: dict[str, Cell]) -> Cell:
    """Return any cell of a row: what it says of the row is the same in all."""
    return next(iter(row.values()))


def heading(table: BoardTable) -> str:
    """Return the table's heading: its name, and in brackets what was counted and what guessing gives."""
    about = counted(table)
    return f"{table.name} ({about})" if about else table.name


def counted(table: BoardTable) -> str:
    """Return the number of test videos, or of what else is counted, and chance; nothing where nothing is measured."""
    cells = [cell for row in table.rows for cell in row.values() if cell.mean is not None]
    if not cells:
        return ""
    # Protocols may guess differently: the share of the largest class is not the chance of a retrieval.
    chances = sorted({round(100 * c.chance, 1) for c in cells if c.unit == "fraction" and c.chance is not None})
    words = f", chance {' to '.join(f'{chance:.1f}' for chance in (chances[0], *chances[1:][-1:]))}" if chances else ""
    found = {counted_in(cell.metric) for cell in cells}
    what = found.pop() if len(found) == 1 else "test videos"
    return f"{max(cell.n_test for cell in cells)} {what}{words}"


def table_rows(table: BoardTable) -> list[list[Cell | None]]:
    """Return the table's cells row by row in the order of its protocols."""
    return [[row.get(name) for name in table.protocols] for row in table.rows]


def _name(cell: Cell) -> str:
    return f"{cell.row} (uses labels)" if cell.needs_labels else cell.row


def _measured(cell: Cell) -> str:
    value = f"**{score(cell)}**" if cell.best else score(cell)
    details = [text for text in (marks(cell).removeprefix("best").removeprefix(", "),) if text]
    if cell.gain_over_placebo is not None:
        details.append(f"vs placebo {gain(cell)}")
    text = " ".join(part for part in (value, interval(cell)) if part)
    return _escape(text) + (f"<br>{_escape('; '.join(details))}" if details else "")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escape(text: str) -> str:
    """Keep names from being read as markup or as the end of a cell; ``**`` of our own is left."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|").replace("\n", " ")
