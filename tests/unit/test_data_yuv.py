"""Frames that stay YUV until they are on the device come out as the decoder's own conversion makes them."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from support.videos import pictures, write_video

from vssl_core.api import pretrain
from vssl_core.contracts import View
from vssl_core.data.probe import probe
from vssl_core.data.reader import read_views
from vssl_core.data.yuv import YuvBatch, YuvClip, rgb_matrix, to_rgb
from vssl_core.errors import ConfigError


def _converted(clip: YuvClip) -> np.ndarray:
    return to_rgb(YuvBatch(torch.from_numpy(clip.planes)[None], torch.from_numpy(clip.to_rgb)[None]))[0].numpy()


def _gentle(n_frames: int = 6, height: int = 48, width: int = 64) -> np.ndarray:
    """A picture without hard edges of colour, where every way of enlarging colour agrees."""
    rows, columns = np.mgrid[:height, :width]
    ramps = [(rows * 4 + at * 3, columns * 3 + at, 255 - rows * 2 - columns + at) for at in range(n_frames)]
    frames = [np.stack(ramp, axis=-1) for ramp in ramps]
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("fit", "size"),
    [
        ("short-side-crop", (48, 64)),
        ("stretch", (48, 64)),
        ("pad", (48, 64)),
        ("short-side-crop", (36, 36)),
        ("short-side-crop", (24, 32)),
        ("stretch", (20, 34)),
        ("stretch", (96, 96)),
        ("pad", (32, 32)),
    ],
)
def test_equal_to_the_decoders_conversion(fit: str, size: tuple[int, int], tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", _gentle(), options={"crf": "5"})
    view = View(np.array([4, 0, 4]), size, fit)
    plain = read_views(str(path), [view])[0].astype(int)
    clip = read_views(str(path), [view], pixels="yuv420")[0]
    assert clip.planes.shape == (3, size[0] * 3 // 2, size[1])
    assert clip.planes.nbytes * 2 == plain.size
    mine = _converted(clip).astype(int)
    assert mine.shape == plain.shape
    differences = np.abs(mine - plain)
    if size == (48, 64):
        assert differences.max() <= 3, "nothing is scaled: rounding alone"
    # Where sizes differ colour is scaled in another order.
    assert differences.mean() < 3
    assert np.percentile(differences, 95) <= 8


def test_what_cannot_be_cut_evenly_is_cut_beside(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", _gentle(), options={"crf": "5"})
    # 18 rows of picture in 24: three rows of black above in RGB, two here, where colour has half the rows.
    clip = _converted(read_views(str(path), [View(np.array([0]), (24, 24), "pad")], pixels="yuv420")[0])[0]
    assert clip[:2].max() == 0
    assert clip[20:].max() == 0
    assert clip[2:20].max(axis=(1, 2)).min() > 100


@pytest.mark.parametrize("space", [1, 5, 9])
@pytest.mark.parametrize("full", [False, True])
def test_matrix_and_range_are_those_of_the_file(space: int, full: bool) -> None:
    rng = np.random.default_rng(0)
    frame = av.VideoFrame(64, 48, "yuv444p")
    levels = [rng.integers(40, 200, 1) for _ in range(3)]
    for plane, level in zip(frame.planes, levels, strict=True):
        plane.update(bytes(np.full(plane.buffer_size, level, dtype=np.uint8)))
    frame.colorspace, frame.color_range = space, 2 if full else 1
    expected = frame.reformat(format="rgb24", src_color_range=frame.color_range).to_ndarray()[10, 10]
    matrix = rgb_matrix(frame)
    got = matrix[:, :3] @ np.array(levels).ravel() + matrix[:, 3]
    np.testing.assert_allclose(np.clip(got, 0, 255), expected, atol=2.5)


def test_turned_and_mirrored_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", _gentle())
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    path.write_bytes(data)
    size = probe(str(path)).size
    assert size == (64, 48)
    view = View(np.array([1]), size)
    plain = read_views(str(path), [view])[0].astype(int)
    assert np.abs(_converted(read_views(str(path), [view], pixels="yuv420")[0]) - plain).mean() < 1.5


def test_odd_sides_are_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(2))
    with pytest.raises(ConfigError, match="needs even sides, a view has 15x16"):
        read_views(str(path), [View(np.array([0]), (15, 16))], pixels="yuv420")


def test_clips_travel_between_processes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(2))
    clip = read_views(str(path), [View(np.array([0]), (16, 16))], pixels="yuv420")[0]
    again = pickle.loads(pickle.dumps(clip))
    np.testing.assert_array_equal(again.planes, clip.planes)
    np.testing.assert_array_equal(again.to_rgb, clip.to_rgb)


def test_a_run_trains_on_them(tmp_path: Path, fresh_home: Path) -> None:
    for at in range(8):
        write_video(tmp_path / "set" / f"{at}.mp4", pictures(40, seed=at))
    runs = {}
    for workers in (0, 2):
        runs[workers] = pretrain(
            task="pace@tiny",
            data={"name": "folder", "root": str(tmp_path / "set")},
            steps=2,
            batch_size=4,
            pixels="yuv420",
            loader={"cache": "never", "workers": workers},
            out=str(tmp_path / f"run{workers}"),
        )
    records = [run.record for run in runs.values()]
    assert records[0]["encoder"]["weights_sha"] == records[1]["encoder"]["weights_sha"]
    assert records[0]["identity"]["data"]["pixels"] == "yuv420"
    with pytest.raises(ConfigError, match=r"loader\.cache=always contradicts it"):
        pretrain(
            task="pace@tiny",
            data={"name": "folder", "root": str(tmp_path / "set")},
            steps=2,
            pixels="yuv420",
            loader={"cache": "always"},
            out=str(tmp_path / "other"),
        )
