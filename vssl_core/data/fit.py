"""From a decoded frame to uint8 RGB of the size asked for: upright, square pixels, scaled, cropped or padded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vssl_core.data.probe import FrameTable, shown_size
from vssl_core.errors import ConfigError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["FITS", "FrameFitter"]

FITS = ("short-side-crop", "stretch", "pad")


class FrameFitter:
    """Brings frames of one file to one size; keeps its scaler between frames.

    Args:
        size: height and width of the result.
        fit: ``"short-side-crop"`` (scale until both sides are covered, cut the centre), ``"stretch"`` or ``"pad"``
            (scale until both sides fit, black around).
        table: rotation and pixel aspect of the file.

    Raises:
        ConfigError: an unknown fit or a size below 1.
    """

    def __init__(self, size: tuple[int, int], fit: str, table: FrameTable) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        if fit not in FITS:
            raise ConfigError(f"fit={fit!r} is not one of {', '.join(map(repr, FITS))}")
        if min(size) < 1:
            raise ConfigError(f"a view of {size[0]}x{size[1]} pixels cannot be read; size must be at least 1")
        self.size = (int(size[0]), int(size[1]))
        self.fit = fit
        self._rotation, self._pixel_aspect = table.rotation, table.pixel_aspect
        self._scaler = VideoReformatter()
        # Bit-exact and accurate: the same pixels whatever vector instructions the machine has.
        self._how = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT

    def into(self, frame: VideoFrame, out: np.ndarray) -> None:
        """Write ``frame`` into ``out``, uint8 ``[H, W, 3]``, RGB."""
        height, width = self._scaled(frame)
        turned = self._rotation % 180 != 0
        image = self._scaler.reformat(
            frame,
            width=height if turned else width,
            height=width if turned else height,
            format="rgb24",
            interpolation=self._how,
            threads=1,
        )
        plane = image.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
            : image.height, : image.width * 3
        ]
        pixels = rows.reshape(image.height, image.width, 3)
        if self._rotation:
            pixels = np.rot90(pixels, self._rotation // 90)
        if self.fit == "pad":
            top, left = (self.size[0] - height) // 2, (self.size[1] - width) // 2
            out[:] = 0
            out[top : top + height, left : left + width] = pixels
        else:
            top, left = (height - self.size[0]) // 2, (width - self.size[1]) // 2
            out[:] = pixels[top : top + self.size[0], left : left + self.size[1]]

    def _scaled(self, frame: VideoFrame) -> tuple[int, int]:
        """Return height and width of the whole upright frame after scaling."""
        if self.fit == "stretch":
            return self.size
        height, width = shown_size(frame.height, frame.width, self._rotation, self._pixel_aspect)
        by_height, by_width = self.size[0] / height, self.size[1] / width
        if self.fit == "pad":
            scale = min(by_height, by_width)
            return max(1, min(self.size[0], round(height * scale))), max(1, min(self.size[1], round(width * scale)))
        scale = max(by_height, by_width)
        return max(self.size[0], round(height * scale)), max(self.size[1], round(width * scale))
