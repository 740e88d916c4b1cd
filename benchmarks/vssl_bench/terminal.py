"""A board in the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vssl_bench.board import Board, BoardTable
from vssl_bench.cells import Cell
from vssl_bench.render import first, heading
from vssl_bench.words import HOW_TO_READ, cost, gain, interval, marks, pretext_words, score

__all__ = ["print_board"]

#: characters that names, pretext accuracy and cost take beside the columns, and that a column takes
_FIXED_WIDTH, _COLUMN_WIDTH = 92, 28
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
    for line in HOW_TO_READ if board.tables else ():
        console.print(escape(line), style="dim")
    for note in board.notes:
        console.print(f"[yellow]note[/] {escape(note)}")


def _fitting(protocols: list[str], width: int) -> list[list[str]]:
    """Cut the columns into as many tables as the width of the terminal asks for."""
    most = max(1, (width - _FIXED_WIDTH) // _COLUMN_WIDTH)
    return [protocols[i : i + most] for i in range(0, len(protocols), most)]


def _table(table: BoardTable, protocols: list[str], with_cost: bool) -> Table:
    made = Table(
        title=escape(heading(table)), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )
    with_data = len({first(row).pretrain_data for row in table.rows} - {"", table.data}) > 0
    for column in ("", "backbone", *(["pretrained on"] if with_data else []), "pretext / chance"):
        made.add_column(column, overflow="fold")
    for protocol in protocols:
        made.add_column(escape(protocol), justify="right", no_wrap=True)
    for column in ("seeds", "steps", "clips", "time") if with_cost else ():
        made.add_column(column, justify="right", no_wrap=True)
    role = ""
    for row in table.rows:
        cell = first(row)
        if role and cell.role != role:
            made.add_section()
        role = cell.role
        texts: list[Text | str] = [_name(cell), Text(cell.backbone)]
        if with_data:
            texts.append(Text(cell.pretrain_data))
        texts.append(Text(pretext_words(cell), style="yellow" if cell.at_chance and role != "placebo" else ""))
        texts += [_measured(row[name]) if name in row else Text("") for name in protocols]
        if with_cost:
            texts += [Text(str(max(other.seeds for other in row.values()))), *(Text(text) for text in cost(cell))]
        made.add_row(*texts, style=_STYLES[role])
    return made


def _name(cell: Cell) -> Text:
    name = Text(cell.row)
    if cell.needs_labels:
        name.append("\nuses labels", style="italic")
    return name


def _measured(cell: Cell) -> Text:
    """Two lines: the mean with its interval, then the gain and the marks."""
    text = Text(score(cell), style="bold green" if cell.best else "red" if cell.mean is None else "")
    if cell.low is not None:
        text.append(f" {interval(cell)}", style="not bold dim")
    second = "  ".join(part for part in (marks(cell), f"vs placebo {gain(cell)}" if gain(cell) else "") if part)
    if second:
        text.append(f"\n{second}", style="not bold")
    return text
