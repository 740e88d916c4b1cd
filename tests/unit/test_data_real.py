"""Real files, the odd ones among them: counted right, read exactly, refused with a reason."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from support.videos import decode_all

from vssl_core.contracts import View
from vssl_core.data.decode import read_views
from vssl_core.data.probe import probe
from vssl_core.data.splits import check_overlap, fit_val
from vssl_core.errors import ClipError
from vssl_datasets.csv_table import CsvDataset

pytestmark = pytest.mark.realdata

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


@pytest.mark.slow
def test_any_frames_equal_those_of_the_whole_file(real_footage: Path) -> None:
    rng = np.random.default_rng(0)
    for row in _oddities(real_footage):
        path = real_footage / "oddities" / row["file"]
        if not row["decoded"] or row["file"] in _COUNTED_OTHERWISE:
            continue
        found = probe(str(path))
        if found.table.rotation or found.table.pixel_aspect != 1:
            continue
        whole = decode_all(path)
        frames = rng.integers(0, len(whole), 4)
        read = read_views(str(path), [View(frames, found.size)], table=found.table)[0]
        np.testing.assert_array_equal(read, whole[frames], err_msg=row["file"])


def test_damaged_files_give_what_is_whole(real_footage: Path) -> None:
    truncated = str(real_footage / "oddities" / "16_truncated_faststart_60pct.mp4")
    assert read_views(truncated, [View(np.arange(30), (16, 16))])[0].shape == (30, 16, 16, 3)
    flipped = str(real_footage / "oddities" / "17_bitflips_in_mdat.mp4")
    with pytest.raises(ClipError, match="cannot be read"):
        read_views(flipped, [View(np.arange(8), (16, 16))])


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
