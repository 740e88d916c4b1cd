"""The decoded cache gives the bits that decoding gives, and refuses what decoding refuses."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from support.videos import PatternReader, pictures, rows, write_video

import vssl_core.data.cache as cache_module
from vssl_core.contracts import Video, View
from vssl_core.data.cache import Picture, estimate_bytes, open_cache
from vssl_core.data.reader import FileReader
from vssl_core.data.scan import build_index
from vssl_core.errors import ClipError, DataError

SIZES: list[Picture] = [((16, 24), "short-side-crop"), ((12, 12), "pad")]


def _set(folder: Path) -> tuple[FileReader, list[Video]]:
    write_video(folder / "a.mp4", pictures(20), options={"bf": "3", "g": "8"})
    write_video(folder / "b.mp4", pictures(9, seed=1))
    write_video(folder / "hurt.mp4", pictures(30, seed=2), options={"g": "10", "bf": "0", "x264-params": "scenecut=0"})
    (folder / "bad.mp4").write_text("no video")
    data = bytearray((folder / "hurt.mp4").read_bytes())
    import av

    with av.open(str(folder / "hurt.mp4")) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    for pos, size in places[13:15]:
        assert pos is not None
        data[pos + 4 : pos + size] = b"\xff" * (size - 4)
    (folder / "hurt.mp4").write_bytes(data)
    names = ["a.mp4", "b.mp4", "bad.mp4", "hurt.mp4"]
    index = build_index(folder, names, cache_file=folder / "a.index")
    videos = []
    for at, name in enumerate(names):
        row = index[name]
        videos.append(Video(at, name, str(folder / name), row.n_frames, row.fps, row.duration_s, row.size))
    return FileReader(index), videos


def test_equals_decoding_frame_by_frame(tmp_path: Path) -> None:
    reader, videos = _set(tmp_path)
    cached = pickle.loads(pickle.dumps(open_cache(reader, videos, SIZES, tmp_path / "cache")))
    rng = np.random.default_rng(0)
    for video in videos[:2]:
        for _ in range(5):
            views = [View(rng.integers(0, video.n_frames, 6), size, fit) for size, fit in SIZES]
            for mine, direct in zip(cached(video, views), reader(video, views), strict=True):
                np.testing.assert_array_equal(mine, direct)
    hurt, refused = videos[3], []
    for frame in range(hurt.n_frames):
        view = View(np.array([frame]), *SIZES[0])
        try:
            direct = reader(hurt, [view])[0]
        except ClipError:
            refused.append(frame)
            with pytest.raises(ClipError, match=f"frame {frame} cannot be read"):
                cached(hurt, [view])
        else:
            np.testing.assert_array_equal(cached(hurt, [view])[0], direct)
    assert refused == list(range(13, 20))


def test_reads_nothing_from_the_files_once_it_is_there(tmp_path: Path) -> None:
    reader, videos = _set(tmp_path)
    open_cache(reader, videos, SIZES, tmp_path / "cache")
    calls: list[tuple[int, int]] = []
    again = open_cache(reader, videos, SIZES, tmp_path / "cache", lambda *at: calls.append(at))
    assert calls == []
    assert again.seconds > 0, "what it cost is known by whoever uses it"
    (tmp_path / "a.mp4").unlink()
    assert again(videos[0], [View(np.array([3]), *SIZES[0])])[0].shape == (1, 16, 24, 3)


def test_unreadable_videos_keep_their_reason(tmp_path: Path) -> None:
    reader, videos = _set(tmp_path)
    cached = open_cache(reader, videos, SIZES, tmp_path / "cache")
    for views in ([], [View(np.array([0]), *SIZES[0])]):
        with pytest.raises(ClipError, match=r"bad\.mp4: not a readable video"):
            cached(videos[2], views)
    for frames in ([9], [-1]):
        with pytest.raises(ClipError, match="are wanted of 9"):
            cached(videos[1], [View(np.array(frames), *SIZES[0])])


def test_sizes_that_are_not_cached_are_decoded(tmp_path: Path) -> None:
    reader, videos = _set(tmp_path)
    cached = open_cache(reader, videos[:1], SIZES[:1], tmp_path / "cache")
    view = View(np.array([5, 1]), (10, 10), "stretch")
    np.testing.assert_array_equal(cached(videos[0], [view])[0], reader(videos[0], [view])[0])
    other = View(np.array([2]), *SIZES[0])
    np.testing.assert_array_equal(cached(videos[1], [other])[0], reader(videos[1], [other])[0])


def test_other_content_is_another_cache(tmp_path: Path) -> None:
    reader, videos = _set(tmp_path)
    view = View(np.array([4]), *SIZES[0])
    before = open_cache(reader, videos[1:2], SIZES[:1], tmp_path / "cache")(videos[1], [view])[0]
    write_video(tmp_path / "b.mp4", pictures(9, seed=5))
    index = build_index(tmp_path, ["b.mp4"], cache_file=tmp_path / "a.index")
    after = open_cache(FileReader(index), videos[1:2], SIZES[:1], tmp_path / "cache")(videos[1], [view])[0]
    assert not np.array_equal(before, after)


class _NotingReader(PatternReader):
    """Notes its calls in a file, since caches are filled by other processes; hangs at one video, crashes at another."""

    def __init__(self, notes: Path, hangs: int = -1, crashes: int = -1) -> None:
        super().__init__()
        self.notes, self.hangs, self.crashes = notes, hangs, crashes

    def __call__(self, video: Video, views: Sequence[View]) -> list[np.ndarray]:
        with self.notes.open("ab") as handle:
            handle.write(b".")
        if video.index == self.hangs:
            time.sleep(600)
        if video.index == self.crashes:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().__call__(video, views)


def test_a_video_that_hangs_or_crashes_stands_in_the_cache_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_LIMIT_S", 0.5)
    monkeypatch.setattr(cache_module, "_SLOWEST_FRAME_S", 0.0)
    videos = rows(6, n_frames=5)
    for video in videos:
        (tmp_path / video.video_id).touch()
    videos = [Video(v.index, v.video_id, str(tmp_path / v.video_id), 5, 25.0, 0.2, (8, 8)) for v in videos]
    reader = _NotingReader(tmp_path / "calls", hangs=1, crashes=4)
    cached = open_cache(reader, videos, SIZES[:1], tmp_path / "cache", workers=2)
    view = View(np.arange(5), *SIZES[0])
    for video, reason in ((videos[1], "did not end within"), (videos[4], r"crashed the decoder \(SIGSEGV\)")):
        with pytest.raises(ClipError, match=reason):
            cached(video, [view])
    for video in (videos[0], videos[2], videos[5]):
        np.testing.assert_array_equal(cached(video, [view])[0], PatternReader()(video, [view])[0])


def test_two_at_once_build_once(tmp_path: Path) -> None:
    videos = rows(12, n_frames=5)
    for video in videos:
        (tmp_path / video.video_id).touch()
    videos = [Video(v.index, v.video_id, str(tmp_path / v.video_id), 5, 25.0, 0.2, (8, 8)) for v in videos]
    reader = _NotingReader(tmp_path / "calls")
    found: list[np.ndarray] = []

    def use() -> None:
        cached = open_cache(reader, videos, SIZES[:1], tmp_path / "cache", workers=1)
        found.append(cached(videos[7], [View(np.arange(5), *SIZES[0])])[0])

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len((tmp_path / "calls").read_bytes()) == len(videos)
    expected = reader(videos[7], [View(np.arange(5), *SIZES[0])])[0]
    assert len(found) == 4
    for pixels in found:
        np.testing.assert_array_equal(pixels, expected)


def test_a_failed_build_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    videos = rows(3, n_frames=5)
    for video in videos:
        (tmp_path / video.video_id).touch()
    videos = [Video(v.index, v.video_id, str(tmp_path / v.video_id), 5, 25.0, 0.2, (8, 8)) for v in videos]
    with pytest.raises(KeyboardInterrupt):
        open_cache(PatternReader(), videos, SIZES[:1], tmp_path / "cache", stop, workers=1)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def _patterns(folder: Path, n_videos: int = 3) -> list[Video]:
    found = []
    for video in rows(n_videos, n_frames=5):
        (folder / video.video_id).touch()
        found.append(Video(video.index, video.video_id, str(folder / video.video_id), 5, 25.0, 0.2, (8, 8)))
    return found


def test_what_killed_builds_left_is_removed(tmp_path: Path) -> None:
    folder, videos = tmp_path / "cache", _patterns(tmp_path)
    own = cache_module._key(PatternReader(), videos, SIZES[0])
    gone, building = "8x8-pad-0123", "8x8-pad-4567"
    left = {name: folder / f"{name}.a_8bcdef" for name in (own, gone, building)}
    for torn in left.values():
        torn.mkdir(parents=True)
        (torn / "frames.u8").write_bytes(b"half")
    (folder / "8x8-pad-89ab").mkdir()
    with FileLock(folder / f"{building}.lock"):
        open_cache(PatternReader(), videos, SIZES[:1], folder, workers=1)
    found = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert found == sorted([own, "8x8-pad-89ab", left[building].name]), "what another process is building stays"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(handle: int, start: int, size: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", full)
    n_bytes = 3 * 5 * 16 * 24 * 3
    with pytest.raises(DataError, match=rf"/cache: .* takes {n_bytes} bytes .*loader\.cache=never"):
        open_cache(PatternReader(), _patterns(tmp_path), SIZES[:1], tmp_path / "cache", workers=1)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_full_disk_at_the_end_is_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(value: object, handle: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_module.json, "dump", full)
    with pytest.raises(DataError, match=r"loader\.cache=never"):
        open_cache(PatternReader(), _patterns(tmp_path), SIZES[:1], tmp_path / "cache", workers=1)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_disk_without_reservations_is_used_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(handle: int, start: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    videos = _patterns(tmp_path)
    cached, view = (
        open_cache(PatternReader(), videos, SIZES[:1], tmp_path / "cache", workers=1),
        View(np.arange(5), *SIZES[0]),
    )
    np.testing.assert_array_equal(cached(videos[1], [view])[0], PatternReader()(videos[1], [view])[0])


class _SurprisingReader(PatternReader):
    """Raises what no reader should at one video."""

    def __call__(self, video: Video, views: Sequence[View]) -> list[np.ndarray]:
        if video.index == 1:
            raise ValueError(f"broken PNG in {video.source}")
        return super().__call__(video, views)


def test_a_surprise_over_one_video_is_its_reason(tmp_path: Path) -> None:
    videos, view = _patterns(tmp_path), View(np.arange(5), *SIZES[0])
    cached = open_cache(_SurprisingReader(), videos, SIZES[:1], tmp_path / "cache", workers=1)
    with pytest.raises(ClipError, match=r"^v001\.mp4: reading it raised ValueError: broken PNG in v001\.mp4$"):
        cached(videos[1], [view])
    np.testing.assert_array_equal(cached(videos[2], [view])[0], PatternReader()(videos[2], [view])[0])


def test_estimate_is_what_it_takes(tmp_path: Path) -> None:
    reader, videos = _set(tmp_path)
    open_cache(reader, videos, SIZES, tmp_path / "cache")
    taken = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("frames.u8"))
    assert estimate_bytes(videos, [*SIZES, SIZES[0]]) == taken == (20 + 9 + 30) * (16 * 24 + 12 * 12) * 3
