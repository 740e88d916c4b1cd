"""``vssl doctor``: check this machine."""

from __future__ import annotations

import dataclasses

import click

from vssl_core.cli.state import current_registry
from vssl_core.cli.terminal import output, print_json
from vssl_core.health import examine

__all__ = ["command"]

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON list instead of lines.")
def command(as_json: bool) -> None:
    """Check this machine: Python, torch and its devices, video in and out, disks, W&B, plugins.

    Exits with 1 if something fails; warnings leave the exit code at 0.
    """
    console = output()
    findings = []
    for finding in examine(current_registry()):
        findings.append(finding)
        if not as_json:
            console.print(f"{finding.status:<5}", style=_STYLES[finding.status], end="")
            console.print(f"{finding.name:<14} {finding.found}", soft_wrap=True)
            if finding.advice:
                console.print(f"{'':<20}{finding.advice}", style="dim", soft_wrap=True)
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    click.get_current_context().exit(1 if any(finding.status == "fail" for finding in findings) else 0)
