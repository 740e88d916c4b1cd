"""The tables of ``decode.py``."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table
from timing import STATISTICS

__all__ = ["show"]

_WIDTH = 130
_TITLES = {
    "full": "full size",
    "small": "short side 112",
    "prepared": "all-intra copy, short side 128",
}
_SUMMARY = {
    "full": "full size, against the fastest peer",
    "small": "short side 112, against the fastest peer",
    "small_own": "short side 112, against the fastest that resizes by itself",
    "prepared": "prepared copy, against the original",
    "prepared_copy": "prepared copy, against the same copy",
}


def show(report: dict[str, Any]) -> None:
    """Print a table per race and one of the ratios."""
    console = Console()
    if not console.is_terminal:
        # A file has no width to keep to.
        console = Console(width=_WIDTH)
    for race, title in _TITLES.items():
        console.print(_race(report, race, title))
    console.print(_ratios(report))
    equal = "bit-equal to" if report["bit_equal"] else "NOT EQUAL to"
    click.echo(
        f"ours at full size: {equal} decoding the whole file; at short side 112: at least "
        f"{report['small_psnr_db']:.1f} dB; prepared copies: at least {report['prepared_psnr_db']:.1f} dB"
    )
    for library, reason in report["left_out"].items():
        click.echo(f"{library} was left out: {reason}")


def _race(report: dict[str, Any], race: str, title: str) -> Table:
    setup = report["setup"]
    table = Table(
        title=f"{title}: {setup['clips']} clips of {setup['frames']} frames, stride {setup['stride']}, one thread, "
        f"from {report['source']}",
        caption="ms a clip: median of rounds, best of rounds; ratio: CPU median / ours, above 1 is slower than ours",
    )
    table.add_column("file", no_wrap=True)
    table.add_column("reader", no_wrap=True)
    for heading in ("CPU median", "best", "wall median", "best", "ratio", "dB" if race != "full" else "differs by"):
        table.add_column(heading, justify="right")
    table.add_column("not counted")
    for name, file in report["files"].items():
        contestants = file[race]["contestants"]
        ours = contestants["vssl"]["median_cpu_s"]
        for reader, entry in contestants.items():
            times = [entry[f"{by}_s"] for by in STATISTICS]
            numbers = ["" if taken is None else f"{taken * 1e3:.1f}" for taken in times]
            ratio = "" if times[0] is None else f"{times[0] / ours:.2f}"
            table.add_row(name, reader, *numbers, ratio, _quality(race, entry), entry["why"])
            name = ""
        table.add_section()
    return table


def _quality(race: str, entry: dict[str, Any]) -> str:
    """Return how near a reader came to what was expected; nothing for one that returned something else."""
    if race == "full":
        return str(entry.get("max_difference", ""))
    # What was read from the original, beside its copy, has no other size to be compared at.
    return f"{entry['psnr_db']:.1f}" if "psnr_db" in entry else ""


def _ratios(report: dict[str, Any]) -> Table:
    names = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    table = Table(
        title=f"geometric means, files: {len(report['files'])}, rounds: {report['setup']['rounds']}, {report['cpu']}",
        caption=f"{report['statistic']} counts: rounds lie up to {report['spread']:.0%} apart; {names}",
    )
    table.add_column("peer's time / ours", no_wrap=True)
    for by in STATISTICS:
        heading = by.replace("_", ", ").replace("cpu", "CPU")
        table.add_column(f"[bold]{heading}[/bold]" if by == report["statistic"] else heading, justify="right")
    for group, ratios in report["ratios"].items():
        table.add_row(_SUMMARY[group], *(f"{ratios[by]:.2f}" for by in STATISTICS))
    return table
