"""The check of optical flow providers."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np

from vssl_core.contracts import FlowProvider
from vssl_core.plugins import Entry, Registry
from vssl_core.testing.components import check_component, pick
from vssl_core.testing.expect import Expect, untouched_generators

__all__ = ["check_flow"]

_FRAMES, _RIM = 4, 12
# Heights and widths. A search that keeps something from one pair to the next may do so in small frames, or in frames
# whose sides are no power of 2, alone; a shape that is not square tells rows from columns.
_SIZES = ((64, 64), (40, 40), (88, 88), (40, 88))
# Frames whose shorter side has fewer pixels need not have the right mean: little is left within the rim.
_ENOUGH = 64
# Pixels a frame, to the right and down; and how far from it the mean over the middle may be.
_MOTIONS = ((2, 0), (0, 2), (-1, 1))
_TOLERANCE = 0.5


def check_flow(component: Entry | str | Mapping[str, Any], registry: Registry) -> None:
    """Check an optical flow provider on a texture that moves as a whole.

    It has a name and a version, is picklable and equal to its copy. At several sizes it returns float32 of the right
    shape, in pixels to the right and down, the same each time, for a pair of frames the same whatever stands before and
    behind it, and leaves the frames as they are.

    Args:
        component: an ``Entry``, or what configurations say.
        registry: where it is looked up.

    Raises:
        ConformanceError: it does not keep its contract.
    """
    check_component("flows", component, registry)
    entry, value = pick("flows", component, registry)
    expect = Expect(entry)
    provider = registry.build("flows", value)
    for attribute in ("name", "version"):
        text = getattr(provider, attribute, None)
        expect(isinstance(text, str) and text, f"{attribute} is {text!r}; expected text that is not empty")
    try:
        twin = pickle.loads(pickle.dumps(provider))
    except Exception as error:
        expect(False, f"cannot be pickled, as loader workers need: {type(error).__name__}: {error}")
        raise
    expect(twin == provider, "is not equal to its pickled copy; make it a frozen dataclass, or give it __eq__")
    for height, width in _SIZES:
        for motion in _MOTIONS:
            _check_motion(expect, provider, twin, _moving(motion, height, width), motion)


def _check_motion(
    expect: Expect, provider: FlowProvider, twin: FlowProvider, frames: np.ndarray, motion: tuple[int, int]
) -> None:
    """Check what a provider and its copy make of uint8 ``[T, H, W, 3]`` that moves by (right, down) pixels a frame."""
    kept = frames.copy()
    height, width = frames.shape[1:3]
    with untouched_generators(expect, "computing flow"):
        flow = provider(frames)
    shape = (len(frames) - 1, height, width, 2)
    expect(
        isinstance(flow, np.ndarray) and flow.dtype == np.float32 and flow.shape == shape,
        f"flow is {getattr(flow, 'dtype', type(flow).__name__)} {getattr(flow, 'shape', '')}; expected float32 {shape}",
    )
    expect(bool(np.isfinite(flow).all()), "flow holds numbers that are not finite")
    expect(np.array_equal(frames, kept), "it changes the frames that it was given")
    mean = flow[:, _RIM:-_RIM, _RIM:-_RIM].mean(axis=(0, 1, 2))
    expect(
        min(height, width) < _ENOUGH or bool(np.abs(mean - motion).max() <= _TOLERANCE),
        f"a texture that moves by {motion} pixels a frame (right, down) has mean flow {mean.round(2).tolist()}",
    )
    expect(np.array_equal(provider(frames), flow), "flow changes when it is computed again")
    pairs = np.concatenate([twin(frames[at : at + 2]) for at in range(len(frames) - 1)])
    expect(
        np.array_equal(pairs, flow),
        f"the flow of a pair of frames of {height} x {width} pixels depends on other frames, and pairs are kept and "
        "computed one by one",
    )


def _moving(motion: tuple[int, int], height: int, width: int) -> np.ndarray:
    """Return uint8 ``[T, H, W, 3]`` of a smooth texture that moves by (right, down) pixels a frame."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    rng = np.random.default_rng(0)
    waves = rng.uniform(0.15, 0.6, size=(8, 2)) * rng.choice([-1, 1], size=(8, 2))
    phases = rng.uniform(0, 2 * np.pi, size=8)
    frames = []
    for at in range(_FRAMES):
        right, down = x - motion[0] * at, y - motion[1] * at
        value = sum(np.sin(a * right + b * down + phase) for (a, b), phase in zip(waves, phases, strict=True))
        frames.append(127.5 + 127.5 * np.clip(value / 4, -1, 1))
    return np.repeat(np.stack(frames).astype(np.uint8)[..., None], 3, axis=3)
