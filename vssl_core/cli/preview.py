"""``vssl preview``: draw what a task shows the network."""

from __future__ import annotations

from pathlib import Path

import click

from vssl_core.cli.overrides import split_arguments
from vssl_core.cli.state import current_registry
from vssl_core.cli.terminal import output, remarks

__all__ = ["command"]


@click.command("preview")
@click.argument("arguments", nargs=-1, metavar="[CONFIG.yaml] [KEY=VALUE]...")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default="preview.png", show_default=True)
@click.option("--samples", type=click.IntRange(1, 64), default=6, show_default=True, help="How many videos.")
@click.option("--html", "page", is_flag=True, help="Also write a page with moving clips, beside the picture.")
def command(arguments: tuple[str, ...], out: Path, samples: int, page: bool) -> None:
    """Draw what a task shows the network: every view after augmentation, with the label the task made.

    \b
    vssl preview task=rtt@tiny data=toy-motion
    vssl preview task=clip-order data=folder data.root=videos --html --out order.png

    The number below a frame is its place in the video. Keys are those of 'vssl pretrain'; another seed draws others.
    """  # noqa: D301 (click's \b is a control character)
    from vssl_core.config.compose import compose
    from vssl_core.config.schema import PretrainConfig

    registry = current_registry()
    file, overrides = split_arguments(arguments)
    named = [text for text in overrides if text.startswith("out=")]
    if named:
        raise click.UsageError(f"{named[0]} is the folder of a run; the picture's name is given as --out FILE")
    config = compose(PretrainConfig, file, overrides)
    registry.resolve("tasks", config.task)  # before anything heavy is imported

    from vssl_core.preview.draw import draw_page, draw_sheet
    from vssl_core.preview.samples import preview_task

    preview = preview_task(config, registry, samples)
    draw_sheet(preview, out)
    output().print(f"{out}: {len(preview.samples)} samples of {preview.task} on {preview.data}", soft_wrap=True)
    if page:
        beside = out.with_suffix(".html")
        draw_page(preview, beside)
        output().print(f"{beside}: the same, moving", soft_wrap=True)
    for video_id, reason in preview.left_out.items():
        remarks().print(f"left out {video_id}: {reason}", style="yellow", soft_wrap=True)
