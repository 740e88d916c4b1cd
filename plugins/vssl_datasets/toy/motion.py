"""toy-motion: eight motions that no single frame gives away.

A sprite's state is a point on a torus of four circles: x, y, angle, log-size. Frame t shows
``start + displacement(t)`` with the start uniform on the torus and independent of the class. A
uniform point stays uniform under any displacement that is independent of it, so each single
frame has exactly the same law in every class: only the order of frames can tell them apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vssl_datasets.toy.sprites import (
    EXTENT,
    Floats,
    Track,
    World,
    draw_look,
    draw_nuisance,
    render,
)

X, Y, TURN, LOG_SIZE = range(4)  # columns of a state, each in units of its circle's length

SMALLEST_PX, LARGEST_PX = 6.0, 11.0  # mean radius at both ends of the log-size circle
PAN_SPEED = 0.12  # reference px a frame at most
FLICKER = 0.02  # relative

_TAU = 2.0 * np.pi


def displacement(motion: str, frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a class's displacement float64 [frames, 4] in circle lengths, with random pace.

    Rates are such that 15 consecutive frames show every class: at least one reversal of a swing,
    one pause of a stop-and-go, most of an orbit.
    """
    t = np.arange(frames, dtype=np.float64)
    heading = rng.uniform(0.0, _TAU)
    along = np.array([np.cos(heading), np.sin(heading)])
    path = np.zeros((frames, 4))
    if motion == "drift":
        path[:, [X, Y]] = np.outer(rng.uniform(0.030, 0.045) * t, along)
    elif motion == "stop-and-go":
        cycle, offset = rng.uniform(9.0, 12.0), rng.uniform()
        whole, part = np.divmod(t / cycle + offset, 1.0)
        # Half of each cycle moves at twice the mean speed, the other half rests.
        gone = cycle * (whole + np.minimum(2.0 * part, 1.0))
        path[:, [X, Y]] = np.outer(rng.uniform(0.030, 0.045) * gone, along)
    elif motion == "swing":
        phase = _TAU * (t / rng.uniform(10.0, 15.0) + rng.uniform())
        path[:, [X, Y]] = np.outer(rng.uniform(0.13, 0.20) * np.sin(phase), along)
    elif motion == "orbit":
        sense = rng.choice((-1.0, 1.0))
        phase = sense * _TAU * (t / rng.uniform(12.0, 18.0) + rng.uniform())
        path[:, [X, Y]] = rng.uniform(0.11, 0.17) * np.stack([np.cos(phase), np.sin(phase)], axis=1)
    elif motion in ("spin-cw", "spin-ccw"):
        # Below 1/8 turn in two frames: a checker, alike at each 1/4 turn, still shows the sense.
        rate = rng.uniform(1.0 / 28.0, 1.0 / 19.0)
        path[:, TURN] = (1.0 if motion == "spin-cw" else -1.0) * rate * t
    elif motion in ("grow", "shrink"):
        rate = rng.uniform(1.0 / 26.0, 1.0 / 16.0)
        path[:, LOG_SIZE] = (1.0 if motion == "grow" else -1.0) * rate * t
    else:
        raise ValueError("unknown motion " + repr(motion))
    return path


def track(start: NDArray[np.float64], path: NDArray[np.float64]) -> Track:
    """Return the frames' states: ``start`` float64 [4] in [0, 1) displaced by ``path`` [T, 4]."""
    state = (start + path) % 1.0
    radius = SMALLEST_PX * (LARGEST_PX / SMALLEST_PX) ** state[:, LOG_SIZE]
    columns: list[Floats] = [
        np.asarray(values, dtype=np.float32)
        for values in (EXTENT * state[:, X], EXTENT * state[:, Y], state[:, TURN], radius)
    ]
    return Track(*columns)


def render_motion(
    labels: tuple[str, ...],
    frames: int,
    size: int,
    world: World,
    nuisance: np.random.Generator,
    law: np.random.Generator,
) -> NDArray[np.uint8]:
    """Draw one video as uint8 [frames, size, size, 3] for ``labels`` (motion, appearance)."""
    motion, appearance = labels
    start = nuisance.uniform(size=4)
    look = draw_look(world, appearance, nuisance)
    pan, gain = draw_nuisance(frames, PAN_SPEED, FLICKER, nuisance)
    path = displacement(motion, frames, law)
    return render(world, [(look, track(start, path))], pan, gain, size, torus=True)
