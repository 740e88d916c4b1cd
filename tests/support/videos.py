"""Small video files written through PyAV, plain decoding to compare with, and parts for loaders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vssl_core.contracts import Video, View
from vssl_core.data.plan import clip_frames, random_start, span
from vssl_core.errors import ClipError


def pictures(n_frames: int, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """uint8 [n_frames, height, width, 3]: a textured square over a drifting ramp, every frame different."""
    rng = np.random.default_rng(seed)
    texture = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:height, :width]
    frames = np.empty((n_frames, height, width, 3), dtype=np.uint8)
    for at in range(n_frames):
        frames[at] = np.stack([rows * 3 + at * 5, columns * 2 + at * 3, rows + columns + at * 7], axis=-1) % 256
        top, left = (at * 3) % (height - 16), (at * 5) % (width - 16)
        frames[at, top : top + 16, left : left + 16] = texture
    return frames


def write_video(
    path: Path,
    frames: np.ndarray,
    *,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    pixel_aspect: Fraction | None = None,
    pixel_format: str = "yuv420p",
    container_options: Mapping[str, str] | None = None,
    format: str | None = None,
) -> Path:
    """Encode uint8 [T, H, W, 3]; ``pts`` in units of ``time_base``, default 0, 1, 2 ..."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=format, container_options=dict(container_options or {})) as container:
        stream = container.add_stream(codec, rate=25, options=dict(options or {}))
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pixel_format
        stream.codec_context.time_base = time_base
        stream.codec_context.thread_count = 1
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        for at, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = at if pts is None else pts[at]
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decode_all(path: Path) -> np.ndarray:
    """uint8 [T, H, W, 3]: every frame of a file at its own size, by the plainest loop there is."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def rows(n_videos: int, n_frames: int = 40) -> list[Video]:
    """Rows of videos that ``PatternReader`` reads."""
    return [
        Video(at, f"v{at:03d}.mp4", f"/nowhere/v{at:03d}.mp4", n_frames, 25.0, n_frames / 25, (8, 8))
        for at in range(n_videos)
    ]


class PatternReader:
    """A reader without files: pixels are a function of video and frame. Videos in ``broken`` raise."""

    def __init__(self, broken: Sequence[int] = ()) -> None:
        self.broken = frozenset(broken)
        self.calls = 0

    def __call__(self, video: Video, views: Sequence[View]) -> list[np.ndarray]:
        self.calls += 1
        if video.index in self.broken:
            raise ClipError(f"{video.video_id} is broken")
        out = []
        for view in views:
            base = (view.frames * 7 + video.index * 31) % 256
            grid = np.arange(view.size[0] * view.size[1] * 3).reshape(*view.size, 3)
            out.append(((base[:, None, None, None] + grid) % 256).astype(np.uint8))
        return out


class ClipPlanner:
    """Two views of one random clip, with targets of every type."""

    def __init__(self, frames: int = 4, stride: int = 2) -> None:
        self.frames, self.stride = frames, stride

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[list[View], dict[str, Any]]:
        start = random_start(rng, video.n_frames, span(self.frames, self.stride))
        frames = clip_frames(video.n_frames, start, self.frames, self.stride)
        targets = {
            "speed": int(rng.integers(4)),
            "shift": float(rng.random()),
            "order": rng.permutation(3),
            "flow": rng.random((2, 2)),
            "mirrored": bool(rng.integers(2)),
        }
        return [View(frames, (8, 8)), View(frames[:1], (4, 6), "stretch")], targets


class UnevenPlanner(ClipPlanner):
    """Asks for another clip length from every third video."""

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[list[View], dict[str, Any]]:
        views, targets = super().__call__(video, rng)
        return ([views[0]._replace(frames=views[0].frames[:2]), views[1]] if video.index % 3 == 2 else views), targets
