"""What lies in folders and tables otherwise than it should: copies, clashing names, links in circles, odd bytes."""

from __future__ import annotations

import logging
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import official_sets
from support.official_sets import empty, small_frames, small_video, text

from vssl_core.data.frames import picture_size, read_pictures
from vssl_core.data.scan import build_index
from vssl_core.errors import ClipError, DataError
from vssl_datasets.csv_table import CsvDataset
from vssl_datasets.folder import FolderDataset
from vssl_datasets.frames import FramesDataset
from vssl_datasets.jester import Jester
from vssl_datasets.listing import Listing, copies, video_files
from vssl_datasets.sources import listed
from vssl_datasets.ucf101 import Ucf101


def splits(dataset: Any) -> list[tuple[str, str]]:
    """``(path, split)`` of each video, as listed; nothing is indexed."""
    return sorted((row.path, row.split) for row in dataset._list()[1])


@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_an_official_set_finds_prepared_copies(ending: str, tmp_path: Path) -> None:
    official_sets.ucf101(tmp_path)
    for video in (tmp_path / "UCF-101").rglob("*.avi"):
        empty(tmp_path / "small" / video.parent.name / f"{video.name}{ending}")
    found = splits(Ucf101(root=str(tmp_path), videos="small"))
    originals = splits(Ucf101(root=str(tmp_path)))
    assert found == [(f"{path}{ending}", split) for path, split in originals] and len(found) == 7
    video = tmp_path / "small" / "Archery" / "v_Archery_g09_c01.avi"
    empty(video)
    with pytest.raises(DataError, match="are both named 'v_Archery_g09_c01'; keep one"):
        Ucf101(root=str(tmp_path), videos="small").splits()


def test_a_file_has_one_name_and_a_copy_that_of_its_original() -> None:
    listing = Listing(["a.mp4.mov", "x/b.AVI.mp4", "c.avi.mp4.mov", "1.5 s.mp4", "d.mp4.webm"])
    assert [listing.find(name) for name in ("a", "b", "c", "1.5 s", "d.mp4")] == [
        "a.mp4.mov",
        "x/b.AVI.mp4",
        "c.avi.mp4.mov",
        "1.5 s.mp4",
        "d.mp4.webm",
    ]
    assert [listing.find(name) for name in ("a.mp4", "b.AVI", "c.avi", "c.avi.mp4", "1", "d")] == [None] * 6


def test_a_copy_stands_for_an_absent_original_alone(tmp_path: Path) -> None:
    for name in ("a.avi", "a.avi.mp4", "b.avi.mp4", "c.avi.mp4", "sub/d.mp4.mov"):
        empty(tmp_path / name)
    paths = ["a.avi", "b.avi", "c.avi", "c.avi.mp4", "sub/d.mp4", "gone/e.avi", "f.avi"]
    assert copies(tmp_path, paths) == {"b.avi": "b.avi.mp4", "sub/d.mp4": "sub/d.mp4.mov"}
    assert copies(tmp_path, paths, {"f.avi.mov"}) == {"f.avi": "f.avi.mov"}
    empty(tmp_path / "b.avi.mov")
    with pytest.raises(DataError, match=r"'b\.avi' is not below .* 'b\.avi\.mov' and 'b\.avi\.mp4' could both"):
        copies(tmp_path, paths)


def test_folders_of_splits_go_by_other_names_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for place in ("Train/run/a.mp4", "validation/run/b.mp4", "VALID/hop/c.mp4", "test/hop/d.mp4"):
        empty(tmp_path / place)
    dataset = FolderDataset(root=str(tmp_path))
    assert splits(dataset) == [
        ("Train/run/a.mp4", "train"),
        ("VALID/hop/c.mp4", "val"),
        ("test/hop/d.mp4", "test"),
        ("validation/run/b.mp4", "val"),
    ]
    assert dataset.targets("test", "class").classes == ("hop", "run")
    assert not caplog.messages
    empty(tmp_path / "loose.mp4")
    with caplog.at_level(logging.WARNING):
        assert len(splits(FolderDataset(root=str(tmp_path)))) == 4
    assert "1 videos lie beside the folders of splits" in caplog.text and "'loose.mp4'" in caplog.text


@pytest.mark.parametrize("labels", ["auto", "folders", "none"])
@pytest.mark.parametrize("split", ["train", "Test", "valid"])
def test_a_split_beside_classes_is_an_error(split: str, labels: str, tmp_path: Path) -> None:
    for place in ("bus", "car", "ship", "tram", split):
        empty(tmp_path / place / "a.mp4")
    with pytest.raises(DataError, match=rf"taken for splits \('{split}' as split .*'bus', 'car', 'ship' and 1 more"):
        FolderDataset(root=str(tmp_path), labels=labels)
    (tmp_path / split / "a.mp4").unlink()
    assert {row[1] for row in splits(FolderDataset(root=str(tmp_path), labels=labels))} == {"train"}


@pytest.mark.parametrize("data", [b"\xff\xfe.mp4", b"d\xe9j\xe0/vu.mp4"])
def test_names_that_are_no_unicode_are_named(data: bytes, tmp_path: Path, fresh_home: Path) -> None:
    file = os.path.join(os.fsencode(tmp_path), data)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    Path(os.fsdecode(file)).touch()
    message = r"the name of the file '.*\\udc.*' below .* is not valid UTF-8 .*; rename it"
    with pytest.raises(DataError, match=message):
        FolderDataset(root=str(tmp_path)).videos("train")
    with pytest.raises(DataError, match=message):
        listed(tmp_path, None, "path")


def test_a_folder_above_may_have_any_name(tmp_path: Path, fresh_home: Path) -> None:
    root = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"d\xe9j\xe0")))
    empty(root / "a.mp4")
    assert FolderDataset(root=str(root), title="mine").videos("train")[0].n_frames == 0


def test_links_in_circles_and_to_nowhere_are_files_that_cannot_be_read(tmp_path: Path, fresh_home: Path) -> None:
    small_video(tmp_path / "a.mp4")
    for name in ("loop", "loop.mp4"):
        (tmp_path / name).symlink_to(name)
    (tmp_path / "lost.mp4").symlink_to("nowhere")
    dataset = FolderDataset(root=str(tmp_path))
    assert [(video.video_id, video.n_frames) for video in dataset.videos("train")] == [
        ("a.mp4", 6),
        ("loop.mp4", 0),
        ("lost.mp4", 0),
    ]
    assert "symbolic links" in dataset._index["loop.mp4"].reason


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty(tmp_path / "shut" / "a.mp4")
    real = os.scandir

    def scandir(path: Path) -> Any:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"folder '.*shut' cannot be listed \(Permission denied\); make it readable"):
        video_files(tmp_path, ["mp4"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\na.mp4,d\xe9j\xe0 vu\n".encode("latin-1"), r"list\.csv is no text in UTF-8 .*; save it as UTF-8"),
        (b"path,label\na.mp4,x\nb.mp4," + b"x" * 131_073 + b"\n", r"list\.csv, line 3: no CSV \(field larger"),
        (b'path,label\n"a.mp4,x\n' + b"b.mp4,y\n" * 20_000, r"list\.csv, line \d+: no CSV .*quotation mark left open"),
        (b"path,label\na\0.mp4,x\n", r"list\.csv.*(path 'a\\x00\.mp4' must be relative|NUL)"),
    ],
)
def test_tables_that_are_no_csv_in_utf8_are_named(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        CsvDataset(csv=str(file))
    with pytest.raises(DataError, match=message):
        listed(file, None, "path")


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity", "1e39"])
def test_numbers_are_finite(value: str, tmp_path: Path) -> None:
    file = text(tmp_path / "list.csv", "path,score", "a.mp4,1", f"b.mp4,{value}")
    dataset = CsvDataset(csv=str(file), labels=[], numbers=["score"])
    with pytest.raises(DataError, match=rf"label 'score' has the value '{value}'; expected a number, and a finite one"):
        dataset.targets("train", "score")


def test_an_index_of_another_rate_is_refused(tmp_path: Path, fresh_home: Path) -> None:
    for name in ("a", "b"):
        small_frames(tmp_path / "set" / name)
    small_video(tmp_path / "set" / "c.mp4")
    index = tmp_path / "set.index"
    build_index(tmp_path / "set", ["a", "b", "c.mp4"], cache_file=index, frames_fps=30.0)
    (tmp_path / "set" / "c.mp4").unlink()
    assert FramesDataset(root=str(tmp_path / "set"), fps=30, index=str(index)).videos("train")[0].fps == 30
    dataset = FramesDataset(root=str(tmp_path / "set"), fps=12.5, index=str(index))
    with pytest.raises(DataError, match=r"'set' has 12\.5 frames .* 'a' has 30 in the index .*--fps 12\.5', or give"):
        dataset.videos("train")


def test_jester_refuses_an_index_of_another_rate(tmp_path: Path, fresh_home: Path) -> None:
    official_sets.lay_out("jester", tmp_path)
    index, videos = tmp_path / "a.index", tmp_path / "20bn-jester-v1"
    names = sorted(path.name for path in videos.iterdir())
    build_index(videos, names, cache_file=index, frames_fps=25.0)
    with pytest.raises(DataError, match=r"'jester' has 12 frames a second, .* has 25 in the index .*--fps 12'"):
        Jester(root=str(tmp_path), index=str(index)).videos("train")


def _png(header: bytes) -> bytes:
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))


@pytest.mark.parametrize("error", [ValueError, AssertionError, KeyError, Image.DecompressionBombError])
def test_whatever_a_picture_makes_the_library_raise_is_its_reason(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error("odd")

    empty(tmp_path / "1.png")
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ClipError, match=rf"1\.png: not a readable picture \({error.__name__}: "):
        picture_size(str(tmp_path / "1.png"))
    missing = read_pictures(str(tmp_path), 1, np.array([0]), lambda *_: pytest.fail("there is no picture"))
    assert missing[0].startswith(f"not a readable picture ({error.__name__}: ")
    with pytest.raises(ClipError, match="changed since it was indexed"):
        read_pictures(str(tmp_path), 1, np.array([0]), lambda *_: None, newest_ns=0)


@pytest.mark.parametrize("length", [0, 5, 10, 12])
def test_a_picture_with_a_short_header_is_not_readable(length: int, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(_png(struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)[:length]))
    with pytest.raises(ClipError, match="not a readable picture"):
        picture_size(str(tmp_path / "1.png"))
    assert list(read_pictures(str(tmp_path), 1, np.array([0]), lambda *_: None)) == [0]


def test_grey_pictures_of_16_bits_keep_their_range(tmp_path: Path) -> None:
    grey = np.array([[0, 128, 129, 257], [385, 386, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "1.png")
    read: list[np.ndarray] = []
    assert read_pictures(str(tmp_path), 1, np.array([0]), lambda _, pixels: read.append(pixels)) == {}
    assert (read[0].shape, read[0].dtype) == ((2, 4, 3), np.uint8)
    expected = np.array([[0, 0, 1, 1], [1, 2, 128, 255]], dtype=np.uint8)
    for channel in range(3):
        np.testing.assert_array_equal(read[0][..., channel], expected)
