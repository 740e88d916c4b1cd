"""The speed measurements run at their smallest, and say what was left out. Their figures mean nothing here."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from support.videos import decode_all, pictures, write_video

FOLDER = Path(__file__).parents[2] / "benchmarks" / "speed"


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a script by its path: its folder is no package. The modules beside it are found as when it is run."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    spec = importlib.util.spec_from_file_location(f"speed_{name}", FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    for beside in {path.stem for path in FOLDER.glob("*.py")} & (set(sys.modules) - before):
        # Undone after the test: their names are too common to stay.
        monkeypatch.setitem(sys.modules, beside, sys.modules.pop(beside))
    return module


SMALLEST_BATCH = ["--batch=2", "--frames=2", "--height=20", "--width=24", "--size=16", "--repeats=2"]


@pytest.mark.parametrize("with_kornia", [True, False])
def test_augment(with_kornia: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With kornia where it is installed, and as if it were not."""
    if not with_kornia:
        monkeypatch.setitem(sys.modules, "kornia.augmentation", None)
        monkeypatch.setitem(sys.modules, "kornia", None)
    peers = {"torchvision"} | ({"kornia"} if with_kornia and importlib.util.find_spec("kornia") else set())
    script = load("augment", monkeypatch)
    done = CliRunner().invoke(script.main, [*SMALLEST_BATCH, "--json", str(tmp_path / "augment.json")])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "augment.json").read_text(encoding="utf-8"))
    assert set(report["ratios"]) == set(report["cpu_ratios"]) == peers
    for name in peers:
        assert report["ratios"][name] == report[f"{name}_s"] / report["ours_s"] > 0
    assert report["setup"]["frames"] == 2
    assert "2 clips of 2 frames, 20x24 -> 16x16, cpu, 1 thread(s)" in done.output
    if "kornia" not in peers:
        assert report["kornia_s"] is None
        assert "pip install 'vssl[speed]'" in done.output
    printed = CliRunner().invoke(script.main, [*SMALLEST_BATCH, "--json"])
    assert set(json.loads(printed.stdout)) == set(report)


def test_augment_times_nothing_but_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    script = load("augment", monkeypatch)
    monkeypatch.setattr(script, "make_ours", lambda setup: lambda video, seeds: video)
    done = CliRunner().invoke(script.main, SMALLEST_BATCH)
    assert done.exit_code == 1
    assert "expected contiguous float32 (2, 3, 2, 16, 16)" in done.output
    monkeypatch.setattr(script.torch.cuda, "is_available", lambda: False)
    with pytest.raises(click.ClickException, match="torch finds no GPU here; use --device cpu"):
        script.main.main(["--device", "cuda"], standalone_mode=False)


LIBRARIES = {"torchcodec": "torchcodec.decoders", "decord": "decord", "OpenCV": "cv2"}
SHORT_CLIPS = ["--length=14", "--frames=3", "--stride=2", "--rounds=1"]


def without_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what may be installed: the smoke tests are the same everywhere."""
    for module in LIBRARIES.values():
        monkeypatch.setitem(sys.modules, module, None)


def fake_decord(*, late: int = 0, brighter: int = 0) -> Any:
    """A library that returns later frames, or other values than PyAV does."""

    class VideoReader:
        def __init__(self, path: str, num_threads: int, height: int = 0, width: int = 0) -> None:
            assert num_threads == 1
            self.frames = decode_all(Path(path))
            self.size = (height, width)

        def get_batch(self, wanted: Sequence[int]) -> Any:
            frames = self.frames[[min(frame + late, len(self.frames) - 1) for frame in wanted]]
            frames = np.minimum(frames, 255 - brighter) + np.uint8(brighter)
            if self.size[0]:
                # Nearest neighbours: too coarse to count.
                rows, columns = (
                    np.arange(to) * was // to for to, was in zip(self.size, frames.shape[1:3], strict=True)
                )
                frames = frames[:, rows][:, :, columns]
            return SimpleNamespace(asnumpy=lambda: frames)

    module: Any = ModuleType("decord")
    module.VideoReader, module.__version__ = VideoReader, "9"
    return module


@pytest.fixture
def footage(tmp_path: Path) -> str:
    """Something to encode, as an option."""
    rng = np.random.default_rng(0)
    # Grey: sharp edges of colour would not survive 4:2:0.
    ground = rng.integers(0, 256, (16, 40, 1)).repeat(8, axis=0).repeat(8, axis=1).repeat(3, axis=2).astype(np.uint8)
    frames = np.stack([ground[:, at * 6 : at * 6 + 192] for at in range(15)])
    return f"--source={write_video(tmp_path / 'footage.mp4', frames, options={'crf': '10'})}"


def test_decode(footage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without any library against PyAV; clips are kept and used again."""
    without_libraries(monkeypatch)
    script = load("decode", monkeypatch)
    work = tmp_path / "work"
    options = [*SHORT_CLIPS, footage, "--clips=2", "--only=xvid", f"--work={work}"]
    done = CliRunner().invoke(script.main, [*options, "--json", str(tmp_path / "decode.json")])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "decode.json").read_text(encoding="utf-8"))
    assert set(report["left_out"]) == set(LIBRARIES)
    assert done.output.count("pip install 'vssl[speed]'") == len(LIBRARIES)
    assert report["source"] == "footage.mp4"
    assert report["bit_equal"]
    assert "at full size: bit-equal to decoding the whole file" in done.output
    races = report["files"]["xvid"]
    assert "-c:v mpeg4 -tag:v XVID -threads 1 -b 900k" in races["command"]
    statistic = report["statistic"]
    for race, group in (("full", "full"), ("small", "small"), ("prepared", "prepared"), ("prepared", "prepared_copy")):
        contestants = races[race]["contestants"]
        fastest = races[race]["fastest"][group][statistic]
        assert fastest.startswith("PyAV seek")
        ratio = contestants[fastest][f"{statistic}_s"] / contestants["vssl"][f"{statistic}_s"]
        assert report[group] == pytest.approx(ratio)
        assert report[group] > 0
    assert races["small"]["size"] == [112, 149]
    assert races["prepared"]["size"] == [128, 170]
    clip = work / "clips" / "xvid.avi"
    made = clip.stat().st_mtime_ns
    printed = CliRunner().invoke(script.main, [*options, "--json"])
    assert set(json.loads(printed.stdout)) == set(report)
    assert clip.stat().st_mtime_ns == made


@pytest.mark.parametrize(
    ("decord", "why", "differs"),
    [
        (fake_decord(brighter=2), "", 2),
        (fake_decord(late=1), "6 of 6 frames are not those asked for", None),
        (SimpleNamespace(__version__="9"), "fails: AttributeError", None),
    ],
)
def test_decode_counts_only_peers_that_are_right(
    decord: Any, why: str, differs: int | None, footage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_libraries(monkeypatch)
    monkeypatch.setitem(sys.modules, "decord", decord)
    script = load("decode", monkeypatch)
    done = CliRunner().invoke(script.main, [*SHORT_CLIPS, footage, "--clips=2", "--only=xvid", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    full, small = (report["files"]["xvid"][race]["contestants"] for race in ("full", "small"))
    assert full["decord seek"]["why"].startswith(why)
    assert bool(full["decord seek"]["why"]) == bool(why)
    assert ("decord seek, decoder" in small) == (not why)
    if why:
        assert report["files"]["xvid"]["full"]["fastest"]["full"]["median_cpu"] == "PyAV seek"
    else:
        assert full["decord seek"]["max_difference"] == differs
        assert small["decord seek, decoder"]["why"] == "below 35 dB"
        assert report["files"]["xvid"]["small"]["fastest"]["small"]["median_cpu"].startswith("PyAV")


def test_decode_says_what_it_cannot_use(footage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = load("decode", monkeypatch)
    with pytest.raises(click.ClickException, match="it holds 15 of 99 frames; give another --source"):
        script.main.main([footage, "--only=xvid", "--length=99"], standalone_mode=False)
    with pytest.raises(click.ClickException, match="--length 20: a clip reaches over 61 frames"):
        script.main.main([footage, "--length=20"], standalone_mode=False)


def test_loader(footage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_libraries(monkeypatch)
    script = load("loader", monkeypatch)
    options = [*SHORT_CLIPS, footage, "--files=4", "--batch=2", "--workers=1", "--epochs=1"]
    with pytest.raises(click.ClickException, match="--files 4 is not a multiple of --batch 3"):
        script.main.main([*options, "--batch=3"], standalone_mode=False)
    done = CliRunner().invoke(script.main, [*options, "--json", str(tmp_path / "loader.json")])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "loader.json").read_text(encoding="utf-8"))
    rates = {name: entry["clips_per_s"] for name, entry in report["contestants"].items()}
    assert set(rates) == {"vssl", "PyAV, full size", "PyAV, short side 128"}
    fastest = max(rate for name, rate in rates.items() if name != "vssl")
    assert report["ratio"] == pytest.approx(rates["vssl"] / fastest)
    assert report["read_size"] == [128, 170]
    assert "torchcodec was left out" in done.output
    assert "decord" not in done.output


def test_loaders_are_given_the_same_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    from vssl_core.contracts import Video
    from vssl_core.data.loader import Loader
    from vssl_core.data.plan import OneClip

    load("loader", monkeypatch)
    peer = importlib.import_module("loader_peer")
    videos = [Video(at, f"v{at}", f"v{at}.mp4", 100, 25.0, 4.0, (8, 8)) for at in range(6)]
    planner = OneClip("speed", 4, 2, (8, 8), "stretch", "error")
    read: list[tuple[str, list[int]]] = []

    def note(video: Video, views: Sequence[Any]) -> list[np.ndarray]:
        read.append((video.video_id, views[0].frames.tolist()))
        return [np.zeros((4, 8, 8, 3), dtype=np.uint8)]

    list(Loader(videos, planner, note, batch_size=2, seed=3, workers=0).batches(3, 9))
    ours, read = sorted(read), []

    def reader(library: str, file: Any, **options: Any) -> Any:
        return lambda frames: (read.append((file, frames.tolist())), np.zeros((4, 8, 8, 3), dtype=np.uint8))[1]

    monkeypatch.setattr(peer, "make_reader", reader)
    files = [video.video_id for video in videos]
    loader = peer.PeerLoader(videos, files, planner, "PyAV", batch_size=2, workers=0, seed=3, size=4, read_size=None)
    assert [tuple(batch.shape) for batch in loader.batches(range(1, 3))] == [(2, 3, 4, 4, 4)] * 6
    assert len(ours) == 12
    assert sorted(read) == ours


def test_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Medians of rounds and best rounds, of known times."""
    load("decode", monkeypatch)
    timing = importlib.import_module("timing")
    cpu_s = np.array([[1.0, 5.0], [2.0, 3.0], [9.0, 4.0]])
    times = timing.Times(cpu_s * 10, cpu_s)
    assert times.seconds("median_cpu") == 3.0
    assert times.seconds("best_cpu") == 2.0
    assert times.seconds("median_wall") == 30.0
    assert times.spread() == pytest.approx((4.75 - 2.75) / 3)
    assert timing.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    called: dict[str, list[int]] = {"a": [], "b": []}
    clock = iter(np.arange(100) * 1.0)
    taken = timing.take_turns(
        {name: calls.append for name, calls in called.items()},
        items=2,
        rounds=3,
        seed=0,
        cpu_clock=lambda: float(next(clock)),
    )
    assert called == {"a": [0, 1] * 4, "b": [0, 1] * 4}
    assert taken["a"].cpu_s.tolist() == [[1.0, 1.0]] * 3


def test_reference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    load("decode", monkeypatch)
    reference = importlib.import_module("reference")
    frames = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
    halved = frames.reshape(2, 3, 2, 3, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(reference.area_resize(frames, 3, 3), halved, atol=0.51)
    row = np.array([0, 90, 30], dtype=np.uint8).reshape(1, 1, 3, 1).repeat(3, axis=3)
    # A pixel and a half each.
    assert reference.area_resize(row, 1, 2)[0, 0, :, 0].tolist() == [30, 50]
    assert reference.psnr([frames], [frames]) == 100.0
    assert reference.psnr([np.zeros_like(frames)], [np.full_like(frames, 255)]) == 0.0
    assert reference.max_difference(np.array([3, 250], dtype=np.uint8), np.array([7, 10], dtype=np.uint8)) == 240
    path = write_video(tmp_path / "a.mp4", pictures(12))
    whole, wanted = decode_all(path), np.array([2, 5])
    found = reference.decode_whole(path, {2, 5})
    np.testing.assert_array_equal(found.clip(wanted), whole[wanted])
    assert reference.wrong_frames(found, wanted, whole[wanted]) == 0
    assert reference.wrong_frames(found, wanted, np.minimum(whole[wanted], 253) + np.uint8(2)) == 0
    assert reference.wrong_frames(found, wanted, whole[[2, 6]]) == 1
    assert reference.wrong_frames(found, wanted, whole[wanted] * 0) == 2


def test_clips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    load("decode", monkeypatch)
    clips = importlib.import_module("clips")
    first, again = (np.stack(list(clips.scene(3, height=48, width=64))) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (3, 48, 64, 3)
    differences = np.abs(first[1:].astype(int) - first[:-1]).mean(axis=(1, 2, 3))
    assert (differences > 4).all(), "it moves"
    monkeypatch.setattr(clips, "scene", lambda frames: [pictures(1)[0]] * frames)
    path = clips.make_clips(tmp_path, ["h264-gop30"], source=None, frames=34)["h264-gop30"]
    from vssl_core.data.probe import probe

    found = probe(str(path))
    assert (found.size, found.codec, found.table.n_frames, round(found.fps)) == ((256, 340), "h264", 34, 30)
    step = found.table.pts[1]
    assert found.table.key_pts.tolist() == [0, 30 * step]
    monkeypatch.setenv("VSSL_REALDATA", str(tmp_path))
    assert clips.default_source() is None


def test_torchcodec_is_given_our_frame_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from vssl_core.data.probe import probe

    load("decode", monkeypatch)
    peers = importlib.import_module("peers")
    path = write_video(
        tmp_path / "a.mp4", pictures(4), pts=[0, 3, 4, 9], options={"g": "2", "bf": "0", "sc_threshold": "0"}
    )
    made: list[dict[str, Any]] = []
    fake = SimpleNamespace(VideoDecoder=lambda path, **options: made.append(options))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", fake)
    file = peers.File(path, probe(str(path)).table)
    with pytest.raises(AttributeError):
        peers.make_reader("torchcodec", file, mode="mappings")(np.array([1]))
    assert made[0]["num_ffmpeg_threads"] == 1
    assert "seek_mode" not in made[0]
    frames = json.loads(made[0]["custom_frame_mappings"])["frames"]
    tick = file.table.pts[1] // 3
    assert [frame["pts"] // tick for frame in frames] == [0, 3, 4, 9]
    assert [frame["duration"] // tick for frame in frames] == [3, 1, 5, 5]
    assert [frame["key_frame"] for frame in frames] == [1, 0, 1, 0]
