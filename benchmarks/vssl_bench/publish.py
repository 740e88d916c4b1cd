"""Hands the finished board to trackers, as a table and a page of its own run."""

from __future__ import annotations

import json
from typing import Any

from vssl_bench.board import Board
from vssl_bench.html_page import to_html
from vssl_bench.jobs import Plan
from vssl_bench.render import NAMED
from vssl_core.contracts import RunInfo
from vssl_core.plugins import Registry
from vssl_core.store.runs import write_text
from vssl_core.store.tracking import Trackers

__all__ = ["board_table", "publish_board"]

#: beside the named keys, what makes a row readable
_COLUMNS = ("row", "role", *NAMED, "seeds_expected", "p_holm", "best", "tied", "at_chance", "needs_labels")
#: keeps its copy on this disk, where the records already are
_LOCAL = "jsonl"


def board_table(board: Board) -> tuple[list[str], list[list[Any]]]:
    """Return columns and rows of scalars, one row per cell."""
    return list(_COLUMNS), [[plain[name] for name in _COLUMNS] for plain in (cell.plain() for cell in board.cells)]


def publish_board(plan: Plan, board: Board, registry: Registry) -> list[str]:
    """Log the board to every tracker that the plan's jobs use, and return their names; none: nothing happens."""
    found = {json.dumps(tracker): tracker for job in plan.jobs for tracker in job.config["trackers"]}
    names = [tracker for tracker in found.values() if tracker != _LOCAL]
    if not names or not board.cells:
        return []
    folder = plan.out / "leaderboard"
    info = RunInfo(
        run_id=f"leaderboard-{plan.suite}",
        name=f"leaderboard {plan.suite}",
        suite=plan.suite,
        job_type="leaderboard",
        folder=folder,
        config={"suite": plan.suite, "jobs": len(plan.jobs)},
        tags=(plan.suite,),
    )
    trackers = Trackers(names, registry, info)
    trackers.start()
    page = folder / "leaderboard.html"
    write_text(page, to_html(board))
    trackers.table("leaderboard", *board_table(board))
    trackers.artifact("leaderboard", page)
    trackers.finish("done")
    return [str(name) for name in names]
