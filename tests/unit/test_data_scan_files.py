"""What an index says of files that are damaged, turned, moving, made of pictures, changed or gone."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.damage import (
    overwrite_packets,
    packet_places,
    set_display_matrix,
    turned_video,
    write_frames_folder,
)
from support.scanning import build_set, indexed_video, note_examined
from support.videos import decode_all, pictures, write_video

import vssl_core.data.scan as scan_module
from vssl_core.contracts import View
from vssl_core.data.index import FRAME_FOLDER
from vssl_core.data.probe import Probe, probe
from vssl_core.data.reader import FileReader, read_views
from vssl_core.errors import ClipError, ConfigError, DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    return tmp_path


@pytest.fixture
def examined(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    return note_examined(folder / "examined.txt", monkeypatch)


def test_decoding_finds_damage_that_packets_hide(folder: Path, examined: Any) -> None:
    names = ["bad.mp4", "whole.mp4"]
    for name in names:
        write_video(folder / "set" / name, pictures(36), options={"g": "12", "bf": "0"})
    whole = decode_all(folder / "set" / "whole.mp4")
    overwrite_packets(folder / "set" / "bad.mp4", range(14, 18))
    by_packets = build_set(folder, names)
    assert [by_packets[name].n_frames for name in names] == [36, 36]
    examined()
    by_decoding = build_set(folder, names, check="decode")
    assert examined() == names, "looked at more closely than before"
    bad = by_decoding["bad.mp4"]
    assert (bad.n_frames, bad.reason, bad.checked) == (14, "", "decode")
    assert bad.damage.startswith("14 of 36 frames can be decoded")
    assert (by_decoding["whole.mp4"].n_frames, by_decoding["whole.mp4"].damage) == (36, "")
    reader = FileReader(by_decoding)
    read = reader(indexed_video(folder, by_decoding, "bad.mp4"), [View(np.arange(14), (48, 64))])[0]
    np.testing.assert_array_equal(read, whole[:14])
    with pytest.raises(ClipError, match="frame 14 is wanted, but it has 14 frames"):
        reader(indexed_video(folder, by_decoding, "bad.mp4"), [View(np.array([14]), (48, 64))])
    # What was looked at closely serves those who ask for less, and is not forgotten by them.
    assert build_set(folder, names)["bad.mp4"].n_frames == 14
    assert examined() == []


@pytest.mark.parametrize("part", [0.5, 1.0], ids=["within a frame", "between two"])
def test_a_truncated_file_is_named_as_damaged(part: float, folder: Path) -> None:
    """Its header still promises all its frames."""
    path = write_video(
        folder / "set" / "a.mp4", pictures(30), options={"bf": "0"}, container_options={"movflags": "faststart"}
    )
    pos, size = packet_places(path)[20]
    path.write_bytes(path.read_bytes()[: pos + int(size * part)])
    row = build_set(folder, ["a.mp4"])["a.mp4"]
    assert (row.n_frames, row.reason) == (20 + int(part), "")
    assert row.damage


@pytest.mark.parametrize("part", [0.5, 1.0], ids=["within a frame", "between two"])
@pytest.mark.parametrize("ending", ["mkv", "webm", "avi"])
def test_a_truncated_file_whose_header_counts_bytes_is_named_too(ending: str, part: float, folder: Path) -> None:
    """These demuxers take wherever a file ends for its end."""
    codec = {"mkv": "libx264", "webm": "libvpx", "avi": "mpeg4"}[ending]
    path = write_video(folder / "set" / f"a.{ending}", pictures(30), codec=codec, options={"bf": "0"})
    assert build_set(folder, [path.name])[path.name].damage == "", "a whole one"
    whole = path.stat().st_size
    pos, size = packet_places(path)[20]
    kept = path.read_bytes()[: pos + int(size * part)]
    path.write_bytes(kept)
    row = build_set(folder, [path.name])[path.name]
    assert (row.reason, row.n_frames) in (("", 20), ("", 21))
    # Some demuxers notice half a packet by themselves.
    noticed = part < 1 and row.damage == f"the file is damaged behind frame {row.n_frames - 1} (it ends within a frame)"
    assert noticed or row.damage == f"the file holds {len(kept)} of the {whole} bytes that its header promises"


def test_a_file_that_promises_no_size_is_not_damaged(folder: Path) -> None:
    """As live recordings are written: nothing could be put into the header afterwards."""
    path = write_video(folder / "set" / "a.mkv", pictures(8), container_options={"live": "1"})
    assert b"\x18\x53\x80\x67\x01" + b"\xff" * 7 in path.read_bytes()[:200]
    assert build_set(folder, ["a.mkv"])["a.mkv"].damage == ""


@pytest.mark.parametrize("check", ["packets", "decode"])
def test_a_recording_that_begins_within_a_group_of_pictures(check: str, folder: Path) -> None:
    """As broadcasts are cut: what stands before the first key frame cannot be decoded."""
    options = {"bf": "3", "g": "12", "x264-params": "scenecut=0:threads=1:open-gop=1"}
    path = write_video(folder / "set" / "a.ts", pictures(36), options=options)
    # A transport stream is made of packets of 188 bytes, which may begin anywhere.
    path.write_bytes(path.read_bytes()[packet_places(path)[5][0] // 188 * 188 :])
    write_video(folder / "set" / "whole.mp4", pictures(6))
    index = build_set(folder, ["a.ts", "whole.mp4"], check=check)
    assert index["whole.mp4"].n_frames == 6, "one odd file does not end the build"
    row = index["a.ts"]
    assert row.reason == "" and 20 <= row.n_frames <= 31
    plain = decode_all(path)
    read = FileReader(index)(indexed_video(folder, index, "a.ts"), [View(np.arange(row.n_frames), (48, 64))])[0]
    np.testing.assert_array_equal(read, plain[: row.n_frames])


def test_damage_from_the_first_frame_on_is_a_reason(folder: Path) -> None:
    write_video(folder / "set" / "a.mp4", pictures(12), options={"g": "12", "bf": "0"})
    overwrite_packets(folder / "set" / "a.mp4", [0])
    for check in ("packets", "decode"):
        row = build_set(folder, ["a.mp4"], check=check)["a.mp4"]
        assert row.n_frames == 0
        assert "first frame" in row.reason
        assert str(folder) not in row.reason


def test_an_unknown_check(folder: Path) -> None:
    with pytest.raises(ConfigError, match="check='all' is not one of 'packets', 'decode'"):
        build_set(folder, [], check="all")


def test_motion(folder: Path, examined: Any) -> None:
    still = np.repeat(pictures(1), 20, axis=0)
    jump = np.concatenate([np.full((10, 48, 64, 3), 60, np.uint8), np.full((10, 48, 64, 3), 160, np.uint8)])
    for name, frames in {"still.mp4": still, "moving.mp4": pictures(20), "jump.mp4": jump}.items():
        # Every frame by itself: a frame that is foretold from another one differs from it by what the encoder saves.
        write_video(folder / "set" / name, frames, options={"g": "1", "crf": "1"})
    names = ["jump.mp4", "moving.mp4", "still.mp4"]
    assert all(row["motion"] is None for row in build_set(folder, names).cells())
    examined()
    index = build_set(folder, names, motion=True)
    assert examined() == names
    curves = {name: index[name].motion for name in names}
    for curve in curves.values():
        assert curve is not None
        assert (str(curve.dtype), curve.shape, float(curve[0])) == ("float32", (20,), 0)
        assert curve.min() >= 0 and curve.max() <= 1
    np.testing.assert_array_equal(curves["still.mp4"], np.zeros(20))
    assert curves["moving.mp4"][1:].min() > 0.01  # type: ignore[index]
    expected = np.zeros(20)
    expected[10] = 100 / 255
    np.testing.assert_allclose(curves["jump.mp4"], expected, atol=0.02)
    # A curve belongs to frames: it ends where what can be read does.
    overwrite_packets(folder / "set" / "moving.mp4", range(8, 20))
    cut = build_set(folder, names, motion=True)["moving.mp4"]
    assert cut.n_frames == 8
    assert cut.motion is not None and cut.motion.shape == (8,)
    np.testing.assert_array_equal(cut.motion, curves["moving.mp4"][:8])  # type: ignore[index]
    # Those who ask for none get the known rows.
    examined()
    build_set(folder, names)
    assert examined() == []


def _upright(frames: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """Where the display matrix puts every pixel: (x, y) -> (ax + cy, bx + dy), ISO/IEC 14496-12, 6.2.2."""
    a, b, c, d = matrix
    height, width = frames.shape[1:3]
    y, x = np.mgrid[:height, :width]
    to_x, to_y = a * x + c * y, b * x + d * y
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    out = np.empty((len(frames), to_y.max() + 1, to_x.max() + 1, 3), np.uint8)
    out[:, to_y, to_x] = frames
    return out


MATRICES = {
    "upright": (1, 0, 0, 1),
    "quarter": (0, 1, -1, 0),
    "half": (-1, 0, 0, -1),
    "three quarters": (0, -1, 1, 0),
    "mirrored left to right": (-1, 0, 0, 1),
    "mirrored top to bottom": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "transposed the other way": (0, -1, -1, 0),
}


@pytest.mark.parametrize("name", MATRICES)
def test_display_matrices_give_upright_pixels(name: str, folder: Path) -> None:
    matrix = MATRICES[name]
    stored = decode_all(write_video(folder / "set" / "a.mp4", pictures(5)))
    expected = _upright(stored, matrix)
    if name == "mirrored left to right":
        np.testing.assert_array_equal(expected, np.flip(stored, 2))
    if name == "quarter":
        np.testing.assert_array_equal(expected, np.rot90(stored, -1, axes=(1, 2)))
    set_display_matrix(folder / "set" / "a.mp4", matrix)
    index = build_set(folder, ["a.mp4"])
    assert index["a.mp4"].size == expected.shape[1:3]
    read = FileReader(index)(indexed_video(folder, index, "a.mp4"), [View(np.array([4, 0, 2]), expected.shape[1:3])])[0]
    np.testing.assert_array_equal(read, expected[[4, 0, 2]])


def test_a_turned_video_of_wide_pixels(folder: Path) -> None:
    """Pixels are widened as they are stored, then turned."""
    path = write_video(folder / "set" / "a.mp4", pictures(3), pixel_aspect=Fraction(3, 2))
    unturned = read_views(str(path), [View(np.arange(3), (48, 96))])[0]
    set_display_matrix(path, MATRICES["quarter"])
    found = probe(str(path))
    assert found.size == (96, 48)
    turned = read_views(str(path), [View(np.arange(3), (96, 48))])[0]
    np.testing.assert_array_equal(turned, np.rot90(unturned, -1, axes=(1, 2)))


def test_folders_of_pictures(folder: Path, examined: Any) -> None:
    frames = pictures(12)
    write_frames_folder(folder / "set" / "a", frames)
    write_frames_folder(folder / "set" / "b", frames[:3], ending="jpg", name="{:05d}")
    (folder / "set" / "a" / "notes.txt").write_text("no picture")
    (folder / "set" / "none").mkdir()
    names = ["a", "b", "none"]
    index = build_set(folder, names, frames_fps=12.0)
    row = index["a"]
    assert (row.codec, row.n_frames, row.size, row.fps, row.duration_s, row.table, row.damage) == (
        FRAME_FOLDER,
        12,
        (48, 64),
        12.0,
        1.0,
        None,
        "",
    )
    assert index["none"].reason == "none: a folder without pictures (.jpeg, .jpg, .png)"
    assert index["a"].content_hash != index["b"].content_hash
    reader = FileReader(index)
    # img_10 stands behind img_9, not behind img_1.
    wanted = np.array([10, 2, 2, 11])
    np.testing.assert_array_equal(
        reader(indexed_video(folder, index, "a"), [View(wanted, (48, 64))])[0], frames[wanted]
    )
    examined()
    build_set(folder, names, frames_fps=12.0)
    assert examined() == []
    # One that was put into the folder, one that is damaged.
    shutil.copy(folder / "set" / "a" / "img_0.png", folder / "set" / "a" / "img_12.png")
    with pytest.raises(ClipError, match=r"^a: 13 pictures, 12 when it was indexed"):
        reader(indexed_video(folder, index, "a"), [View(wanted, (8, 8))])
    (folder / "set" / "a" / "img_12.png").unlink()
    (folder / "set" / "a" / "img_2.png").write_bytes(b"no picture")
    os.utime(folder / "set" / "a" / "img_2.png", ns=(row.mtime_ns, row.mtime_ns))
    with pytest.raises(ClipError, match=r"^a: 1 of 3 frames cannot be read; frame 2: not a readable picture"):
        reader(indexed_video(folder, index, "a"), [View(wanted, (8, 8))])


def test_a_picture_that_is_written_over(folder: Path, examined: Any) -> None:
    """The folder's own time does not tell of it."""
    frames = pictures(4)
    write_frames_folder(folder / "set" / "a", frames)
    index = build_set(folder, ["a"])
    examined()
    kept = (folder / "set" / "a").stat()
    Image.fromarray(255 - frames[2]).save(folder / "set" / "a" / "img_2.png")
    later = index["a"].mtime_ns + 10**9
    os.utime(folder / "set" / "a" / "img_2.png", ns=(later, later))
    assert (folder / "set" / "a").stat().st_mtime_ns == kept.st_mtime_ns
    reader, video = FileReader(index), indexed_video(folder, index, "a")
    untouched = reader(video, [View(np.array([0, 1]), (48, 64))])[0]
    np.testing.assert_array_equal(untouched, frames[:2])
    with pytest.raises(ClipError, match=r"^a/img_2\.png: changed since it was indexed"):
        reader(video, [View(np.array([1, 2]), (48, 64))])
    untimed = FileReader(index, check_time=False)(video, [View(np.array([2]), (48, 64))])[0]
    np.testing.assert_array_equal(untimed[0], 255 - frames[2])
    again = build_set(folder, ["a"])
    assert examined() == ["a"]
    assert again["a"].content_hash != index["a"].content_hash
    np.testing.assert_array_equal(
        FileReader(again)(indexed_video(folder, again, "a"), [View(np.array([2]), (48, 64))])[0][0], 255 - frames[2]
    )


def test_folders_of_pictures_are_looked_at_closely_too(folder: Path) -> None:
    still = np.repeat(pictures(1), 6, axis=0)
    still[3:] = 255 - still[3:]
    write_frames_folder(folder / "set" / "a", still)
    assert build_set(folder, ["a"])["a"].motion is None
    curve = build_set(folder, ["a"], motion=True)["a"].motion
    assert curve is not None and curve.nonzero()[0].tolist() == [3]
    whole = (folder / "set" / "a" / "img_2.png").read_bytes()
    (folder / "set" / "a" / "img_2.png").write_bytes(whole[: len(whole) // 2])
    assert build_set(folder, ["a"])["a"].damage == ""
    row = build_set(folder, ["a"], check="decode")["a"]
    assert (row.reason, row.n_frames, row.checked) == ("", 6, "decode")
    assert row.damage.startswith("1 of 6 pictures cannot be read, such as 'img_2.png': ")
    assert str(folder) not in row.damage


def test_a_rate_of_pictures_that_is_given_anew_counts(folder: Path) -> None:
    write_frames_folder(folder / "set" / "a", pictures(6))
    assert build_set(folder, ["a"], frames_fps=12.0)["a"].fps == 12.0
    assert build_set(folder, ["a"], frames_fps=30.0)["a"].fps == 30.0
    assert build_set(folder, ["a"], frames_fps=30.0, cache_file=folder / "b.index")["a"].fps == 30.0


def test_files_that_change_or_vanish_after_indexing(folder: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        write_video(folder / "set" / name, pictures(6))
    index = build_set(folder, ["a.mp4", "b.mp4", "c.mp4"])
    reader = FileReader(index)
    views = [View(np.array([1]), (8, 8))]
    videos = {name: indexed_video(folder, index, name) for name in index}
    for video in videos.values():
        reader(video, views)
    (folder / "set" / "a.mp4").unlink()
    with pytest.raises(ClipError, match=r"^a\.mp4: gone since it was indexed"):
        reader(videos["a.mp4"], views)
    with (folder / "set" / "b.mp4").open("ab") as handle:
        handle.write(b"more")
    # Same size, another content, another time.
    turned_video(folder / "c.mp4", pictures(6), MATRICES["half"])
    shutil.copyfile(folder / "c.mp4", folder / "set" / "c.mp4")
    os.utime(folder / "set" / "c.mp4", ns=(1, 1))
    assert (folder / "set" / "c.mp4").stat().st_size == index["c.mp4"].bytes
    for name in ("b.mp4", "c.mp4"):
        with pytest.raises(ClipError, match=rf"^{name}: changed since it was indexed"):
            reader(videos[name], views)
    # An index that came with its files from elsewhere: times are those of the copying.
    untimed = FileReader(index, check_time=False)
    assert untimed(videos["c.mp4"], views)[0].shape == (1, 8, 8, 3)
    with pytest.raises(ClipError, match="changed since"):
        untimed(videos["b.mp4"], views)


def test_a_file_that_changes_while_it_is_indexed_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Size and time stand in the index as they were before it was looked at."""
    write_video(folder / "set" / "a.mp4", pictures(4))
    real = probe

    def growing(source: str, **options: Any) -> Probe:
        found = real(source, **options)
        with open(source, "ab") as handle:
            handle.write(b"more")
        return found

    monkeypatch.setattr(scan_module, "probe", growing)
    index = build_set(folder, ["a.mp4"])
    with pytest.raises(ClipError, match="changed since it was indexed"):
        FileReader(index)(indexed_video(folder, index, "a.mp4"), [View(np.array([0]), (8, 8))])


def test_what_kept_a_file_from_being_opened_may_be_gone_the_next_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, examined: Any
) -> None:
    write_video(folder / "set" / "a.mp4", pictures(4))
    real = probe

    def locked(source: str, **options: Any) -> Probe:
        raise PermissionError(13, "Permission denied", source)

    monkeypatch.setattr(scan_module, "probe", locked)
    row = build_set(folder, ["a.mp4"])["a.mp4"]
    assert row.reason == "a.mp4: Permission denied"
    monkeypatch.setattr(scan_module, "probe", real)
    assert build_set(folder, ["a.mp4"])["a.mp4"].reason == ""


def test_broken_files_are_tried_again_when_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that was paused makes whole files look as if they hung."""
    write_video(folder / "set" / "a.mp4", pictures(4))
    real = probe

    def surprised(source: str, **options: Any) -> Probe:
        raise ValueError(f"{source} is odd")

    monkeypatch.setattr(scan_module, "probe", surprised)
    assert build_set(folder, ["a.mp4"])["a.mp4"].reason == "a.mp4: ValueError: a.mp4 is odd"
    monkeypatch.setattr(scan_module, "probe", real)
    assert build_set(folder, ["a.mp4"])["a.mp4"].reason, "it is known to be broken"
    assert build_set(folder, ["a.mp4"], retry=True)["a.mp4"].reason == ""


def test_an_index_of_another_folder_tells_nothing_of_this_one(folder: Path) -> None:
    """Same name, size and time, as archives restore them."""
    for root, seed in (("set", 0), ("other", 1)):
        path = write_video(folder / root / "a.mp4", pictures(6, seed=seed), codec="mpeg4", options={"g": "1"})
        path.write_bytes(path.read_bytes().ljust(60_000, b"\0"))
        os.utime(path, ns=(5, 5))
    first = build_set(folder, ["a.mp4", "gone.mp4"])
    second = scan_module.build_index(folder / "other", ["a.mp4", "gone.mp4"], cache_file=folder / "b.index")
    assert first["a.mp4"].bytes == second["a.mp4"].bytes
    assert first["a.mp4"].content_hash != second["a.mp4"].content_hash
    assert second["gone.mp4"].reason == "gone.mp4: No such file or directory"


def test_an_index_that_is_made_anew_is_another_one(folder: Path) -> None:
    """A loader worker that starts late must not take its rows for those that the run was planned on."""
    for name in ("b.mp4", "c.mp4"):
        write_video(folder / "set" / name, pictures(4))
    index = build_set(folder, ["b.mp4", "c.mp4"])
    sent = pickle.dumps(index)
    assert list(pickle.loads(sent)) == ["b.mp4", "c.mp4"]
    write_video(folder / "set" / "a.mp4", pictures(4))
    build_set(folder, ["a.mp4", "b.mp4", "c.mp4"])
    with pytest.raises(DataError, match="was made anew while it was in use"):
        pickle.loads(sent)


def test_names_that_are_not_unicode(folder: Path) -> None:
    name = os.fsdecode(b"v\xff.mp4")
    write_video(folder / "set" / "a.mp4", pictures(4)).rename(folder / "set" / name)
    with pytest.raises(DataError, match="not valid Unicode"):
        build_set(folder, [name])
