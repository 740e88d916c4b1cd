"""A board in the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vssl_bench.audits import AuditTable, audit_tables
from vssl_bench.board import Board, BoardTable
from vssl_bench.cells import Cell
from vssl_bench.render import WIN_HEADS, first, heading, win_texts
from vssl_bench.wins import count_wins
from vssl_bench.words import (
    HOW_TO_READ,
    chance_mark,
    cost,
    gain,
    interval,
    missing,
    pretext_words,
    score,
    standing,
)

__all__ = ["print_board"]

#: characters that names, pretext accuracy and cost take beside the columns, and that a column takes
_FIXED_WIDTH, _COLUMN_WIDTH = 74, 25
_STYLES = {"floor": "dim", "placebo": "yellow", "task": "", "supervised": "cyan"}


def print_board(console: Console, board: Board) -> None:
    """Print one table per data set and label, then what the marks mean."""
    if not board.tables:
        console.print("There is nothing to show yet: no measurement is done.")
    else:
        console.print(board.title, style="bold", markup=False)
    for table in board.tables:
        for protocols in _fitting(table.protocols, console.width):
            console.print(_table(table, protocols, with_cost=protocols[0] == table.protocols[0]))
    for audit in audit_tables(board):
        console.print(_audit(audit))
    if board.wins:
        console.print(_wins(board))
    for line in HOW_TO_READ if board.tables else ():
        console.print(escape(line), style="dim")
    for note in board.notes:
        console.print(f"[yellow]note[/] {escape(note)}")


def _fitting(protocols: list[str], width: int) -> list[list[str]]:
    """Cut the columns into as many tables as the width of the terminal asks for."""
    most = max(1, (width - _FIXED_WIDTH) // _COLUMN_WIDTH)
    return [protocols[i : i + most] for i in range(0, len(protocols), most)]


def _table(table: BoardTable, protocols: list[str], with_cost: bool) -> Table:
    made = Table(title=Text(heading(table)), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    made.add_column("", min_width=24, overflow="fold")
    made.add_column("pretext /\nchance", justify="right", no_wrap=True)
    for protocol in protocols:
        made.add_column(Text(protocol), justify="right", min_width=_COLUMN_WIDTH - 3)
    for column in ("seeds", "steps", "clips", "time") if with_cost else ():
        made.add_column(column, justify="right", no_wrap=True)
    role = ""
    for row in table.rows:
        cell = first(row)
        if role and cell.role != role:
            made.add_section()
        role = cell.role
        texts = [_name(cell, table), _pretext(cell)]
        texts += [_measured(row[name]) if name in row else Text("") for name in protocols]
        if with_cost:
            texts += [Text(str(max(other.seeds for other in row.values()))), *(Text(text) for text in cost(cell))]
        made.add_row(*texts, style=_STYLES[role])
    return made


def _audit(audit: AuditTable) -> Table:
    made = Table(title=Text(audit.title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for i, head in enumerate(audit.heads):
        made.add_column(Text(head), justify="right" if i else "left", overflow="fold")
    for row in audit.rows:
        made.add_row(*map(Text, row))
    return made


def _wins(board: Board) -> Table:
    """A line a named cell: where it is, what was measured, against the placebo, and who won."""
    made = Table(
        title=count_wins(board.wins), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )
    for column in WIN_HEADS:
        made.add_column(column, no_wrap=column == "task", ratio=1 if column == "why this cell" else None)
    styles = {True: "green", False: "red", None: "yellow"}
    for win in board.wins:
        task, place, measured, over, verdict, why = map(Text, win_texts(win))
        verdict.stylize(styles[win.won])
        why.stylize("dim")
        made.add_row(task, place, measured, over, verdict, why)
    return made


def _name(cell: Cell, table: BoardTable) -> Text:
    """The row's name, and below it on what it stands."""
    about = [cell.backbone, f"on {cell.pretrain_data}" if cell.pretrain_data not in ("", table.data) else ""]
    if cell.needs_labels:
        about.append("uses labels")
    below = ", ".join(part for part in about if part)
    return Text(cell.row).append(f"\n  {below}" if below else "", style="not bold dim")


def _pretext(cell: Cell) -> Text:
    words, mark = pretext_words(cell), chance_mark(cell)
    if not mark:
        return Text(words)
    return Text(words.removesuffix(mark).rstrip(", ")).append(f"\n{mark}", style="yellow")


def _measured(cell: Cell) -> Text:
    """The mean with its interval, then the gain and whether it is the best, then what is missing."""
    text = Text(score(cell), style="bold green" if cell.best else "red" if cell.mean is None else "")
    if cell.low is not None:
        text.append(f" {interval(cell)}", style="not bold dim")
    second = [f"{gain(cell).partition(' ')[0]} vs placebo" if gain(cell) else "", standing(cell)]
    for line in (" ".join(part for part in second if part), missing(cell)):
        if line:
            text.append(f"\n{line}", style="not bold")
    return text
