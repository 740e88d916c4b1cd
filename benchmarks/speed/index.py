"""What a large index costs: time to open it, and private memory of every process that reads it.

    python benchmarks/speed/index.py
    python benchmarks/speed/index.py --rows 20000 --json index.json

Rows are generated: a thousand folders, 300 frames a video, a tenth with an uneven frame rate, so that the file has the
size of a real one. It is kept in the work folder and used again. Fresh processes then open it and read rows by random
paths, as loader workers do; what is counted is memory that no other process shares (USS).
"""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from vssl_core.data.home import home
from vssl_core.data.index import Index, write_index

FOLDERS, FRAMES, KEY_EVERY = 1000, 300, 30


def path_of(number: int) -> str:
    """Return the relative path of a generated video."""
    return f"class_{number % FOLDERS:03d}/vidéo_{number:08d}.mp4"


def generated(n_rows: int) -> Iterator[dict[str, Any]]:
    """Yield rows as ``write_index`` takes them."""
    rng = np.random.default_rng(0)
    keys = list(range(0, FRAMES * 512, KEY_EVERY * 512))
    steps = (512 + rng.integers(-100, 101, (64, FRAMES - 1))).tolist()
    for number in range(n_rows):
        uneven = number % 10 == 0
        yield {
            "path": path_of(number),
            "bytes": 500_000 + number,
            "mtime_ns": 1_700_000_000_000_000_000 + number,
            "content_hash": hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).hexdigest(),
            "inode": number,
            "origin_hash": "",
            "reason": "",
            "damage": "",
            "checked": "packets",
            "codec": "h264",
            "n_frames": FRAMES,
            "fps": 30.0,
            "varies": uneven,
            "duration_s": FRAMES / 30,
            "height": 256,
            "width": 340,
            "has_audio": number % 3 > 0,
            "rotation": 0,
            "mirrored": False,
            "pixel_aspect": 1.0,
            "plain": True,
            "n_pts": FRAMES,
            "first_pts": 0,
            "step_pts": 0 if uneven else 512,
            "pts_steps": steps[number // 10 % len(steps)] if uneven else None,
            "key_pts": keys,
            "key_dts": keys,
            "motion": None,
        }


def private_bytes() -> int:
    """Return the memory that this process shares with no other (USS), in bytes.

    Raises:
        click.ClickException: the system does not tell.
    """
    try:
        text = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    except OSError as error:
        raise click.ClickException(f"private memory is read from /proc/self/smaps_rollup: {error.strerror}") from error
    cells = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return sum(int(cells[name].split()[0]) * 1024 for name in ("Private_Clean", "Private_Dirty"))


def worker(file: str, n_rows: int, reads: int, seed: int, pipe: Connection) -> None:
    """Open the index, read rows by random paths, send what that cost."""
    before = private_bytes()
    began = time.perf_counter()
    index = Index(file)
    open_s = time.perf_counter() - began
    opened = private_bytes() - before
    order = np.random.default_rng(seed).integers(0, n_rows, reads).tolist()
    began = time.perf_counter()
    for number in order:
        row = index[path_of(number)]
        # Everything of the row is made use of, and all of it is checked.
        if row.bytes != 500_000 + number or row.table is None or len(row.table.pts) != FRAMES:
            raise click.ClickException(f"row {number} is not what was written")
    read_s = (time.perf_counter() - began) / reads
    del row
    gc.collect()
    pipe.send({"open_s": open_s, "opened_bytes": opened, "private_bytes": private_bytes() - before, "read_s": read_s})


def measure(file: Path, n_rows: int, reads: int, processes: int) -> list[dict[str, float]]:
    """Let fresh processes read at the same time; return what each of them said."""
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe(duplex=False) for _ in range(processes)]
    running = [
        context.Process(target=worker, args=(str(file), n_rows, reads, seed, pair[1]))
        for seed, pair in enumerate(pairs)
    ]
    for process in running:
        process.start()
    for _, theirs in pairs:
        # Closed here, so that a worker that dies ends its pipe.
        theirs.close()
    try:
        told = [mine.recv() for mine, _ in pairs]
    except EOFError as error:
        raise click.ClickException("a worker ended before it had measured anything; its error stands above") from error
    finally:
        for process in running:
            process.join()
    return told


@click.command(help=__doc__)
@click.option("--rows", "n_rows", type=click.IntRange(min=1), default=1_000_000, show_default=True)
@click.option("--reads", type=click.IntRange(min=1), default=10_000, show_default=True, help="Of each process.")
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True)
@click.option(
    "--work", type=click.Path(path_type=Path), help="Folder of the generated index; default: below VSSL_HOME."
)
@click.option("--json", "json_file", is_flag=False, flag_value="-", help="Write the figures to a file (or stdout).")
def main(n_rows: int, reads: int, processes: int, work: Path | None, json_file: str | None) -> None:
    """Measure, and print a table."""
    console = Console(stderr=json_file == "-")
    file = (work or home() / "speed") / f"generated-{n_rows}.index"
    write_s = None
    if not file.is_file():
        began = time.perf_counter()
        write_index(generated(n_rows), file)
        write_s = time.perf_counter() - began
    told = measure(file, n_rows, reads, processes)
    report: dict[str, Any] = {
        "rows": n_rows,
        "reads": reads,
        "processes": processes,
        "cores": os.cpu_count(),
        "file_bytes": file.stat().st_size,
        "write_s": write_s,
        "open_s": max(one["open_s"] for one in told),
        "opened_mb": max(one["opened_bytes"] for one in told) / 1e6,
        "private_mb": max(one["private_bytes"] for one in told) / 1e6,
        "read_us": statistics.median(one["read_s"] for one in told) * 1e6,
    }
    table = Table(
        "", "worst of the processes", title=f"an index of {n_rows:,} videos, {report['file_bytes'] / 1e6:,.0f} MB"
    )
    table.add_row("opening it", f"{report['open_s'] * 1e3:.1f} ms")
    table.add_row("private memory when open", f"{report['opened_mb']:.1f} MB")
    table.add_row(f"private memory after {reads:,} random reads", f"{report['private_mb']:.1f} MB")
    table.add_row("one random read by path (median)", f"{report['read_us']:.0f} us")
    if write_s is not None:
        table.add_row("writing it", f"{write_s:.1f} s")
    console.print(table)
    if json_file == "-":
        click.echo(json.dumps(report, indent=1))
    elif json_file:
        Path(json_file).write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
