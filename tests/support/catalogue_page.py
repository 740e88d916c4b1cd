"""The tables of docs/catalogue.md, and of the audits in docs/tasks.md, made from the records that are committed."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from support.outside import ROOT
from vssl_bench.api import load_board
from vssl_bench.audits import audit_tables
from vssl_bench.board import Board
from vssl_bench.render import to_markdown
from vssl_bench.stats import holm
from vssl_bench.words import gain, interval, percent, score

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
#: tasks without classes: what they measure, what answering without looking gives, and whether less is better
GUESSED = {
    "inpainting": ("error", "blind", True),
    "future-frames": ("error", "still", True),
    "motion-stats": ("motion", "motion_blind", True),
    "catch-the-patch": ("iou", "iou_still", False),
}
#: the rows of an audit whose protections are on
PROTECTED = {
    "speednet": "speednet@tiny",
    "pace": "pace@tiny(jitter=0.2, per_frame_jitter=True)",
    "arrow-of-time": "arrow-of-time@tiny(stabilise=3)",
    "clip-order": "clip-order@tiny",
    "jigsaw": "jigsaw@tiny",
    "cubic-puzzle": "cubic-puzzle@tiny",
    "opn": "opn@tiny",
}
_HEADS = ("task", "set", "steps", "seeds", "right", "runs", "chance", "untrained", "bar", "records")


def named_cells(suite: str) -> str:
    """Return the table of named cells of a suite's records, without their reasons; its count stands above it."""
    text = to_markdown(_board(suite))
    section = text.partition("## Named cells\n\n")[2].partition("\n- ")[0].strip()
    lines = [line.rsplit(" | ", 1)[0] + " |" if line.startswith("|") else line for line in section.splitlines()]
    return "\n".join(lines)


def gains_table(suite: str) -> str:
    """Return what each task gains on each table of a suite's records, and Holm's p over the tasks of that table."""
    lines = ["| task | its cell | score | vs placebo | Holm's p |", "|" + "---|" * 5]
    for table in _board(suite).tables:
        for row in table.rows:
            for protocol, cell in row.items():
                if cell.p_holm is not None:
                    where = f"{table.called} · {table.label} · {protocol}"
                    texts = [cell.row, where, f"{score(cell)} {interval(cell)}", gain(cell, starred=False)]
                    lines.append("| " + " | ".join([*texts, f"{cell.p_holm:.3g}"]) + " |")
    return "\n".join(lines)


def corrected_together(suite: str) -> dict[tuple[str, str], float]:
    """Return Holm's p over all gains of a suite's records, by task and the data that it was measured on."""
    cells = {
        (cell.row.partition("@")[0], table.called): cell.p
        for table in _board(suite).tables
        for row in table.rows
        for cell in row.values()
    }
    return holm({key: p for key, p in cells.items() if p is not None})


def pretext_table() -> str:
    """Return how often each task is right on held-out videos: the mean of its seeds, and the range of its runs.

    Against chance, the highest of the seeds, and what untrained networks answer, the mean of three. The bar is a fifth
    of the way from the higher of the two to 1.
    """
    lines = ["| " + " | ".join(_HEADS) + " |", "|" + "---|" * len(_HEADS)]
    boards = {suite: _board(suite) for suite in dict.fromkeys(LEARNT.values())}
    for task, suite in LEARNT.items():
        cell = next(cell for cell in boards[suite].cells if cell.row == f"{task}@tiny")
        assert cell.pretext_accuracy is not None and cell.pretext_chance is not None
        untrained = _accuracies("catalogue-untrained", task)
        mean = sum(untrained) / len(untrained)
        level = max(mean, cell.pretext_chance)
        bar = level + 0.2 * (1 - level)
        assert cell.pretext_accuracy >= bar, f"{task}: {cell.pretext_accuracy} is below {bar}"
        runs = _accuracies(suite, task)
        shown = [percent(min(runs)), percent(max(runs))]
        texts = [f"`{task}`", cell.pretrain_data, str(cell.steps), str(cell.seeds), percent(cell.pretext_accuracy)]
        texts += [" to ".join(dict.fromkeys(shown)), percent(cell.pretext_chance), percent(mean), percent(bar)]
        lines.append("| " + " | ".join([*texts, f"[{suite}](../benchmarks/results/{suite})"]) + " |")
    return "\n".join(lines)


def guess_table(*suites: str) -> str:
    """Return what tasks without classes come to on held-out videos, means over seeds, against answering blindly."""
    lines = ["| task | steps | measure | found | without looking | better | records |", "|" + "---|" * 7]
    for task, (measure, guess, less) in GUESSED.items():
        for suite in suites:
            runs = [json.loads(path.read_text()) for path in sorted(_records(suite).glob(f"pretrain-{task}-*.json"))]
            if not runs:
                continue
            means = [sum(run["heldout"][name]["value"] for run in runs) / len(runs) for name in (measure, guess)]
            found, blind = means
            better = "yes" if (found < blind) is less else "no"
            cells = (f"`{task}`", runs[0]["cost"]["steps"], f"{measure}, {'less' if less else 'more'} is better",
                     f"{found:.3f}", f"{blind:.3f}", better, f"[{suite}](../benchmarks/results/{suite})")  # fmt: skip
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def audit_table(suite: str) -> str:
    """Return what is left of each task's accuracy in an audit, with its protections on and off, in pairs."""
    (table,) = audit_tables(_board(suite))
    heads = ["task", "protections", *table.heads[1:]]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    found = {name: texts for name, *texts in table.rows}
    for task, on in PROTECTED.items():
        (off,) = (name for name in found if name.startswith(f"{task}@") and name != on)
        for name, word in ((on, "on"), (off, "off")):
            lines.append("| " + " | ".join([f"`{task}`", word, *found[name]]) + " |")
    return "\n".join(lines)


def speed_table() -> str:
    """Return each task's ratio to supervised steps on as many frames, the largest first, three to a line."""
    rows = json.loads((ROOT / "benchmarks/speed/results/tasks.json").read_text())["rows"]
    rows = sorted(((row["ratios"]["median_cpu"], row["task"]) for row in rows), key=lambda row: (-row[0], row[1]))
    texts = [f"| `{task}` | {ratio:.2f} |" for ratio, task in rows]
    height = -(-len(texts) // 3)
    columns = [texts[i : i + height] for i in range(0, len(texts), height)]
    lines = [" ".join(column[i] if i < len(column) else "| | |" for column in columns) for i in range(height)]
    return "\n".join([" ".join(["| task | ratio |"] * 3), "|" + "---|" * 8, *lines])


def _accuracies(suite: str, task: str) -> list[float]:
    """Return a task's own accuracy on held-out videos, of each of its runs."""
    runs = [json.loads(path.read_text()) for path in sorted(_records(suite).glob(f"pretrain-{task}-*.json"))]
    names = ("accuracy", "contrast_top1")
    return [next(run["heldout"][name]["value"] for name in names if name in run["heldout"]) for run in runs]


@functools.cache
def _board(suite: str) -> Board:
    """A thousand records take seconds to read."""
    return load_board([_records(suite)])


def _records(suite: str) -> Path:
    return ROOT / "benchmarks/results" / suite
