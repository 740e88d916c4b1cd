"""``vssl bench``: plan, run and follow a suite."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from vssl_bench.jobs import Plan
    from vssl_bench.suite import Suite
    from vssl_core.plugins import Registry

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Plan, run and follow a suite of benchmark jobs.

    SUITE is a name ('vssl list suites') or the path of a YAML file; KEY=VALUE changes it: steps=50 for every entry,
    data.root=DIR for the options of its data set, or a path into the file such as data.0.labels=[motion].
    """


def _suite_options(command: Any) -> Any:
    command = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")(command)
    command = click.argument("suite")(command)
    command = click.option(
        "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the runs [runs/SUITE]."
    )(command)
    command = click.option(
        "--records",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of kept records: what is done there is not repeated; run adds its own.",
    )(command)
    command = click.option(
        "--rehearsal/--no-rehearsal",
        default=True,
        help="Try each task on its backbone with a made-up batch on the CPU, and refuse what cannot work [yes].",
    )(command)
    return click.option(
        "--only", multiple=True, metavar="KEY=VALUE", help="Only these jobs: task=rtt,pace or label=motion."
    )(command)


def _planned(
    suite: str, overrides: tuple[str, ...], out: Path | None, only: tuple[str, ...], rehearsal: bool
) -> tuple[Plan, Suite, Registry]:
    from vssl_bench.jobs import parse_filters
    from vssl_bench.plan import make_plan
    from vssl_bench.suite import load_suite
    from vssl_core.cli.state import current_registry

    registry = current_registry()
    loaded = load_suite(suite, overrides, registry)
    out = out or Path("runs") / loaded.name
    return make_plan(loaded, registry, out, parse_filters(only), rehearsal=rehearsal), loaded, registry


@bench.command()
@_suite_options
@click.option("--json", "as_json", is_flag=True, help="The jobs as JSON.")
def plan(
    suite: str,
    overrides: tuple[str, ...],
    out: Path | None,
    only: tuple[str, ...],
    records: Path | None,
    rehearsal: bool,
    as_json: bool,
) -> None:
    """Show what a suite would run, what of it is done, and what is refused and why."""
    import json

    from vssl_bench.estimate import Estimator
    from vssl_bench.show import make_console, print_plan
    from vssl_bench.states import job_states

    made, _, registry = _planned(suite, overrides, out, only, rehearsal)
    if as_json:
        click.echo(json.dumps(made.plain(), indent=1))
        return
    estimator = Estimator()
    estimator.learn_from(made.out, made.jobs)
    launcher = registry.build("launchers", "local")
    print_plan(make_console(), made, job_states(made, records), estimator, launcher.capacity)


@bench.command()
@_suite_options
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Jobs at a time [as the launcher chooses].")
@click.option("--launcher", default="local", show_default=True, help="Where jobs run ('vssl list launchers').")
def run(
    suite: str,
    overrides: tuple[str, ...],
    out: Path | None,
    only: tuple[str, ...],
    records: Path | None,
    rehearsal: bool,
    workers: int,
    launcher: str,
) -> None:
    """Run what is not done yet of a suite, then show the board.

    May be stopped or killed at any time: the same command goes on where it was. Ends with status 1 if a job failed.
    """
    from vssl_bench.estimate import Estimator
    from vssl_bench.run import exclusive, run_plan
    from vssl_bench.show import Screen, make_console, print_outcome, print_plan
    from vssl_bench.states import job_states

    console = make_console()
    made, loaded, registry = _planned(suite, overrides, out, only, rehearsal)
    context = click.get_current_context()
    with exclusive(made.out):
        options = {"workers": workers} if workers else {}
        where = registry.build("launchers", launcher, **options)
        estimator = Estimator()
        estimator.learn_from(made.out, made.jobs)
        states = job_states(made, records)
        print_plan(console, made, states, estimator, where.capacity)
        screen = Screen(console, sum(state != "done" for state in states.values()))
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            with screen.shown():
                outcome = run_plan(
                    made,
                    where,
                    registry,
                    suite=loaded.source,
                    estimator=estimator,
                    listener=screen,
                    records=records,
                )
        except KeyboardInterrupt:
            console.print("Stopping: running jobs write a checkpoint ...")
            where.close()
            console.print("Stopped. The same command goes on from here; nothing that is done is repeated.")
            context.exit(130)
        where.close()
    print_outcome(console, made, outcome)
    _finish(console, made, registry, records)
    context.exit(1 if outcome.failed or outcome.blocked else 0)


@bench.command()
@_suite_options
def status(
    suite: str,
    overrides: tuple[str, ...],
    out: Path | None,
    only: tuple[str, ...],
    records: Path | None,
    rehearsal: bool,
) -> None:
    """Show how far a suite is, whether or not it is running."""
    import filelock

    from vssl_bench.estimate import Estimator
    from vssl_bench.jobs import kept_path, record_path
    from vssl_bench.show import make_console, print_plan
    from vssl_bench.states import job_states
    from vssl_core.store.records import read_record

    console = make_console()
    made, _, registry = _planned(suite, overrides, out, only, rehearsal)
    estimator = Estimator()
    estimator.learn_from(made.out, made.jobs)
    states = job_states(made, records)
    print_plan(console, made, states, estimator, registry.build("launchers", "local").capacity)
    for job in made.jobs:
        if states[job.run_id] == "failed":
            here = record_path(made.out, job.run_id)
            record = read_record(here if here.exists() or records is None else kept_path(records, job.run_id))
            console.print(f"[red]failed[/] {job.name}: {(record['error'] or {}).get('message', '')}", highlight=False)
    running = False
    if (made.out / ".lock").exists():
        try:
            with filelock.FileLock(made.out / ".lock", timeout=0):
                pass
        except filelock.Timeout:
            running = True
    console.print("It is running now." if running else "It is not running.")


@bench.command("choose")
@click.argument("suite")
@click.argument("places", nargs=-1, required=True)
def choose_settings(suite: str, places: tuple[str, ...]) -> None:
    """Choose each task's learning rate for SUITE from the records of a search in PLACES.

    Looks at validation videos of the cell that the suite names for the task (wins), never at test videos.
    """
    from vssl_bench.choose import choose
    from vssl_bench.cli_board import find_places
    from vssl_bench.suite import load_suite
    from vssl_core.cli.state import current_registry
    from vssl_core.cli.terminal import output, simple_table
    from vssl_core.store.records import read_records

    loaded = load_suite(suite, (), current_registry())
    records, _ = read_records(find_places(places))
    rows = [
        [
            found.task,
            f"{found.data}, {found.label}",
            ", ".join(f"{rate:g}: {100 * value:.1f}" for rate, value in found.tried.items()) or "not measured",
            "" if found.best is None else f"optim: {{lr: {found.best:g}}}",
        ]
        for found in choose(records, loaded.wins)
    ]
    output().print(simple_table(["task", "its cell", "validation accuracy by rate, per cent", "chosen"], rows))


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _finish(console: Any, plan: Plan, registry: Registry, records: Path | None) -> None:
    """Show the board, hand it to the trackers, and say how to get it as a page."""
    from vssl_bench.api import load_board
    from vssl_bench.publish import publish_board
    from vssl_bench.terminal import print_board

    places = [plan.out, *([records] if records is not None else [])]
    board = load_board(places, run_ids=plan.whole)
    console.print()
    print_board(console, board)
    publish_board(plan, board, registry)
    shown = " ".join(map(str, places))
    console.print(f"\nAs a page: vssl leaderboard {shown} --html leaderboard.html", markup=False)
