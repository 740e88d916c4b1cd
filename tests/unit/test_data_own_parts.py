"""One's own folders of frames and parts of long videos, and what ``vssl info`` says of data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from support import official_sets
from support.official_sets import empty, small_frames, small_video, text
from support.videos import decode_all

from vssl_core.cli.main import cli
from vssl_core.cli.state import State
from vssl_core.contracts import View
from vssl_core.data.splits import check_splits
from vssl_core.errors import ConfigError, DataError
from vssl_core.plugins import Registry
from vssl_datasets.frames import FramesDataset
from vssl_datasets.segments import SegmentsDataset


def listed(dataset: Any) -> list[tuple[Any, ...]]:
    """``(path, split, group, labels, segment)``, as listed; nothing is indexed."""
    return [(row.path, row.split, row.group, dict(row.labels), row.segment) for row in dataset._list()[1]]


def test_folders_of_pictures_are_videos(tmp_path: Path) -> None:
    for place in ("a/2.JPG", "a/10.jpeg", "trip/day 1/0001.png", ".hidden/1.jpg", "trip/day 1/Thumbs.db"):
        empty(tmp_path / place)
    dataset = FramesDataset(root=str(tmp_path), title="mine")
    assert (dataset.name, list(dataset.labels())) == ("mine", [])
    assert listed(dataset) == [("a", "train", "", {}, None), ("trip/day 1", "train", "", {}, None)]


def test_folders_of_frames_lie_in_classes_and_splits(tmp_path: Path) -> None:
    for place in ("train/run/p1_a", "train/jump/p2_a", "train/run/deep/p1_b", "test/jump/p3_a"):
        empty(tmp_path / place / "1.jpg")
    dataset = FramesDataset(root=str(tmp_path), group_pattern=r"/(p\d)_")
    assert sorted(listed(dataset)) == [
        ("test/jump/p3_a", "test", "p3", {"class": "jump"}, None),
        ("train/jump/p2_a", "train", "p2", {"class": "jump"}, None),
        ("train/run/deep/p1_b", "train", "p1", {"class": "run"}, None),
        ("train/run/p1_a", "train", "p1", {"class": "run"}, None),
    ]
    assert dataset.targets("train", "class").values.tolist() == [0, 1, 1]
    assert FramesDataset(root=str(tmp_path), labels="none").labels() == []
    empty(tmp_path / "train" / "loose" / "1.jpg")
    assert FramesDataset(root=str(tmp_path)).labels() == [], "one video lies in no class"
    with pytest.raises(DataError, match=r"video 'train/loose' lies in no class folder"):
        FramesDataset(root=str(tmp_path), labels="folders")


def test_frames_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.root is empty; .*data=frames"):
        FramesDataset()
    with pytest.raises(DataError, match="is no directory"):
        FramesDataset(root=str(tmp_path / "absent"))
    with pytest.raises(DataError, match=r"no folders of pictures .*`vssl info datasets frames`"):
        FramesDataset(root=str(tmp_path))
    empty(tmp_path / "a" / "1.jpg")
    for pattern, message in (("(", "no regular expression"), ("p1", "no group in parentheses")):
        with pytest.raises(ConfigError, match=message):
            FramesDataset(root=str(tmp_path), group_pattern=pattern)
    for other in ("a/notes.txt", "a/b/1.jpg"):
        empty(tmp_path / other)
        with pytest.raises(DataError, match=rf"folder 'a' .* holds pictures and '{other[2:].split('/')[0]}'"):
            FramesDataset(root=str(tmp_path))
        (tmp_path / other).unlink()
    empty(tmp_path / "cover.png")
    with pytest.raises(DataError, match=r"itself holds pictures, such as 'cover\.png'; give the folder above"):
        FramesDataset(root=str(tmp_path))


def test_frames_are_read_at_the_rate_that_is_said(tmp_path: Path, fresh_home: Path) -> None:
    small_frames(tmp_path / "clip")
    dataset = FramesDataset(root=str(tmp_path), fps=30)
    (video,) = dataset.videos("train")
    assert (video.video_id, video.n_frames, video.fps, video.size) == ("clip", 6, 30.0, (48, 64))
    read = dataset.reader()(video, [View(np.array([5, 0]), (48, 64))])[0]
    np.testing.assert_array_equal(read, dataset.reader()(video, [View(np.arange(6), (48, 64))])[0][[5, 0]])


PARTS = "path,start,end,split,label\nmon.mp4,0,0.12,train,pour\nmon.mp4,0.12,0.24,train,stir\ntue.mp4,0,0.2,test,pour\n"


def _parts(root: Path, content: str = PARTS) -> SegmentsDataset:
    text(root / "parts.csv", *content.splitlines())
    return SegmentsDataset(csv=str(root / "parts.csv"))


def test_parts_of_a_file_are_one_group(tmp_path: Path) -> None:
    assert listed(_parts(tmp_path)) == [
        ("mon.mp4", "train", "mon.mp4", {"label": "pour"}, (0.0, 0.12)),
        ("mon.mp4", "train", "mon.mp4", {"label": "stir"}, (0.12, 0.24)),
        ("tue.mp4", "test", "tue.mp4", {"label": "pour"}, (0.0, 0.2)),
    ]
    named = "path,start,end,group,label\na.mp4,0,1,cook 1,x\nb.mp4,0,1,cook 1,y\nc.mp4,0,1,,y\n"
    assert [row[2] for row in listed(_parts(tmp_path, named))] == ["cook 1", "cook 1", "c.mp4"]
    renamed = text(tmp_path / "other.csv", "file,from,to", "a.mp4,1.5,2")
    dataset = SegmentsDataset(csv=str(renamed), path="file", start="from", end="to", labels=[])
    assert listed(dataset) == [("a.mp4", "train", "a.mp4", {}, (1.5, 2.0))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,start,label\na.mp4,0,x\n", r"has no column 'end'.* data\.path, data\.start, data\.end and data\.labels"),
        ("path,start,end,label\na.mp4,0,soon,x\n", r"parts\.csv, line 2: end is 'soon'; expected seconds"),
        ("path,start,end,label\na.mp4,-1,2,x\n", "line 2: start is '-1'"),
        ("path,start,end,label\na.mp4,0,inf,x\n", "line 2: end is 'inf'"),
        ("path,start,end,label\na.mp4,2,1,x\n", r"ends at 1\.0 s, which is not after 2\.0 s"),
        ("path,start,end,label\na.mp4,1,1.0001,x\n", "which is not after"),
        ("path,start,end,label\na.mp4,0,1,x\na.mp4,0.0,1.00,x\n", "line 3: the same part stands in line 2"),
        ("path,start,end,group,label\na.mp4,0,1,g,x\na.mp4,1,2,h,x\n", "'a.mp4' is of group 'h' here and of 'g' above"),
        ("path,start,end,label\n../a.mp4,0,1,x\n", r"path '\.\./a\.mp4' must be relative"),
    ],
)
def test_parts_that_cannot_be(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        _parts(tmp_path, content)


def test_parts_are_read_as_videos_of_their_own(tmp_path: Path, fresh_home: Path) -> None:
    for name in ("mon.mp4", "tue.mp4"):
        small_video(tmp_path / name)
    dataset = _parts(tmp_path)
    check_splits(dataset)
    first, second = dataset.videos("train")
    assert [video.video_id for video in (first, second)] == ["mon.mp4#0.000-0.120", "mon.mp4#0.120-0.240"]
    assert (first.n_frames, second.n_frames) == (3, 3)
    whole = decode_all(tmp_path / "mon.mp4")
    read = dataset.reader()(second, [View(np.array([0, 2]), (48, 64))])[0]
    np.testing.assert_array_equal(read, whole[[3, 5]])
    both = _parts(tmp_path, PARTS.replace("0.24,train", "0.24,test"))
    with pytest.raises(DataError, match="overlap with its other splits"):
        check_splits(both)


def _info(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["info", *arguments], obj=State(Registry.discover()))
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("name", sorted(official_sets.LAYOUTS))
def test_info_shows_where_a_set_comes_from_and_how_it_lies(name: str) -> None:
    guide = json.loads(_info("dataset", name, "--json"))["guide"]
    assert guide.strip() in _info("dataset", name)
    assert "  ROOT/ " in guide and "data.root" in guide and f"data={name} " in guide
    if name not in ("frames", "segments"):
        assert "http" in guide
    assert max(map(len, guide.splitlines())) <= 120


def test_a_guide_names_files_and_folders_as_they_are_looked_for(tmp_path: Path) -> None:
    for name, (layout, write) in official_sets.LAYOUTS.items():
        guide = json.loads(_info("dataset", name, "--json"))["guide"]
        if name in ("frames", "segments"):
            continue
        root = tmp_path / name
        layout(root, empty if write is small_video else lambda path: path.mkdir(parents=True))
        for folder in (path.name for path in root.iterdir() if path.is_dir()):
            assert f"{folder}/ " in guide or f"{folder}/\n" in guide, f"{name}: {folder}"


def test_components_without_a_guide_say_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(_info("task", "rtt", "--json"))["guide"] == ""
