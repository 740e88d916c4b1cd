"""``vssl leaderboard``: the board of what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["leaderboard"]


class _BoardGroup(click.Group):
    """Places may stand where a verb could: ``vssl leaderboard runs/x`` and ``vssl leaderboard why A B`` both work."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Send everything but ``why`` to the board itself."""
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["show", *args]
        return super().parse_args(ctx, args)


_HELP = """Show what was measured, as a board.

\b
vssl leaderboard                            everything under runs
vssl leaderboard quickstart                 one suite, or any folder of records
vssl leaderboard runs/x --html board.html   a page of its own
vssl leaderboard why A B                    what differs between two rows or records

'vssl leaderboard show --help' lists the options.
"""


@click.group(cls=_BoardGroup, help=_HELP)
def leaderboard() -> None:
    """Show what was measured, as a board."""


@leaderboard.command()
@click.argument("places", nargs=-1)
@click.option("--md", "form", flag_value="md", help="As Markdown.")
@click.option("--csv", "form", flag_value="csv", help="As CSV, one line per cell.")
@click.option("--json", "form", flag_value="json", help="As JSON.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="As one self-contained page.")
@click.option("--data", default="", help="Only this data set.")
@click.option("--label", default="", help="Only this label.")
@click.option("--protocol", default="", help="Only this protocol.")
@click.option("--title", default="", help="Heading [that of the suite].")
def show(
    places: tuple[str, ...], form: str | None, html: Path | None, data: str, label: str, protocol: str, title: str
) -> None:
    """Show the board of the records in PLACES: folders, records or names of suites [runs]."""
    from vssl_bench.api import load_board
    from vssl_bench.render import to_csv, to_json, to_markdown
    from vssl_bench.show import make_console
    from vssl_bench.terminal import print_board
    from vssl_core.store.runs import write_text

    board = load_board(find_places(places), title=title, data=data, label=label, protocol=protocol)
    if html is not None:
        from vssl_bench.html_page import to_html

        write_text(html, to_html(board))
        click.echo(f"wrote {html}", err=True)
    if form is not None:
        text = {"md": to_markdown, "csv": to_csv, "json": to_json}[form](board)
        click.echo(text, nl=not text.endswith("\n"))
    elif html is None:
        print_board(make_console(), board)


@leaderboard.command()
@click.argument("first")
@click.argument("second")
@click.argument("places", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def why(first: str, second: str, places: tuple[str, ...], as_json: bool) -> None:
    """Say what differs between two results, each a run_id, a part of one, or the name of a row.

    Looks through the records in PLACES: folders, records or names of suites [runs].
    """
    import dataclasses
    import json

    from vssl_bench.show import make_console
    from vssl_bench.why import explain
    from vssl_core.store.records import read_records

    found = explain(read_records(find_places(places))[0], first, second)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=1))
        return
    console = make_console()
    console.print(f"A  {found.names[0]}\nB  {found.names[1]}\n", markup=False)
    console.print(found.verdict, style="bold", markup=False)
    parts = {
        "decides the result": found.decisive,
        "decides the pretraining": found.pretraining,
        "should not matter": found.around,
    }
    for title, items in parts.items():
        if items:
            console.print(_difference_table(title, items))


def _difference_table(title: str, items: list[tuple[str, Any, Any]]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "A", "B", title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for key, a, b in items:
        table.add_row(escape(key), escape("-" if a is None else str(a)), escape("-" if b is None else str(b)))
    return table


def find_places(places: tuple[str, ...]) -> list[Path]:
    """Return where records lie: a path as it is, a name that is none as the suite's folder under ``runs``."""
    found = []
    for place in places or ("runs",):
        path, suite = Path(place), Path("runs") / place
        found.append(suite if not path.exists() and suite.exists() else path)
    return found
