"""From a decoded frame to uint8 RGB of the size asked for: upright, square pixels, scaled, cropped or padded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from vssl_core.data.probe import FrameTable, shown_size
from vssl_core.errors import ConfigError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

__all__ = ["DECODING", "FITS", "FrameFitter"]

#: raised whenever the same file and view give other pixels: part of every ``run_id`` that depends on a data set
DECODING = 2

FITS = ("short-side-crop", "stretch", "pad")
# Formats that are scaled as they are: 8 bits, colour at half the resolution.
_PLANAR = frozenset({"yuv420p", "yuvj420p"})


class FrameFitter:
    """Brings frames of one file to one size.

    Args:
        size: height and width of the result.
        fit: ``"short-side-crop"`` (scale until both sides are covered, cut the centre), ``"stretch"`` or ``"pad"``
            (scale until both sides fit, black around).
        table: rotation and pixel aspect of the file.

    Raises:
        ConfigError: an unknown fit or a size below 1.
    """

    def __init__(self, size: tuple[int, int], fit: str, table: FrameTable) -> None:
        from av.video.reformatter import Interpolation

        if fit not in FITS:
            raise ConfigError(f"fit={fit!r} is not one of {', '.join(map(repr, FITS))}")
        if min(size) < 1:
            raise ConfigError(f"a view of {size[0]}x{size[1]} pixels cannot be read; size must be at least 1")
        self.size = (int(size[0]), int(size[1]))
        self.fit = fit
        self._table = table
        self._area = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
        # Exact rounding would take swscale's slow way from YUV to RGB, eight times the cost.
        self._plain = Interpolation.BILINEAR
        #: what this file's frames were brought to, and by which scaler
        self._scalers: dict[tuple[Any, ...], VideoReformatter] = {}

    def into(self, frame: VideoFrame, out: np.ndarray) -> None:
        """Write ``frame`` into ``out``, uint8 ``[H, W, 3]``, RGB."""
        height, width = self._scaled(frame)
        image = self._resized(frame, *((width, height) if self._table.rotation % 180 else (height, width)))
        plane = image.planes[0]
        # Lines may be longer than the picture; a view of one stride fewer calls than cutting twice.
        shape, steps = (image.height, image.width, 3), (plane.line_size, 3, 1)
        pixels = self._upright(np.ndarray(shape, np.uint8, memoryview(plane), strides=steps))
        if self.fit == "pad":
            top, left = (self.size[0] - height) // 2, (self.size[1] - width) // 2
            out[:] = 0
            out[top : top + height, left : left + width] = pixels
        else:
            top, left = (height - self.size[0]) // 2, (width - self.size[1]) // 2
            out[:] = pixels[top : top + self.size[0], left : left + self.size[1]]

    def into_yuv(self, frame: VideoFrame, out: np.ndarray) -> None:
        """Write ``frame`` into ``out``, uint8 ``[3 H / 2, W]``, as ``YuvClip.planes`` has it; its sides are even."""
        height, width = self._scaled(frame)
        # Cut at even places, so that the planes of colour stay in step.
        height, width = (side + side % 2 if self.fit != "pad" else max(2, side - side % 2) for side in (height, width))
        turned = self._table.rotation % 180 != 0
        whole = self._as_yuv(frame, *((width, height) if turned else (height, width)))
        at = 0
        for number, plane in enumerate(whole.planes):
            part = 2 if number else 1
            pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            pixels = self._upright(pixels[: whole.height // part, : whole.width // part])
            side = (self.size[0] // part, self.size[1] // part)
            place = out.reshape(-1)[at : at + side[0] * side[1]].reshape(side)
            at += side[0] * side[1]
            down, right = (abs(self.size[0] - height) // 4 * 2 // part, abs(self.size[1] - width) // 4 * 2 // part)
            if self.fit == "pad":
                place[:] = 128 if number else _black(whole)
                place[down : down + pixels.shape[0], right : right + pixels.shape[1]] = pixels
            else:
                place[:] = pixels[down : down + side[0], right : right + side[1]]

    def _as_yuv(self, frame: VideoFrame, height: int, width: int) -> VideoFrame:
        """Return the frame as 8-bit YUV 4:2:0 at a size, not yet turned."""
        name = frame.format.name if frame.format.name in _PLANAR else "yuv420p"
        if name == frame.format.name and (height, width) == (frame.height, frame.width):
            return frame
        how = self._area if height * width < frame.height * frame.width else self._plain
        return self._reformatted(frame, height, width, name, how)

    def _reformatted(self, frame: VideoFrame, height: int, width: int, name: str, how: Any) -> VideoFrame:
        """Return a frame at a size and in a format, by a scaler that is kept."""
        format_ = frame.format.name
        key = (format_, frame.height, frame.width, frame.colorspace, frame.color_range, height, width, name)
        scaler = self._scalers.get(key)
        if scaler is None:
            scaler = self._scalers[key] = _kept_scaler((*key, how))
        return scaler.reformat(frame, width, height, name, interpolation=how, threads=1)

    def _upright(self, pixels: np.ndarray) -> np.ndarray:
        if self._table.mirrored:
            pixels = pixels[:, ::-1]
        return np.rot90(pixels, self._table.rotation // 90) if self._table.rotation else pixels

    def _resized(self, frame: VideoFrame, height: int, width: int) -> VideoFrame:
        """Return the frame as RGB at a size, not yet turned.

        A frame that shrinks is averaged over areas, as it is stored: three planes of which two are small, and only what
        is left of it becomes RGB. Colour then has half the resolution of the result, as in any 4:2:0 video of its size.
        """
        how = self._plain
        if height * width < frame.height * frame.width:
            how = self._area
            if frame.format.name in _PLANAR:
                frame = self._reformatted(frame, height, width, frame.format.name, how)
                how = self._plain
        return self._reformatted(frame, height, width, "rgb24", how)

    def _scaled(self, frame: VideoFrame) -> tuple[int, int]:
        """Return height and width of the whole upright frame after scaling."""
        if self.fit == "stretch":
            return self.size
        height, width = shown_size(frame.height, frame.width, self._table.rotation, self._table.pixel_aspect)
        by_height, by_width = self.size[0] / height, self.size[1] / width
        if self.fit == "pad":
            scale = min(by_height, by_width)
            return max(1, min(self.size[0], round(height * scale))), max(1, min(self.size[1], round(width * scale)))
        scale = max(by_height, by_width)
        return max(self.size[0], round(height * scale)), max(self.size[1], round(width * scale))


def _black(frame: VideoFrame) -> int:
    """Return the luma of black."""
    return 0 if frame.format.name.startswith("yuvj") or int(frame.color_range) == 2 else 16


class _Scalers(threading.local):
    """Scalers by what they turn into what: setting one up costs as much as scaling a clip. One set a thread."""

    def __init__(self) -> None:
        self.known: OrderedDict[tuple[Any, ...], VideoReformatter] = OrderedDict()


_scalers = _Scalers()
_MOST_SCALERS = 16


def _kept_scaler(key: tuple[Any, ...]) -> VideoReformatter:
    """Return the scaler of a (from, to, how), a new one if there is none."""
    from av.video.reformatter import VideoReformatter

    scaler = _scalers.known.pop(key, None) or VideoReformatter()
    _scalers.known[key] = scaler
    if len(_scalers.known) > _MOST_SCALERS:
        _scalers.known.popitem(last=False)
    return scaler
