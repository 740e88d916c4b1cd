"""``rtt``'s frames against those of the official code, sjenni/temporal-ssl, commit 1d89d28.

Made by running ``PreprocessorTransform(6, n_speeds=3).process_train({"num_frames": 60})`` 6000 times, and as often with
clips of 4 frames, as it stands, on a NumPy stand-in for the functions of TensorFlow 1 that it calls, ``load_inds``
handing on the indices; ``tests/golden/make/rtt.py`` runs it again. Listed is every clip that came, counted from its
lowest frame. Integers: no tolerance.

The official classes are {speed, periodic, random, warp} and, by a softmax of their own, the speeds 1, 2, 4.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vssl_speed.transformations import Transformation

Clip = tuple[int, ...]

PERIODIC: dict[tuple[int, int], set[Clip]] = {
    (4, 1): {(0, 1, 1, 0), (0, 1, 2, 1)},
    (4, 2): {(0, 2, 3, 1)},
    (4, 4): {(0, 4, 5, 1), (0, 4, 6, 2), (0, 4, 7, 3)},
    (6, 1): {
        *((0, 1, 2, 2, 1, 0), (0, 1, 2, 3, 2, 1), (0, 1, 2, 3, 3, 2)),
        *((0, 1, 2, 3, 4, 3), (1, 2, 3, 2, 1, 0), (2, 3, 3, 2, 1, 0)),
    },
    (6, 2): {(0, 2, 4, 5, 3, 1), (0, 2, 4, 6, 7, 5), (3, 5, 6, 4, 2, 0)},
    (6, 4): {
        *((0, 4, 8, 9, 5, 1), (0, 4, 8, 10, 6, 2), (0, 4, 8, 11, 7, 3)),
        *((0, 4, 8, 12, 13, 9), (0, 4, 8, 12, 14, 10), (0, 4, 8, 12, 15, 11)),
        *((5, 9, 12, 8, 4, 0), (6, 10, 12, 8, 4, 0), (7, 11, 12, 8, 4, 0)),
    },
}
SPEED: dict[int, Clip] = {1: (0, 1, 2, 3, 4, 5), 2: (0, 2, 4, 6, 8, 10), 4: (0, 4, 8, 12, 16, 20)}
# Of 4 frames all 24 orders came, at speed 1 whatever the video's speed, and all 64 triples of steps from 1 to 4.
RANDOM: set[Clip] = set(itertools.permutations(range(4)))
WARP: set[Clip] = {(0, a, a + b, a + b + c) for a, b, c in itertools.product(range(1, 5), repeat=3)}


def drawn(transform: Transformation, frames: int, speed: int, n: int = 600) -> set[Clip]:
    """Every clip that comes, counted from its lowest frame."""
    rng = np.random.default_rng(0)
    clips = [transform.draw(rng, frames, 1, speed) for _ in range(n)]
    return {tuple(int(k) for k in clip - clip.min()) for clip in clips}


@pytest.mark.parametrize(("frames", "speed"), sorted(PERIODIC))
def test_periodic(frames: int, speed: int) -> None:
    assert drawn(Transformation("periodic", 0), frames, speed) == PERIODIC[frames, speed]


@pytest.mark.parametrize("speed", sorted(SPEED))
def test_speed(speed: int) -> None:
    assert drawn(Transformation("speed", speed), 6, speed, n=5) == {SPEED[speed]}


def test_random_but_in_order_and_backwards() -> None:
    assert drawn(Transformation("random", 1), 4, 1) == RANDOM - {(0, 1, 2, 3), (3, 2, 1, 0)}


def test_warp_but_at_equal_steps() -> None:
    equal = {(0, k, 2 * k, 3 * k) for k in range(1, 5)}
    assert drawn(Transformation("warp", 4), 4, 4, n=2_000) == WARP - equal
