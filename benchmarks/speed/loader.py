"""Speed of a loader: ours against torch's DataLoader with torchcodec and torchvision.transforms.v2.

    python benchmarks/speed/loader.py
    python benchmarks/speed/loader.py --files 256 --batch 16 --json loader.json

Both have the same number of workers and deliver float32 batches ``[B, 3, 16, 112, 112]`` in [0, 1] on the device, of
the same clips of the same files (340x256 H.264, a key frame every 30 frames, ``clips.py``), augmented by one law:
random resized crop, horizontal flip, jitter of brightness, contrast, saturation and hue in random order, drawn per
clip. They take turns in one process; the first turn of each, which starts its workers, is not kept.

- **vssl**: workers read whole frames at a short side of 128; the batch is augmented by the main process, on its device.
- peers: workers read a clip, augment it by torchvision.transforms.v2 as its documentation advises (uint8 until the end)
  and stack. torchcodec reads in its approximate mode, once at full size and once through its own resize to the size
  that ours reads; the ratio is to the faster. Where it is missing, PyAV stands in for it.

What counts is the clock: medians of the turns. On a CPU ours keeps the main process busy, where the peers' only waits;
with a core to spare ours uses one more. So the CPU time of all processes is printed too (where /proc tells it).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from clips import default_source, make_clips
from loader_peer import FLIP, HUE, JITTER, SCALE, PeerLoader
from peers import File, left_out, versions
from rich.console import Console
from rich.table import Table
from timing import STATISTICS, cpu_model, take_turns
from torch import Tensor

from vssl_core.contracts import Video
from vssl_core.data.index import Index
from vssl_core.data.loader import Loader
from vssl_core.data.plan import OneClip, span
from vssl_core.data.reader import FileReader
from vssl_core.data.scan import build_index
from vssl_core.data.transforms import augment_clip
from vssl_core.data.videos import IndexedVideos

OURS, RECIPE = "vssl", "h264-gop30"
SIZE, READ_SIDE = 112, 128

#: yields the batches of epochs
Batches = Callable[[range], Iterator[Tensor]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What is measured."""

    files: int
    batch: int
    workers: int
    frames: int
    stride: int
    length: int
    rounds: int
    epochs: int
    device: str
    threads: int
    seed: int


class Turn:
    """A contestant's turns: each goes on with the epochs behind those of the turn before."""

    def __init__(self, batches: Batches, setup: Setup) -> None:
        self._batches, self._setup, self._done = batches, setup, 0

    def __call__(self, item: int) -> None:
        """Take one turn.

        Raises:
            click.ClickException: the batches are not what was asked for, and their time would mean nothing.
        """
        setup = self._setup
        expected, clips = (setup.batch, 3, setup.frames, SIZE, SIZE), 0
        for batch in self._batches(range(self._done, self._done + setup.epochs)):
            if batch.shape != expected or batch.dtype != torch.float32:
                raise click.ClickException(f"got {batch.dtype} {tuple(batch.shape)}, expected float32 {expected}")
            clips += len(batch)
        if setup.device == "cuda":
            torch.cuda.synchronize()
        if clips != setup.files * setup.epochs:
            raise click.ClickException(f"got {clips} clips, expected {setup.files * setup.epochs}")
        self._done += setup.epochs


def make_ours(loader: Loader, setup: Setup) -> Batches:
    """Return ``Loader`` and ``augment_clip``."""
    steps = setup.files // setup.batch

    def batches(epochs: range) -> Iterator[Tensor]:
        for batch in loader.batches(epochs.start * steps, epochs.stop * steps):
            yield augment_clip(
                batch.views[0].to(setup.device),
                batch.seeds.to(setup.device),
                size=(SIZE, SIZE),
                crop_scale=SCALE,
                flip=FLIP,
                jitter=JITTER,
                hue=HUE,
                random_order=True,
                rim="box",
            )

    return batches


def make_peer(loader: PeerLoader, setup: Setup) -> Batches:
    """Return torch's DataLoader."""

    def batches(epochs: range) -> Iterator[Tensor]:
        for batch in loader.batches(epochs):
            yield batch.to(setup.device)

    return batches


def make_files(folder: Path, source: Path | None, setup: Setup) -> tuple[Path, Index]:
    """Write the files and their index; return their folder and it."""
    clip = make_clips(folder / "clips", [RECIPE], source=source, frames=setup.length)[RECIPE]
    root = folder / "copies"
    # Other copies would be of another clip, or more than were asked for.
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    names = [f"{number:05d}{clip.suffix}" for number in range(setup.files)]
    for name in names:
        shutil.copyfile(clip, root / name)
    return root, build_index(root, names, cache_file=folder / "copies.index", workers=setup.workers)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and its children so far; of this one alone where /proc is missing."""
    seconds = time.process_time()
    for child in multiprocessing.active_children():
        try:
            facts = Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8")
        except OSError:
            continue
        # Behind the name, which may hold spaces: fields 14 and 15 of proc(5), clock ticks in user and kernel mode.
        user, kernel = facts.rpartition(")")[2].split()[11:13]
        seconds += (int(user) + int(kernel)) / os.sysconf("SC_CLK_TCK")
    return seconds


def measure(setup: Setup, folder: Path, source: Path | None) -> dict[str, Any]:
    """Let all take turns on the same clips and return clips a second and ratios of ours to the fastest peer."""
    without = left_out()
    torch.set_num_threads(setup.threads)
    # For the peers, which draw from the global generator.
    torch.manual_seed(setup.seed)
    root, index = make_files(folder, source, setup)
    rows = np.arange(setup.files)
    videos = IndexedVideos(index, root, rows, rows)
    height, width = videos[0].size
    short = min(height, width)
    read_size = (round(height * READ_SIDE / short), round(width * READ_SIDE / short))
    planner = OneClip("speed", setup.frames, setup.stride, read_size, "stretch", "error")
    reader = FileReader(index, rows)
    files = [_file(video, reader) for video in videos]
    library = "PyAV" if "torchcodec" in without else "torchcodec"
    ours = Loader(videos, planner, reader, batch_size=setup.batch, seed=setup.seed, workers=setup.workers)
    peers = {
        f"{library}, {name}": PeerLoader(
            videos,
            files,
            planner,
            library,
            batch_size=setup.batch,
            workers=setup.workers,
            seed=setup.seed,
            size=SIZE,
            read_size=size,
        )
        for name, size in (("full size", None), (f"short side {READ_SIDE}", read_size))
    }
    contestants = {OURS: Turn(make_ours(ours, setup), setup)}
    contestants |= {name: Turn(make_peer(loader, setup), setup) for name, loader in peers.items()}
    try:
        times = take_turns(contestants, items=1, rounds=setup.rounds, seed=setup.seed, cpu_clock=cpu_seconds)
    finally:
        ours.close()
        for loader in peers.values():
            loader.close()
    clips = setup.files * setup.epochs
    report: dict[str, Any] = {"contestants": {}, "ratios": {}, "fastest": {}}
    for name in contestants:
        taken = times[name]
        seconds = {f"{by}_s": taken.seconds(by) / clips for by in STATISTICS}
        report["contestants"][name] = {"clips_per_s": 1 / seconds["median_wall_s"], **seconds, "spread": taken.spread()}
    for by in STATISTICS:
        fastest = min(peers, key=lambda name: times[name].seconds(by))
        report["fastest"][by] = fastest
        report["ratios"][by] = times[fastest].seconds(by) / times[OURS].seconds(by)
    report["ratio"] = report["ratios"]["median_wall"]
    report |= {"setup": asdict(setup), "cpu": cpu_model(), "cores": os.cpu_count(), "read_size": list(read_size)}
    if setup.device == "cuda":
        report["gpu"] = torch.cuda.get_device_name()
    missing = {name: reason for name, reason in without.items() if name == "torchcodec"}
    return report | {"versions": versions([library]), "left_out": missing}


def _file(video: Video, reader: FileReader) -> File:
    table = reader.row(video).table
    assert table is not None, "made here, and so readable"
    return File(Path(video.source), table)


def show(report: dict[str, Any]) -> None:
    """Print the table."""
    setup, contestants = report["setup"], report["contestants"]
    names = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    table = Table(
        title=f"{setup['files']} files, {setup['workers']} workers, batches of {setup['batch']}, clips of "
        f"{setup['frames']} x {SIZE} x {SIZE}, {setup['device']}, from {report['source']}",
        caption=f"medians of {setup['rounds']}; ratios: a peer's time / ours; {report['cpu']}, "
        f"{report['cores']} cores; {names}",
    )
    table.add_column("")
    for heading in ("clips / s", "wall ms a clip", "CPU ms a clip", "wall ratio", "CPU ratio"):
        table.add_column(heading, justify="right")
    ours = contestants[OURS]
    for name, entry in contestants.items():
        wall_s, cpu_s = entry["median_wall_s"], entry["median_cpu_s"]
        numbers = [f"{entry['clips_per_s']:.1f}", f"{wall_s * 1e3:.1f}", f"{cpu_s * 1e3:.1f}"]
        ratios = [wall_s / ours["median_wall_s"], cpu_s / ours["median_cpu_s"]]
        table.add_row(name, *numbers, *(f"{ratio:.2f}" for ratio in ratios))
    Console().print(table)
    click.echo(f"{report['ratio']:.2f} times as many clips a second as {report['fastest']['median_wall']}")
    for library, reason in report["left_out"].items():
        click.echo(f"{library} was left out: {reason}")


@click.command()
@click.option("--source", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Footage to encode.")
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), help="Folder to keep files in and use again.")
@click.option("--files", default=64, show_default=True, type=click.IntRange(min=1), help="Multiple of --batch.")
@click.option("--batch", default=8, show_default=True, type=click.IntRange(min=1), help="Clips.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=1), help="Of each loader.")
@click.option("--frames", default=16, show_default=True, type=click.IntRange(min=1), help="Of a clip.")
@click.option("--stride", default=4, show_default=True, type=click.IntRange(min=1), help="Between them.")
@click.option("--length", default=300, show_default=True, type=click.IntRange(min=2), help="Frames of a file.")
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(min=1), help="After the first.")
@click.option("--epochs", default=2, show_default=True, type=click.IntRange(min=1), help="Of a round.")
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Of the main process.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--json", "json_path", is_flag=False, flag_value="-", metavar="[FILE]", help="Write JSON; no FILE: print it."
)
def main(json_path: str | None, source: Path | None, work: Path | None, **options: Any) -> None:
    """Compare the speed of loading augmented clips: ours, and a DataLoader on torchcodec and torchvision."""
    setup = Setup(**options)
    if setup.files % setup.batch:
        raise click.ClickException(f"--files {setup.files} is not a multiple of --batch {setup.batch}")
    if setup.length < span(setup.frames, setup.stride):
        reach = span(setup.frames, setup.stride)
        raise click.ClickException(f"--length {setup.length}: a clip reaches over {reach} frames; ask for more")
    if setup.device == "cuda" and not torch.cuda.is_available():
        raise click.ClickException("--device cuda: torch finds no GPU here; use --device cpu")
    source = source or default_source()
    with ExitStack() as stack:
        folder = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vssl-speed-")))
        report = measure(setup, folder, source)
    # The name alone: reports are shared.
    report["source"] = "a generated scene" if source is None else source.name
    if json_path == "-":
        click.echo(json.dumps(report, indent=1))
        return
    show(report)
    if json_path is not None:
        Path(json_path).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
