"""The temporal transformations of ``rtt`` and ``transrank``: names, what they ask of a video, the frames they read."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vssl_core.errors import ConfigError, near_names

__all__ = ["KINDS", "Transformation", "describe", "frames_needed", "parse", "set_speeds", "speeds_that_fit"]

KINDS = ("speed", "random", "periodic", "warp", "palindrome", "reversed")

#: what a reader sees of a clip, by kind
_WORDS = {
    "speed": "played",
    "random": "played in random order",
    "periodic": "played there and back",
    "warp": "played at changing speed",
    "palindrome": "played there and back by halves",
    "reversed": "played backwards",
}


@dataclass(frozen=True, slots=True)
class Transformation:
    """One class of the task.

    Attributes:
        kind: one of ``KINDS``.
        speed: multiple of the base stride; 0: drawn for each sample among the speeds of the set (``warp``: the bound).
    """

    kind: str
    speed: int

    def can_play(self, stride: int, speed: int) -> bool:
        """Return whether it exists at ``speed``: the way back of ``palindrome`` needs frames between those there."""
        return self.kind != "palindrome" or speed * stride >= 2

    def largest_extent(self, frames: int, stride: int, speed: int) -> int:
        """Return how many frames of a video it covers at most, from the first to the last, at ``speed``."""
        skip = speed * stride
        if self.kind == "palindrome":
            # With an even number of frames the way back starts up to skip - 1 frames beyond the last one there.
            return (frames // 2) * skip + frames % 2
        if self.kind == "periodic":
            return (frames - 3) * skip + max(skip - 1, 1) + 1
        return (frames - 1) * skip + 1

    def draw(self, rng: np.random.Generator, frames: int, stride: int, speed: int) -> np.ndarray:
        """Return int64 ``[frames]``: frame indices from 0 on, which is the earliest one that is read.

        ``speed`` frames one after another are ``speed * stride`` apart. ``periodic``, ``random`` and ``warp`` are those
        of sjenni/temporal-ssl (PreprocessorVideoSSL.process_train); ``palindrome`` and ``reversed`` are additions.
        A ``palindrome`` turns in the middle and shows no frame twice, unlike ``periodic`` at a skip of 1.
        """
        skip = speed * stride
        forward = np.arange(frames, dtype=np.int64) * skip
        if self.kind == "speed":
            return forward
        if self.kind == "reversed":
            return forward[::-1].copy()
        if self.kind == "palindrome":
            # Were the same frames shown on the way back, finding two alike would answer it, without any motion.
            half, shift = forward[: -(-frames // 2)], int(rng.integers(1, skip))
            return np.concatenate([half, half[: frames // 2][::-1] + shift])
        if self.kind == "random":
            while True:
                order = rng.permutation(frames)
                # In order and in reverse order are other classes.
                if not (np.array_equal(order, np.arange(frames)) or np.array_equal(order, np.arange(frames)[::-1])):
                    return forward[order]
        if self.kind == "warp":
            while True:
                steps = rng.integers(1, speed + 1, size=frames - 1) * stride
                if steps.min() != steps.max():  # equal steps are a speed, not a warp
                    return np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)
        return _periodic(rng, frames, skip)


def _periodic(rng: np.random.Generator, frames: int, skip: int) -> np.ndarray:
    """Forwards, then backwards: ``frames`` in a row out of there and back, at least two on either side of the turn.

    The way back is shifted against the way there, so that no frame comes twice where the stride allows it.
    """
    there = np.arange(frames - 2, dtype=np.int64) * skip
    shift = int(rng.integers(0, 2)) if skip == 1 else int(rng.integers(1, skip))
    both = np.concatenate([there, there[::-1] + shift])
    first = int(rng.integers(0, frames - 3))
    clip = both[first : first + frames]
    return clip - clip.min()


def set_speeds(transforms: Sequence[Transformation]) -> list[int]:
    """Return the speeds of a set, lowest first: those of its ``speed-K``, 1 where there is none."""
    return sorted({t.speed for t in transforms if t.kind == "speed"}) or [1]


def speeds_that_fit(
    transform: Transformation, transforms: Sequence[Transformation], frames: int, stride: int, n_frames: int
) -> list[int]:
    """Return the speeds at which a class can be shown in a video of ``n_frames``; empty: it does not fit.

    Args:
        transform: the class.
        transforms: the set that it belongs to, whose speeds it takes where it names none.
        frames: of a clip.
        stride: distance between two frames at speed 1.
        n_frames: of the video.
    """
    if transform.kind == "warp":
        bound = transform.speed or max(set_speeds(transforms))
        return [k for k in range(2, bound + 1) if transform.largest_extent(frames, stride, k) <= n_frames]
    wanted = [transform.speed] if transform.speed else set_speeds(transforms)
    fitting = [k for k in wanted if transform.largest_extent(frames, stride, k) <= n_frames]
    return [k for k in fitting if transform.can_play(stride, k)]


def frames_needed(transforms: Sequence[Transformation], frames: int, stride: int) -> int:
    """Return the frames of the shortest video that every class fits, at every speed."""
    fastest = max(set_speeds(transforms))
    return max(t.largest_extent(frames, stride, t.speed or fastest) for t in transforms)


def describe(transform: Transformation) -> str:
    """Return what a reader sees: ``"played at speed x2"``, ``"played backwards"``."""
    words = _WORDS[transform.kind]
    if transform.kind == "speed":
        return f"{words} at normal speed" if transform.speed == 1 else f"{words} at speed x{transform.speed}"
    return f"{words} at speed x{transform.speed}" if transform.speed > 1 else words


def parse(names: Sequence[str], frames: int, stride: int) -> tuple[Transformation, ...]:
    """Read a list such as ``["speed-1", "speed-2", "random", "reversed-2"]``.

    Raises:
        ConfigError: a name is unknown or twice there, there are fewer than two, ``frames`` is too few for them, or one
            has no speed at which it can be shown, however long the video: a ``warp`` none to change between, a
            ``palindrome`` none at which two frames are more than one apart.
    """
    where = f"task.transforms={list(names)}"
    if len(names) < 2:
        raise ConfigError(
            f"{where} names {len(names)} class; at least two are needed to tell apart, such as speed-1, speed-2"
        )
    if len(set(names)) < len(names):
        raise ConfigError(f"{where} names a transformation twice; each is one class")
    if frames < 4:
        raise ConfigError(f"task.frames={frames} is too few: temporal transformations need 4 frames or more")
    found = []
    for name in names:
        match = re.fullmatch(r"([a-z]+)(?:-([1-9][0-9]*))?", name)
        kind, speed = (match[1], int(match[2] or 0)) if match else (name, 0)
        if kind not in KINDS:
            known = [f"speed-{k}" for k in (1, 2, 3, 4, 8)] + [known for known in KINDS if known != "speed"]
            raise ConfigError(
                f"{where}: unknown transformation {name!r}{near_names(name, known)}; known: {', '.join(known)}"
            )
        if kind == "speed" and not speed:
            raise ConfigError(f"{where}: speed needs a multiple of the stride: speed-1, speed-2, ...")
        if kind == "random" and not speed:
            speed = 1  # the official code shuffles clips of speed 1
        found.append(Transformation(kind, speed))
    if len(set(found)) < len(found):
        raise ConfigError(f"{where} names a transformation twice: 'random' is 'random-1'")
    for name, transform in zip(names, found, strict=True):
        # A class that no video is long enough for would never be drawn, and the others be told apart without it.
        if speeds_that_fit(transform, found, frames, stride, sys.maxsize):
            continue
        if transform.kind == "warp":
            raise ConfigError(
                f"{where}: {name} needs a speed of 2 or more to change between, its own or that of a speed-K; add "
                "speed-2 or write warp-2"
            )
        speed = transform.speed or set_speeds(found)[-1]
        raise ConfigError(
            f"{where}: {name} at speed {speed} and task.stride={stride} has no frames between those of the way there "
            "for the way back; write palindrome-3, or raise task.stride"
        )
    return tuple(found)
