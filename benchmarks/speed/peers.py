"""Readers of clips: ours, PyAV as its documentation uses it, torchcodec, decord and OpenCV.

Each is made for one file and called with the frames wanted, int64 ``[T]``, rising without repeats; it opens the file,
reads, closes it and returns uint8 RGB ``[T, H, W, 3]``. All decode on one thread. Without a size frames keep theirs;
with one they come to it in a way that the library offers. Whoever raises or returns too few frames is out of the race.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import torch
from av.video.reformatter import Interpolation

from vssl_core.contracts import View
from vssl_core.data.probe import FrameTable
from vssl_core.data.reader import read_views

__all__ = ["BORROWED_RESIZE", "INSTALL", "MODES", "RESIZES", "File", "Reader", "left_out", "make_reader", "versions"]

Reader = Callable[[np.ndarray], np.ndarray]
Size = tuple[int, int]

INSTALL = "pip install 'vssl[speed]'"
_MODULES = {"torchcodec": "torchcodec.decoders", "decord": "decord", "OpenCV": "cv2"}
#: of each library the ways of coming to a frame; torchcodec's third takes the same table of frames that ours does
MODES: dict[str, tuple[str, ...]] = {
    "PyAV": ("seek",),
    "torchcodec": ("exact", "approximate", "mappings"),
    "decord": ("seek",),
    "OpenCV": ("seek", "forward"),
}
#: the way that is not the library's own: torchvision's resize of frames at full size
BORROWED_RESIZE = "torchvision"
#: of each library the ways of coming to a size
RESIZES: dict[str, tuple[str, ...]] = {
    "PyAV": ("bilinear", "area"),
    "torchcodec": ("decoder", BORROWED_RESIZE),
    "decord": ("decoder",),
    "OpenCV": ("area",),
}


class File(NamedTuple):
    """A video file and its frame table, made beforehand as an index does."""

    path: Path
    table: FrameTable


def left_out() -> dict[str, str]:
    """Return the libraries that cannot take part, with the reasons, after keeping the others to one thread."""
    reasons = {}
    for library, module in _MODULES.items():
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            reasons[library] = f"not installed; to compare with it: {INSTALL}"
        except (ImportError, OSError, RuntimeError) as error:
            # Libraries of their own, FFmpeg's above all, are missing or do not fit.
            reasons[library] = f"installed, but cannot be loaded: {str(error).strip().partition(chr(10))[0]}"
    torch.set_num_threads(1)
    if "OpenCV" not in reasons:
        importlib.import_module("cv2").setNumThreads(1)
    return reasons


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of what takes part: these libraries and what ours is built on."""
    names = {"torch": "torch", "torchvision": "torchvision", "PyAV": "av"}
    names |= {library: _MODULES[library].partition(".")[0] for library in libraries if library in _MODULES}
    found = {name: str(importlib.import_module(module).__version__) for name, module in names.items()}
    libavcodec = ".".join(map(str, av.library_versions["libavcodec"]))
    return {**found, "libavcodec of PyAV": libavcodec}


def make_reader(library: str, file: File, *, mode: str = "", size: Size | None = None, resize: str = "") -> Reader:
    """Return a reader of one file.

    Args:
        library: ``"vssl"`` or a key of ``MODES``.
        file: what it reads.
        mode: one of the library's ``MODES``.
        size: height and width of what it returns; ``None``: the file's.
        resize: one of the library's ``RESIZES``, where there is a size.
    """
    makers: dict[str, Callable[[File, str, Size | None, str], Reader]] = {
        "vssl": _vssl,
        "PyAV": _pyav,
        "torchcodec": _torchcodec,
        "decord": _decord,
        "OpenCV": _opencv,
    }
    return makers[library](file, mode, size, resize)


def _vssl(file: File, mode: str, size: Size | None, resize: str) -> Reader:
    if size is None:
        with av.open(str(file.path)) as container:
            stream = container.streams.video[0]
            size = (stream.height, stream.width)
    path, to = str(file.path), size

    def read(frames: np.ndarray) -> np.ndarray:
        return read_views(path, [View(frames, to, "stretch")], table=file.table)[0]

    return read


def _pyav(file: File, mode: str, size: Size | None, resize: str) -> Reader:
    how = {"": None, "bilinear": Interpolation.BILINEAR, "area": Interpolation.AREA}[resize]

    def read(frames: np.ndarray) -> np.ndarray:
        wanted = {frame: slot for slot, frame in enumerate(frames.tolist())}
        got: list[np.ndarray] = []
        with av.open(str(file.path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            assert stream.average_rate is not None
            assert stream.time_base is not None
            ticks = 1 / (stream.average_rate * stream.time_base)
            start = stream.start_time or 0
            container.seek(start + round(int(frames[0]) * ticks), stream=stream)
            for frame in container.decode(stream):
                if frame.pts is None or round((frame.pts - start) / ticks) not in wanted:
                    continue
                if size is not None:
                    frame = frame.reformat(size[1], size[0], "rgb24", interpolation=how)
                got.append(frame.to_ndarray(format="rgb24"))
                if len(got) == len(wanted):
                    break
        return np.stack(got)

    return read


def _torchcodec(file: File, mode: str, size: Size | None, resize: str) -> Reader:
    decoder: Any = importlib.import_module("torchcodec.decoders").VideoDecoder
    options: dict[str, Any] = {"num_ffmpeg_threads": 1}
    if mode == "mappings":
        options["custom_frame_mappings"] = _frame_mappings(file.table)
    else:
        options["seek_mode"] = mode
    if size is not None and resize == "decoder":
        options["transforms"] = [importlib.import_module("torchcodec.transforms").Resize(size)]
    path, dimension_order = str(file.path), "NHWC"
    shrink: Any = None
    if size is not None and resize == BORROWED_RESIZE:
        # torchvision resizes with the channels in front.
        dimension_order = "NCHW"
        shrink = importlib.import_module("torchvision.transforms.v2.functional").resize

    def read(frames: np.ndarray) -> np.ndarray:
        video = decoder(path, dimension_order=dimension_order, **options)
        pixels = video.get_frames_at(frames.tolist()).data
        if shrink is not None:
            pixels = shrink(pixels, list(size or ()), antialias=True).permute(0, 2, 3, 1)
        array: np.ndarray = pixels.numpy()
        return array

    return read


def _frame_mappings(table: FrameTable) -> str:
    """Return a frame table in the words of ffprobe, which torchcodec takes in the place of scanning the file."""
    stamps = table.pts[: table.n_frames]
    durations = np.append(np.diff(stamps), 1)
    if len(durations) > 1:
        durations[-1] = durations[-2]
    keys = np.isin(stamps, table.key_pts).astype(int)
    rows = zip(stamps.tolist(), durations.tolist(), keys.tolist(), strict=True)
    frames = [{"pts": pts, "duration": duration, "key_frame": key} for pts, duration, key in rows]
    return json.dumps({"frames": frames})


def _decord(file: File, mode: str, size: Size | None, resize: str) -> Reader:
    decord: Any = importlib.import_module("decord")
    options = {} if size is None else {"height": size[0], "width": size[1]}

    def read(frames: np.ndarray) -> np.ndarray:
        video = decord.VideoReader(str(file.path), num_threads=1, **options)
        array: np.ndarray = video.get_batch(frames.tolist()).asnumpy()
        return array

    return read


def _opencv(file: File, mode: str, size: Size | None, resize: str) -> Reader:
    cv2: Any = importlib.import_module("cv2")

    def read(frames: np.ndarray) -> np.ndarray:
        video = cv2.VideoCapture(str(file.path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        try:
            at = 0
            if mode == "seek":
                at = int(frames[0])
                video.set(cv2.CAP_PROP_POS_FRAMES, at)
            got = []
            for frame in frames.tolist():
                while at < frame:
                    video.grab()
                    at += 1
                read_one, pixels = video.read()
                at += 1
                if not read_one:
                    break
                if size is not None:
                    pixels = cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_AREA)
                got.append(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
            return np.stack(got)
        finally:
            video.release()

    return read
