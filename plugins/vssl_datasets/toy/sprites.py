"""Drawing: textured blobs on a panning background, one frame at a time.

Every frame is a function of that frame's state alone. There is no motion blur and no memory, so
nothing drawn can tell how the sprite got where it is.
Lengths are in reference pixels, of which a frame has 32 by 32 whatever its real size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]  # float32 wherever it has as many numbers as pixels

EXTENT = 32.0  # reference pixels across a frame
SUPERSAMPLE = 2  # samples per pixel and axis, averaged: fine textures must not alias
TEXTURES = ("plain", "halves", "stripes", "checker")
_TAU = 2.0 * np.pi
_CHUNK = 8  # frames drawn at once: more fall out of the processor's cache


@dataclass(frozen=True, slots=True)
class World:
    """What the videos of one group share: a background texture and a palette."""

    waves: Floats  # [K, 2] whole waves across the frame per axis, so that it tiles the torus
    phases: Floats  # [K] radians
    dark: Floats  # [3] RGB in [0, 1]
    light: Floats  # [3] RGB in [0, 1]
    hue: float  # centre of the sprites' hues, in turns


@dataclass(frozen=True, slots=True)
class Look:
    """How one sprite is painted; its texture turns and scales with it."""

    texture: str  # one of TEXTURES
    frequency: float  # texture periods per sprite radius, relative to the texture's own default
    turn: float  # texture's angle against the outline, in turns
    phase: float  # radians
    lobes: Floats  # [2] depth of the outline's 2- and 3-fold lobes, relative to the radius
    lobe_turns: Floats  # [2] their angles, in turns
    ink: Floats  # [3] RGB in [0, 1]
    paper: Floats  # [3] RGB in [0, 1]


@dataclass(frozen=True, slots=True)
class Track:
    """Where one sprite is in each of T frames; every array is float [T]."""

    x: Floats  # centre, reference px
    y: Floats  # centre, reference px, downwards
    turn: Floats  # angle in turns; positive is clockwise as seen
    radius: Floats  # mean radius, reference px

    def at(self, frames: NDArray[np.intp]) -> Track:
        """Return the track of the chosen frames alone."""
        return Track(self.x[frames], self.y[frames], self.turn[frames], self.radius[frames])


def _hsv(hue: float, saturation: float, value: float) -> Floats:
    """Return the RGB colour float32 [3] in [0, 1] of a hue (turns), saturation and value."""
    k = (np.array([5.0, 3.0, 1.0]) + 6.0 * (hue % 1.0)) % 6.0
    ramp = np.clip(np.minimum(k, 4.0 - k), 0.0, 1.0)
    return np.asarray(value * (1.0 - saturation * ramp), dtype=np.float32)


def draw_world(rng: np.random.Generator) -> World:
    """Draw a background: three waves of one to three periods between two dull colours."""
    waves = rng.integers(-2, 3, size=(3, 2))
    waves[np.abs(waves).sum(axis=1) == 0] = (1, 1)
    hue = rng.uniform()
    # Darker than any ink: a sprite stands out as a whole, and its texture within it.
    value = rng.uniform(0.18, 0.32)
    saturation = rng.uniform(0.1, 0.5)
    half_span = rng.uniform(0.02, 0.06)
    return World(
        waves=waves.astype(np.float32),
        phases=rng.uniform(0.0, _TAU, size=3).astype(np.float32),
        dark=_hsv(hue, saturation, value - half_span),
        light=_hsv(hue + rng.uniform(-0.1, 0.1), saturation, value + half_span),
        hue=float(rng.uniform()),
    )


def draw_look(world: World, texture: str, rng: np.random.Generator) -> Look:
    """Draw a sprite's outline and its two colours, a light and a half-light one, in either role."""
    hue = world.hue + rng.uniform(-0.15, 0.15)
    light = _hsv(hue, rng.uniform(0.0, 0.4), rng.uniform(0.85, 1.0))
    half_light = _hsv(hue + rng.uniform(-0.3, 0.3), rng.uniform(0.2, 0.8), rng.uniform(0.40, 0.55))
    swapped = rng.uniform() < 0.5
    return Look(
        texture=texture,
        frequency=float(rng.uniform(0.9, 1.1)),
        turn=float(rng.uniform()),
        phase=float(rng.uniform(0.0, _TAU)),
        lobes=rng.uniform((0.20, 0.08), (0.34, 0.22)).astype(np.float32),
        lobe_turns=rng.uniform(size=2).astype(np.float32),
        ink=light if swapped else half_light,
        paper=half_light if swapped else light,
    )


def _pattern(look: Look, p: Floats, q: Floats) -> Floats:
    """Return the texture's wave in [-1, 1] at sprite coordinates in units of the radius."""
    f = np.float32(_TAU * look.frequency)
    phase = np.float32(look.phase)
    wave: Floats
    if look.texture == "plain":
        wave = np.ones_like(p)
    elif look.texture == "halves":
        wave = np.clip(2.5 * (p + 0.25 * np.sin(phase)), -1.0, 1.0)
    elif look.texture == "stripes":
        wave = np.sin(0.95 * f * p + phase)
    elif look.texture == "checker":
        wave = 1.5 * np.sin(1.5 * f * p + phase) * np.sin(1.5 * f * q + 2.0 * phase)
    else:
        known = ", ".join(TEXTURES)
        raise ValueError("unknown texture " + repr(look.texture) + "; known: " + known)
    return wave


def _centres(n: int) -> Floats:
    """Return the centres of ``n`` equal cells across a frame, float32 [n] in reference px."""
    return ((np.arange(n, dtype=np.float32) + 0.5) * (EXTENT / n)).astype(np.float32)


def _column(values: Floats) -> Floats:
    return np.asarray(values, dtype=np.float32)[:, None, None]


def _rotate(x: Floats, y: Floats, angle: Floats | float) -> tuple[Floats, Floats]:
    """Return the coordinates of (x, y) in axes turned by ``angle`` radians."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * x + sin * y, cos * y - sin * x


def _outline(look: Look, u: Floats, v: Floats, rho: Floats) -> Floats:
    """Return the blob's radius in the direction of each sample, in mean radii."""
    safe = np.maximum(rho, np.float32(1e-6))
    cos, sin = u / safe, v / safe
    two = _rotate(cos * cos - sin * sin, 2.0 * cos * sin, 2.0 * _TAU * float(look.lobe_turns[0]))
    three = _rotate(
        cos * (4.0 * cos * cos - 3.0),
        sin * (3.0 - 4.0 * sin * sin),
        3.0 * _TAU * float(look.lobe_turns[1]),
    )
    outline: Floats = np.float32(1.0) + look.lobes[0] * two[0] + look.lobes[1] * three[0]
    return outline


def _pool(samples: Floats) -> Floats:
    """Average the samples of each pixel: float [T, S, S] to [T, S / k, S / k, 1]."""
    k = SUPERSAMPLE
    total = sum(samples[:, row::k, column::k] for row in range(k) for column in range(k))
    return np.asarray(total * np.float32(1.0 / k**2))[..., None]


def _paint(canvas: Floats, look: Look, track: Track, torus: bool) -> None:
    """Blend one sprite over ``canvas`` float32 [T, S, S, 3] in place.

    The sprite is drawn finely and averaged before it is blended; backgrounds are too smooth to
    need that.
    """
    size = canvas.shape[1]
    samples = _centres(size * SUPERSAMPLE)
    dx, dy = samples - track.x[:, None], samples - track.y[:, None]
    if torus:
        dx, dy = (d - EXTENT * np.round(d / EXTENT) for d in (dx, dy))
    radius = _column(track.radius)
    u, v = _rotate(dx[:, None, :] / radius, dy[:, :, None] / radius, np.float32(_TAU) * _column(track.turn))
    rho = np.sqrt(u * u + v * v)
    # An edge one pixel wide, so that motion by less than a pixel shows.
    edge = (_outline(look, u, v, rho) - rho) * (radius * np.float32(size / EXTENT))
    cover = np.clip(edge + np.float32(0.5), 0.0, 1.0)
    p, q = _rotate(u, v, _TAU * look.turn)
    ink = cover * (0.5 + 0.5 * np.clip(3.0 * _pattern(look, p, q), -1.0, 1.0))
    cover, ink = _pool(cover), _pool(ink)
    canvas += cover * (look.paper - canvas) + ink * (look.ink - look.paper)


def _background(world: World, pan: Floats, size: int) -> Floats:
    """Return the panned background, float32 [T, size, size, 3] in [0, 1]."""
    x = _centres(size) - pan[:, :1]
    y = _centres(size) - pan[:, 1:]
    level = np.zeros((len(pan), size, size), dtype=np.float32)
    for (kx, ky), phase in zip(world.waves, world.phases, strict=True):
        across = np.float32(_TAU / EXTENT) * kx * x[:, None, :] + phase
        down = np.float32(_TAU / EXTENT) * ky * y[:, :, None]
        # cos(across + down), taken apart so that each cosine is of one axis only.
        level += np.cos(across) * np.cos(down) - np.sin(across) * np.sin(down)
    share = (0.5 + level / (2.0 * len(world.waves)))[..., None]
    return (world.dark + share * (world.light - world.dark)).astype(np.float32)


def render(
    world: World,
    sprites: Sequence[tuple[Look, Track]],
    pan: Floats,
    gain: Floats,
    size: int,
    torus: bool,
) -> NDArray[np.uint8]:
    """Draw a video as uint8 [T, size, size, 3] RGB.

    ``pan`` float [T, 2] shifts the background (x, y; reference px), ``gain`` float [T] multiplies
    a frame's brightness, and later sprites lie over earlier ones. With ``torus`` a sprite that
    leaves on one side enters on the other.
    """
    canvas = _background(world, pan, size)
    for look, track in sprites:
        reach = 1.5 * track.radius
        near = [(c > -reach) & (c < EXTENT + reach) for c in (track.x, track.y)]
        shown = np.flatnonzero(near[0] & near[1])
        for first in range(0, len(shown), _CHUNK):
            chosen = shown[first : first + _CHUNK]
            part = canvas[chosen]
            _paint(part, look, track.at(chosen), torus)
            canvas[chosen] = part
    frames = canvas * np.asarray(gain, dtype=np.float32)[:, None, None, None]
    pixels: NDArray[np.uint8] = np.rint(np.clip(frames, 0.0, 1.0) * 255.0).astype(np.uint8)
    return pixels


def draw_nuisance(frames: int, pan_speed: float, flicker: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw a background pan float [T, 2] and brightness gains float [T].

    The pan starts anywhere and runs straight at up to ``pan_speed`` reference px a frame; gains
    are independent from frame to frame, uniform within ``1 +- flicker``.
    """
    heading, speed = rng.uniform(0.0, _TAU), rng.uniform(0.0, pan_speed)
    step = speed * np.array([np.cos(heading), np.sin(heading)])
    pan = rng.uniform(0.0, EXTENT, size=2) + np.arange(frames)[:, None] * step
    gain = 1.0 + rng.uniform(-flicker, flicker, size=frames)
    return pan.astype(np.float32), gain.astype(np.float32)
