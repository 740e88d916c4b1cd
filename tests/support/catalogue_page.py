"""The tables of docs/catalogue.md, made from the records that are committed."""

from __future__ import annotations

from pathlib import Path

from support.outside import ROOT
from vssl_bench.api import load_board
from vssl_bench.render import to_markdown
from vssl_bench.words import percent

#: where each task with right and wrong answers is shown to learn what it asks
LEARNT = {
    "shuffle-learn": "catalogue-toy",
    "opn": "catalogue-longer",
    "odd-one-out": "catalogue-toy",
    "clip-order": "catalogue-toy",
    "arrow-of-time": "catalogue-toy",
    "skip-clip": "catalogue-toy",
    "speednet": "catalogue-toy",
    "pace": "catalogue-toy",
    "prp": "catalogue-toy",
    "rspnet": "catalogue-toy",
    "rtt": "catalogue-toy",
    "transrank": "catalogue-toy",
    "vthcl": "catalogue-toy",
    "jigsaw": "catalogue-longer",
    "cubic-puzzle": "catalogue-longer",
    "rotation": "catalogue-toy",
    "cloze": "catalogue-toy",
    "colorization": "catalogue-toy",
}
_HEADS = ("task", "set", "steps", "seeds", "right", "chance", "bar", "records")


def named_cells(suite: str) -> str:
    """Return the table of named cells of a suite's records, without their reasons; its count stands above it."""
    text = to_markdown(load_board([_records(suite)]))
    section = text.partition("## Named cells\n\n")[2].partition("\n- ")[0].strip()
    lines = [line.rsplit(" | ", 1)[0] + " |" if line.startswith("|") else line for line in section.splitlines()]
    return "\n".join(lines)


def pretext_table() -> str:
    """Return how often each task is right on held-out videos, against chance and a fifth of the way from it to 1."""
    lines = ["| " + " | ".join(_HEADS) + " |", "|" + "---|" * len(_HEADS)]
    boards = {suite: load_board([_records(suite)]) for suite in dict.fromkeys(LEARNT.values())}
    for task, suite in LEARNT.items():
        cell = next(cell for cell in boards[suite].cells if cell.row == f"{task}@tiny")
        assert cell.pretext_accuracy is not None and cell.pretext_chance is not None
        bar = cell.pretext_chance + 0.2 * (1 - cell.pretext_chance)
        assert cell.pretext_accuracy >= bar, f"{task}: {cell.pretext_accuracy} is below {bar}"
        numbers = (cell.pretext_accuracy, cell.pretext_chance, bar)
        texts = [f"`{task}`", cell.pretrain_data, str(cell.steps), str(cell.seeds), *map(percent, numbers)]
        lines.append("| " + " | ".join([*texts, f"[{suite}](../benchmarks/results/{suite})"]) + " |")
    return "\n".join(lines)


def _records(suite: str) -> Path:
    return ROOT / "benchmarks/results" / suite
