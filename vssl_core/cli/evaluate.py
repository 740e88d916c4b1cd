"""``vssl evaluate``: measure a pretrained encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from vssl_core.cli.overrides import split_arguments
from vssl_core.cli.state import current_registry
from vssl_core.cli.terminal import output, print_json, progress_display, simple_table
from vssl_core.contracts import counted_in
from vssl_core.errors import ConfigError, near_names

__all__ = ["command"]


@click.command("evaluate")
@click.argument("run")
@click.argument("arguments", nargs=-1, metavar="[CONFIG.yaml] [KEY=VALUE]...")
@click.option("--json", "as_json", is_flag=True, help="Write the record as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def command(run: str, arguments: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Measure the encoder of the folder RUN under a protocol.

    \b
    vssl evaluate runs/single/RUN_ID protocol=linear-probe label=motion
    vssl evaluate RUN protocol=knn@tiny data=toy-physics

    Keys: protocol, data (by default that of the run), label (by default the set's first), seed, batch_size, loader.*,
    device, trackers, out; 'vssl info protocol NAME' shows the options below protocol. The test split is read once.
    """  # noqa: D301 (click's \b is a control character)
    from vssl_core.config.compose import compose
    from vssl_core.config.schema import TransferConfig

    registry = current_registry()
    if not Path(run).is_dir():
        raise ConfigError(f"RUN '{run}' is no folder{_known_runs(run)}; 'vssl pretrain' makes one")
    file, overrides = split_arguments(arguments)
    config = compose(TransferConfig, file, [*overrides, f"run={run}"])
    registry.resolve("protocols", config.protocol)  # before anything is loaded

    from vssl_core.api import evaluate
    from vssl_core.transfer.planned import transfer_folder

    with progress_display(quiet=quiet) as progress:
        record = evaluate(config=config, registry=registry, progress=progress)
    if as_json:
        print_json(record)
    else:
        _print_record(record, transfer_folder(config, record["run_id"]))


def _measured_on(record: Mapping[str, Any]) -> str:
    data = record["data"]
    if {counted_in(metric["name"]) for metric in record["metrics"]} == {"held-out samples"}:
        return f"the videos of {data['name']} that its pretraining held out"
    return f"{data['name']}, label {record['label']}: {data['n_test']} test videos"


def _known_runs(run: str) -> str:
    folder = Path(run).parent
    runs = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return near_names(Path(run).name, runs)


def _print_record(record: Mapping[str, Any], folder: Path) -> None:
    console = output()
    console.print(f"{record['name']} on {_measured_on(record)}", style="bold", soft_wrap=True)
    rows = []
    for metric in record["metrics"]:
        percent = metric["unit"] == "fraction"
        value = f"{100 * metric['value']:.1f} %" if percent else f"{metric['value']:.4g} {metric['unit']}"
        chance = (
            ""
            if metric["chance"] is None
            else f"{100 * metric['chance']:.1f} %"
            if percent
            else f"{metric['chance']:.4g}"
        )
        rows.append([metric["name"] + (" *" if metric["primary"] else ""), value, chance, str(metric["n"])])
    console.print(simple_table(["metric", "value", "chance", "n"], rows))
    if any(metric["primary"] for metric in record["metrics"]):
        console.print("* what a board shows")
    for picture in sorted((folder / "work").glob("*.png")):
        console.print(f"picture: {picture}", soft_wrap=True, highlight=False)
    if record["unreadable"]:
        console.print(
            f"{len(record['unreadable'])} unreadable videos, counted as wrong and named in the record", style="yellow"
        )
