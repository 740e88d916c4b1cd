"""Frames that are sought are the frames that decoding the whole file gives."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from support.videos import decode_all, pictures, write_video

from vssl_core.contracts import View
from vssl_core.data.probe import probe
from vssl_core.data.reader import read_views
from vssl_core.errors import ClipError, ConfigError

N_FRAMES = 60
B_FRAMES = {"bf": "4", "g": "12", "x264-params": "open-gop=1:b-pyramid=strict:scenecut=0:threads=1"}
UNEVEN_PTS = np.cumsum(np.random.default_rng(0).integers(1, 9, N_FRAMES)).tolist()

KINDS: dict[str, Callable[[Path], Path]] = {
    "intra": lambda folder: write_video(folder / "a.mp4", pictures(N_FRAMES), options={"g": "1"}),
    "b-frames": lambda folder: write_video(folder / "a.mp4", pictures(N_FRAMES), options=B_FRAMES),
    "b-frames, matroska": lambda folder: write_video(folder / "a.mkv", pictures(N_FRAMES), options=B_FRAMES),
    "b-frames, transport stream": lambda folder: write_video(folder / "a.ts", pictures(N_FRAMES), options=B_FRAMES),
    "first pts not 0": lambda folder: write_video(
        folder / "a.mp4",
        pictures(N_FRAMES),
        options=B_FRAMES,
        pts=[250 + at for at in range(N_FRAMES)],
        container_options={"use_editlist": "0"},
    ),
    "uneven rate": lambda folder: write_video(
        folder / "a.mp4", pictures(N_FRAMES), options=B_FRAMES, pts=UNEVEN_PTS, time_base=Fraction(1, 100)
    ),
    "avi, reordered": lambda folder: write_video(
        folder / "a.avi", pictures(N_FRAMES), codec="mpeg4", options={"bf": "2", "g": "12"}
    ),
    "no timestamps": lambda folder: write_video(folder / "a.h264", pictures(N_FRAMES), options=B_FRAMES, format="h264"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_frames_equal_those_of_the_whole_file(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind](tmp_path)
    whole = decode_all(path)
    found = probe(str(path))
    assert found.table.n_frames == len(whole) == N_FRAMES
    assert found.size == (48, 64)
    rng = np.random.default_rng(1)
    for count in (1, 2, 5, 30):
        for _ in range(6):
            first, second = rng.integers(0, N_FRAMES, count), rng.integers(0, N_FRAMES, 3)
            views = [View(first, (48, 64), "stretch"), View(second, (48, 64), "pad")]
            read = read_views(str(path), views, table=found.table)
            np.testing.assert_array_equal(read[0], whole[first])
            np.testing.assert_array_equal(read[1], whole[second])
    everything = View(np.arange(N_FRAMES), (48, 64))
    np.testing.assert_array_equal(read_views(str(path), [everything])[0], whole)


def test_files_without_usable_timestamps_are_counted_from_the_start(tmp_path: Path) -> None:
    for kind in ("avi, reordered", "no timestamps"):
        assert not len(probe(str(KINDS[kind](tmp_path))).table.pts), kind
    table = probe(str(KINDS["b-frames"](tmp_path))).table
    assert len(table.pts) == N_FRAMES
    assert len(table.key_pts) == 5


def test_uneven_rate_gives_mean_fps_and_sorted_display_order(tmp_path: Path) -> None:
    found = probe(str(KINDS["uneven rate"](tmp_path)))
    assert found.fps == pytest.approx((N_FRAMES - 1) * 100 / (UNEVEN_PTS[-1] - UNEVEN_PTS[0]))
    assert np.all(np.diff(found.table.pts) > 0)


def test_sizes_differ_between_views_of_one_pass(tmp_path: Path) -> None:
    path = KINDS["b-frames"](tmp_path)
    small, large = View(np.array([9, 2, 9]), (16, 16)), View(np.array([2]), (96, 128))
    together = read_views(str(path), [small, large])
    np.testing.assert_array_equal(together[0], read_views(str(path), [small])[0])
    np.testing.assert_array_equal(together[1], read_views(str(path), [large])[0])
    np.testing.assert_array_equal(together[0][0], together[0][2])
    assert [clip.shape for clip in together] == [(3, 16, 16, 3), (1, 96, 128, 3)]


def test_fits(tmp_path: Path) -> None:
    # Left third red, middle green, right blue: what is cut off or added is seen by its colour.
    frames = np.zeros((2, 48, 96, 3), dtype=np.uint8)
    for part in range(3):
        frames[:, :, part * 32 : part * 32 + 32, part] = 200
    path = write_video(tmp_path / "a.mp4", frames, options={"crf": "1"})

    def colours(fit: str) -> np.ndarray:
        return read_views(str(path), [View(np.array([0]), (24, 24), fit)])[0][0].astype(int)

    crop = colours("short-side-crop")
    assert crop[12, 12, 1] > 150
    assert crop[12, 1, 0] > 150
    assert crop[12, 5, 1] > 150, "a quarter of the width is cut off on each side"
    stretched = colours("stretch")
    assert stretched[12, 5, 0] > 150
    assert stretched[12, 19, 2] > 150
    padded = colours("pad")
    assert padded[:6].max() == 0
    assert padded[18:].max() == 0
    assert padded[12, 4, 0] > 150
    with pytest.raises(ConfigError, match="fit='zoom' is not one of"):
        colours("zoom")


def test_pixel_aspect_widens_the_shown_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(3), pixel_aspect=Fraction(3, 2))
    assert probe(str(path)).size == (48, 96)
    padded = read_views(str(path), [View(np.array([1]), (48, 48), "pad")])[0][0]
    assert padded[:12].max() == 0
    assert padded[13:35].max() > 0


@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), 3), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_rotation_is_applied(matrix: tuple[int, ...], turns: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(3))
    upright = decode_all(path)
    data = bytearray(path.read_bytes())
    # Track header, ISO 14496-12 section 8.3.2: the matrix stands 44 bytes after the box's name.
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value * 0x10000 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(data)
    expected = np.rot90(upright, turns, axes=(1, 2))
    assert probe(str(path)).size == expected.shape[1:3]
    read = read_views(str(path), [View(np.arange(3), expected.shape[1:3])])[0]
    np.testing.assert_array_equal(read, expected)


def _damaged(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A file of five groups of pictures whose second is overwritten, and its pixels before."""
    path = write_video(
        tmp_path / "a.mp4", pictures(N_FRAMES), options={**B_FRAMES, "x264-params": "scenecut=0:threads=1"}
    )
    whole = decode_all(path)
    import av

    with av.open(str(path)) as container:
        sizes = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for pos, size in sizes[12:16]:
        assert pos is not None
        data[pos + 4 : pos + size] = b"\xff" * (size - 4)
    path.write_bytes(data)
    return path, whole


def test_damage_costs_its_own_group_of_pictures_alone(tmp_path: Path) -> None:
    path, whole = _damaged(tmp_path)
    table = probe(str(path)).table
    assert table.n_frames == N_FRAMES
    # Reading the last group alone, or the first and the last, does not decode the second.
    for frames in ([50, 55], [3, 59], [0, 11, 24, 36, 48]):
        read = read_views(str(path), [View(np.array(frames), (48, 64))], table=table)[0]
        np.testing.assert_array_equal(read, whole[frames])
    for frames in ([13], [3, 13, 59]):
        with pytest.raises(ClipError, match="frame 13"):
            read_views(str(path), [View(np.array(frames), (48, 64))], table=table)


def test_truncated_file_holds_what_is_left(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4", pictures(N_FRAMES), options={"bf": "0"}, container_options={"movflags": "faststart"}
    )
    whole = decode_all(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    table = probe(str(path)).table
    assert 5 < table.n_frames < N_FRAMES - 5
    read = read_views(str(path), [View(np.arange(table.n_frames), (48, 64))], table=table)[0]
    np.testing.assert_array_equal(read, whole[: table.n_frames])


@pytest.mark.parametrize("frame", [-1, N_FRAMES])
def test_frames_that_are_not_there(frame: int, tmp_path: Path) -> None:
    path = KINDS["intra"](tmp_path)
    with pytest.raises(ClipError, match=rf"frame {frame} is wanted, but it has {N_FRAMES} frames"):
        read_views(str(path), [View(np.array([0, frame]), (8, 8))])


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "real.mp4", pictures(3))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    for name in ("empty.mp4", "text.mp4", "absent.mp4"):
        with pytest.raises(ClipError, match=name):
            probe(str(tmp_path / name))
    with pytest.raises(ClipError, match="no such file"):
        probe(str(tmp_path))


def test_nothing_but_the_named_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "real.ts", pictures(30))
    monkeypatch.chdir(tmp_path)
    playlist = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\nreal.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(playlist)
    (tmp_path / "list.mp4").write_text(playlist)
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile real.ts\n")
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile real.ts\n")
    import av

    # The files are what they pretend to be: libav reads them when nothing stops it.
    for name in ("list.m3u8", "list.ffconcat"):
        with av.open(str(tmp_path / name)) as container:
            assert next(container.decode(video=0)).width == 64
    for name in ("list.m3u8", "list.mp4", "list.ffconcat", "concat.mp4"):
        with pytest.raises(ClipError, match="not a readable video"):
            probe(str(tmp_path / name))
    for address in ("concat:real.ts|real.ts", "file:real.ts", "http://127.0.0.1:9/a.mp4", "pipe:0"):
        with pytest.raises(ClipError, match="no such file"):
            probe(address)
