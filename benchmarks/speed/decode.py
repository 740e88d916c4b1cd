"""Speed of reading clips: ours against torchcodec, decord, OpenCV and PyAV as its documentation uses it.

    python benchmarks/speed/decode.py
    python benchmarks/speed/decode.py --source my.mp4 --rounds 21 --json decode.json

Files are made by fixed commands (``clips.py``). Clips of 16 frames, every fourth, at random starts are read by all
contestants in turns, on one thread, each time from opening the file to uint8 RGB in memory:

- **full**: at the file's size. Ours must equal the frames of decoding the whole file, bit for bit.
- **small**: at a short side of 112 pixels; peers take the fastest of their ways that comes as near as 35 dB (PSNR) to
  means over areas. Each library seeks as it did fastest at full size. **small_own** leaves out torchcodec's frames
  resized by a second library (torchvision): each decodes and resizes by itself.
- **prepared**: from the all-intra copy that ``vssl data prepare --codec mjpeg`` makes, short side 128, at its size;
  against torchcodec on the original at full size, which is what training without a copy would read, and on the copy.

A ratio is the time of the fastest peer that is right, divided by ours; over files the geometric mean. A peer whose
frames are not those asked for, or not near enough, is shown and not counted. Where torchcodec is missing, PyAV stands
in for it.

Ours has the file's frame table, which an index holds; torchcodec is given the same one among its ways ("mappings").

Which number counts: CPU time of the process rather than the clock, since it leaves out what others do on the machine;
of the rounds the median, since that is what a training run meets. Where rounds of ours or of a fastest peer lie more
than a tenth apart (middle half), neighbours on the machine are measured with caches and clock rates that they take, and
the best round of every clip counts: the least disturbed. All four (median or best, CPU or wall) are printed and stored.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from clips import RECIPES, default_source, make_clips
from decode_report import show
from peers import BORROWED_RESIZE, MODES, RESIZES, File, Reader, left_out, make_reader, versions
from reference import Reference, area_resize, decode_whole, max_difference, psnr, wrong_frames
from timing import STATISTICS, Times, cpu_model, geometric_mean, take_turns

from vssl_core.data.plan import span
from vssl_core.data.prepare import prepare, prepared_path
from vssl_core.data.probe import probe

OURS = "vssl"
RACES = ("full", "small", "prepared")
#: (race, what a ratio to the fastest of some peers is called)
GROUPS = (
    ("full", "full"),
    ("small", "small"),
    ("small", "small_own"),
    ("prepared", "prepared"),
    ("prepared", "prepared_copy"),
)
SMALL_SIDE, PREPARED_SIDE = 112, 128
ENOUGH_DB = 35.0
# Above this the median says more about the neighbours than about the contestants.
STABLE = 0.1

#: what is known of a contestant before it is timed; ``why``: the reason for not counting it, empty if it counts
Verdict = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What is measured."""

    frames: int
    stride: int
    clips: int
    rounds: int
    length: int
    seed: int


@dataclass(frozen=True, slots=True)
class Race:
    """Who reads the clips of one file, and how they are judged.

    Attributes:
        readers: by name; ours among them.
        judge: looks at what a reader returned for all clips.
        groups: of peers, by what the ratio to the fastest of them is called.
    """

    readers: Mapping[str, Reader]
    judge: Callable[[str, Sequence[np.ndarray]], Verdict]
    groups: Mapping[str, Sequence[str]]

    def run(self, clips: Sequence[np.ndarray], setup: Setup) -> dict[str, Any]:
        """Judge all, time those who return anything, and return what is reported of them.

        Raises:
            click.ClickException: there is nothing to compare with.
        """
        verdicts = {name: self._verdict(name, reader, clips) for name, reader in self.readers.items()}
        running = {name: reader for name, reader in self.readers.items() if not verdicts[name].get("failed")}
        turns = {name: _by_number(reader, clips) for name, reader in running.items()}
        times = take_turns(turns, items=len(clips), rounds=setup.rounds, seed=setup.seed)
        contestants = {name: {**verdicts[name], **_times(times.get(name))} for name in self.readers}
        report: dict[str, Any] = {"contestants": contestants, "ratios": {}, "fastest": {}, "spread": 0.0}
        for group, names in self.groups.items():
            counted = [name for name in names if not verdicts[name]["why"]]
            if not counted:
                reasons = "; ".join(f"{name}: {verdicts[name]['why']}" for name in names)
                raise click.ClickException(
                    f"no peer is right, so there is nothing to compare with ({reasons}); give another --source"
                )
            fastest = {by: min(counted, key=lambda name: times[name].seconds(by)) for by in STATISTICS}
            report["fastest"][group] = fastest
            report["ratios"][group] = {
                by: times[name].seconds(by) / times[OURS].seconds(by) for by, name in fastest.items()
            }
            spreads = [times[name].spread() for name in (OURS, fastest["median_cpu"])]
            report["spread"] = max(report["spread"], *spreads)
        return report

    def _verdict(self, name: str, reader: Reader, clips: Sequence[np.ndarray]) -> Verdict:
        try:
            return self.judge(name, [reader(frames) for frames in clips])
        except Exception as error:
            # A peer may fail in any way on some file; that is a result. Ours may not.
            if name == OURS:
                raise
            reason = str(error).strip().partition("\n")[0]
            return {"why": f"fails: {type(error).__name__}: {reason}", "failed": True}


def _by_number(reader: Reader, clips: Sequence[np.ndarray]) -> Callable[[int], object]:
    return lambda item: reader(clips[item])


def _times(times: Times | None) -> dict[str, float | None]:
    return {f"{by}_s": times.seconds(by) if times is not None else None for by in STATISTICS}


class Contest:
    """All that is read from one file.

    Args:
        file: the original.
        copy: its prepared copy.
        setup: what is measured.
        without: libraries that do not take part.
    """

    def __init__(self, file: File, copy: File, setup: Setup, without: Mapping[str, str]) -> None:
        self._file, self._copy, self._setup = file, copy, setup
        self._libraries = [library for library in MODES if library not in without]
        rng = np.random.default_rng(setup.seed)
        starts = rng.integers(0, file.table.n_frames - span(setup.frames, setup.stride) + 1, setup.clips)
        self._clips = [start + np.arange(setup.frames) * setup.stride for start in starts]
        wanted = set(np.concatenate(self._clips).tolist())
        self._reference: Reference = decode_whole(file.path, wanted)
        self._expected = [self._reference.clip(frames) for frames in self._clips]
        #: of each library the way of seeking that was its fastest at full size, of those that were right
        self._modes: dict[str, str] = {}

    def run(self) -> dict[str, Any]:
        """Return the reports of the three races."""
        return {"full": self._full(), "small": self._small(), "prepared": self._prepared()}

    def _full(self) -> dict[str, Any]:
        ways = {f"{library} {mode}": (library, mode) for library in self._libraries for mode in self._ways(library)}
        readers = {OURS: make_reader(OURS, self._file)}
        readers |= {name: make_reader(library, self._file, mode=mode) for name, (library, mode) in ways.items()}
        report = Race(readers, self._judge_full, {"full": list(ways)}).run(self._clips, self._setup)
        taken: dict[str, float] = {}
        for name, (library, mode) in ways.items():
            entry = report["contestants"][name]
            if not entry["why"] and entry["median_cpu_s"] < taken.get(library, np.inf):
                self._modes[library], taken[library] = mode, entry["median_cpu_s"]
        return report

    def _ways(self, library: str) -> list[str]:
        """Return a library's ways of seeking; a file without usable timestamps has no table to give."""
        return [mode for mode in MODES[library] if mode != "mappings" or len(self._file.table.pts)]

    def _small(self) -> dict[str, Any]:
        size = _scaled(self._expected[0].shape[1:3], SMALL_SIDE)
        expected = [area_resize(frames, *size) for frames in self._expected]
        readers = {OURS: make_reader(OURS, self._file, size=size)}
        for library, mode in self._modes.items():
            for resize in RESIZES[library]:
                reader = make_reader(library, self._file, mode=mode, size=size, resize=resize)
                readers[f"{library} {mode}, {resize}"] = reader

        def judge(name: str, got: Sequence[np.ndarray]) -> Verdict:
            return _judge_size(got, expected)

        peers = [name for name in readers if name != OURS]
        own = [name for name in peers if not name.endswith(f", {BORROWED_RESIZE}")]
        return {
            "size": list(size),
            **Race(readers, judge, {"small": peers, "small_own": own}).run(self._clips, self._setup),
        }

    def _prepared(self) -> dict[str, Any]:
        readers = {OURS: make_reader(OURS, self._copy)}
        size = self._copy_size(readers[OURS])
        expected = [area_resize(frames, *size) for frames in self._expected]
        library = "torchcodec" if "torchcodec" in self._modes else "PyAV"
        original = f"{library} {self._modes[library]}, original"
        readers[original] = make_reader(library, self._file, mode=self._modes[library])
        copies = [f"{library} {mode}, copy" for mode in self._ways(library)]
        for name, mode in zip(copies, self._ways(library), strict=True):
            readers[name] = make_reader(library, self._copy, mode=mode)

        def judge(name: str, got: Sequence[np.ndarray]) -> Verdict:
            return self._judge_full(name, got) if name == original else _judge_size(got, expected)

        groups = {"prepared": [original], "prepared_copy": copies}
        return {"size": list(size), **Race(readers, judge, groups).run(self._clips, self._setup)}

    def _copy_size(self, ours: Reader) -> tuple[int, int]:
        height, width = ours(self._clips[0]).shape[1:3]
        return height, width

    def _judge_full(self, name: str, got: Sequence[np.ndarray]) -> Verdict:
        """Compare with the frames of decoding the whole file. Libraries may round colours in their own ways."""
        expected, why = self._expected, ""
        if any(frames.shape != clip.shape for frames, clip in zip(got, expected, strict=True)):
            return {"why": f"returns {got[0].shape}, expected {expected[0].shape}"}
        wrong = sum(wrong_frames(self._reference, frames, clip) for frames, clip in zip(self._clips, got, strict=True))
        if wrong:
            why = f"{wrong} of {sum(map(len, got))} frames are not those asked for"
        differ = max(max_difference(frames, clip) for frames, clip in zip(got, expected, strict=True))
        return {"why": why, "wrong_frames": wrong, "max_difference": differ}


def _judge_size(got: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> Verdict:
    """Compare with means over areas."""
    if any(frames.shape != clip.shape for frames, clip in zip(got, expected, strict=True)):
        return {"why": f"returns {got[0].shape}, expected {expected[0].shape}"}
    decibels = psnr(got, expected)
    return {"why": f"below {ENOUGH_DB:.0f} dB" if decibels < ENOUGH_DB else "", "psnr_db": decibels}


def _scaled(size: Sequence[int], short_side: int) -> tuple[int, int]:
    """Return height and width at a short side."""
    height, width = (round(side * short_side / min(size)) for side in size)
    return height, width


def prepare_copies(clips: Mapping[str, Path], folder: Path) -> dict[str, File]:
    """Write all-intra copies anew and return them with their frame tables.

    Raises:
        click.ClickException: one could not be made.
    """
    copies = {}
    for name, path in clips.items():
        target = folder / prepared_path(path.name, "mjpeg")
        target.unlink(missing_ok=True)
        made = prepare(path.parent, [path.name], folder, short_side=PREPARED_SIDE, codec="mjpeg", workers=1)
        if made.failed:
            raise click.ClickException(f"no copy could be made: {made.failed[path.name]}")
        copies[name] = File(target, probe(str(target)).table)
    return copies


def measure(setup: Setup, clips: Mapping[str, Path], copies: Mapping[str, File]) -> dict[str, Any]:
    """Let all take turns on all files and return their times and the ratios to ours."""
    without = left_out()
    files: dict[str, Any] = {}
    for name, path in clips.items():
        file = File(path, probe(str(path)).table)
        bytes_ = {"bytes": path.stat().st_size, "copy_bytes": copies[name].path.stat().st_size}
        files[name] = {
            "command": RECIPES[name].command(name, setup.length),
            **bytes_,
            **Contest(file, copies[name], setup, without).run(),
        }
    races = [file[race] for file in files.values() for race in RACES]
    spread = max(race["spread"] for race in races)
    all_ratios: dict[str, dict[str, float]] = {}
    for race, group in GROUPS:
        all_ratios[group] = {
            by: geometric_mean(file[race]["ratios"][group][by] for file in files.values()) for by in STATISTICS
        }
    statistic = "median_cpu" if spread <= STABLE else "best_cpu"
    report: dict[str, Any] = {group: by[statistic] for group, by in all_ratios.items()}
    ours = {race: [file[race]["contestants"][OURS] for file in files.values()] for race in RACES}
    report["bit_equal"] = all(entry["max_difference"] == 0 for entry in ours["full"])
    report["small_psnr_db"] = min(entry["psnr_db"] for entry in ours["small"])
    report["prepared_psnr_db"] = min(entry["psnr_db"] for entry in ours["prepared"])
    report |= {"statistic": statistic, "spread": spread, "ratios": all_ratios, "files": files}
    report |= {
        "setup": asdict(setup),
        "cpu": cpu_model(),
        "versions": versions(library for library in MODES if library not in without),
        "left_out": without,
    }
    return report


@click.command()
@click.option("--source", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Footage to encode.")
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), help="Folder to keep files in and use again.")
@click.option("--only", multiple=True, type=click.Choice(list(RECIPES)), help="Leave the other files out; repeatable.")
@click.option("--frames", default=16, show_default=True, type=click.IntRange(min=1), help="Of a clip.")
@click.option("--stride", default=4, show_default=True, type=click.IntRange(min=1), help="Between them.")
@click.option("--clips", default=8, show_default=True, type=click.IntRange(min=1), help="Of a file.")
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(min=1), help="After the first.")
@click.option("--length", default=300, show_default=True, type=click.IntRange(min=2), help="Frames of a file.")
@click.option("--seed", default=0, show_default=True, help="Of the clips' starts and of the turns.")
@click.option(
    "--json", "json_path", is_flag=False, flag_value="-", metavar="[FILE]", help="Write JSON; no FILE: print it."
)
def main(json_path: str | None, source: Path | None, work: Path | None, only: Sequence[str], **options: Any) -> None:
    """Compare the speed of reading clips: ours, PyAV, and torchcodec, decord and OpenCV (where installed)."""
    setup = Setup(**options)
    reach = span(setup.frames, setup.stride)
    if setup.length < reach:
        raise click.ClickException(f"--length {setup.length}: a clip reaches over {reach} frames; ask for more")
    source = source or default_source()
    with ExitStack() as stack:
        folder = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vssl-speed-")))
        clips = make_clips(folder / "clips", only or list(RECIPES), source=source, frames=setup.length)
        report = measure(setup, clips, prepare_copies(clips, folder / "prepared"))
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
