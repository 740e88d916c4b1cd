"""What the frames of a file are, and how near to it a reader came."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

__all__ = ["Reference", "area_resize", "decode_whole", "max_difference", "psnr", "wrong_frames"]

# Frames are told apart by every so many pixels, among so many neighbours each way; conversions from YUV to RGB differ
# by less than this.
_STEP, _NEIGHBOURS, _SAME_FRAME_DB = 4, 8, 30.0
# JSON has no infinity.
_EQUAL_DB = 100.0


@dataclass(frozen=True, slots=True)
class Reference:
    """A file, decoded from its first frame to its last.

    Attributes:
        frames: uint8 RGB ``[H, W, 3]`` of each frame that was asked for, by its number.
        coarse: uint8 ``[n_frames, H / 4, W / 4, 3]``: every frame, a few of its pixels.
    """

    frames: dict[int, np.ndarray]
    coarse: np.ndarray

    def clip(self, frames: np.ndarray) -> np.ndarray:
        """Return uint8 ``[T, H, W, 3]``."""
        return np.stack([self.frames[frame] for frame in frames.tolist()])


def decode_whole(path: Path, wanted: Collection[int]) -> Reference:
    """Decode a whole file, count its frames and keep those that are wanted, by PyAV's plainest loop."""
    frames, coarse = {}, []
    with av.open(str(path)) as container:
        for at, frame in enumerate(container.decode(video=0)):
            pixels = frame.to_ndarray(format="rgb24")
            coarse.append(pixels[::_STEP, ::_STEP].copy())
            if at in wanted:
                frames[at] = pixels
    return Reference(frames, np.stack(coarse))


def max_difference(got: np.ndarray, expected: np.ndarray) -> int:
    """Return the greatest difference of any value of two uint8 arrays of one shape."""
    # The greater less the smaller: no value leaves uint8.
    return int((np.maximum(got, expected) - np.minimum(got, expected)).max())


def wrong_frames(reference: Reference, frames: np.ndarray, got: np.ndarray) -> int:
    """Return how many frames are not those asked for, whatever way of conversion made them.

    A frame is wrong if it is nearer to a neighbour than to the one asked for, or far from that one.

    Args:
        reference: the whole file.
        frames: int64 ``[T]``, what was asked for.
        got: uint8 ``[T, H, W, 3]``, what came.
    """
    wrong = 0
    for frame, pixels in zip(frames.tolist(), got, strict=True):
        first = max(0, frame - _NEIGHBOURS)
        around = reference.coarse[first : frame + _NEIGHBOURS + 1].astype(np.float32)
        errors = ((around - pixels[::_STEP, ::_STEP]) ** 2).mean(axis=(1, 2, 3))
        own = errors[frame - first]
        wrong += bool(own > errors.min() or _decibels(float(own)) < _SAME_FRAME_DB)
    return wrong


def area_resize(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return frames that shrink, uint8 ``[T, height, width, 3]``: each pixel the mean of the area that it covers.

    Equal to OpenCV's INTER_AREA up to rounding.

    Args:
        frames: uint8 ``[T, H, W, 3]``.
        height: not above H.
        width: not above W.
    """
    down, across = _areas(frames.shape[1], height), _areas(frames.shape[2], width)
    small = np.empty((len(frames), height, width, 3), dtype=np.uint8)
    for at, frame in enumerate(frames):
        rows = np.tensordot(down, frame.astype(np.float32), axes=1)
        small[at] = np.tensordot(across, rows, axes=(1, 1)).transpose(1, 0, 2).round()
    return small


def _areas(before: int, after: int) -> np.ndarray:
    """Return float32 ``[after, before]``: which part of a pixel of the result each pixel makes up."""
    edges = np.arange(after + 1) * (before / after)
    pixels = np.arange(before)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (overlap.clip(0) * (after / before)).astype(np.float32)


def psnr(got: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Return the peak signal-to-noise ratio in dB of uint8 arrays, over all of them; 100 where they are equal."""
    errors = [((a.astype(np.float32) - b) ** 2).mean(dtype=np.float64) for a, b in zip(got, expected, strict=True)]
    return _decibels(float(np.mean(errors)))


def _decibels(error: float) -> float:
    return float(10 * np.log10(255**2 / error)) if error else _EQUAL_DB
