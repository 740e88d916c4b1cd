"""``vssl pretrain``: train a backbone on a pretext task."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import click

from vssl_core.cli.overrides import split_arguments
from vssl_core.cli.state import current_registry
from vssl_core.cli.terminal import output, print_json, progress_display, remarks

if TYPE_CHECKING:
    from pathlib import Path

    from vssl_core.engine.planned import PlannedPretrain

__all__ = ["command"]


@click.command("pretrain")
@click.argument("arguments", nargs=-1, metavar="[CONFIG.yaml] [KEY=VALUE]...")
@click.option("--plan", "--dry-run", "plan_only", is_flag=True, help="Show what would run, and where; train nothing.")
@click.option("--json", "as_json", is_flag=True, help="Write the record (or the plan) as JSON.")
@click.option("--no-rehearsal", is_flag=True, help="Do not try a made-up batch on the CPU first.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def command(arguments: tuple[str, ...], plan_only: bool, as_json: bool, no_rehearsal: bool, quiet: bool) -> None:
    """Train a backbone on a pretext task and export it.

    \b
    vssl pretrain task=rtt@tiny steps=200
    vssl pretrain conf.yaml task.frames=8 optim.lr=1e-3 seed=1
    vssl pretrain task=pace data=folder data.root=videos epochs=10 --plan

    Keys: task, backbone, data, steps or epochs, batch_size, seed, optim.*, loader.*, device, precision, trackers, out;
    'vssl info task rtt' shows the options below task. The same command again goes on where it was interrupted, and
    does nothing when the run is done.
    """  # noqa: D301 (click's \b is a control character)
    from vssl_core.config.compose import compose
    from vssl_core.config.schema import PretrainConfig
    from vssl_core.engine.planned import plan_pretrain

    registry = current_registry()
    file, overrides = split_arguments(arguments)
    config = compose(PretrainConfig, file, overrides)
    planned = plan_pretrain(config, registry)
    plan = _plan(planned)
    if plan_only:
        if plan["status"] not in ("done", "begun") and not no_rehearsal:
            from vssl_core.engine.rehearsal import check_first_batch

            check_first_batch(config, registry)
        if as_json:
            print_json(plan)
        else:
            _print_plan(plan, whole=True)
        return
    if not quiet:
        _print_plan(plan, whole=False)

    from vssl_core.api import pretrain

    with progress_display(quiet=quiet) as progress:
        run = pretrain(config, registry=registry, progress=progress, rehearse=not no_rehearsal)
    if as_json:
        print_json(run.record)
    else:
        probes = [entry.spec for entry in registry.entries("protocols") if entry.spec.name == "linear-probe"]
        recipes = [recipe for spec in probes for recipe in spec.recipes]
        _print_record(run.folder, run.record, labels=list(planned.dataset.labels()), probe_recipes=recipes)


def _plan(planned: PlannedPretrain) -> dict[str, Any]:
    from dataclasses import replace

    from vssl_core.config.compose import to_plain
    from vssl_core.engine.checkpoint import has_checkpoint
    from vssl_core.store.runs import RunFolder

    config = to_plain(replace(planned.config, steps=planned.steps, epochs=0.0))
    config["task"] = planned.task.as_config()
    config["backbone"] = planned.backbone.as_config() if planned.backbone else None
    config["data"] = planned.data.as_config()
    folder = RunFolder(planned.folder)
    record = folder.read_record()
    status = record["status"] if record else "new"
    if status != "done" and has_checkpoint(folder.checkpoints, planned.run_id):
        status = "begun"
    return {
        "run_id": planned.run_id,
        "folder": str(planned.folder),
        "status": status,
        "steps": planned.steps,
        "config": config,
    }


def _print_plan(plan: Mapping[str, Any], *, whole: bool) -> None:
    from vssl_core.config.compose import to_yaml

    console = output() if whole else remarks()
    config = plan["config"]
    backbone = config["backbone"]["name"] if config["backbone"] else "its own encoder"
    console.print(f"run     {plan['run_id']}  ({plan['status']})", soft_wrap=True)
    console.print(f"folder  {plan['folder']}", soft_wrap=True)
    console.print(
        f"train   {config['task']['name']} with {backbone} on {config['data']['name']}: "
        f"{plan['steps']} steps of {config['batch_size']} videos, seed {config['seed']}",
        soft_wrap=True,
    )
    if whole:
        console.print()
        console.print(to_yaml(config), soft_wrap=True)


def _print_record(folder: Path, record: Mapping[str, Any], labels: list[str], probe_recipes: Collection[str]) -> None:
    console = output()
    cost = record["cost"]
    console.print(f"done    {folder}", style="bold", soft_wrap=True)
    for name, measured in record["heldout"].items():
        known = record["chance"] if name == "accuracy" and "accuracy_chance" not in record["heldout"] else None
        chance = f"  (chance {known:.3f})" if known is not None else ""
        console.print(
            f"        {name} {measured['value']:.3f} on {measured['n']} held-out samples{chance}", soft_wrap=True
        )
    console.print(
        f"        {cost['steps']} steps, {cost['clips']} clips, {cost['frames_decoded']} frames decoded, "
        f"{cost['wall_s']:.1f} s, {cost['parameters']:,} parameters",
        soft_wrap=True,
    )
    if record["unreadable"]:
        console.print(f"        {len(record['unreadable'])} unreadable videos, named in record.json", style="yellow")
    label = f" label={labels[0]}" if labels else ""
    # What was trained on small clips is measured on small clips.
    recipe = record["components"]["task"]["recipe"]
    probe = f"linear-probe@{recipe}" if recipe in probe_recipes else "linear-probe"
    console.print(f"next    vssl evaluate {folder} protocol={probe}{label}", soft_wrap=True)
