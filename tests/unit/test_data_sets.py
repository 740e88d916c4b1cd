"""The data sets that come with vssl: folders, tables and the synthetic ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.videos import decode_all, pictures, write_video

from vssl_core.contracts import View
from vssl_core.errors import ConfigError, DataError
from vssl_core.plugins import Registry
from vssl_core.testing import check_dataset
from vssl_datasets.csv_table import CsvDataset
from vssl_datasets.folder import FolderDataset
from vssl_datasets.toy_sets import ToyMotion, ToyPhysics


@pytest.fixture
def clips(tmp_path: Path, fresh_home: Path) -> Path:
    """Six small files."""
    for at in range(6):
        write_video(tmp_path / "clips" / f"{at}.mp4", pictures(4 + at, seed=at))
    return tmp_path / "clips"


def _lay_out(clips: Path, *places: str) -> Path:
    root = clips.parent / "my set"
    for at, place in enumerate(places):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clips / f"{at}.mp4", root / place)
    return root


def test_folder_of_ones_own_videos_just_works(clips: Path) -> None:
    root = _lay_out(clips, "b.mp4", "a.MOV", "trip/day 1/c.mp4", ".hidden.mp4")
    (root / "notes.txt").write_text("no video")
    dataset = FolderDataset(root=str(root))
    assert dataset.name == "my set"
    assert list(dataset.splits()) == ["train"]
    assert list(dataset.labels()) == []
    videos = dataset.videos("train")
    assert [(video.index, video.video_id, video.n_frames) for video in videos] == [
        (0, "a.MOV", 5),
        (1, "b.mp4", 4),
        (2, "trip/day 1/c.mp4", 6),
    ]
    assert dataset.groups("train") == ["a.MOV", "b.mp4", "trip/day 1/c.mp4"]
    assert dataset.provenance == {}
    read = dataset.reader()(videos[2], [View(np.array([5, 1]), (48, 64))])[0]
    np.testing.assert_array_equal(read, decode_all(root / "trip/day 1/c.mp4")[[5, 1]])
    with pytest.raises(DataError, match=r"data set 'my set' has no split 'test'; it has 'train'\. Put videos"):
        dataset.videos("test")
    with pytest.raises(DataError, match="has no label 'class'; it has none"):
        dataset.targets("train", "class")


def test_folders_are_classes_and_splits(clips: Path) -> None:
    root = _lay_out(
        clips,
        "train/run/p1_a.mp4",
        "train/jump/p2_a.mp4",
        "train/run/deep/p1_b.mp4",
        "test/jump/p3_a.mp4",
        "test/run/p3_b.mp4",
        "x.mp4",
    )
    dataset = FolderDataset(root=str(root), group_pattern=r"/(p\d)_")
    assert list(dataset.splits()) == ["train", "test"]
    assert [video.video_id for video in dataset.videos("train")] == [
        "train/jump/p2_a.mp4",
        "train/run/deep/p1_b.mp4",
        "train/run/p1_a.mp4",
    ]
    targets = dataset.targets("train", "class")
    assert (targets.kind, targets.values.tolist(), targets.classes) == ("class", [0, 1, 1], ("jump", "run"))
    assert dataset.groups("train") == ["p2", "p1", "p1"]
    everything = [*dataset.videos("train"), *dataset.videos("test")]
    assert sorted(video.index for video in everything) == list(range(5))
    assert FolderDataset(root=str(root), labels="none").labels() == []
    check_dataset({"name": "folder", "root": str(root)}, Registry.discover())


def test_folder_errors(clips: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.root is empty"):
        FolderDataset()
    with pytest.raises(DataError, match="is no directory"):
        FolderDataset(root=str(clips / "absent"))
    with pytest.raises(DataError, match=r"no videos below .* with the endings \.webm"):
        FolderDataset(root=str(clips), extensions=["webm"])
    with pytest.raises(DataError, match=r"video '0\.mp4' lies in no class folder"):
        FolderDataset(root=str(clips), labels="folders")
    for pattern, message in (("(", "no regular expression"), ("p1", "no group in parentheses")):
        with pytest.raises(ConfigError, match=message):
            FolderDataset(root=str(clips), group_pattern=pattern)


def _table(clips: Path, text: str) -> Path:
    (clips / "videos.csv").write_text(text, encoding="utf-8")
    return clips


FULL = (
    "path,label,split,group,speed,tags,score\n"
    "3.mp4,run,train,s1,fast,outdoor; day,0.5\n"
    "0.mp4,jump,train,s2,slow,,1.5\n"
    "1.mp4,run,val,s3,fast,night,2\n"
    "2.mp4,swim,test,s4,slow,day,-1\n"
)


def test_csv_reads_every_kind_of_label(clips: Path) -> None:
    root = _table(clips, FULL)
    dataset = CsvDataset(
        root=str(root), csv="videos.csv", labels=["label", "speed"], multi_labels=["tags"], numbers=["score"]
    )
    assert dataset.name == "clips"
    assert list(dataset.splits()) == ["train", "val", "test"]
    assert list(dataset.labels()) == ["label", "speed", "tags", "score"]
    assert [(video.index, video.video_id) for video in dataset.videos("train")] == [(0, "0.mp4"), (3, "3.mp4")]
    assert dataset.targets("train", "label").values.tolist() == [0, 1]
    assert dataset.targets("test", "label").classes == ("jump", "run", "swim"), "classes are those of all splits"
    tags = dataset.targets("train", "tags")
    assert (tags.kind, tags.classes, tags.values.tolist()) == (
        "multi-label",
        ("day", "night", "outdoor"),
        [[0, 0, 0], [1, 0, 1]],
    )
    score = dataset.targets("train", "score")
    assert (score.kind, score.values.dtype, score.values.tolist()) == ("number", np.float32, [1.5, 0.5])
    assert dataset.groups("test") == ["s4"]
    check_dataset({"name": "csv", "root": str(root), "csv": "videos.csv"}, Registry.discover())


def test_csv_without_split_or_group_columns(clips: Path) -> None:
    root = _table(clips, "file,kind\n1.mp4,b\n0.mp4,a\n")
    dataset = CsvDataset(csv=str(root / "videos.csv"), path="file", labels=["kind"])
    assert list(dataset.splits()) == ["train"]
    assert dataset.groups("train") == ["0.mp4", "1.mp4"]
    assert dataset.targets("train", "kind").values.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,labels\n0.mp4,a\n",
            r"videos\.csv has no column 'label'; it has 'path', 'labels'; did you mean 'labels'",
        ),
        ("path,label\n0.mp4\n", r"videos\.csv, line 2: 2 cells are expected"),
        ("path,label\n../0.mp4,a\n", r"line 2: path '\.\./0\.mp4' must be relative"),
        ("path,label\n/0.mp4,a\n", "must be relative"),
        (
            "path,label,split\n0.mp4,a,trian\n",
            r"video '0\.mp4' has split 'trian'; expected train, val or test; did you mean 'train'",
        ),
        ("path,label,split\n0.mp4,a,test\n", "no videos in split 'train'"),
        ("path,label\n0.mp4,a\n1.mp4,\n", r"video '1\.mp4' has no value for label 'label'"),
        ("path,label\n0.mp4,a\n0.mp4,a\n", r"'0\.mp4' is listed twice"),
    ],
)
def test_csv_errors_name_the_place(text: str, message: str, clips: Path) -> None:
    _table(clips, text)
    with pytest.raises(DataError, match=message):
        dataset = CsvDataset(root=str(clips), csv="videos.csv")
        dataset.targets("train", "label")
        dataset.videos("train")


def test_csv_options(clips: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.csv is empty"):
        CsvDataset(root=str(clips))
    with pytest.raises(DataError, match="there is no file"):
        CsvDataset(root=str(clips), csv="absent.csv")
    _table(clips, FULL)
    with pytest.raises(ConfigError, match="name a column twice"):
        CsvDataset(root=str(clips), csv="videos.csv", labels=["label"], numbers=["label"])
    dataset = CsvDataset(root=str(clips), csv="videos.csv", labels=[], numbers=["tags"])
    with pytest.raises(DataError, match=r"label 'tags' has the value ''; expected a number"):
        dataset.targets("train", "tags")


def test_unreadable_videos_keep_their_row(clips: Path) -> None:
    (clips / "0.mp4").write_text("no video")
    dataset = CsvDataset(root=str(_table(clips, "path,label\n0.mp4,a\ngone.mp4,b\n1.mp4,b\n")), csv="videos.csv")
    assert [video.n_frames for video in dataset.videos("train")] == [0, 5, 0]
    assert len(set(dataset.content_hashes("train"))) == 3


def test_fingerprint_follows_what_results_depend_on(clips: Path, tmp_path: Path) -> None:
    def fingerprint(root: Path, text: str = FULL) -> str:
        return CsvDataset(root=str(_table(root, text)), csv="videos.csv").fingerprint()

    before = fingerprint(clips)
    assert (
        fingerprint(
            clips, "path,label,split,group\n" + "\n".join(line.rsplit(",", 3)[0] for line in FULL.splitlines()[1:])
        )
        == before
    )
    moved = tmp_path / "elsewhere"
    shutil.copytree(clips, moved)
    assert fingerprint(moved) == before
    for changed in (FULL.replace("jump", "leap"), FULL.replace(",val,", ",train,"), FULL.replace("s1", "s9")):
        assert fingerprint(clips, changed) != before
    write_video(moved / "2.mp4", pictures(9, seed=77))
    assert fingerprint(moved) != before


@pytest.mark.parametrize("toy", [ToyMotion, ToyPhysics])
def test_toy_sets_are_made_on_first_use(
    toy: type[ToyMotion] | type[ToyPhysics], fresh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = toy(n_train=10, n_test=5)
    known = dataset.fingerprint()
    assert list(dataset.labels())
    before = dataset.provenance
    assert set(before) == {"generator", "generator_hash"}
    assert not fresh_home.exists(), "planning needs no videos"
    videos = {split: dataset.videos(split) for split in dataset.splits()}
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"making {dataset.name} videos: 15"
    assert said[1].startswith(f"making {dataset.name} videos: 15 in ")
    assert sum(map(len, videos.values())) == 15
    assert len(videos["test"]) == 5
    again = toy(n_train=10, n_test=5)
    written = next((fresh_home / "toy").glob("*/spec.json"))
    encoder = json.loads(written.read_text(encoding="utf-8"))["encoder"]
    told = {name: encoder[name] for name in ("codec", "av", "libavcodec")}
    assert again.provenance == {**before, **told}
    assert before["generator"] == f"{dataset.name} 1"
    written.write_text(written.read_text(encoding="utf-8").replace(told["libavcodec"], "1.2.3"), encoding="utf-8")
    assert again.provenance["libavcodec"] == "1.2.3", "the encoder of these files, not of this machine"
    assert again.videos("train") == videos["train"]
    assert capsys.readouterr().err == ""
    assert again.fingerprint() == known != toy(n_train=11, n_test=5).fingerprint()
    check_dataset({"name": dataset.name, "n_train": 10, "n_test": 5}, Registry.discover())


def test_toy_sets_refuse_impossible_sizes() -> None:
    with pytest.raises(ConfigError, match="data set 'toy-motion': a toy set needs n_train >= 2"):
        ToyMotion(n_train=1)


def test_discovery_imports_nothing_heavy() -> None:
    script = (
        "import sys, vssl_datasets.plugin, vssl_datasets.config; list(vssl_datasets.plugin.vssl_datasets()); "
        "print(sorted({'torch', 'av', 'pyarrow', 'sklearn', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
