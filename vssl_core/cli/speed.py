"""``vssl speed``: how fast each stage of a run is, and which one is the bottleneck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vssl_core.cli.overrides import split_arguments
from vssl_core.cli.state import current_registry
from vssl_core.cli.terminal import output, print_json, progress_display, simple_table

if TYPE_CHECKING:
    from vssl_core.speed.measure import Speed

__all__ = ["command"]

_TITLES = {
    "decode": "decode",
    "cache": "decoded cache",
    "loader": "loader",
    "copy": "copy to device",
    "augment": "augment",
    "step": "model step",
    "together": "all together",
}
_BAR = 24
# All together may take this much longer than the stages alone explain before it is said, and only of so many batches.
_DISTURBED, _BATCHES = 1.25, 3


@click.command("speed")
@click.argument("arguments", nargs=-1, metavar="[CONFIG.yaml] [KEY=VALUE]...")
@click.option(
    "--seconds", type=click.FloatRange(min=0.05), default=5.0, show_default=True, help="How long to measure each stage."
)
@click.option("--build-cache", is_flag=True, help="Build the decoded cache first, if this run would use one.")
@click.option("--json", "as_json", is_flag=True, help="Write the measurements as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def command(arguments: tuple[str, ...], seconds: float, build_cache: bool, as_json: bool, quiet: bool) -> None:
    """Measure every stage of a run alone, then its training loop, and say which stage decides how long a batch takes.

    \b
    vssl speed task=rtt@tiny data=toy-motion
    vssl speed task=pace data=folder data.root=videos loader.workers=4
    vssl speed conf.yaml --seconds 10 --json

    Keys are those of 'vssl pretrain'; steps and epochs are not needed. Nothing is kept of what is trained. A clip is
    one view of one video; rates of reading are medians without the first batches.
    """  # noqa: D301 (click's \b is a control character)
    from vssl_core.config.compose import compose
    from vssl_core.config.schema import PretrainConfig

    registry = current_registry()
    file, overrides = split_arguments(arguments)
    config = compose(PretrainConfig, file, overrides)
    registry.resolve("tasks", config.task)  # before anything heavy is imported

    from vssl_core.speed.measure import measure_speed

    with progress_display(quiet=quiet) as progress:
        speed = measure_speed(config, registry, seconds=seconds, build_cache=build_cache, progress=progress)
    if as_json:
        print_json(_plain(speed))
    else:
        _print(speed)


def _plain(speed: Speed) -> dict[str, Any]:
    stages: dict[str, Any] = {}
    for name, stage in speed.stages.items():
        measured: dict[str, float | None] = {"clips_per_s": None, "batch_ms": None, "n_clips": 0}
        if stage.rate is not None:
            measured = {
                "clips_per_s": round(stage.rate.clips_per_s, 3),
                "batch_ms": round(stage.rate.batch_ms, 4),
                "n_clips": stage.rate.n_clips,
            }
        stages[name] = {**measured, "note": stage.note}
    return {
        "task": speed.task,
        "backbone": speed.backbone,
        "data": speed.data,
        "device": speed.device,
        "precision": speed.precision,
        "cores": speed.cores,
        "workers": speed.workers,
        "batch_size": speed.batch_size,
        "clips_a_batch": speed.clips_a_batch,
        "cache": speed.cache,
        "stages": stages,
        "bottleneck": speed.bottleneck,
        "explained_ms": round(speed.explained_ms, 4),
        "advice": list(speed.advice),
    }


def _print(speed: Speed) -> None:
    console = output()
    encoder = f" with {speed.backbone}" if speed.backbone else ""
    console.print(
        f"{speed.task}{encoder} on {speed.data}: batches of {speed.batch_size} videos, {speed.clips_a_batch} clips; "
        f"{speed.device}, {speed.precision}, {speed.cores} cores",
        soft_wrap=True,
    )
    console.print()
    longest = max(stage.rate.batch_ms for stage in speed.stages.values() if stage.rate is not None)
    block = "#" if console.options.ascii_only else "█"
    rows = []
    for name, stage in speed.stages.items():
        clips, ms, bar = "-", "-", ""
        if stage.rate is not None:
            clips, ms = f"{stage.rate.clips_per_s:,.1f}", f"{stage.rate.batch_ms:,.1f}"
            bar = block * max(1, round(_BAR * stage.rate.batch_ms / longest))
        here = "  <- bottleneck" if name == speed.bottleneck else ""
        rows.append([_TITLES[name], clips.rjust(9), ms.rjust(10), bar, f"{stage.note}{here}"])
    columns = ["stage", "clips/s".rjust(9), "ms a batch".rjust(10), "", "measured"]
    console.print(simple_table(columns, rows, whole=columns[1:3]))
    console.print()
    console.print(_verdict(speed), style="bold", soft_wrap=True)
    for line in speed.advice:
        console.print(f"  {line}", soft_wrap=True)


def _verdict(speed: Speed) -> str:
    """Return what holds the others up, and where the loop is slower than that explains."""
    ms = {name: stage.rate.batch_ms for name, stage in speed.stages.items() if stage.rate is not None}
    title = _TITLES[speed.bottleneck]
    device_ms = ms.get("copy", 0.0) + ms["augment"] + ms["step"]
    words = f"bottleneck: {title}, {ms[speed.bottleneck]:,.1f} ms a batch"
    if speed.workers and speed.bottleneck == "loader":
        words += f"; what follows it takes {device_ms:,.1f} ms and waits"
    elif speed.workers:
        words += f"; the loader reads beside it, {ms['loader']:,.1f} ms"
    else:
        words += f" of {speed.explained_ms:,.1f}: without workers one stage follows the other"
    together = speed.stages["together"].rate
    timed = together.n_clips / speed.clips_a_batch if together is not None else 0.0
    if timed >= _BATCHES and ms["together"] > _DISTURBED * speed.explained_ms:
        words += (
            f". All together take {ms['together']:,.1f} ms where the stages alone explain {speed.explained_ms:,.1f}: "
            f"they, or other programs, compete for {speed.cores} {'core' if speed.cores == 1 else 'cores'}"
        )
    return words
