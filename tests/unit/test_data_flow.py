"""Optical flow: handed over in the place of frames, the same bits whoever computes it, and kept within bounds."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from support.videos import pictures, write_video

import vssl_core.data.flow_cache as cache_module
import vssl_motion.plugin
from vssl_core.contracts import Batch, Video, View
from vssl_core.data.cache import open_cache
from vssl_core.data.flow import compute_flow, with_flow
from vssl_core.data.flow_cache import LIMIT_VARIABLE, FlowCache, default_cache
from vssl_core.data.loader import Loader
from vssl_core.data.reader import FileReader
from vssl_core.data.scan import build_index
from vssl_core.errors import ConfigError, DataError, PluginError
from vssl_core.testing import FakeReader, check_flow, fake_videos, isolated_registry
from vssl_core.testing.expect import ConformanceError

SIZE = (20, 24)


@dataclass(frozen=True)
class Differences:
    """A provider: how much brighter and redder each pixel becomes. Notes in a file how many pairs it computed."""

    notes: str = ""
    version: str = "1"
    name = "differences"

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        if self.notes:
            with Path(self.notes).open("a") as file:
                file.write("." * (len(frames) - 1))
        values = frames.astype(np.float32)
        return np.stack([np.diff(values.mean(axis=3), axis=0), np.diff(values[..., 0], axis=0)], axis=-1) / 7

    def count(self) -> int:
        return len(Path(self.notes).read_text()) if Path(self.notes).exists() else 0


@dataclass(frozen=True)
class Planner:
    """Plans frames and their flow, at a start and a distance that are drawn."""

    flow: Any
    frames: int = 5
    fit: str = "stretch"

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], dict[str, Any]]:
        step = int(rng.integers(1, 3))
        start = int(rng.integers(0, video.n_frames - step * (self.frames - 1)))
        view = View(start + step * np.arange(self.frames), SIZE, self.fit)
        return [view, view._replace(flow=self.flow)], {"start": start}


def files(folder: Path, n: int = 3) -> tuple[FileReader, list[Video]]:
    names = [f"{at}.mp4" for at in range(n)]
    for at, name in enumerate(names):
        write_video(folder / name, pictures(16, seed=at))
    index = build_index(folder, names, cache_file=folder / "a.index")
    videos = []
    for at, name in enumerate(names):
        row = index[name]
        videos.append(Video(at, name, str(folder / name), row.n_frames, row.fps, row.duration_s, row.size))
    return FileReader(index), videos


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VSSL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    return tmp_path / "home"


def batches(reader: Any, videos: list[Video], planner: Planner, *, workers: int = 0, n: int = 6) -> list[Batch]:
    loader = Loader(videos, planner, reader, batch_size=2, seed=3, workers=workers)
    try:
        return list(loader.batches(0, n))
    finally:
        loader.close()


# ------------------------------------------------------------------------------------------ handing over


def test_a_view_of_flow_holds_the_flow_of_its_frames(tmp_path: Path, home: Path) -> None:
    reader, videos = files(tmp_path)
    provider = Differences()
    for batch in batches(reader, videos, Planner(provider)):
        rgb, flow = batch.views
        assert rgb.dtype == torch.uint8 and rgb.shape == (2, 5, *SIZE, 3)
        assert flow.dtype == torch.float16 and flow.shape == (2, 4, *SIZE, 2)
        expected = np.stack([provider(clip) for clip in rgb.numpy()]).astype(np.float16)
        np.testing.assert_array_equal(flow.numpy(), expected)


@pytest.mark.parametrize("pixels", ["rgb", "yuv420"])
def test_fields_of_flow_do_not_count_as_frames(pixels: str, tmp_path: Path, home: Path) -> None:
    reader, videos = files(tmp_path)
    reader = reader.with_pixels(pixels)
    loader = Loader(videos, Planner(Differences()), reader, batch_size=2, seed=3, workers=0)
    n = sum(len(batch.index) for batch in loader.batches(0, 3))
    assert n == 6 and loader.frames_decoded == n * 5


def test_neither_workers_nor_the_cache_change_a_bit(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, videos = files(tmp_path)
    provider = Differences(str(tmp_path / "notes"))
    planner = Planner(provider)
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    plain = batches(reader, videos, planner)
    asked = provider.count()
    assert asked == 6 * 2 * 4
    assert not (home / "flow").exists(), "0 GiB: nothing is kept"
    monkeypatch.delenv(LIMIT_VARIABLE)
    runs = [batches(reader, videos, planner, workers=2), batches(reader, videos, planner)]
    computed = provider.count() - asked
    assert computed < 2 * asked, "what one run computed the next one finds"
    runs += [
        batches(reader, videos, planner),
        batches(open_cache(reader, videos, [(SIZE, "stretch")], home), videos, planner),
    ]
    assert provider.count() - asked == computed, "everything is there by now, for decoded frames from the cache too"
    for run in runs:
        for mine, theirs in zip(run, plain, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(mine.views, theirs.views, strict=True))


def test_yuv_frames_become_rgb_first(tmp_path: Path, home: Path) -> None:
    reader, videos = files(tmp_path, 1)
    view = View(np.arange(4), SIZE, "stretch", flow=Differences())
    yuv = reader.with_pixels("yuv420")
    cache = default_cache()
    (flow,) = with_flow(videos[0], [view], yuv(videos[0], [view]), reader=yuv, cache=cache)
    (direct,) = with_flow(videos[0], [view], reader(videos[0], [view]), reader=reader, cache=cache)
    assert flow.shape == direct.shape
    assert 0 < np.abs(flow - direct).max() < 1, "they differ by rounding, and one is not taken for the other"


def test_readers_without_names_for_content_have_nothing_kept(tmp_path: Path, home: Path) -> None:
    provider = Differences(str(tmp_path / "notes"))
    video = fake_videos(1, 30)[0]
    view = View(np.arange(4), SIZE, flow=provider)
    reader = FakeReader()
    for _ in range(2):
        with_flow(video, [view], reader(video, [view]), reader=reader, cache=default_cache())
    assert provider.count() == 6
    assert not (home / "flow").exists()


def test_flow_of_one_frame_is_refused(home: Path) -> None:
    video = fake_videos(1, 30)[0]
    with pytest.raises(DataError, match="2 or more"):
        with_flow(video, [View(np.arange(1), SIZE, flow=Differences())], [np.zeros((1, *SIZE, 3))], reader=FakeReader())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda frames: np.zeros((len(frames), *frames.shape[1:3], 2), np.float32), r"float32 \(4, .*expected.*\(3,"),
        (lambda frames: np.zeros((len(frames) - 1, *frames.shape[1:3], 2)), "float64"),
        (lambda frames: [0.0], "returned list"),
        (lambda frames: np.full((len(frames) - 1, *frames.shape[1:3], 2), np.nan, np.float32), "not finite"),
        (lambda frames: np.full((len(frames) - 1, *frames.shape[1:3], 2), 1e6, np.float32), "65504"),
    ],
)
def test_what_is_no_flow_is_refused(make: Any, message: str) -> None:
    class Wrong:
        name, version = "wrong", "1"

        def __call__(self, frames: np.ndarray) -> np.ndarray:
            flow: np.ndarray = make(frames)
            return flow

    with pytest.raises(PluginError, match=message):
        compute_flow(Wrong(), np.zeros((4, 6, 8, 3), np.uint8))


# ------------------------------------------------------------------------------------------ the cache


def values(seed: int, shape: tuple[int, int] = (6, 8)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(*shape, 2)).astype(np.float16)


def the_file(folder: Path) -> Path:
    (place,) = folder.glob("*/*.flow")
    return place


def test_slots_are_found_again_and_empty_ones_are_not(tmp_path: Path) -> None:
    cache = FlowCache(tmp_path, 1 << 30)
    assert cache.read(["a"], [0, 5], (6, 8)) == [None, None]
    cache.write(["a"], {5: values(5), 900: values(900)}, (6, 8))
    twin = pickle.loads(pickle.dumps(cache))
    found = twin.read(["a"], [0, 5, 6, 900, 901], (6, 8))
    assert [flow is not None for flow in found] == [False, True, False, True, False]
    np.testing.assert_array_equal(found[1], values(5))
    np.testing.assert_array_equal(found[3], values(900))
    assert twin.read(["b"], [5], (6, 8)) == [None], "another key is another file"


@pytest.mark.parametrize("hurt", ["first byte", "last byte", "cut short", "hash"])
def test_a_torn_slot_counts_as_empty_and_is_written_again(tmp_path: Path, hurt: str) -> None:
    cache = FlowCache(tmp_path, 1 << 30)
    cache.write(["a"], {0: values(0), 1: values(1)}, (6, 8))
    place, slot = the_file(tmp_path), 16 + 6 * 8 * 4
    content = bytearray(place.read_bytes())
    assert len(content) == 2 * slot
    if hurt == "cut short":
        content = content[:-7]
    else:
        content[slot + {"first byte": 16, "last byte": slot - 1, "hash": 3}[hurt]] ^= 0xFF
    place.write_bytes(content)
    whole, torn = cache.read(["a"], [0, 1], (6, 8))
    np.testing.assert_array_equal(whole, values(0))
    assert torn is None
    cache.write(["a"], {1: values(1)}, (6, 8))
    np.testing.assert_array_equal(cache.read(["a"], [1], (6, 8))[0], values(1))


def _hammer(folder: Path, seed: int) -> None:
    cache, rng = FlowCache(folder, 1 << 30), np.random.default_rng(seed)
    for first in rng.integers(0, 40, size=300).tolist():
        found = cache.read(["a"], [first], (6, 8))[0]
        assert found is None or np.array_equal(found, values(first)), "never another pair's, never half of one"
        cache.write(["a"], {first: values(first)}, (6, 8))


def test_processes_share_a_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_hammer, args=(tmp_path, seed)) for seed in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    found = FlowCache(tmp_path, 1 << 30).read(["a"], list(range(40)), (6, 8))
    assert all(np.array_equal(flow, values(first)) for first, flow in enumerate(found))


def test_steps_versions_orders_and_repeats_are_told_apart(tmp_path: Path, home: Path) -> None:
    reader, videos = files(tmp_path, 1)
    for frames in ([0, 1, 2, 3], [0, 2, 4, 6], [6, 4, 2, 0], [3, 3, 3, 9], [5, 1, 2, 3]):
        for provider in (Differences(), Differences(version="2")):
            view = View(np.array(frames), SIZE, "stretch", flow=provider)
            clips = reader(videos[0], [view])
            for _ in range(2):
                (flow,) = with_flow(videos[0], [view], clips, reader=reader, cache=default_cache())
                np.testing.assert_array_equal(flow, provider(clips[0]).astype(np.float16))
    steps = len({step for frames in ([1, 1, 1], [2, 2, 2], [-2, -2, -2], [0, 0, 6], [-4, 1, 1]) for step in frames})
    assert len(list((home / "flow").glob("*/*.flow"))) == 2 * steps


def test_changed_files_are_not_mistaken_for_what_they_were(tmp_path: Path, home: Path) -> None:
    view = View(np.arange(4), SIZE, "stretch", flow=Differences())
    flows = []
    for at in range(2):
        folder = tmp_path / str(at)
        write_video(folder / "0.mp4", pictures(16, seed=at))
        index = build_index(folder, ["0.mp4"], cache_file=folder / "a.index")
        video = Video(0, "0.mp4", str(folder / "0.mp4"), 16, 25.0, 0.6, (48, 64))
        reader = FileReader(index)
        flows += with_flow(video, [view], reader(video, [view]), reader=reader, cache=default_cache())
    assert not np.array_equal(flows[0], flows[1])


def test_a_full_cache_takes_no_more_but_lets_go_of_what_is_long_unused(
    tmp_path: Path,
) -> None:
    shape = (32, 32)
    slot = 16 + 32 * 32 * 4
    cache = FlowCache(tmp_path, 10 * slot)
    for key in range(4):
        cache.write([key], {at: values(at, shape) for at in range(4)}, shape)

    def there(key: int) -> bool:
        return pickle.loads(pickle.dumps(cache)).read([key], [0], shape)[0] is not None

    assert [there(key) for key in range(4)] == [True, True, False, False]
    long_ago = time.time() - 2 * 86_400
    place = cache._place([0])
    os.utime(place, (long_ago, long_ago))
    cache.write([4], {at: values(at, shape) for at in range(4)}, shape)
    assert not there(4), "room is not looked for at every write"
    fresh = pickle.loads(pickle.dumps(cache))
    fresh.write([4], {at: values(at, shape) for at in range(4)}, shape)
    assert not place.exists() and there(1) and there(4)
    used = sum(file.stat().st_size for file in tmp_path.glob("*/*.flow"))
    assert used <= 10 * slot


def test_reading_marks_a_file_as_used(tmp_path: Path) -> None:
    cache = FlowCache(tmp_path, 1 << 30)
    cache.write(["a"], {0: values(0)}, (6, 8))
    long_ago = time.time() - 2 * 86_400
    os.utime(the_file(tmp_path), (long_ago, long_ago))
    cache.read(["a"], [0], (6, 8))
    assert the_file(tmp_path).stat().st_mtime > long_ago + 86_400


def test_what_cannot_be_kept_is_said_once_and_computed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "flow").write_text("a file in the way")
    cache = FlowCache(tmp_path / "flow", 1 << 30)
    with caplog.at_level(logging.WARNING, logger=cache_module.__name__):
        for _ in range(3):
            cache.write(["a"], {0: values(0)}, (6, 8))
            assert cache.read(["a"], [0], (6, 8)) == [None]
    assert len(caplog.records) == 1 and "computed anew" in caplog.text


@pytest.mark.parametrize("text", ["much", "-1", "nan"])
def test_a_limit_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    with pytest.raises(ConfigError, match=f"{LIMIT_VARIABLE}='{text}'"):
        default_cache()


def test_the_limit_is_counted_in_gib(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_cache().most_bytes == 4 * 2**30
    monkeypatch.setenv(LIMIT_VARIABLE, "0.5")
    assert default_cache().most_bytes == 2**29
    assert default_cache().folder == home / "flow"


# ------------------------------------------------------------------------------------------ providers

REGISTRY = isolated_registry(vssl_motion=vssl_motion.plugin)


@pytest.mark.parametrize("preset", ["medium", "fast", "ultrafast"])
def test_dis_keeps_its_contract(preset: str) -> None:
    check_flow({"name": "dis", "preset": preset}, REGISTRY)


def test_dis_leaves_opencv_as_it_was_and_says_what_it_depends_on() -> None:
    cv2.setNumThreads(2)
    dis = REGISTRY.build("flows", "dis")
    dis(np.zeros((2, 32, 32, 3), np.uint8))
    assert cv2.getNumThreads() == 2
    assert dis.name == "dis" and cv2.__version__ in dis.version and "medium" in dis.version
    assert dis.version != REGISTRY.build("flows", {"name": "dis", "preset": "fast"}).version


def test_dis_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match=r"12 x 40 pixels; raise task\.read_size"):
        REGISTRY.build("flows", "dis")(np.zeros((2, 12, 40, 3), np.uint8))
    with pytest.raises(ConfigError, match="preset"):
        REGISTRY.build("flows", {"name": "dis", "preset": "slow"})


_LOW_FRAMES = """
import sys
import numpy as np
from vssl_motion.dis import DenseInverseSearch
frames = np.random.default_rng(0).integers(0, 256, (3, 16, 300, 3), dtype=np.uint8)
for size in ((16, 100), (16, 300), (24, 300)):
    clip = np.resize(frames, (3, *size, 3))
    flow = DenseInverseSearch(sys.argv[1])(clip)
    assert flow.shape == (2, *size, 2) and flow.dtype == np.float32 and np.isfinite(flow).all()
"""


@pytest.mark.parametrize("preset", ["medium", "fast", "ultrafast"])
def test_dis_does_not_read_beyond_low_wide_frames(preset: str) -> None:
    """In a process of its own: OpenCV would not raise, but end it."""
    done = subprocess.run([sys.executable, "-c", _LOW_FRAMES, preset], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("preset", ["medium", "fast", "ultrafast"])
@pytest.mark.parametrize("size", [(24, 100), (40, 41), (64, 86)])
def test_dis_finds_in_frames_on_their_side_what_it_finds_upright(preset: str, size: tuple[int, int]) -> None:
    """And what is right: the picture moves 2 pixels to the right and 1 down, on its side 1 to the right and 2 down."""
    noise = np.random.default_rng(0).integers(0, 256, (size[0] // 4 + 4, size[1] // 4 + 4, 3), dtype=np.uint8)
    picture = cv2.resize(noise, (size[1] + 16, size[0] + 16), interpolation=cv2.INTER_CUBIC)
    lying = np.stack([picture[8 - t : 8 - t + size[0], 8 - 2 * t : 8 - 2 * t + size[1]] for t in range(3)])
    upright = np.ascontiguousarray(lying.transpose(0, 2, 1, 3))
    dis = REGISTRY.build("flows", {"name": "dis", "preset": preset})
    flow = dis(lying)
    np.testing.assert_array_equal(flow, dis(upright).transpose(0, 2, 1, 3)[..., ::-1])
    assert flow.flags.c_contiguous
    np.testing.assert_allclose(np.median(flow, axis=(0, 1, 2)), (2, 1), atol=0.3)


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, "vssl_motion.dis", raising=False)
    with pytest.raises(PluginError, match=r"flow 'dis'.*cannot import.*extras.*flow"):
        REGISTRY.build("flows", "dis")


@dataclass
class Faulty:
    """A provider with one fault."""

    fault: str = ""
    name = "faulty"
    calls: list[int] = field(default_factory=list, compare=False)

    @property
    def version(self) -> str:
        return "" if self.fault == "no version" else "1"

    def __eq__(self, other: object) -> bool:
        return self is other if self.fault == "unequal" else isinstance(other, Faulty)

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        flow: np.ndarray = REGISTRY.build("flows", "dis")(frames)
        self.calls.append(len(frames))
        if self.fault == "one search for all pairs":
            search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
            grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
            pairs = pairwise(grey)
            return np.stack([search.calc(*pair, np.zeros((*grey[0].shape, 2), np.float32)) for pair in pairs])
        if self.fault == "rows for columns":
            return flow.reshape(len(flow), flow.shape[2], flow.shape[1], 2)
        if self.fault == "swapped":
            return flow[..., ::-1].copy()
        if self.fault == "backwards":
            return -flow
        if self.fault == "smoothed over time":
            return np.broadcast_to(flow.mean(axis=0, dtype=np.float32), flow.shape).copy()
        if self.fault == "changing":
            return flow + np.float32(0.01 * len(self.calls))
        if self.fault == "random":
            return flow + np.float32(0.01 * np.random.random())
        if self.fault == "double":
            return flow.astype(np.float64)
        if self.fault == "overwrites":
            frames[0] = 0
        return flow


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("", ""),
        ("no version", "version is ''"),
        ("unequal", "not equal to its pickled copy"),
        ("swapped", "mean flow"),
        ("backwards", "mean flow"),
        ("smoothed over time", "depends on other frames"),
        ("one search for all pairs", "frames of 40 x 40 pixels depends on other frames"),
        ("rows for columns", r"expected float32 \(3, 40, 88, 2\)"),
        ("changing", "computed again"),
        ("random", "numpy's global generator"),
        ("double", "expected float32"),
        ("overwrites", "changes the frames"),
    ],
)
def test_the_check_of_providers_finds_faults(fault: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = REGISTRY.entry("flows", "dis")
    monkeypatch.setattr("vssl_core.testing.flows.check_component", lambda *arguments: None)

    class Registry:
        def build(self, kind: str, value: Any) -> Faulty:
            return Faulty(fault)

        def resolve(self, kind: str, value: Any) -> Any:
            return REGISTRY.resolve(kind, "dis")

    registry: Any = Registry()
    if not fault:
        check_flow(entry, registry)
        return
    with pytest.raises(ConformanceError, match=message):
        check_flow(entry, registry)
