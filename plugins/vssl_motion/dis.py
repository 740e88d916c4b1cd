"""``dis``: dense inverse search, the default way of computing optical flow.

Paper: T. Kroeger, R. Timofte, D. Dai, L. Van Gool, "Fast Optical Flow using Dense Inverse Search", ECCV 2016, arXiv
1603.03590. Code: OpenCV's ``DISOpticalFlow`` (https://github.com/opencv/opencv, ``modules/video/src/dis_flow.cpp``),
which this calls; install extra ``flow``.

Implemented: OpenCV's presets (``ultrafast`` and ``fast``: patches every 4 pixels, flow at a quarter of the resolution;
``medium``: every 3 pixels, at half of it), on grey frames (BT.601 luma), each pair from a start at rest and by a search
of its own, so that it depends on nothing but its two frames: OpenCV's object lowers its own scales on the first small
frame that it sees, and later pairs would come out differently. OpenCV also derives the number of scales from the width
alone, and reads beyond frames that are much lower than wide: such are searched on their side.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from vssl_core.errors import ConfigError

__all__ = ["DenseInverseSearch"]

_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
# Frames whose shorter side has fewer pixels have too few scales for its patches of 8 pixels.
_SMALLEST = 16


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep OpenCV from starting threads: loader workers are enough, and forked ones inherit none."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


@dataclass(frozen=True)
class DenseInverseSearch:
    """Optical flow by dense inverse search (Kroeger et al. 2016), from OpenCV.

    Raises:
        ConfigError: an unknown preset.
    """

    preset: str = "medium"
    name = "dis"

    def __post_init__(self) -> None:
        if self.preset not in _PRESETS:
            raise ConfigError(f"preset={self.preset!r} is not one of {', '.join(_PRESETS)}")

    @property
    def version(self) -> str:
        """The preset and OpenCV's version: either may change a value."""
        return f"{self.preset}, a search for each pair, OpenCV {cv2.__version__}"

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Return float32 ``[T - 1, H, W, 2]``, pixels to the right and down, of uint8 RGB ``[T, H, W, 3]``.

        Raises:
            ConfigError: frames of fewer than 16 pixels a side.
        """
        height, width = frames.shape[1:3]
        if min(height, width) < _SMALLEST:
            raise ConfigError(f"dis finds no flow in frames of {height} x {width} pixels; raise task.read_size to 16")
        lying = width > height
        with _one_thread():
            grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
            if lying:
                grey = [np.ascontiguousarray(frame.T) for frame in grey]
            flow = np.stack([self._pair(*pair) for pair in pairwise(grey)])
        if lying:  # back upright: rows and columns change places, and so do the two directions
            flow = np.ascontiguousarray(flow.transpose(0, 2, 1, 3)[..., ::-1])
        return flow.astype(np.float32, copy=False)

    def _pair(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        # The start is given: without it OpenCV may leave what the result's memory held.
        still = np.zeros((*before.shape, 2), dtype=np.float32)
        flow: np.ndarray = cv2.DISOpticalFlow.create(_PRESETS[self.preset]).calc(before, after, still)
        return flow
