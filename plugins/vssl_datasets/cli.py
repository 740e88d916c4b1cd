"""``vssl data``: index, show, prepare and compare sets of videos on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vssl_core.cli.state import current_registry
from vssl_core.cli.terminal import output, print_json, remarks, simple_table
from vssl_core.errors import DataError

if TYPE_CHECKING:
    from vssl_core.data.index import Index

__all__ = ["data"]

_PATH = click.Path(path_type=Path)


@click.group("data")
def data() -> None:
    """Index, show, copy and compare sets of videos on disk.

    \b
    vssl data index VIDEOS --out videos.index        what every file really holds
    vssl data show videos.index                      a summary of it, with what is broken
    vssl data prepare VIDEOS SMALL --short-side 128  a copy that is quick to read
    vssl data overlap VIDEOS OTHERS                  videos that two sets share
    """  # noqa: D301 (click's \b is a control character)


@data.command("index")
@click.argument("source", type=_PATH, metavar="ROOT_OR_CSV")
@click.option("--out", type=_PATH, required=True, help="The index file.")
@click.option("--root", type=_PATH, help="Directory that the paths of a CSV file are relative to; default: its own.")
@click.option("--column", default="path", show_default=True, help="Column of a CSV file with the paths.")
@click.option(
    "--check",
    type=click.Choice(["packets", "decode"]),
    default="packets",
    show_default=True,
    help="packets: count them and decode one frame; decode: decode every frame, to find damage.",
)
@click.option("--motion", is_flag=True, help="Add a curve of motion energy to every video; decodes every frame.")
@click.option("--fps", type=click.FloatRange(min=0), default=25.0, show_default=True, help="Of folders of pictures.")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes; 0: one a core.")
@click.option("--retry", is_flag=True, help="Read files again that could not be read before.")
def index_command(
    source: Path,
    out: Path,
    root: Path | None,
    column: str,
    check: str,
    motion: bool,
    fps: float,
    workers: int,
    retry: bool,
) -> None:
    """Look at every video once and write what it holds into one file.

    ROOT_OR_CSV is a directory of videos (and of folders of pictures) or a CSV file that lists them. A stopped run goes
    on where it was; files that have not changed are not read again. Data sets take the file as data.index=FILE.
    """
    from vssl_core.data.progress import shown_progress
    from vssl_core.data.scan import build_index
    from vssl_datasets.sources import listed

    place, paths = listed(source, root, column)
    with shown_progress(f"indexing {source}") as progress:
        index = build_index(
            place,
            paths,
            cache_file=out,
            workers=workers,
            progress=progress,
            check=check,
            motion=motion,
            frames_fps=fps,
            retry=retry,
        )
    _show(index)


@data.command("show")
@click.argument("index", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of tables.")
@click.option("--broken", "most", type=click.IntRange(min=0), default=20, show_default=True, help="How many to list.")
def show_command(index: Path, as_json: bool, most: int) -> None:
    """Show what an index holds: counts, durations, sizes, classes, and the broken files with their reasons."""
    from vssl_core.data.index import Index

    _show(Index(index), as_json=as_json, most=most)


@data.command("prepare")
@click.argument("source", type=_PATH)
@click.argument("destination", type=_PATH)
@click.option("--short-side", type=click.IntRange(min=16), default=128, show_default=True, help="Pixels, even.")
@click.option(
    "--codec",
    type=click.Choice(["h264", "mjpeg"]),
    default="h264",
    show_default=True,
    help="h264: small files, a key frame every twelve; mjpeg: larger ones, of which only wanted frames are decoded.",
)
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes; 0: one a core.")
def prepare_command(source: Path, destination: Path, short_side: int, codec: str, workers: int) -> None:
    """Write a training copy of a directory of videos, and its index (DESTINATION/set.index).

    SOURCE is only read. Copies lie where their originals do, with the copy's file ending added. A stopped run goes on
    where it was.
    """
    from vssl_core.data.prepare import prepare
    from vssl_core.data.progress import shown_progress
    from vssl_core.data.scan import build_index
    from vssl_datasets.sources import listed

    place, paths = listed(source, None, "path", pictures=False)
    with shown_progress(f"writing {destination}") as progress:
        done = prepare(
            place, paths, destination, short_side=short_side, codec=codec, workers=workers, progress=progress
        )
    with shown_progress(f"indexing {destination}") as progress:
        copies = sorted((*done.written, *done.known))
        build_index(destination, copies, cache_file=destination / "set.index", workers=workers, progress=progress)
    output().print(
        f"{destination}: {len(done.written)} copies written, {len(done.known)} were there; "
        f"{done.bytes_before / 2**20:,.1f} MiB became {done.bytes_after / 2**20:,.1f} MiB"
    )
    for path, reason in done.failed.items():
        remarks().print(f"not copied: {path}: {reason}", style="yellow", soft_wrap=True)
    if done.failed:
        raise DataError(f"{len(done.failed)} of {len(paths)} videos could not be copied; the others are")


@data.command("overlap")
@click.argument("first")
@click.argument("second")
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of a table.")
def overlap_command(first: str, second: str, as_json: bool) -> None:
    """Show the videos that two sets share, by content and by group; exit code 1 where there are any.

    Each is a directory, a CSV file, an index, or a data set with options: 'ucf101,root=VIDEOS,split=1'.
    """
    from vssl_datasets.sources import contents, shared

    registry = current_registry()
    one, other = (contents(text, registry) for text in (first, second))
    found = shared(one, other)
    if as_json:
        print_json([{"first": pair.first, "second": pair.second, "by": pair.by} for pair in found])
    elif found:
        output().print(simple_table(["first", "second", "share"], [[p.first, p.second, p.by] for p in found]))
    if found:
        raise DataError(f"{len(found)} videos of {second} are in {first} too")
    if not as_json:
        output().print(f"{first} ({len(one)} videos) and {second} ({len(other)}) share none")


def _show(index: Index, *, as_json: bool = False, most: int = 20) -> None:
    from vssl_datasets.summary import summary

    told = summary(index)
    if as_json:
        print_json(told)
        return
    console = output()
    console.print(f"{index.file}: {told['videos']:,} videos", style="bold")
    rows = [[name, str(value)] for name, value in told["facts"].items()]
    console.print(simple_table(["", ""], rows))
    for title in ("sizes", "codecs", "folders"):
        counted = list(told[title].items())
        shown = ", ".join(f"{name} ({count:,})" for name, count in counted[:12])
        more = f" and {len(counted) - 12} more" if len(counted) > 12 else ""
        console.print(f"{title}: {shown}{more}", soft_wrap=True)
    for title, style in (("broken", "red"), ("damaged", "yellow")):
        bad: dict[str, Any] = told[title]
        if not bad:
            continue
        console.print(f"{len(bad):,} {title}:", style=style)
        for path, reason in list(bad.items())[:most]:
            console.print(f"  {path}: {str(reason).removeprefix(f'{path}: ')}", soft_wrap=True)
        if len(bad) > most:
            console.print(f"  and {len(bad) - most:,} more; --broken {len(bad)} lists all", soft_wrap=True)
