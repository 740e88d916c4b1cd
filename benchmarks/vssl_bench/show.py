"""What ``vssl bench`` prints: plans, progress, outcomes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vssl_bench.estimate import Estimator, duration_text
from vssl_bench.jobs import Plan, PlannedJob
from vssl_bench.run import Listener, Outcome, Running

__all__ = ["Screen", "make_console", "plan_tables", "print_outcome", "print_plan"]

_PIPE_WIDTH = 200


def make_console() -> Console:
    """Return a console on standard output; a pipe has no width of its own, and 80 columns would break every row."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, emoji=False)


def print_plan(console: Console, plan: Plan, states: Mapping[str, str], estimator: Estimator, workers: int) -> None:
    """Print what a plan holds, what is done, what was refused, and how long the rest should take.

    ``states``: of every job by run_id, as ``states.job_states`` returns them.
    """
    for table in plan_tables(plan, states, estimator):
        console.print(table)
    protocols = ", ".join(dict.fromkeys(job.protocol for job in plan.jobs if job.protocol))
    console.print(f"Every measure is taken under {escape(protocols)}.")
    open_jobs = [job for job in plan.jobs if states[job.run_id] != "done"]
    done = len(plan.jobs) - len(open_jobs)
    kinds = {kind: sum(job.kind == kind for job in plan.jobs) for kind in ("pretrain", "transfer")}
    console.print(
        f"[bold]{escape(plan.title)}[/]: {len(plan.jobs)} jobs ({kinds['pretrain']} pretrain, {kinds['transfer']} "
        f"transfer), {done} done, {len(open_jobs)} to do; runs in {escape(str(plan.out))}"
    )
    if open_jobs:
        console.print(time_line(plan, open_jobs, estimator, workers))


def time_line(plan: Plan, jobs: list[PlannedJob], estimator: Estimator, workers: int) -> str:
    """Say how long the open jobs should take, and where that figure comes from."""
    words = f"{workers} worker{'s' if workers > 1 else ''}"
    if not estimator.measured and plan.expect_minutes and len(jobs) == len(plan.jobs):
        return f"About {duration_text(plan.expect_minutes * 60)} on 2 cores, as the suite declares; {words} here."
    source = "measured here" if estimator.measured else "a guess until the first jobs have been measured"
    return f"About {duration_text(estimator.wall_s(jobs, workers))} with {words} ({source})."


def plan_tables(plan: Plan, states: Mapping[str, str], estimator: Estimator) -> Iterator[Table]:
    """Yield a table of the runs, seeds folded together, and one of what was refused."""
    table = Table(title=f"plan of {escape(plan.suite)}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("task", "backbone", "pretrained on", "steps", "seeds", "runs done", "measures done", "of", "time"):
        table.add_column(
            column,
            justify="right" if column in ("steps", "runs done", "measures done", "time") else "left",
            no_wrap=column in ("steps", "seeds", "runs done", "measures done", "time"),
        )
    groups: dict[tuple[str, ...], list[PlannedJob]] = {}
    for job in plan.jobs:
        if job.kind == "pretrain":
            groups.setdefault((job.task, job.backbone, job.data, job.label, str(job.steps)), []).append(job)
    for (task, backbone, data, label, steps), runs in groups.items():
        ids = {run.run_id for run in runs}
        measures = [job for job in plan.jobs if job.kind == "transfer" and job.needs[0] in ids]
        seconds = sum(estimator.seconds(job) for job in (*runs, *measures))
        table.add_row(
            escape(task),
            escape(backbone or "-"),
            escape(f"{data}/{label}" if label else data or "-"),
            steps if steps != "0" else "-",
            _seeds([run.seed for run in runs]),
            _done(states, runs),
            _done(states, measures),
            escape(", ".join(dict.fromkeys(f"{job.data}/{job.label}" for job in measures))),
            duration_text(seconds),
        )
    yield table
    if plan.refused:
        refused = Table(title="refused", title_justify="left", title_style="yellow", box=SIMPLE_HEAD, pad_edge=False)
        refused.add_column("what")
        refused.add_column("why")
        for refusal in plan.refused:
            refused.add_row(escape(refusal.what), escape(refusal.reason))
        yield refused


def _seeds(seeds: list[int]) -> str:
    seeds = sorted(seeds)
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(map(str, seeds))


def _done(states: Mapping[str, str], jobs: list[PlannedJob]) -> str:
    found = [states[job.run_id] for job in jobs]
    failed = f" [red]{found.count('failed')} failed[/]" if "failed" in found else ""
    style = "green" if found and found.count("done") == len(found) else ""
    count = f"{found.count('done')}/{len(found)}"
    return (f"[{style}]{count}[/]" if style else count) + failed


def print_outcome(console: Console, plan: Plan, outcome: Outcome) -> None:
    """Print what failed and what could not start for it."""
    by_id = {job.run_id: job for job in plan.jobs}
    for run_id, error in outcome.failed.items():
        console.print(f"[red]failed[/] {escape(by_id[run_id].name)}: {escape(error)}")
        console.print(f"       log: {escape(str(plan.out / run_id / 'log.txt'))}", style="dim")
    if outcome.blocked:
        console.print(f"[yellow]{len(outcome.blocked)} jobs were left out[/] because what they need failed.")
    if outcome.failed:
        console.print("Run the same command again to try the failed jobs again; nothing that is done is repeated.")


class Screen(Listener):
    """Live progress on a terminal; one line a job where the output is a file or a pipe."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._ended = 0
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._started = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[Screen]:
        """Show progress while the block runs."""
        if self._live is None:
            yield self
            return
        with self._live:
            yield self

    def finished(self, name: str, seconds: float, error: str, left: int, eta_s: float) -> None:
        """Print a line for a job that ended."""
        ended = self._total - left
        mark = "[red]failed[/]" if error else "[green]done[/]"
        line = (
            f"[{ended:>{len(str(self._total))}}/{self._total}] {mark} {escape(name)} [dim]({duration_text(seconds)})[/]"
        )
        if error:
            line += f"\n      {escape(error)}"
        elif self._live is None and left:
            line += f" · about {duration_text(eta_s)} left"
        self._console.print(line)

    def tick(self, running: list[Running], ended: int, total: int, eta_s: float) -> None:
        """Redraw the bar and a line per running job."""
        if self._live is None:
            return
        now = time.monotonic()
        head = Table.grid(padding=(0, 1))
        left = f"about {duration_text(eta_s)} left" if ended < total else "finishing"
        head.add_row(
            ProgressBar(total=max(1, total), completed=ended, width=30),
            f"{ended}/{total} jobs",
            f"{duration_text(now - self._started)} so far",
            left,
        )
        jobs = Table.grid(padding=(0, 2))
        for job in running:
            age = Text(duration_text(now - job.since), style="dim")
            jobs.add_row(Text(job.name, style="cyan"), Text(job.message or "starting"), age)
        self._live.update(Group(head, jobs))
