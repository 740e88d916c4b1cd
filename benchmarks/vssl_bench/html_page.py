"""A board as one self-contained page: no file beside it, no network, names only ever as text."""

from __future__ import annotations

import html
import importlib.resources
import json
import re
from collections.abc import Sequence
from typing import Any

from vssl_bench.audits import AuditTable, audit_tables
from vssl_bench.board import Board, BoardTable
from vssl_bench.render import WIN_HEADS, counted, first, heading, win_texts
from vssl_bench.wins import count_wins
from vssl_bench.words import gain, interval, marks, pretext_words, score

__all__ = ["to_html"]

#: in the order in which they need each other
_SCRIPTS = ("format.js", "plot.js", "table.js", "main.js")
#: what could end the script element, open another, or end a line of JavaScript
_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def to_html(board: Board) -> str:
    """Return the page; without JavaScript it still shows the tables."""
    parts = {
        "title": html.escape(board.title),
        "style": _file("board.css"),
        "script": '"use strict";\n' + "\n".join(_file(name) for name in _SCRIPTS),
        "data": _embedded(_plain(board)),
        "static": "".join(_static_table(table) for table in board.tables),
        "audits": "".join(_audit(audit) for audit in audit_tables(board)),
        "wins": _wins(board),
    }
    # In one pass: what is put in may itself look like a place to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _file("board.html"))


def _file(name: str) -> str:
    return importlib.resources.files("vssl_bench").joinpath("page", name).read_text(encoding="utf-8")


def _embedded(value: Any) -> str:
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda match: _UNSAFE[match[0]], text)


def _plain(board: Board) -> dict[str, Any]:
    """Return what the page's script reads."""
    rows = sum(len(table.rows) for table in board.tables)
    runs = len({run for cell in board.cells for run in cell.run_ids})
    return {
        "about": _about(rows, len(board.tables), runs) + (f". {count_wins(board.wins)}" if board.wins else ""),
        "tables": [
            {
                "label": table.label,
                "called": table.called,
                "name": table.name,
                "about": counted(table),
                "protocols": table.protocols,
                "rows": [{name: cell.plain() for name, cell in row.items()} for row in table.rows],
            }
            for table in board.tables
        ],
        "environments": board.environments,
        "notes": board.notes,
    }


def _about(rows: int, tables: int, runs: int) -> str:
    if not rows:
        return "no measurement is done yet"
    return f"{_counted(rows, 'row')} in {_counted(tables, 'table')}, made from {_counted(runs, 'measurement')}"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _line(tag: str, texts: Sequence[str], *, left: bool = False) -> str:
    style = ' style="text-align:left"' if left else ""
    return "<tr>" + "".join(f"<{tag}{style}>{html.escape(text)}</{tag}>" for text in texts) + "</tr>"


def _audit(audit: AuditTable) -> str:
    lines = "".join((_line("th", audit.heads), *(_line("td", row) for row in audit.rows)))
    body = f'<div class="scroll"><table class="audit">{lines}</table></div>'
    return f'<section class="card"><h2>{html.escape(audit.title)}</h2>{body}</section>'


def _wins(board: Board) -> str:
    """Return the section of named cells; empty where none were named."""
    if not board.wins:
        return ""
    heads = _line("th", WIN_HEADS)
    lines = [_line("td", win_texts(win), left=True) for win in board.wins]
    body = f'<div class="scroll"><table class="wins">{heads}{"".join(lines)}</table></div>'
    return (
        f'<section class="card" id="wins"><h2>Named cells</h2><p>{html.escape(count_wins(board.wins))}.</p>{body}'
        "</section>"
    )


def _static_table(table: BoardTable) -> str:
    lines = [_line("th", ["row", "backbone", "pretext / chance", *table.protocols, "seeds"])]
    for row in table.rows:
        cell = first(row)
        measured = []
        for name in table.protocols:
            if name not in row:
                measured.append("")
                continue
            over = f"({gain(row[name])} over placebo)" if gain(row[name]) else ""
            measured.append(
                " ".join(part for part in (score(row[name]), interval(row[name]), over, marks(row[name])) if part)
            )
        name = f"{cell.row} (uses labels)" if cell.needs_labels else cell.row
        lines.append(_line("td", [name, cell.backbone, pretext_words(cell), *measured, str(cell.seeds)]))
    body = f'<div class="scroll"><table>{"".join(lines)}</table></div>'
    return f'<section class="card"><h2>{html.escape(heading(table))}</h2>{body}</section>'
