"""Optical flow in the place of frames, for views that ask for it: what a loader worker does after reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vssl_core.contracts import FlowProvider, Reader, Video, View
from vssl_core.data.cache import CachedReader
from vssl_core.data.fit import DECODING
from vssl_core.data.flow_cache import FlowCache
from vssl_core.data.yuv import YuvBatch, YuvClip, to_rgb
from vssl_core.errors import DataError, PluginError

__all__ = ["compute_flow", "with_flow"]


def with_flow(
    video: Video, views: Sequence[View], clips: Sequence[Any], *, reader: Reader, cache: FlowCache | None = None
) -> list[Any]:
    """Return what was read of a video, with the flow in the place of frames where a view asks for flow.

    Flow is a function of the frames and the provider alone: whether it comes from the cache, and which process computed
    it, changes no bit. It is handed over as float16, which keeps 11 bits: a thousandth of a pixel where motion is slow.

    Args:
        video: the row that was read.
        views: what was planned.
        clips: what ``reader`` returned for them.
        reader: one that names a file's content (``content_key``), as data sets' do, has its flow kept.
        cache: where it is kept; ``None``: nowhere.

    Returns:
        Per view its clip as it was, or float16 ``[T - 1, H, W, 2]``.

    Raises:
        DataError: flow is asked for of fewer than two frames.
        PluginError: the provider returned something else than flow.
    """
    if any(view.flow is not None and len(view.frames) < 2 for view in views):
        raise DataError(f"flow of one frame is asked for, of video {video.video_id!r}; a view of flow has 2 or more")
    return [
        clip if view.flow is None else _flow(view.flow, video, view, clip, reader, cache)
        for view, clip in zip(views, clips, strict=True)
    ]


def compute_flow(provider: FlowProvider, frames: np.ndarray) -> np.ndarray:
    """Return a provider's flow of uint8 ``[T, H, W, 3]`` as float16 ``[T - 1, H, W, 2]``.

    Raises:
        PluginError: it returned another type or shape, or values that are not finite.
    """
    flow = provider(frames)
    expected = (len(frames) - 1, *frames.shape[1:3], 2)
    if not isinstance(flow, np.ndarray) or flow.dtype != np.float32 or flow.shape != expected:
        found = f"{flow.dtype} {flow.shape}" if isinstance(flow, np.ndarray) else type(flow).__name__
        raise PluginError(f"flow provider {provider.name!r} returned {found}; expected float32 {expected}")
    with np.errstate(over="ignore"):
        small = flow.astype(np.float16)
    if not np.isfinite(small).all():
        raise PluginError(f"flow provider {provider.name!r} returned values that are not finite, or above 65504 pixels")
    return small


def _flow(
    provider: FlowProvider, video: Video, view: View, clip: Any, reader: Reader, cache: FlowCache | None
) -> np.ndarray:
    pixels = "rgb24"
    if isinstance(clip, YuvClip):
        pixels, clip = "yuv420", _as_rgb(clip)
    content = _content(reader, video)
    if cache is None or not cache.most_bytes or content is None:
        return compute_flow(provider, clip)
    firsts, steps = view.frames[:-1].tolist(), np.diff(view.frames)
    found: list[np.ndarray | None] = [None] * len(firsts)
    for step in np.unique(steps).tolist():
        at = np.flatnonzero(steps == step).tolist()
        picture = [*map(int, view.size), view.fit, pixels]
        key = [content, DECODING, _libraries(), picture, provider.name, provider.version, step]
        kept = cache.read(key, [firsts[pair] for pair in at], clip.shape[1:3])
        missing = [pair for pair, flow in zip(at, kept, strict=True) if flow is None]
        computed = _computed(provider, clip, missing)
        for pair, flow in zip(at, kept, strict=True):
            found[pair] = computed[pair] if flow is None else flow
        cache.write(key, {firsts[pair]: flow for pair, flow in computed.items()}, clip.shape[1:3])
    return np.stack([flow for flow in found if flow is not None])


def _computed(provider: FlowProvider, frames: np.ndarray, pairs: Sequence[int]) -> dict[int, np.ndarray]:
    """Return the flow of some pairs of neighbouring frames; pairs that follow one another go in one call."""
    runs = np.split(np.asarray(pairs, dtype=np.int64), np.flatnonzero(np.diff(pairs) != 1) + 1)
    return {
        int(pair): flow
        for run in runs
        if len(run)
        for pair, flow in zip(run, compute_flow(provider, frames[run[0] : run[-1] + 2]), strict=True)
    }


def _content(reader: Reader, video: Video) -> str | None:
    """Return the name that a reader has for a video's content, ``None``: it has none."""
    named = getattr(reader.reader if isinstance(reader, CachedReader) else reader, "content_key", None)
    return None if named is None else str(named(video))


def _libraries() -> list[Any]:
    """Return the versions of the libraries that decode and scale: with them pixels may change."""
    import av

    return [av.library_versions[name] for name in ("libavcodec", "libswscale")]


def _as_rgb(clip: YuvClip) -> np.ndarray:
    """Return uint8 RGB ``[T, H, W, 3]`` of a clip that was to be converted on the device."""
    import torch

    batch = YuvBatch(torch.from_numpy(clip.planes)[None], torch.from_numpy(clip.to_rgb)[None])
    rgb: np.ndarray = to_rgb(batch)[0].numpy()
    return rgb
