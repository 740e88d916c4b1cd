"""Real files, the odd ones among them: counted right, read exactly, refused with a reason."""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from rich.console import Console
from rich.table import Table
from support.damage import flip_bits, write_sound
from support.videos import decode_all

from vssl_core.api import pretrain
from vssl_core.contracts import Video, View
from vssl_core.data.fit import FrameFitter
from vssl_core.data.index import IndexRow
from vssl_core.data.probe import probe
from vssl_core.data.reader import FileReader, read_views
from vssl_core.data.scan import build_index
from vssl_core.data.splits import check_overlap, fit_val
from vssl_core.errors import ClipError, DataError
from vssl_datasets.csv_table import CsvDataset

pytestmark = pytest.mark.realdata

REFUSED = {
    "07_audio_only.mp3": "no video stream",
    "12_zero_bytes.mp4": "not a readable video",
    "13_text_named.mp4": "not a readable video",
    "15_truncated_no_moov.mp4": "not a readable video",
    # It opens; its very first picture is made up from half of its bytes, and all others refer to it.
    "17_bitflips_in_mdat.mp4": "damaged from its first frame on",
}
DAMAGED = {"16_truncated_faststart_60pct.mp4"}
#: how often a stored frame must be turned counter-clockwise by 90 degrees
TURNS = {"02_rotated_displaymatrix.mp4": 1, "34_rotated_90_real.mp4": 1}
WITHIN_S = 5.0

#: where the table counts what a player shows otherwise: it looks at the first of two video streams, or past damage
_COUNTED_OTHERWISE = {
    "01_multi_stream_2v2a2s.mp4": 390,
    "16_truncated_faststart_60pct.mp4": 30,
    "17_bitflips_in_mdat.mp4": 120,
}


def _oddities(real_footage: Path) -> list[dict[str, str]]:
    with (real_footage / "oddities" / "table.tsv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_frames_are_counted_as_they_decode(real_footage: Path) -> None:
    for row in _oddities(real_footage):
        source = str(real_footage / "oddities" / row["file"])
        if not row["decoded"]:
            with pytest.raises(ClipError):
                probe(source)
            continue
        expected = _COUNTED_OTHERWISE.get(row["file"], int(row["decoded"]))
        assert probe(source).table.n_frames == expected, row["file"]


def _plain(path: Path, row: IndexRow) -> np.ndarray:
    """uint8 [T, H, W, 3]: every frame, by the plainest loop there is, turned upright and with square pixels."""
    assert row.table is not None
    turns = TURNS.get(path.name, 0)
    fitter = FrameFitter(row.size, "stretch", row.table)
    frames = []
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.best("video")
        assert stream is not None
        try:
            for frame in container.decode(stream):
                assert isinstance(frame, av.VideoFrame)
                if row.table.pixel_aspect == 1:
                    frames.append(np.rot90(frame.to_ndarray(format="rgb24"), turns))
                else:
                    frames.append(np.empty((*row.size, 3), dtype=np.uint8))
                    fitter.into(frame, frames[-1])
        except av.FFmpegError:
            assert path.name in DAMAGED
    return np.stack(frames)


@pytest.mark.slow
def test_every_oddity_is_read_exactly_or_refused_with_a_reason(real_footage: Path, tmp_path: Path) -> None:
    folder = real_footage / "oddities"
    rng = np.random.default_rng(0)
    table = Table("file", "codec", "frames", "size", "turned", "seconds", "what becomes of it", title="oddities")
    for line in _oddities(real_footage):
        name = line["file"]
        began = time.perf_counter()
        index = build_index(folder, [name], cache_file=tmp_path / f"{name}.index", workers=1, check="decode")
        row = index[name]
        order = rng.permutation(row.n_frames)
        reader, parts, clips = FileReader(index), [], []
        video = Video(0, name, str(folder / name), row.n_frames, row.fps, row.duration_s, row.size)
        if not row.reason:
            parts = [rng.integers(0, row.n_frames, 4) for _ in range(3)]
            clips = [reader(video, [View(part, row.size)])[0] for part in parts]
        seconds = time.perf_counter() - began
        turned = str(row.table.rotation) if row.table is not None else ""
        told = row.reason.removeprefix(f"{name}: ") or row.damage or "read exactly"
        shown = f"{row.size[1]}x{row.size[0]}"
        table.add_row(name, row.codec, str(row.n_frames), shown, turned, f"{seconds:.2f}", told)
        assert seconds < WITHIN_S, name
        if name in REFUSED:
            assert REFUSED[name] in row.reason, name
            assert row.n_frames == 0
            continue
        assert row.reason == "", name
        assert bool(row.damage) == (name in DAMAGED), f"{name}: {row.damage}"
        assert row.n_frames == _COUNTED_OTHERWISE.get(name, int(line["decoded"])), name
        assert row.table is not None
        assert row.table.rotation == 90 * TURNS.get(name, 0), name
        whole = _plain(folder / name, row)
        # Of a damaged file a plain loop loses what waits in the decoder when it fails.
        assert len(whole) == row.n_frames or name in DAMAGED, name
        read = reader(video, [View(order, row.size)])[0]
        for part, pixels in [(order, read), *zip(parts, clips, strict=True)]:
            there = part < len(whole)
            np.testing.assert_array_equal(pixels[there], whole[part[there]], err_msg=name)
    Console(width=150).print(table)


def test_a_truncated_file_is_read_as_far_as_it_goes(real_footage: Path) -> None:
    path = real_footage / "oddities" / "16_truncated_faststart_60pct.mp4"
    found = probe(str(path))
    assert (found.table.n_frames, found.damage) == (30, "the file is damaged behind frame 29 (it ends within a frame)")
    # It is the beginning of this one.
    whole = decode_all(real_footage / "oddities" / "40 name with spaces & ünïcode.mp4")
    read = read_views(str(path), [View(np.arange(30), (128, 228))])[0]
    np.testing.assert_array_equal(read, whole[:30])


def test_flipped_bits_show_nothing_that_was_not_filmed(real_footage: Path) -> None:
    """Its pictures are those of another file here, but for the flips: a frame that is read equals that file's."""
    path = str(real_footage / "oddities" / "17_bitflips_in_mdat.mp4")
    whole = decode_all(real_footage / "oddities" / "40 name with spaces & ünïcode.mp4")
    table = probe(path).table
    assert table.n_frames == len(whole)
    with pytest.raises(ClipError, match="cannot be read"):
        read_views(path, [View(np.arange(8), (128, 228))], table=table)
    made_up = []
    for frame in range(table.n_frames):
        try:
            read = read_views(path, [View(np.array([frame]), (128, 228))], table=table)[0]
        except ClipError:
            continue
        if not np.array_equal(read[0], whole[frame]):
            made_up.append(frame)
    assert made_up == []


def test_rotation_and_pixel_aspect_are_shown(real_footage: Path) -> None:
    sizes = {
        name: probe(str(real_footage / "oddities" / name)).size
        for name in ("34_rotated_90_real.mp4", "32_anamorphic_sar16_11.mp4")
    }
    assert sizes == {"34_rotated_90_real.mp4": (228, 128), "32_anamorphic_sar16_11.mp4": (128, 332)}


def test_real_footage_with_groups(real_footage: Path, fresh_home: Path) -> None:
    dataset = CsvDataset(root=str(real_footage / "yoga"), csv="split.csv")
    assert all(video.n_frames > 30 for split in dataset.splits() for video in dataset.videos(split))
    parts = fit_val(dataset, "label")
    groups = dict(zip([v.index for v in dataset.videos("train")], dataset.groups("train"), strict=True))
    fit, val = ({groups[video.index] for video in parts[part]} for part in ("fit", "val"))
    assert fit
    assert val
    assert not fit & val
    check_overlap(dataset, [*parts["fit"], *parts["val"]], dataset)


#: six ways in which a file of a set is damaged: what becomes of its bytes, and of its name in a record
DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:600]),
    "zero bytes": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no video"),
    "bit flips": lambda path: flip_bits(path, 300, seed=0),
    "cut in the middle": lambda path: path.write_bytes(_without_its_first_picture(path.read_bytes())),
    "sound only": write_sound,
}


def _without_its_first_picture(data: bytes) -> bytes:
    begin = data.index(b"mdat") + 4
    return data[:begin] + data[begin + (len(data) - begin) // 2 :]


def _four_times(real_footage: Path, folder: Path) -> list[str]:
    """Write the rows of yoga four times, each a link to its file of a name of its own; return the paths."""
    with (real_footage / "yoga" / "split.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    (folder / "set").mkdir()
    lines = []
    for turn in range(4):
        for row in rows:
            path = folder / "set" / str(turn) / row["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(real_footage / "yoga" / row["path"])
            lines.append([f"{turn}/{row['path']}", row["label"], row["split"], row["group"]])
    with (folder / "set" / "split.csv").open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([["path", "label", "split", "group"], *lines])
    assert len(lines) == 880
    return [line[0] for line in lines]


def _damage(folder: Path, path: str, how: str) -> None:
    file = folder / "set" / path
    source = file.resolve()
    file.unlink()
    shutil.copyfile(source, file)
    DAMAGES[how](file)


def _pretrain(folder: Path, **options: Any) -> Any:
    return pretrain(
        task="rtt@tiny",
        data={"name": "csv", "root": str(folder / "set"), "csv": "split.csv"},
        loader={"cache": "never", "workers": 2, **options.pop("loader", {})},
        out=str(folder / "run"),
        device="cpu",
        log_every=1,
        **options,
    )


@pytest.mark.slow
def test_a_run_over_damaged_files_ends_and_names_each(real_footage: Path, tmp_path: Path, fresh_home: Path) -> None:
    _four_times(real_footage, tmp_path)
    dataset = CsvDataset(root=str(tmp_path / "set"), csv="split.csv")
    fit = [video.video_id for video in fit_val(dataset)["fit"]]
    chosen = {how: fit[at * len(fit) // len(DAMAGES)] for at, how in enumerate(DAMAGES)}
    for how, path in chosen.items():
        _damage(tmp_path, path, how)
    # Each video once, so that each damaged one is met.
    batch = 128
    run = _pretrain(
        tmp_path, steps=-(-len(fit) // batch), batch_size=batch, heldout_batches=1, loader={"max_bad": 0.02}
    )
    assert run.record["status"] == "done"
    named = {bad["video_id"]: bad for bad in run.record["unreadable"]}
    assert set(named) == set(chosen.values())
    for how, path in chosen.items():
        assert named[path]["split"] == "fit"
        assert named[path]["reason"].startswith(f"{path}: "), f"{how}: {named[path]['reason']}"
        assert str(tmp_path) not in named[path]["reason"]


@pytest.mark.slow
def test_a_run_over_too_many_damaged_files_stops_and_says_why(
    real_footage: Path, tmp_path: Path, fresh_home: Path
) -> None:
    paths = _four_times(real_footage, tmp_path)
    bad = paths[::20]
    for at, path in enumerate(bad):
        _damage(tmp_path, path, list(DAMAGES)[at % len(DAMAGES)])
    with pytest.raises(
        DataError, match=r"videos gave no clip so far, more than loader\.max_bad=0\.01 allows"
    ) as raised:
        _pretrain(tmp_path, steps=50, batch_size=64, heldout_batches=1)
    named = [line.strip().partition(": ")[0] for line in str(raised.value).splitlines()[1:]]
    assert 5 <= len(named) <= 10
    assert set(named) <= set(bad)
