"""Random paths of boxes over the frames of a clip, from key frame to key frame; NumPy alone, it runs in loader workers.

The laws are those of microsoft/CtP@847b8fc (``pyvrl/datasets/transforms/dynamic_utils.py`` and ``ctp_transforms.py``),
drawn from a given generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["INTERPOLATIONS", "Trajectories", "curve", "interpolate", "key_frames"]

#: how a value changes between two key frames, and how often: evenly, faster and faster, slower and slower
INTERPOLATIONS = (("uniform", 0.7), ("accelerate", 0.15), ("decelerate", 0.15))


def key_frames(rng: np.random.Generator, frames: int, probabilities: Sequence[float]) -> np.ndarray:
    """Draw the key frames of a clip: its first, its last, and k between them with probability ``probabilities[k]``.

    The k lie evenly, each moved by up to a third of the distance between them. Where the clip is so short that two fall
    together, one is left.

    Args:
        rng: the sample's own generator.
        frames: frames of the clip, 2 or more.
        probabilities: they sum to 1.

    Returns:
        int64 ``[2 .. k+2]``, rising, from 0 to ``frames - 1``.
    """
    inner = int(rng.choice(len(probabilities), p=probabilities))
    if inner == 0:
        return np.array([0, frames - 1], dtype=np.int64)
    distance = frames / (inner + 1)
    places = np.array([int(distance * k) for k in range(1, inner + 1)], dtype=np.int64)
    reach = int(distance / 3)
    if reach > 0:
        places = places + rng.integers(-reach, reach, size=inner)
    return np.unique(np.concatenate([[0], places, [frames - 1]])).astype(np.int64)


def interpolate(values: np.ndarray, keys: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """Fill in the frames between key frames.

    Args:
        values: float ``[K, ...]``, the values at the key frames.
        keys: int ``[K]``, rising from 0.
        kinds: for each of the K - 1 stretches ``"uniform"`` (at constant speed), ``"accelerate"`` (from rest, at
            constant acceleration) or ``"decelerate"`` (its mirror image, to rest).

    Returns:
        float ``[keys[-1] + 1, ...]``.
    """
    filled = np.empty((int(keys[-1]) + 1, *values.shape[1:]), dtype=np.float64)
    for stretch, kind in enumerate(kinds):
        first, last = int(keys[stretch]), int(keys[stretch + 1])
        done = np.arange(last - first + 1) / (last - first)
        if kind == "accelerate":
            done = done**2
        elif kind == "decelerate":
            done = 1.0 - (1.0 - done) ** 2
        share = done.reshape(-1, *(1,) * (values.ndim - 1))
        filled[first : last + 1] = values[stretch] + share * (values[stretch + 1] - values[stretch])
    return filled


def curve(rng: np.random.Generator, values: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """``interpolate`` with a kind drawn for every stretch, as often as ``INTERPOLATIONS`` says."""
    drawn = rng.choice(len(INTERPOLATIONS), size=len(keys) - 1, p=[odds for _, odds in INTERPOLATIONS])
    return interpolate(values, keys, [INTERPOLATIONS[number][0] for number in drawn])


@dataclass(frozen=True, slots=True)
class Trajectories:
    """Draws boxes and where they go (official ``RandomRegionSampler`` and ``PatchMask.rectangle_movement``).

    All boxes of a clip share their key frames, those of the position and those of the size by themselves.

    Attributes:
        size: height and width of the frames, in pixels.
        boxes: how many.
        scales: square root of a box's area, in pixels; one is drawn for each box.
        ratios: its width over its height; one is drawn for each box.
        scale_jitter: logarithms of width and height then change by up to this much.
        position_velocity: largest speed of a centre along each axis, in pixels a frame.
        size_velocity: largest change of the logarithm of a side, a frame.
        key_probabilities: see ``key_frames``.
    """

    size: int
    boxes: int
    scales: tuple[float, ...]
    ratios: tuple[float, ...]
    scale_jitter: float
    position_velocity: float
    size_velocity: float
    key_probabilities: tuple[float, ...]

    def draw(self, rng: np.random.Generator, frames: int) -> np.ndarray:
        """Return int64 ``[boxes, frames, 4]``: left, top, right, bottom in pixels, the end excluded, inside the frame.

        Boxes come with the largest first, by the mean of their sides: pasted in this order none hides under a larger.
        """
        corner, sides = self._first(rng)
        centres = self._centres(rng, corner + sides / 2, sides, frames)
        sizes = self._sizes(rng, sides, frames)
        low = np.clip(np.round(np.clip(centres - sizes / 2, 0, self.size)), 0, self.size - 1)
        # A box of no pixels could not be looked at; at the official sizes none gets that small.
        high = np.maximum(np.round(np.clip(centres + sizes / 2, 0, self.size)), low + 1)
        boxes = np.concatenate([low, high], axis=2).transpose(1, 0, 2).astype(np.int64)
        area = (boxes[..., 2:] - boxes[..., :2]).mean(axis=1).prod(axis=1)
        return boxes[np.argsort(-area, kind="stable")]

    def _first(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return corner and sides ``[boxes, 2]`` (x, y) in the first frame."""
        scale = rng.choice(self.scales, size=self.boxes)
        ratio = np.sqrt(rng.choice(self.ratios, size=self.boxes))
        sides = np.stack([scale * ratio, scale / ratio], axis=1)
        sides = sides * np.exp(rng.uniform(-self.scale_jitter, self.scale_jitter, size=sides.shape))
        sides = np.clip(sides, 1, self.size - 1)
        return rng.uniform(0, self.size - sides), sides

    def _centres(self, rng: np.random.Generator, centre: np.ndarray, sides: np.ndarray, frames: int) -> np.ndarray:
        """Return ``[frames, boxes, 2]``; a box of its first size stays inside the frame."""
        keys = key_frames(rng, frames, self.key_probabilities)
        path = [centre]
        for gap in np.diff(keys):
            reach = self.position_velocity * gap
            moved = path[-1] + rng.uniform(-reach, reach, size=centre.shape)
            path.append(np.clip(moved, sides / 2, self.size - sides / 2))
        return curve(rng, np.stack(path), keys)

    def _sizes(self, rng: np.random.Generator, sides: np.ndarray, frames: int) -> np.ndarray:
        """Return ``[frames, boxes, 2]``."""
        keys = key_frames(rng, frames, self.key_probabilities)
        path = [sides]
        for gap in np.diff(keys):
            reach = self.size_velocity * gap
            path.append(path[-1] * np.exp(rng.uniform(-reach, reach, size=sides.shape)))
        return curve(rng, np.stack(path), keys)
