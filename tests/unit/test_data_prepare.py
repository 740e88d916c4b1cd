"""Training copies: the same frames at the same times, upright, small, and nothing else touched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from support.damage import natural_scene, overwrite_packets, packet_places, turned_video, write_sound
from support.videos import decode_all, pictures, write_video

import vssl_core.data.prepare as prepare_module
from vssl_core.contracts import View
from vssl_core.data.origins import ORIGINS
from vssl_core.data.prepare import CODECS, Prepared, prepare, prepared_path
from vssl_core.data.probe import Probe, probe
from vssl_core.data.reader import read_views
from vssl_core.data.scan import build_index
from vssl_core.errors import ConfigError, DataError

N_FRAMES = 30
#: what ``prepare`` keeps beside copies
NOTES = {".prepared.json", ".prepared.lock", ".prepared-from.json", ORIGINS}
UNEVEN = (100 + np.cumsum(np.random.default_rng(0).integers(1, 9, N_FRAMES))).tolist()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("source")
    scene = natural_scene(N_FRAMES, 144, 190)
    b_frames = {"bf": "3", "g": "30", "crf": "8"}
    write_video(root / "wide.mp4", scene, options=b_frames)
    write_video(root / "deep" / "tall ü.mkv", natural_scene(12, 170, 96, seed=1), options=b_frames)
    write_video(root / "deep" / "uneven.mp4", scene[:, :96, :128], pts=UNEVEN, time_base=Fraction(1, 1000))
    write_video(root / "small.mp4", pictures(6, 32, 46))
    write_video(root / "aspect.mp4", scene[:8, :96, :96], pixel_aspect=Fraction(3, 2))
    write_video(root / "untimed.avi", scene[:20, :96, :128], codec="mpeg4", options={"bf": "2", "g": "12"})
    turned_video(root / "turned.mp4", scene[:6, :96, :128], (0, 1, -1, 0))
    return root


NAMES = [
    "wide.mp4",
    "deep/tall ü.mkv",
    "deep/uneven.mp4",
    "small.mp4",
    "aspect.mp4",
    "untimed.avi",
    "turned.mp4",
]
#: height and width of the copies at short side 80
SIZES = {
    "wide.mp4": (80, 106),
    "deep/tall ü.mkv": (142, 80),
    "deep/uneven.mp4": (80, 106),
    "small.mp4": (32, 46),
    "aspect.mp4": (80, 120),
    "untimed.avi": (80, 106),
    "turned.mp4": (106, 80),
}


def _state(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in NOTES
    }


def _prepare(source: Path, paths: Sequence[str], destination: Path, **options: Any) -> Prepared:
    return prepare(source, paths, destination, **{"short_side": 80, "workers": 1, **options})


@pytest.fixture(scope="module", params=sorted(CODECS))
def copies(request: pytest.FixtureRequest, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    destination = tmp_path_factory.mktemp("copies") / "set"
    before = _state(source)
    ticks: list[tuple[int, int]] = []
    done = _prepare(source, NAMES, destination, codec=request.param, progress=lambda *at: ticks.append(at))
    assert _state(source) == before, "the source is only read"
    assert ticks == [(at, len(NAMES)) for at in range(1, len(NAMES) + 1)]
    return request.param, destination, done


def test_every_video_has_its_copy_and_nothing_else_is_left(copies: Any, source: Path) -> None:
    codec, destination, done = copies
    targets = [prepared_path(name, codec) for name in NAMES]
    assert done.written == tuple(targets)
    assert (done.known, done.failed) == ((), {})
    assert sorted(_state(destination)) == sorted(targets)
    assert done.bytes_before == sum((source / name).stat().st_size for name in NAMES)
    assert done.bytes_after == sum((destination / target).stat().st_size for target in targets)
    assert (destination / targets[0]).stat().st_mode & 0o777 == 0o644, "readable by those who share the folder"


@pytest.mark.parametrize("name", NAMES)
def test_frames_and_times_stay(name: str, copies: Any, source: Path) -> None:
    codec, destination, _ = copies
    path = destination / prepared_path(name, codec)
    before, after = probe(str(source / name)), probe(str(path), check="decode")
    assert after.damage == ""
    assert after.table.n_frames == before.table.n_frames
    assert after.size == SIZES[name]
    assert (after.table.rotation, after.table.mirrored, after.table.pixel_aspect) == (0, False, 1)
    assert not after.has_audio
    with av.open(str(source / name)) as old, av.open(str(path)) as new:
        old_base, new_base = (float(one.streams.video[0].time_base or 0) for one in (old, new))
        assert not new.streams.video[0].codec_context.has_b_frames
    times = (after.table.pts - after.table.pts[0]) * new_base
    if len(before.table.pts):
        expected = (before.table.pts - before.table.pts[0]) * old_base
    else:
        expected = np.arange(before.table.n_frames) / before.fps
    np.testing.assert_allclose(times, expected, atol=1e-3)
    assert after.varies == (name == "deep/uneven.mp4")
    assert after.fps == pytest.approx(before.fps, rel=1e-3)
    keys = np.searchsorted(after.table.pts, after.table.key_pts)
    assert np.diff([*keys, after.table.n_frames]).max() <= (1 if codec == "mjpeg" else 12)


def _reference(path: Path, size: tuple[int, int]) -> np.ndarray:
    """The original's frames, each averaged over areas to the copy's size."""
    how = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return np.stack([f.reformat(size[1], size[0], "rgb24", interpolation=how).to_ndarray() for f in frames])


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - other).mean()))


@pytest.mark.parametrize("name", ["wide.mp4", "deep/tall ü.mkv", "deep/uneven.mp4", "aspect.mp4", "turned.mp4"])
def test_pictures_are_those_of_the_original(name: str, copies: Any, source: Path) -> None:
    codec, destination, _ = copies
    height, width = SIZES[name]
    if name == "turned.mp4":
        expected = np.rot90(_reference(source / name, (width, height)), -1, axes=(1, 2))
    else:
        expected = _reference(source / name, (height, width))
    copied = decode_all(destination / prepared_path(name, codec))
    assert copied.shape == expected.shape
    assert _psnr(copied, expected) >= 35
    # Each is its own frame, not its neighbour's.
    assert all(_psnr(copied[at], expected[at]) > _psnr(copied[at], expected[at - 1]) for at in range(1, len(copied)))


def test_copies_are_read_like_any_video(copies: Any) -> None:
    codec, destination, _ = copies
    path = destination / prepared_path("wide.mp4", codec)
    whole = decode_all(path)
    wanted = np.array([29, 3, 3, 17])
    np.testing.assert_array_equal(read_views(str(path), [View(wanted, (80, 106))])[0], whole[wanted])


def test_what_is_there_is_left_alone(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["small.mp4", "turned.mp4"]
    first = _prepare(source, names, tmp_path / "set")
    before = _state(tmp_path / "set")
    (tmp_path / "set" / "turned.mp4").unlink()
    second = _prepare(source, names, tmp_path / "set")
    assert (second.written, second.known) == (("turned.mp4",), ("small.mp4",))
    after = _state(tmp_path / "set")
    assert after["small.mp4"] == before["small.mp4"]
    assert after["turned.mp4"][1] == before["turned.mp4"][1], "the same command gives the same bytes"
    assert second.bytes_after == first.bytes_after
    monkeypatch.setattr(prepare_module, "_encode", lambda *_: pytest.fail("a copy was written again"))
    third = _prepare(source, names, tmp_path / "set")
    assert (third.written, third.known) == ((), tuple(names))


def test_a_changed_original_is_copied_again(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "source"
    root.mkdir()
    shutil.copy(source / "small.mp4", root / "small.mp4")
    _prepare(root, ["small.mp4"], tmp_path / "set")
    write_video(root / "small.mp4", pictures(9, 32, 46))
    later = (tmp_path / "set" / "small.mp4").stat().st_mtime_ns + 10**9
    os.utime(root / "small.mp4", ns=(later, later))
    again = _prepare(root, ["small.mp4"], tmp_path / "set")
    assert (again.written, again.known) == (("small.mp4",), ())
    assert probe(str(tmp_path / "set" / "small.mp4")).table.n_frames == 9


@pytest.mark.parametrize("later_s", [-3600, 0])
def test_an_original_replaced_by_an_older_file_is_copied_again(source: Path, tmp_path: Path, later_s: int) -> None:
    """As unpacking an archive or restoring a backup does."""
    root = tmp_path / "source"
    root.mkdir()
    shutil.copy(source / "small.mp4", root / "small.mp4")
    _prepare(root, ["small.mp4"], tmp_path / "set")
    older = (root / "small.mp4").stat().st_mtime_ns + later_s * 10**9
    write_video(root / "small.mp4", pictures(9, 32, 46))
    os.utime(root / "small.mp4", ns=(older, older))
    again = _prepare(root, ["small.mp4"], tmp_path / "set")
    assert (again.written, again.known) == (("small.mp4",), ())
    assert probe(str(tmp_path / "set" / "small.mp4")).table.n_frames == 9
    assert json.loads((tmp_path / "set" / ORIGINS).read_text()) == {"small.mp4": _hash(root / "small.mp4")}


def _hash(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def test_what_copies_were_made_of_is_noted(source: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    _prepare(source, ["deep/tall ü.mkv", "absent.mp4"], tmp_path / "set")
    _prepare(source, ["small.mp4"], tmp_path / "set")
    expected = {"deep/tall ü.mkv.mp4": _hash(source / "deep/tall ü.mkv"), "small.mp4": _hash(source / "small.mp4")}
    assert json.loads((tmp_path / "set" / ORIGINS).read_text(encoding="utf-8")) == expected
    index = build_index(tmp_path / "set", list(expected), cache_file=tmp_path / "a.index", workers=1)
    assert {name: index[name].origin_hash for name in index} == expected
    # A copy of a copy is of the first original still.
    _prepare(tmp_path / "set", list(expected), tmp_path / "smaller", short_side=32)
    assert json.loads((tmp_path / "smaller" / ORIGINS).read_text(encoding="utf-8")) == expected


def test_copies_of_former_versions_get_their_originals_noted(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _prepare(source, ["small.mp4", "turned.mp4"], tmp_path / "set")
    noted = (tmp_path / "set" / ORIGINS).read_bytes()
    for name in (ORIGINS, ".prepared-from.json"):
        (tmp_path / "set" / name).unlink()
    monkeypatch.setattr(prepare_module, "_encode", lambda *_: pytest.fail("a copy was written again"))
    again = _prepare(source, ["small.mp4", "turned.mp4"], tmp_path / "set")
    assert (again.written, again.known, again.failed) == ((), ("small.mp4", "turned.mp4"), {})
    assert (tmp_path / "set" / ORIGINS).read_bytes() == noted


def test_copies_outlive_their_originals(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "source")
    _prepare(tmp_path / "source", ["small.mp4"], tmp_path / "set")
    (tmp_path / "source" / "small.mp4").unlink()
    again = _prepare(tmp_path / "source", ["small.mp4"], tmp_path / "set")
    assert (again.known, again.failed) == (("small.mp4",), {})


def test_two_at_once_do_not_harm_one_another(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = prepare_module._encode

    def slow(place: str, target: str, *options: Any) -> None:
        real(place, target, *options)
        with (tmp_path / "calls").open("ab") as handle:
            handle.write(b".")
        time.sleep(0.5)

    monkeypatch.setattr(prepare_module, "_encode", slow)
    names = ["small.mp4", "turned.mp4"]
    done: list[Prepared] = []
    threads = [
        threading.Thread(target=lambda: done.append(_prepare(source, names, tmp_path / "set"))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((one.written, one.known, one.failed) for one in done) == [
        ((), tuple(names), {}),
        (tuple(names), (), {}),
    ]
    assert len((tmp_path / "calls").read_bytes()) == 2, "each was encoded once"


def test_only_what_is_torn_of_these_copies_is_removed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    torn, other = ".small.mp4.ab1_9zzz.mp4", ".small.mp4.webm.ab1_9zzz.mp4"
    for name in (torn, other, ".small.mp4.txt"):
        (tmp_path / "set" / name).touch()
    _prepare(source, ["small.mp4"], tmp_path / "set")
    assert sorted(_state(tmp_path / "set")) == [".small.mp4.txt", other, "small.mp4"]


def test_copies_of_two_kinds_never_share_a_folder(source: Path, tmp_path: Path) -> None:
    prepare(source, ["small.mp4"], tmp_path / "set", short_side=32, codec="h264", workers=1)
    for other in ({"short_side": 16, "codec": "h264"}, {"short_side": 32, "codec": "mjpeg"}):
        with pytest.raises(DataError, match=r"holds copies made with short_side=32, codec=h264, not .*another folder"):
            prepare(source, ["turned.mp4"], tmp_path / "set", workers=1, **other)  # type: ignore[arg-type]
    assert not (tmp_path / "set" / "turned.mp4").exists()


def test_a_stopped_copy_is_no_copy(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies over a file leaves nothing that looks like its copy, and is named."""

    def half(place: str, target: str, *_: Any) -> None:
        Path(target).write_bytes(b"half a copy")
        os._exit(7)

    with monkeypatch.context() as patched:
        patched.setattr(prepare_module, "_encode", half)
        done = _prepare(source, ["small.mp4"], tmp_path / "set")
    assert done.failed == {"small.mp4": "reading it ended the process (exit code 7)"}
    assert not (tmp_path / "set" / "small.mp4").exists()
    assert _prepare(source, ["small.mp4"], tmp_path / "set").written == ("small.mp4",)
    assert sorted(_state(tmp_path / "set")) == ["small.mp4"], "what the dead process left is cleared away"


def test_an_interrupted_copy_clears_up(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(place: str, target: str, *_: Any) -> None:
        Path(target).write_bytes(b"half a copy")
        raise OSError("no space left on device")

    monkeypatch.setattr(prepare_module, "_encode", failing)
    with pytest.raises(OSError, match="no space left"):
        _prepare(source, ["small.mp4"], tmp_path / "set")
    assert {path.name for path in (tmp_path / "set").iterdir()} <= NOTES


def _damaged(root: Path) -> dict[str, Path]:
    scene = natural_scene(N_FRAMES, 48, 64)
    options = {"g": "12", "bf": "0"}
    files = {
        name: root / f"{name}.mp4" for name in ("flipped", "first", "empty", "text", "sound", "cut", "end", "head")
    }
    for name in ("flipped", "first", "head"):
        write_video(files[name], scene, options=options)
    for name in ("cut", "end"):
        write_video(files[name], scene, options=options, container_options={"movflags": "faststart"})
    overwrite_packets(files["flipped"], range(14, 18))
    overwrite_packets(files["first"], [0])
    files["empty"].touch()
    files["text"].write_text("no video")
    write_sound(files["sound"])
    # Truncated within a frame, between two, and within the table that stands at the end.
    pos, size = packet_places(files["cut"])[20]
    files["cut"].write_bytes(files["cut"].read_bytes()[: pos + size // 2])
    files["end"].write_bytes(files["end"].read_bytes()[: pos + size])
    files["head"].write_bytes(files["head"].read_bytes()[:-200])
    return files


def test_damaged_videos_are_named_and_leave_no_copy(tmp_path: Path) -> None:
    files = _damaged(tmp_path / "source")
    write_video(tmp_path / "source" / "whole.mp4", pictures(6))
    before = _state(tmp_path / "source")
    paths = [*(path.name for path in files.values()), "absent.mp4", "whole.mp4"]
    done = _prepare(tmp_path / "source", paths, tmp_path / "set")
    assert sorted(done.failed) == sorted(path for path in paths if path != "whole.mp4")
    for path, reason in done.failed.items():
        assert reason.startswith(f"{path}: "), "a reason names the file, and no folder of this machine"
    assert sorted(_state(tmp_path / "set")) == ["whole.mp4"]
    assert done.written == ("whole.mp4",)
    assert done.bytes_before == (tmp_path / "source" / "whole.mp4").stat().st_size
    assert _state(tmp_path / "source") == before


def test_a_file_that_grows_under_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted first and decoded then: a copy of other frames than were counted is none."""
    write_video(tmp_path / "source" / "a.mp4", pictures(6))
    real = probe

    def growing(source: str, **options: Any) -> Probe:
        found = real(source, **options)
        write_video(tmp_path / "source" / "a.mp4", pictures(9))
        return found

    monkeypatch.setattr(prepare_module, "probe", growing)
    done = _prepare(tmp_path / "source", ["a.mp4"], tmp_path / "set")
    assert done.failed == {"a.mp4": "a.mp4: it decodes to more than its 6 frames"}
    assert {path.name for path in (tmp_path / "set").iterdir()} <= NOTES


def test_destinations_that_mix_copies_and_originals_are_refused(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "above" / "source"
    shutil.copytree(source, root)
    (tmp_path / "link").symlink_to(root)
    before = _state(tmp_path)
    for destination in (root, root / "copies", root / "deep", root / "x" / ".." / "copies", tmp_path / "link" / "c"):
        with pytest.raises(DataError, match="choose another folder"):
            _prepare(root, ["small.mp4"], destination)
    assert _state(tmp_path) == before


def test_a_destination_above_the_source_is_refused(tmp_path: Path) -> None:
    """The copy of one file would lie where an original is, or among the originals."""
    write_video(tmp_path / "set" / "set" / "a.mp4", pictures(3))
    before = _state(tmp_path)
    with pytest.raises(DataError, match="choose another folder"):
        _prepare(tmp_path / "set", ["set/a.mp4"], tmp_path)
    assert _state(tmp_path) == before


def test_options_that_cannot_be(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="codec='av1' is not one of 'h264', 'mjpeg'"):
        _prepare(source, ["small.mp4"], tmp_path / "set", codec="av1")
    for short_side in (81, 14, 0, -2):
        with pytest.raises(ConfigError, match=f"short_side={short_side} must be even and at least 16"):
            _prepare(source, ["small.mp4"], tmp_path / "set", short_side=short_side)
    with pytest.raises(DataError, match=r"copies of 'a\.avi\.mp4' and 'a\.avi' would have one name"):
        _prepare(source, ["a.avi.mp4", "a.avi"], tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_two_videos_that_differ_in_their_ending_have_two_copies() -> None:
    names = ["a.avi", "a.mp4", "a.MP4", "a.mov", "b/a.mp4"]
    for codec in CODECS:
        assert len({prepared_path(name, codec) for name in names}) == len(names)
    assert prepared_path("b/a.mp4", "h264") == "b/a.mp4"
    assert prepared_path("b/a.mp4", "mjpeg") == "b/a.mp4.mov"
