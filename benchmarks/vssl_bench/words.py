"""How numbers are written on boards, the same in every format."""

from __future__ import annotations

from vssl_bench.cells import FRACTION, Cell
from vssl_bench.estimate import duration_text
from vssl_bench.wins import Win

__all__ = [
    "AT_CHANCE",
    "HOW_TO_READ",
    "amount",
    "chance_mark",
    "cost",
    "gain",
    "interval",
    "marks",
    "missing",
    "percent",
    "pretext_words",
    "score",
    "standing",
    "win_verdict",
]

#: what stands under a board, in the terminal and in Markdown; the page says the same at more length
HOW_TO_READ = (
    "Numbers are percent on the test split (those of an audit: on what pretraining held out), means over seeds with 95 "
    "% intervals: spread over seeds and error of the test sample together. ~ one seed: the interval knows the sample "
    "alone.",
    "best: the highest task of a column; tie: a task that cannot be told apart from it (Welch, Holm).",
    "vs placebo: gain over the same network, data and steps with permuted targets; * Holm-adjusted p below 0.05.",
    "Gains, stars and ties count the spread over seeds and the error of both test samples, as if these were two: the "
    "same videos are in both, so they err to the safe side. A row that lacks seeds is never best and gets no star.",
    "at chance: the pretext task was not learnt (its accuracy on held-out samples, run by run, cannot be told from "
    "guessing), so whatever the row gains does not come from it.",
)


#: the mark of a pretext task that was not learnt
AT_CHANCE = "at chance"


def percent(value: float | None) -> str:
    """Return a fraction as percent with one decimal, empty where there is none."""
    return "" if value is None else f"{100 * value:.1f}"


def signed(value: float | None) -> str:
    """Return a difference of fractions in points, with its sign."""
    return "" if value is None else f"{100 * value:+.1f}"


def score(cell: Cell) -> str:
    """Return the mean; a failed cell says so and stays without a number."""
    if cell.mean is None:
        return "failed" if cell.failed else ""
    return percent(cell.mean) if cell.unit == FRACTION else signed(cell.mean)


def interval(cell: Cell) -> str:
    """Return ``[low, high]``, with ``~`` where it does not cover the spread over seeds."""
    if cell.low is None:
        return ""
    write = percent if cell.unit == FRACTION else signed
    return f"[{write(cell.low)}, {write(cell.high)}]{'' if cell.seed_error else '~'}"


def standing(cell: Cell) -> str:
    """Return ``best`` or ``tie`` where it is one."""
    return "best" if cell.best else "tie" if cell.tied else ""


def missing(cell: Cell) -> str:
    """Return how many seeds there are where some are missing, and how many test videos could not be read."""
    words = []
    if cell.seeds < cell.seeds_expected:
        words.append(f"{cell.seeds} of {cell.seeds_expected} seeds")
    if cell.unreadable:
        words.append(f"{cell.unreadable} unreadable")
    return ", ".join(words)


def marks(cell: Cell) -> str:
    """Return ``standing`` and ``missing`` together."""
    return ", ".join(part for part in (standing(cell), missing(cell)) if part)


def gain(cell: Cell, *, starred: bool = True) -> str:
    """Return the gain over the placebo with its interval and, if ``starred``, a star where its column makes it hold."""
    if cell.gain_over_placebo is None:
        return ""
    star = "*" if starred and cell.p_holm is not None and cell.p_holm < 0.05 else ""
    ends = ""
    if cell.gain_over_placebo_low is not None:
        ends = f" [{signed(cell.gain_over_placebo_low)}, {signed(cell.gain_over_placebo_high)}]"
    return f"{signed(cell.gain_over_placebo)}{star}{ends}"


def win_verdict(win: Win) -> str:
    """Return whether a task won its named cell, with the p-value where there is one."""
    word = {True: "wins", False: "does not win", None: "open"}[win.won]
    verdict = f"{word}, p {win.p_holm:.3g}" if win.p_holm is not None else word
    # A task that has not learnt what it asks cannot have won by that.
    mark = chance_mark(win.cell) if win.cell is not None else ""
    return f"{verdict}; pretext {mark}" if mark else verdict


def chance_mark(cell: Cell) -> str:
    """Return ``at chance`` where no run has learnt its task, ``1 of 3 at chance`` where not all have, or nothing."""
    if not cell.runs_at_chance or cell.role not in ("task", "supervised"):
        return ""
    return AT_CHANCE if cell.at_chance else f"{cell.runs_at_chance} of {cell.pretext_runs} {AT_CHANCE}"


def pretext_words(cell: Cell) -> str:
    """Return the task's own accuracy against its chance, and ``chance_mark``."""
    if cell.pretext_accuracy is None:
        return ""
    chance = f" / {percent(cell.pretext_chance)}" if cell.pretext_chance is not None else ""
    mark = chance_mark(cell)
    comma = "," if mark and not cell.at_chance else ""
    return f"{percent(cell.pretext_accuracy)}{chance}{comma} {mark}".rstrip()


def amount(value: float | None) -> str:
    """Return a count with a unit prefix: ``11.3 k``, ``2.1 M``; empty for nothing."""
    if not value:
        return ""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def cost(cell: Cell) -> tuple[str, str, str]:
    """Return steps, clips and time of the pretraining; floors have none."""
    if not cell.steps:
        return "", "", ""
    return str(cell.steps), amount(cell.clips), "" if cell.seconds is None else duration_text(cell.seconds)
