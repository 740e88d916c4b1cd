"""toy-physics: five laws with an arrow of time and a natural pace.

Gravity, damping, friction and drag are the same constants in every video, so that a clip played
faster, slower or backwards obeys no law of this world. Lengths are reference px (32 to a frame),
times are frames, y points down. Nothing but the moving body is drawn: no floor, rod or string.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vssl_datasets.toy.sprites import (
    EXTENT,
    TEXTURES,
    Look,
    Track,
    World,
    draw_look,
    draw_nuisance,
    render,
)

Doubles = NDArray[np.float64]

GRAVITY = 0.30  # px / frame^2
RESTITUTION = 0.80  # speed kept by a bounce off the floor
PENDULUM_DAMPING = 1.0 / 60.0  # 1 / frame; the swing's amplitude falls as exp(-damping t / 2)
FRICTION = 0.0075  # px / frame^2 of deceleration
BALLOON_RISE = 0.34  # px / frame, the terminal speed under drag
BALLOON_DRAG = 1.0 / 10.0  # 1 / frame
BALLOON_SWAY = 20.0  # frames a period
PAN_SPEED = 0.10  # px / frame at most
FLICKER = 0.04  # relative

_TAU = 2.0 * np.pi


def _as_track(x: Doubles, y: Doubles, turn: Doubles, radius: float) -> Track:
    return Track(
        x=x.astype(np.float32),
        y=y.astype(np.float32),
        turn=turn.astype(np.float32),
        radius=np.full(len(x), radius, dtype=np.float32),
    )


def _fall(t: Doubles, rng: np.random.Generator) -> list[Track]:
    """Bodies fall through the view one after another, as from a leaking tap."""
    tracks = []
    entry = -rng.uniform(0.0, 12.0)  # frame in which the body's centre passes the top edge
    while entry < t[-1]:
        radius = rng.uniform(2.8, 4.2)
        since = t - entry
        # Before its entry and after its exit a body is simply out of view.
        y = rng.uniform(0.0, 0.5) * since + 0.5 * GRAVITY * since * np.abs(since) - radius
        y = np.where(since < 0.0, -2.0 * EXTENT, np.minimum(y, 2.0 * EXTENT))
        x = rng.uniform(6.0, EXTENT - 6.0) + rng.uniform(-0.4, 0.4) * since
        tracks.append(_as_track(x, y, rng.uniform() + rng.uniform(-0.02, 0.02) * since, radius))
        entry += rng.uniform(9.0, 14.0)
    return tracks


def _bounce(t: Doubles, rng: np.random.Generator) -> list[Track]:
    """A ball is dropped and bounces lower each time while it wanders sideways."""
    radius = rng.uniform(3.0, 4.5)
    floor, height = EXTENT - 1.0 - radius, rng.uniform(17.0, 22.0)
    since = t + rng.uniform(0.0, 8.0)
    # Parabolas between impacts: the first is half of one, its apex at the drop.
    speed = np.sqrt(2.0 * GRAVITY * height)
    start = -speed / GRAVITY
    y = np.full_like(t, floor)
    while start < since[-1] and speed > 0.05:
        end = start + 2.0 * speed / GRAVITY
        inside = (since >= start) & (since < end)
        local = since[inside] - start
        y[inside] = floor - (speed * local - 0.5 * GRAVITY * local**2)
        start, speed = end, speed * RESTITUTION
    sense = rng.choice((-1.0, 1.0))
    x = EXTENT / 2.0 + sense * (rng.uniform(0.12, 0.22) * (t - t.mean()) + rng.uniform(-2.0, 2.0))
    return [_as_track(x, y, rng.uniform() + sense * 0.012 * t, radius)]


def _pendulum(t: Doubles, rng: np.random.Generator) -> list[Track]:
    """A bob swings about a pivot near the upper edge and loses amplitude."""
    radius, length = rng.uniform(3.0, 4.5), rng.uniform(15.0, 18.0)
    lead = rng.uniform(0.0, 20.0)  # frames since the release
    angle, rate = rng.choice((-1.0, 1.0)) * rng.uniform(0.7, 0.9), 0.0

    def pull(a: float, w: float) -> float:
        return -GRAVITY / length * math.sin(a) - PENDULUM_DAMPING * w

    angles = []
    now, step = -lead, 0.5
    for frame in t:  # midpoint rule in half frames: its error is far below a pixel
        while now < frame - 1e-9:
            h = min(step, frame - now)
            mid_angle, mid_rate = angle + 0.5 * h * rate, rate + 0.5 * h * pull(angle, rate)
            angle, rate = angle + h * mid_rate, rate + h * pull(mid_angle, mid_rate)
            now += h
        angles.append(angle)
    swing = np.array(angles)
    pivot_x, pivot_y = EXTENT / 2.0 + rng.uniform(-1.0, 1.0), 27.0 - length
    x, y = pivot_x + length * np.sin(swing), pivot_y + length * np.cos(swing)
    return [_as_track(x, y, rng.uniform() - swing / _TAU, radius)]


def _friction(t: Doubles, rng: np.random.Generator) -> list[Track]:
    """A puck slides and turns ever more slowly until it rests near the end."""
    radius, stop = rng.uniform(3.0, 4.5), rng.uniform(66.0, 78.0)
    left = np.maximum(stop - t, 0.0)
    heading = rng.choice((0.0, 0.5)) + rng.uniform(-0.03, 0.03)
    to_go = 0.5 * FRICTION * left**2  # px still ahead of it
    half = to_go[0] / 2.0
    x = EXTENT / 2.0 + rng.uniform(-1.0, 1.0) + (half - to_go) * np.cos(_TAU * heading)
    y = rng.uniform(9.0, 26.0) + (half - to_go) * np.sin(_TAU * heading)
    turn = rng.uniform() + rng.choice((-1.0, 1.0)) * 0.03 * to_go
    return [_as_track(x, y, turn, radius)]


def _balloon(t: Doubles, rng: np.random.Generator) -> list[Track]:
    """A balloon leaves the ground, reaches its terminal speed and sways as it rises."""
    radius = rng.uniform(3.0, 4.5)
    since = t + rng.uniform(0.0, 8.0)
    risen = BALLOON_RISE * (since - (1.0 - np.exp(-BALLOON_DRAG * since)) / BALLOON_DRAG)
    y = rng.uniform(27.0, 30.0) - risen
    phase = _TAU * (since / BALLOON_SWAY + rng.uniform())
    sway = rng.uniform(1.5, 2.5) * (1.0 - np.exp(-since / 15.0))
    x = rng.uniform(8.0, EXTENT - 8.0) + sway * np.sin(phase)
    turn = rng.uniform() + 0.02 * sway * np.cos(phase)
    return [_as_track(x, y, turn, radius)]


LAWS = {
    "gravity": _fall,
    "bounce": _bounce,
    "pendulum": _pendulum,
    "friction": _friction,
    "balloon": _balloon,
}


def render_physics(
    labels: tuple[str, ...],
    frames: int,
    size: int,
    world: World,
    nuisance: np.random.Generator,
    law: np.random.Generator,
) -> NDArray[np.uint8]:
    """Draw one video as uint8 [frames, size, size, 3] for ``labels`` (law,)."""
    tracks = LAWS[labels[0]](np.arange(frames, dtype=np.float64), law)
    look: Look = draw_look(world, str(nuisance.choice(TEXTURES)), nuisance)
    pan, gain = draw_nuisance(frames, PAN_SPEED, FLICKER, nuisance)
    return render(world, [(look, body) for body in tracks], pan, gain, size, torus=False)
