"""``vssl data``: what it writes, what it says, and with which exit code."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from support.damage import overwrite_packets, write_frames_folder
from support.videos import decode_all, pictures, write_video

import vssl_core.data.scan as scan_module
from vssl_core.cli.main import cli
from vssl_core.cli.state import State
from vssl_core.contracts import View
from vssl_core.data.index import Index
from vssl_core.errors import DataError
from vssl_core.plugins import Registry
from vssl_datasets.csv_table import CsvDataset
from vssl_datasets.folder import FolderDataset


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover(disable=())


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("originals")
    for number, name in enumerate(("wave/a.mp4", "wave/b é.mp4", "walk/c.mp4")):
        write_video(root / name, pictures(8 + number, 32, 48, seed=number))
    return root


@pytest.fixture
def videos(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals, tmp_path / "videos"))


@pytest.fixture
def run(registry: Registry, fresh_home: Path) -> Any:
    def invoke(*arguments: str | Path, code: int = 0) -> Result:
        words = ["data", *map(str, arguments)]
        result = CliRunner().invoke(cli, words, obj=State(registry), env={"COLUMNS": "200"})
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        if code == 1:
            assert "Traceback" not in result.output
        return result

    return invoke


NAMES = ["walk/c.mp4", "wave/a.mp4", "wave/b é.mp4"]


def test_index_and_show(run: Any, videos: Path, tmp_path: Path) -> None:
    (videos / "wave" / "text.mp4").write_text("no video")
    (videos / "notes.txt").write_text("no video, and not named like one")
    write_frames_folder(videos / "shots", pictures(5, 32, 48))
    out = tmp_path / "new" / "set.index"
    told = run("index", videos, "--out", out, "--fps", "10", "--workers", "1")
    index = Index(out)
    assert list(index) == sorted([*NAMES, "shots", "wave/text.mp4"])
    assert (index["shots"].fps, index["shots"].n_frames) == (10, 5)
    assert "set.index: 5 videos" in told.stdout
    assert "1 broken:" in told.stdout
    assert "wave/text.mp4: not a readable video" in told.stdout
    assert told.stdout.count("wave/text.mp4") == 1
    assert "48x32 (4)" in told.stdout
    shown = run("show", out)
    assert shown.stdout == told.stdout
    summary = json.loads(run("show", out, "--json").stdout)
    assert summary["videos"] == 5
    assert summary["facts"]["readable"] == "4"
    assert summary["facts"]["frames a video"] == "5 to 10, median 8"
    assert summary["sizes"] == {"48x32": 4}
    assert summary["codecs"] == {"h264": 3, "frames": 1}
    assert summary["folders"] == {"wave": 3, "walk": 1, ".": 1}
    assert list(summary["broken"]) == ["wave/text.mp4"]
    assert summary["damaged"] == {}


def test_the_listing_of_broken_files_is_as_long_as_is_asked_for(run: Any, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    for number in range(5):
        (tmp_path / "bad" / f"v{number}.mp4").write_text("no video")
    run("index", tmp_path / "bad", "--out", tmp_path / "a.index", "--workers", "1")
    few = run("show", tmp_path / "a.index", "--broken", "2").stdout
    assert ("v1.mp4" in few, "v2.mp4" in few) == (True, False)
    assert "and 3 more; --broken 5 lists all" in few
    assert "v4.mp4" in run("show", tmp_path / "a.index", "--broken", "5").stdout
    assert "seconds a video" not in few, "nothing is readable"


def test_an_unchanged_set_is_not_read_again(run: Any, videos: Path, tmp_path: Path, monkeypatch: Any) -> None:
    run("index", videos, "--out", tmp_path / "a.index", "--workers", "1")
    before = (tmp_path / "a.index").read_bytes()
    monkeypatch.setattr(scan_module, "guarded_map", lambda *_, **__: pytest.fail("files were read again"))
    run("index", videos, "--out", tmp_path / "a.index", "--workers", "1")
    assert (tmp_path / "a.index").read_bytes() == before


def test_what_could_not_be_read_is_read_again_when_asked(
    run: Any, videos: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    (videos / "wave" / "text.mp4").write_text("no video")
    arguments = ("index", videos, "--out", tmp_path / "a.index", "--workers", "1")
    run(*arguments)
    read: list[str] = []
    real = scan_module.guarded_map
    monkeypatch.setattr(
        scan_module, "guarded_map", lambda work, todo, **more: read.extend(todo) or real(work, todo, **more)
    )
    run(*arguments)
    assert read == []
    assert "1 broken:" in run(*arguments, "--retry").stdout
    assert read == ["wave/text.mp4"]


def test_thumbnails_beside_videos_are_no_frames(run: Any, videos: Path, tmp_path: Path) -> None:
    for place in ("cover.png", "wave/a.jpg"):
        (videos / place).write_bytes(b"a picture that nobody reads")
    write_frames_folder(videos / "wave" / "shots", pictures(5, 32, 48))
    run("index", videos, "--out", tmp_path / "a.index", "--workers", "1")
    assert list(Index(tmp_path / "a.index")) == sorted([*NAMES, "wave/shots"])
    (videos / "wave" / "shots" / "notes.txt").touch()
    told = run("index", videos, "--out", tmp_path / "a.index", code=1).stderr
    assert "'wave/shots'" in told and "holds nothing but its frames" in told.replace("\n", " ")


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_a_table_of_originals_names_their_copies(codec: str, run: Any, videos: Path, tmp_path: Path) -> None:
    (videos / "wave" / "a.mp4").rename(videos / "wave" / "a.avi")
    names = ["walk/c.mp4", "wave/a.avi", "wave/b é.mp4"]
    table = tmp_path / "list.csv"
    table.write_text("path,label\n" + "".join(f"{name},{name[:4]}\n" for name in names), encoding="utf-8")
    run("prepare", videos, tmp_path / "small", "--short-side", "16", "--codec", codec, "--workers", "1")
    there = list(Index(tmp_path / "small" / "set.index"))
    assert len(there) == 3 and "wave/a.avi" not in there
    for index in ("", str(tmp_path / "small" / "set.index")):
        dataset = CsvDataset(root=str(tmp_path / "small"), csv=str(table), index=index)
        assert [video.video_id for video in dataset.videos("train")] == there
        assert all(video.n_frames and min(video.size) == 16 for video in dataset.videos("train"))
        assert dataset.targets("train", "label").values.tolist() == [0, 1, 1]
    run("index", table, "--root", tmp_path / "small", "--out", tmp_path / "a.index", "--workers", "1")
    assert list(Index(tmp_path / "a.index")) == there


def test_check_and_motion(run: Any, tmp_path: Path) -> None:
    write_video(tmp_path / "set" / "a.mp4", pictures(24), options={"g": "12", "bf": "0"})
    overwrite_packets(tmp_path / "set" / "a.mp4", range(14, 24))
    run("index", tmp_path / "set", "--out", tmp_path / "a.index", "--workers", "1")
    assert (Index(tmp_path / "a.index")["a.mp4"].n_frames, Index(tmp_path / "a.index")["a.mp4"].motion) == (24, None)
    run("index", tmp_path / "set", "--out", tmp_path / "b.index", "--motion", "--workers", "1")
    motion = Index(tmp_path / "b.index")["a.mp4"].motion
    assert motion is not None and motion.shape == (14,)
    told = run("index", tmp_path / "set", "--out", tmp_path / "c.index", "--check", "decode", "--workers", "1")
    assert Index(tmp_path / "c.index")["a.mp4"].n_frames == 14
    assert "1 damaged:" in told.stdout and "14 of 24 frames can be decoded" in told.stdout
    assert run("index", tmp_path / "set", "--out", tmp_path / "c.index", "--check", "all", code=2)


def test_a_csv_file_names_the_videos(run: Any, videos: Path, tmp_path: Path) -> None:
    # Twice, with a mark of byte order, with a dot: one video each.
    lines = ["file,path", "wave/a.mp4,x", "./wave//a.mp4,x", "walk/c.mp4,x", "wave/gone.mp4,x"]
    (videos / "list.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    run("index", videos / "list.csv", "--column", "file", "--out", tmp_path / "a.index", "--workers", "1")
    index = Index(tmp_path / "a.index")
    assert list(index) == ["walk/c.mp4", "wave/a.mp4", "wave/gone.mp4"]
    assert "No such file" in index["wave/gone.mp4"].reason
    shutil.move(videos / "list.csv", tmp_path / "list.csv")
    arguments = ["index", tmp_path / "list.csv", "--column", "file", "--out", tmp_path / "b.index", "--workers", "1"]
    run(*arguments, "--root", videos)
    assert Index(tmp_path / "b.index")["wave/a.mp4"].n_frames == 8
    failed = run("index", tmp_path / "list.csv", "--column", "fil", "--out", tmp_path / "c.index", code=1)
    assert "list.csv has no column 'fil'" in failed.stderr and "'file'" in failed.stderr
    assert not (tmp_path / "c.index").exists()


@pytest.mark.parametrize("path", ["../secret.mp4", "/etc/hostname", "wave/../../secret.mp4", ".."])
def test_paths_that_lead_out_of_the_root_are_refused(path: str, run: Any, videos: Path, tmp_path: Path) -> None:
    shutil.copy(videos / "wave" / "a.mp4", tmp_path / "secret.mp4")
    (videos / "list.csv").write_text(f"path\nwave/a.mp4\n{path}\n", encoding="utf-8")
    for verb in (
        ["index", videos / "list.csv", "--out", tmp_path / "a.index"],
        ["prepare", videos / "list.csv", tmp_path / "small"],
    ):
        assert "stay below it" in run(*verb, code=1).stderr
    assert not (tmp_path / "a.index").exists()
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize("text", ["path\nwave/a.mp4\n\n\n", "path,x\nwave/a.mp4,1\n,2\n", "path,x\nwave/a.mp4,1\n2"])
def test_rows_without_a_path(text: str, run: Any, videos: Path, tmp_path: Path) -> None:
    """Blank lines name nothing; a row whose cell is empty is a mistake that is named."""
    (videos / "list.csv").write_text(text, encoding="utf-8")
    names = {"2"} if text.endswith("2") else set()
    code = 1 if ",2" in text else 0
    result = run("index", videos / "list.csv", "--out", tmp_path / "a.index", "--workers", "1", code=code)
    if code:
        assert "list.csv, line 3: column 'path' is empty" in result.stderr
    else:
        assert set(Index(tmp_path / "a.index")) == {"wave/a.mp4", *names}


def test_a_row_that_is_too_short(run: Any, videos: Path, tmp_path: Path) -> None:
    (videos / "list.csv").write_text("x,path\n1,wave/a.mp4\n2\n", encoding="utf-8")
    result = run("index", videos / "list.csv", "--out", tmp_path / "a.index", code=1)
    assert "list.csv" in result.stderr


def test_places_that_are_none(run: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "head.csv").write_text("path\n")
    for source, message in (
        ("absent", "neither a directory of videos nor a CSV file"),
        ("empty", "no videos below"),
        ("head.csv", "lists no videos"),
    ):
        assert message in run("index", tmp_path / source, "--out", tmp_path / "a.index", code=1).stderr
    assert "is no index of videos" in run("show", tmp_path / "head.csv", code=1).stderr
    assert "is no index of videos" in run("show", tmp_path / "absent.index", code=1).stderr


def test_prepare(run: Any, videos: Path, tmp_path: Path) -> None:
    arguments = ["prepare", videos, tmp_path / "small", "--short-side", "16", "--workers", "1"]
    told = run(*arguments)
    assert "3 copies written, 0 were there" in told.stdout
    index = Index(tmp_path / "small" / "set.index")
    assert list(index) == NAMES
    assert {index[name].size for name in NAMES} == {(16, 24)}
    assert "0 copies written, 3 were there" in run(*arguments).stdout
    (videos / "wave" / "text.mp4").write_text("no video")
    failed = run(*arguments, code=1)
    assert "not copied: wave/text.mp4: wave/text.mp4: not a readable video" in failed.stderr.replace("\n", " ") or (
        "not copied: wave/text.mp4: not a readable video" in failed.stderr.replace("\n", " ")
    )
    assert "1 of 4 videos could not be copied; the others are" in failed.stderr
    assert list(Index(tmp_path / "small" / "set.index")) == NAMES
    within = run("prepare", videos, videos / "small", code=1)
    assert "choose another folder" in within.stderr
    assert not (videos / "small").exists()
    run("prepare", videos, tmp_path / "odd", "--short-side", "17", code=2)
    run("prepare", videos, tmp_path / "odd", "--codec", "av1", code=2)


def test_a_prepared_set_is_a_data_set_with_its_index(run: Any, videos: Path, tmp_path: Path) -> None:
    run("prepare", videos, tmp_path / "small", "--short-side", "16", "--codec", "mjpeg", "--workers", "1")
    small = tmp_path / "small"
    dataset = FolderDataset(root=str(small), index=str(small / "set.index"))
    assert [video.video_id for video in dataset.videos("train")] == [f"{name}.mov" for name in NAMES]
    reader = dataset.reader()
    for video in dataset.videos("train"):
        read = reader(video, [View(np.arange(video.n_frames), (16, 24))])[0]
        np.testing.assert_array_equal(read, decode_all(Path(video.source)))


def test_overlap(run: Any, videos: Path, originals: Path, tmp_path: Path) -> None:
    shutil.copytree(videos, tmp_path / "other")
    (tmp_path / "other" / "wave" / "a.mp4").rename(tmp_path / "other" / "wave" / "renamed.mp4")
    (tmp_path / "other" / "walk" / "c.mp4").unlink()
    write_video(tmp_path / "other" / "new.mp4", pictures(4, 32, 48, seed=9))
    found = run("overlap", videos, tmp_path / "other", code=1)
    assert "2 videos of" in found.stderr
    pairs = json.loads(run("overlap", videos, tmp_path / "other", "--json", code=1).stdout)
    assert pairs == [
        {"first": "wave/b é.mp4", "second": "wave/b é.mp4", "by": "content"},
        {"first": "wave/a.mp4", "second": "wave/renamed.mp4", "by": "content"},
    ]
    # Two files that cannot be read are not the same video; nor are two of equal names.
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "empty.mp4").touch()
    write_video(tmp_path / "one" / "same.mp4", pictures(4, 32, 48, seed=1))
    write_video(tmp_path / "two" / "same.mp4", pictures(4, 32, 48, seed=2))
    assert "share none" in run("overlap", tmp_path / "one", tmp_path / "two").stdout
    assert json.loads(run("overlap", tmp_path / "one", tmp_path / "two", "--json").stdout) == []


def test_overlap_of_whatever_names_a_set(run: Any, videos: Path, tmp_path: Path) -> None:
    run("index", videos, "--out", tmp_path / "a.index", "--workers", "1")
    (videos / "list.csv").write_text("path,split,group\nwave/a.mp4,train,s1\nwalk/c.mp4,train,s2\n", encoding="utf-8")
    write_video(tmp_path / "other" / "d.mp4", pictures(4, 32, 48, seed=9))
    (tmp_path / "other" / "list.csv").write_text("path,split,group\nd.mp4,train,s2\n", encoding="utf-8")
    for text, count in (
        (tmp_path / "a.index", 3),
        (videos / "list.csv", 2),
        (f"folder,root={videos}", 3),
    ):
        assert f"{count} videos of" in run("overlap", videos, text, code=1).stderr, text
    by_group = json.loads(run("overlap", videos / "list.csv", tmp_path / "other" / "list.csv", "--json", code=1).stdout)
    assert by_group == [{"first": "walk/c.mp4", "second": "d.mp4", "by": "group s2"}]
    assert "no-such-set" in run("overlap", videos, "no-such-set,root=x", code=2).stderr


@pytest.mark.parametrize("options", ["csv=list.csv,labels=[]", "csv=plain.csv,path=file,labels=[]"])
def test_overlap_takes_the_options_of_a_set(options: str, run: Any, videos: Path) -> None:
    (videos / "list.csv").write_text("path\nwave/a.mp4\n", encoding="utf-8")
    (videos / "plain.csv").write_text("file\nwave/a.mp4\n", encoding="utf-8")
    assert "1 videos of" in run("overlap", videos, f"csv,root={videos},{options}", code=1).stderr


@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_a_set_with_an_index_reads_the_same_pixels(kind: str, run: Any, videos: Path, tmp_path: Path) -> None:
    run("index", videos, "--out", tmp_path / "a.index", "--workers", "1")
    (videos / "list.csv").write_text("path,label\n" + "".join(f"{n},{n[:4]}\n" for n in NAMES), encoding="utf-8")

    def dataset(index: str) -> FolderDataset | CsvDataset:
        if kind == "folder":
            return FolderDataset(root=str(videos), index=index)
        return CsvDataset(root=str(videos), csv="list.csv", index=index)

    plain, indexed = dataset(""), dataset(str(tmp_path / "a.index"))
    assert plain.fingerprint() == indexed.fingerprint()
    assert list(plain.videos("train")) == list(indexed.videos("train"))
    for video in indexed.videos("train"):
        views = [View(np.array([video.n_frames - 1, 0, 3]), (32, 48))]
        read = indexed.reader()(video, views)[0]
        np.testing.assert_array_equal(read, plain.reader()(video, views)[0])
        np.testing.assert_array_equal(read, decode_all(Path(video.source))[[-1, 0, 3]])
    # Files that were copied to this machine have other times; those of another size are refused.
    for name in NAMES:
        os.utime(videos / name, ns=(1, 1))
    video = indexed.videos("train")[0]
    assert dataset(str(tmp_path / "a.index")).reader()(video, [View(np.array([0]), (8, 8))])[0].shape == (1, 8, 8, 3)
    # A file that is not in it.
    write_video(videos / "walk" / "new.mp4", pictures(4, 32, 48))
    with (videos / "list.csv").open("a") as handle:
        handle.write("walk/new.mp4,walk\n")
    with pytest.raises(DataError, match=r"1 videos of .* are not in the index .*'walk/new\.mp4'"):
        dataset(str(tmp_path / "a.index")).videos("train")
