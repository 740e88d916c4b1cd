"""Speed of augmentation: ours against kornia and torchvision.transforms.v2, the same operations by the same laws.

    python benchmarks/speed/augment.py
    python benchmarks/speed/augment.py --device cuda --batch 64 --json augment.json

Each turns a batch of uint8 clips ``[B, T, H, W, 3]``, already on the device, into contiguous, normalised float32
``[B, 3, T, size, size]``: random resized crop, horizontal flip, jitter of brightness, contrast, saturation and hue in
random order, grey, Gaussian blur, normalising; drawn per clip, constant over its frames. They take turns in one
process, so that whatever else the machine does falls on all of them.

What is not the same: torchvision is applied clip by clip, on uint8 until the end, as its documentation advises; kornia
resizes without antialiasing and orders the jitter once for a batch; ours alone draws from a seed per sample, so that a
split batch or a resumed run sees the same clips.

Decision: ours, for as long as this script shows neither peer ahead of it.
"""

from __future__ import annotations

import importlib
import json
import math
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchvision.transforms import v2

from vssl_core.data.transforms import augment_clip, normalise

Contestant = Callable[[Tensor, Tensor], Tensor]

SCALE, RATIO = 0.3, (3 / 4, 4 / 3)
FLIP, JITTER, HUE, GREY, BLUR = 0.5, 0.4, 0.1, 0.2, 0.5
SIGMA = (0.1, 2.0)
MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What is measured."""

    batch: int
    frames: int
    height: int
    width: int
    size: int
    device: str
    threads: int
    repeats: int
    seed: int


def blur_kernel(size: int) -> int:
    """Return the odd tenth of the side that ``augment_clip`` blurs with."""
    return 2 * max(1, math.ceil(size / 10) // 2) + 1


def make_ours(setup: Setup) -> Contestant:
    """Return ``augment_clip`` and ``normalise``."""

    def augment(video: Tensor, seeds: Tensor) -> Tensor:
        clip = augment_clip(
            video,
            seeds,
            size=setup.size,
            crop_scale=SCALE,
            flip=FLIP,
            jitter=JITTER,
            hue=HUE,
            random_order=True,
            grey=GREY,
            blur=BLUR,
            rim="box",
        )
        return normalise(clip, MEAN, STD)

    return augment


def make_torchvision(setup: Setup) -> Contestant:
    """Return torchvision.transforms.v2, clip by clip."""
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(setup.size, scale=(SCALE, 1.0), ratio=RATIO, antialias=True),
            v2.RandomHorizontalFlip(FLIP),
            v2.ColorJitter(JITTER, JITTER, JITTER, HUE),
            v2.RandomGrayscale(GREY),
            v2.RandomApply([v2.GaussianBlur(blur_kernel(setup.size), SIGMA)], BLUR),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )

    def augment(video: Tensor, seeds: Tensor) -> Tensor:
        clips = [transform(clip).transpose(0, 1) for clip in video.permute(0, 1, 4, 2, 3)]
        return torch.stack(clips)

    return augment


def make_kornia(setup: Setup) -> Contestant:
    """Return kornia's VideoSequential, a batch at a time, one draw for the frames of a clip.

    Raises:
        ModuleNotFoundError: kornia is not installed.
    """
    kornia: Any = importlib.import_module("kornia.augmentation")
    kernel = blur_kernel(setup.size)
    transform = kornia.VideoSequential(
        kornia.RandomResizedCrop((setup.size, setup.size), scale=(SCALE, 1.0), ratio=RATIO, align_corners=False),
        kornia.RandomHorizontalFlip(p=FLIP),
        kornia.ColorJitter(JITTER, JITTER, JITTER, HUE, p=1.0),
        kornia.RandomGrayscale(p=GREY),
        kornia.RandomGaussianBlur((kernel, kernel), SIGMA, p=BLUR),
        kornia.Normalize(torch.tensor(MEAN), torch.tensor(STD), p=1.0),
        data_format="BTCHW",
        same_on_frame=True,
    )

    def augment(video: Tensor, seeds: Tensor) -> Tensor:
        clip: Tensor = transform(video.permute(0, 1, 4, 2, 3).float().div_(255.0))
        return clip.transpose(1, 2).contiguous()

    return augment


def contestants(setup: Setup) -> dict[str, Contestant]:
    """Return who takes part, by name; without kornia where it is not installed."""
    found = {"ours": make_ours(setup), "torchvision": make_torchvision(setup)}
    try:
        found["kornia"] = make_kornia(setup)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "kornia":
            raise
    return found


def measure(setup: Setup) -> dict[str, Any]:
    """Let all take turns on the same clips and return medians in seconds and ratios to ours."""
    torch.set_num_threads(setup.threads)
    # For the peers, which draw from the global generator.
    torch.manual_seed(setup.seed)
    generator = torch.Generator().manual_seed(setup.seed)
    shape = (setup.batch, setup.frames, setup.height, setup.width, 3)
    video = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(setup.device)
    taking_part = contestants(setup)
    names = sorted(taking_part)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(-1, setup.repeats):
        seeds = torch.randint(0, 2**62, (setup.batch,), generator=generator).to(setup.device)
        for place in range(len(names)):
            # Another one goes first every time: none always meets the caches that the same neighbour left.
            name = names[(place + repeat) % len(names)]
            wall_s, cpu_s = once(taking_part[name], video, seeds, setup)
            # The first round warms up.
            if repeat >= 0:
                wall[name].append(wall_s)
                cpu[name].append(cpu_s)
    wall_s_of = {name: statistics.median(wall[name]) for name in names}
    cpu_s_of = {name: statistics.median(cpu[name]) for name in names}
    report: dict[str, Any] = {}
    for name in ("ours", "kornia", "torchvision"):
        report[f"{name}_s"] = wall_s_of.get(name)
        report[f"{name}_cpu_s"] = cpu_s_of.get(name)
    peers = [name for name in names if name != "ours"]
    report["ratios"] = {name: wall_s_of[name] / wall_s_of["ours"] for name in peers}
    report["cpu_ratios"] = {name: cpu_s_of[name] / cpu_s_of["ours"] for name in peers}
    report["setup"] = asdict(setup)
    cpu_name = platform.processor() or platform.machine()
    report["device"] = torch.cuda.get_device_name() if setup.device == "cuda" else cpu_name
    installed = ["torch", "torchvision", *(["kornia"] if "kornia" in names else [])]
    report["versions"] = {name: metadata.version(name) for name in installed}
    return report


def once(augment: Contestant, video: Tensor, seeds: Tensor, setup: Setup) -> tuple[float, float]:
    """Run one batch and return its wall and CPU seconds.

    Raises:
        click.ClickException: the result is not what was asked for, and its time would mean nothing.
    """
    wait = torch.cuda.synchronize if setup.device == "cuda" else _no_wait
    wait()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    clip = augment(video, seeds)
    wait()
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    expected = (setup.batch, 3, setup.frames, setup.size, setup.size)
    if clip.shape != expected or clip.dtype != torch.float32 or not clip.is_contiguous():
        raise click.ClickException(f"got {clip.dtype} {tuple(clip.shape)}, expected contiguous float32 {expected}")
    return wall_s, cpu_s


def _no_wait() -> None:
    """A CPU is done when it returns."""


def show(report: dict[str, Any]) -> None:
    """Print the table."""
    setup = report["setup"]
    console = Console()
    table = Table(
        title=f"{setup['batch']} clips of {setup['frames']} frames, {setup['height']}x{setup['width']} -> "
        f"{setup['size']}x{setup['size']}, {setup['device']}, {setup['threads']} thread(s)",
        caption=f"medians of {setup['repeats']}; ratio: seconds / ours, above 1 is slower than ours",
    )
    table.add_column("")
    for heading in ("wall ms", "CPU ms", "clips / s", "wall ratio", "CPU ratio"):
        table.add_column(heading, justify="right")
    for name in ("ours", "kornia", "torchvision"):
        wall_s, cpu_s = report[f"{name}_s"], report[f"{name}_cpu_s"]
        if wall_s is None:
            continue
        ratios = [report[key].get(name, 1.0) for key in ("ratios", "cpu_ratios")]
        numbers = [f"{wall_s * 1e3:.1f}", f"{cpu_s * 1e3:.1f}", f"{setup['batch'] / wall_s:.0f}"]
        table.add_row(name, *numbers, *(f"{ratio:.2f}" for ratio in ratios))
    console.print(table)
    if report["kornia_s"] is None:
        click.echo("kornia is not installed and was left out; to compare with it: pip install 'vssl[speed]'")


@click.command()
@click.option("--batch", default=8, show_default=True, type=click.IntRange(min=1), help="Clips.")
@click.option("--frames", default=16, show_default=True, type=click.IntRange(min=1), help="Frames of a clip.")
@click.option("--height", default=128, show_default=True, type=click.IntRange(min=8), help="Of the clips as read.")
@click.option("--width", default=171, show_default=True, type=click.IntRange(min=8), help="Of the clips as read.")
@click.option("--size", default=112, show_default=True, type=click.IntRange(min=8), help="Height and width after it.")
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Of torch on the CPU.")
@click.option("--repeats", default=9, show_default=True, type=click.IntRange(min=1), help="Rounds after the first.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--json", "json_path", is_flag=False, flag_value="-", metavar="[FILE]", help="Write JSON; no FILE: print it."
)
def main(json_path: str | None, **options: Any) -> None:
    """Compare the speed of augmentation: ours, kornia (if installed) and torchvision.transforms.v2."""
    setup = Setup(**options)
    if setup.device == "cuda" and not torch.cuda.is_available():
        raise click.ClickException("--device cuda: torch finds no GPU here; use --device cpu")
    report = measure(setup)
    if json_path == "-":
        click.echo(json.dumps(report, indent=1))
        return
    show(report)
    if json_path is not None:
        Path(json_path).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
