"""Speed of pretext tasks: reading, augmentation and step, against plain supervised training on as many frames.

    python benchmarks/speed/tasks.py
    python benchmarks/speed/tasks.py --task rotation --task prp --profile
    python benchmarks/speed/tasks.py --json tasks.json

Each task is taken with its recipe ``tiny`` (``vssl recipe``): its backbone, its batch. What it is held against is
``supervised`` on the same backbone, in clips of the length and size that the task's network sees most, and in batches
of as many frames as the task puts through it (copies that it makes on the device are counted, and networks like it that
are trained beside it; teachers are not). Both read from the same videos, by the same loader in one process, through
the decoded cache or the files. The two take turns on every batch, in an order drawn anew, so that whatever else the
machine does falls on both.

A ratio of 1 says that a task costs what its frames cost; above 2 something else costs more than they do, and
``--profile`` says what: by operator, and which part of the task has which share of the arithmetic.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from timing import STATISTICS, cpu_model, take_turns
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vssl_bench.recipes import find_recipe, recipe_tasks
from vssl_core.config.schema import LoaderConfig, OptimConfig, PretrainConfig
from vssl_core.contracts import Dataset, Video
from vssl_core.data.loader import Loader, Quarantine
from vssl_core.data.splits import fit_val
from vssl_core.engine.optim import make_optimizer
from vssl_core.engine.source import cached_reader, planned_sizes
from vssl_core.errors import VsslError
from vssl_core.plugins import Registry
from vssl_core.pretext.motion import measure_motion
from vssl_core.testing.fakes import FakeDataset

_FAKE = "fake"
_SLOW = 2.0
_MANY = 1_000_000  # steps: more than anybody waits for
_LOOK, _LOOK_LONGER = 4, 40  # batches whose clips are counted; longer where a task draws their size anew for each
#: how a task may call its backbone; each takes a clip ``[B, 3, T, H, W]`` first
_ENTRANCES = ("forward", "frame_features", "preprocess")


@dataclass(frozen=True, slots=True)
class Setup:
    """What is measured."""

    data: str
    batches: int
    rounds: int
    threads: int
    cache: bool
    seed: int


@dataclass(frozen=True, slots=True)
class Row:
    """One task: seconds a batch, its own and the supervised step's, by each statistic, and how far rounds lie apart."""

    task: str
    backbone: str
    batch: int
    frames: int
    clip: str
    seconds: dict[str, float]
    supervised_s: dict[str, float]
    ratios: dict[str, float]
    spread: float


class _Trainer:
    """Reads, augments and steps, a batch a call."""

    def __init__(self, task: Any, loader: Loader, optim: OptimConfig) -> None:
        self.task = task.train()
        self._batches: Iterator[Any] = loader.batches(0, _MANY)
        self._optimizer = make_optimizer(task.param_groups(), optim)
        self._step = 0

    def forward(self) -> Tensor:
        """Return the loss of the next batch."""
        loss: Tensor = self.task(self.task.augment(next(self._batches))).loss
        return loss

    def __call__(self, _: int = 0) -> None:
        loss = self.forward()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._step += 1
        self.task.after_step(self._step, _MANY)


def trained_networks(task: nn.Module, backbone: nn.Module) -> list[nn.Module]:
    """Return the backbone and the copies of it that a task trains too; a teacher asks for no gradient."""
    alike = (module for module in task.modules() if type(module) is type(backbone) and module is not backbone)
    return [backbone, *(module for module in alike if any(p.requires_grad for p in module.parameters()))]


@contextmanager
def watched(networks: Sequence[Any], around: Callable[[int, Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Put ``around(place, entrance)`` in front of every entrance of networks, as long as the context lasts."""
    entrances = [(at, network, name) for at, network in enumerate(networks) for name in _ENTRANCES]
    entrances = [(at, network, name) for at, network, name in entrances if hasattr(network, name)]
    for at, network, name in entrances:
        setattr(network, name, around(at, getattr(network, name)))
    try:
        yield
    finally:
        for _, network, name in entrances:
            delattr(network, name)


def count_frames(networks: Sequence[Any], run: Callable[[], object]) -> Counter[tuple[int, int]]:
    """Return how many frames enter networks while ``run`` runs, by (frames of a clip, height)."""
    seen: Counter[tuple[int, int]] = Counter()
    inside = False

    def counted(_: int, entrance: Callable[..., Any]) -> Callable[..., Any]:
        def call(video: Tensor, *arguments: Any) -> Any:
            nonlocal inside
            if inside:  # one entrance may lead through another
                return entrance(video, *arguments)
            seen[int(video.shape[2]), int(video.shape[3])] += int(video.shape[0] * video.shape[2])
            inside = True
            try:
                return entrance(video, *arguments)
            finally:
                inside = False

        return call

    with watched(networks, counted):
        run()
    return seen


class _Bench:
    """Builds trainers over one data set."""

    def __init__(self, setup: Setup, registry: Registry) -> None:
        self.setup = setup
        self.registry = registry
        self.dataset: Dataset = FakeDataset() if setup.data == _FAKE else registry.build("datasets", setup.data)
        self.label = self.dataset.labels()[0]

    def task(self, name: str) -> tuple[_Trainer, PretrainConfig, Any]:
        """Return a trainer of a task's recipe ``tiny``, its configuration and its backbone."""
        config = find_recipe(f"{name}@tiny", self.registry).config()
        torch.manual_seed(self.setup.seed)
        backbone = self.registry.build("backbones", config.backbone)
        task = self.registry.build("tasks", config.task, backbone)
        task.setup(len(self._videos()), _MANY)
        return self._trainer(task, config, config.batch_size), config, backbone

    def supervised(self, config: PretrainConfig, frames: int, size: int, batch: int) -> _Trainer:
        """Return a trainer on labels with a task's backbone, in clips of ``frames`` frames of ``size`` pixels."""
        torch.manual_seed(self.setup.seed)
        options = {"frames": frames, "stride": 1, "size": size, "short_video": "loop"}
        backbone: Any = config.backbone
        if frames == 1:
            named = dict(backbone) if isinstance(backbone, dict) else {"name": backbone}
            backbone = {**named, "input_mode": "raw"}  # a frame less its mean over time is nothing
        classes = len(self.dataset.targets("train", self.label).classes)
        network = self.registry.build("backbones", backbone)
        task = self.registry.build("tasks", {"name": "supervised", **options}, network, n_classes=classes)
        return self._trainer(task, config, batch, labelled=True)

    def _videos(self) -> Sequence[Video]:
        if self.setup.data != _FAKE:
            return fit_val(self.dataset)["fit"]
        videos = self.dataset.videos("train")
        return [replace(video, motion=np.ones(video.n_frames, dtype=np.float32)) for video in videos]

    def _trainer(self, task: Any, config: PretrainConfig, batch: int, *, labelled: bool = False) -> _Trainer:
        planner = task.planner()
        measure_motion(planner, self.dataset)
        videos = self._videos()
        cache = LoaderConfig(cache="always" if self.setup.cache else "never")
        reader = self.dataset.reader()
        if self.setup.data != _FAKE:
            reader, _ = cached_reader(self.dataset, videos, planned_sizes(planner, videos, 0), cache, None)
        labels = None
        if labelled:
            values = self.dataset.targets("train", self.label).values
            by_index = dict(zip((video.index for video in self.dataset.videos("train")), values, strict=True))
            labels = np.array([by_index[video.index] for video in videos], dtype=np.int64)
        quarantine = Quarantine(1.0, len(videos))
        loader = Loader(
            videos, planner, reader, batch_size=batch, seed=self.setup.seed, workers=0, labels=labels,
            quarantine=quarantine,
        )  # fmt: skip
        return _Trainer(task, loader, config.optim)


def measure(name: str, bench: _Bench) -> tuple[Row, _Trainer]:
    """Time one task against supervised training on as many frames, and return the row and the task's trainer."""
    trainer, config, backbone = bench.task(name)
    length, size, total = clips_seen(trainer, trained_networks(trainer.task, backbone))
    if not total:
        raise click.ClickException(f"{name} does not call its backbone in a way that this script knows")
    plain = bench.supervised(config, length, size, max(1, round(total / length)))
    setup = bench.setup
    times = take_turns({"task": trainer, "plain": plain}, items=setup.batches, rounds=setup.rounds, seed=setup.seed)
    own = {statistic: times["task"].seconds(statistic) for statistic in STATISTICS}
    theirs = {statistic: times["plain"].seconds(statistic) for statistic in STATISTICS}
    network = config.backbone if isinstance(config.backbone, str) else str(config.backbone["name"])
    row = Row(
        task=name,
        backbone=network,
        batch=config.batch_size,
        frames=total,
        clip=f"{length} x {size}",
        seconds=own,
        supervised_s=theirs,
        ratios={statistic: own[statistic] / theirs[statistic] for statistic in STATISTICS},
        spread=max(times["task"].spread(), times["plain"].spread()),
    )
    return row, trainer


def clips_seen(trainer: _Trainer, networks: Sequence[Any]) -> tuple[int, int, int]:
    """Return the frames and the height of the commonest clip, and how many such frames a batch has on average.

    Frames of another height count by their pixels. Where the first batches differ, more are looked at.
    """
    each = [count_frames(networks, trainer) for _ in range(_LOOK)]
    if any(seen != each[0] for seen in each):
        each += [count_frames(networks, trainer) for _ in range(_LOOK_LONGER - _LOOK)]
    seen = sum(each, Counter())
    if not seen:
        return 0, 0, 0
    (length, size), _ = seen.most_common(1)[0]
    pixels = sum(count * height**2 for (_, height), count in seen.items())
    return length, size, round(pixels / size**2 / len(each))


def profile(trainer: _Trainer, steps: int = 3) -> str:
    """Return a table of what a task spends its CPU time on, by operator."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as torch_profile

    with torch_profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(steps):
            trainer()
    table: str = found.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=48)
    parts = ", ".join(f"{name} {100 * share:.0f} %" for name, share in arithmetic(trainer).items() if share >= 0.005)
    return f"{table}\nfloating-point operations of a forward pass: {parts}"


def arithmetic(trainer: _Trainer) -> dict[str, float]:
    """Return the share of each part of a task in the operations of one forward pass, largest first.

    Parts are the modules that the task holds; what one calls of another counts as its own, and what belongs to none
    is called ``elsewhere``. The backward pass is left out: of teachers there is none.
    """
    parts = task_parts(trainer.task)
    names = list(parts)
    spent: Counter[str] = Counter()
    inside = False

    def weighed(at: int, entrance: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal inside
            if inside:
                return entrance(*arguments, **options)
            before, inside = counter.get_total_flops(), True
            try:
                return entrance(*arguments, **options)
            finally:
                spent[names[at]] += counter.get_total_flops() - before
                inside = False

        return call

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter, watched(list(parts.values()), weighed):
        trainer.forward()
    whole = counter.get_total_flops()
    shares = {name: operations / whole for name, operations in spent.items()}
    shares["elsewhere"] = 1 - sum(shares.values())
    return dict(sorted(shares.items(), key=lambda part: -part[1]))


def task_parts(task: nn.Module) -> dict[str, nn.Module]:
    """Return a task's modules by name; of those that only hold others, what they hold."""
    parts: dict[str, nn.Module] = {}
    for name, child in task.named_children():
        if isinstance(child, (nn.ModuleDict, nn.ModuleList)):
            parts |= {f"{name}.{inner}": module for inner, module in child.named_children()}
        else:
            parts[name] = child
    return parts


def show(rows: Sequence[Row], setup: Setup) -> None:
    """Print the table."""
    table = Table(
        title=f"task step / supervised step on as many frames; {setup.data}, {setup.threads} thread(s), {cpu_model()}",
        caption=f"{setup.rounds} rounds of {setup.batches} batches in turns; ratio of medians of CPU time",
        title_justify="left",
    )
    for heading in ("task", "backbone", "videos", "frames", "clip", "ms", "supervised ms", "ratio", "best", "spread"):
        table.add_column(heading, justify="left" if heading in ("task", "backbone") else "right")
    for row in sorted(rows, key=lambda row: -row.ratios["median_cpu"]):
        ratio = row.ratios["median_cpu"]
        table.add_row(
            row.task,
            row.backbone,
            str(row.batch),
            str(row.frames),
            row.clip,
            f"{1e3 * row.seconds['median_cpu']:.0f}",
            f"{1e3 * row.supervised_s['median_cpu']:.0f}",
            f"{ratio:.2f}",
            f"{row.ratios['best_cpu']:.2f}",
            f"{100 * row.spread:.0f} %",
            style="yellow" if ratio > _SLOW else "",
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@click.command()
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Only this task [all that have recipes].")
@click.option("--data", default="toy-motion", show_default=True, help="Data set, or 'fake': pixels made on the spot.")
@click.option("--batches", default=4, show_default=True, type=click.IntRange(min=1), help="Batches a round.")
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(min=1), help="Rounds after the first.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Of torch on the CPU.")
@click.option("--cache/--no-cache", default=True, show_default=True, help="Read decoded frames instead of the files.")
@click.option("--seed", default=0, show_default=True)
@click.option("--profile", "profiled", is_flag=True, help="Say what each task spends its time on.")
@click.option(
    "--json", "json_path", is_flag=False, flag_value="-", metavar="[FILE]", help="Write JSON; no FILE: print it."
)
def main(tasks: tuple[str, ...], profiled: bool, json_path: str | None, **options: Any) -> None:
    """Compare a task's step with the supervised step of its backbone on as many frames."""
    setup = Setup(**options)
    torch.set_num_threads(setup.threads)
    bench = _Bench(setup, Registry.discover())
    rows: list[Row] = []
    for name in tasks or recipe_tasks():
        try:
            row, trainer = measure(name, bench)
        except VsslError as error:
            click.echo(f"{name}: left out: {error}", err=True)
            continue
        rows.append(row)
        click.echo(f"{name}: {row.ratios['median_cpu']:.2f}", err=True)
        if profiled:
            click.echo(f"\n{name}\n{profile(trainer)}", err=True)
    if json_path == "-":
        click.echo(json.dumps({"setup": asdict(setup), "rows": [asdict(row) for row in rows]}, indent=1))
        return
    show(rows, setup)
    if json_path is not None:
        report = {"setup": asdict(setup), "cpu": cpu_model(), "rows": [asdict(row) for row in rows]}
        Path(json_path).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
