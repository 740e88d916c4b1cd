"""Which frames to read, decided before anything is decoded. No torch here: planners run in loader workers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vssl_core.contracts import ClipRecipe, Video, View
from vssl_core.errors import ClipError, ConfigError

__all__ = ["OneClip", "clip_frames", "random_start", "recipe_views", "sample_rng", "sample_seed", "span"]

# Streams that must never coincide get their own first word of entropy.
_STREAM_SAMPLE, _STREAM_SEED, _STREAM_SHUFFLE = 1, 2, 3
_WORD = (1 << 64) - 1


def span(frames: int, stride: int) -> int:
    """Return the number of video frames that a clip reaches over, its first and last frame included."""
    return (frames - 1) * stride + 1


def clip_frames(n_frames: int, start: int, frames: int, stride: int, short_video: str = "error") -> np.ndarray:
    """Return the indices of a clip's frames in a video of ``n_frames``.

    Args:
        n_frames: frames of the video.
        start: index of the first frame, >= 0.
        frames: frames of the clip.
        stride: distance between two of them, in frames of the video; 0 repeats the first.
        short_video: what to do when the clip reaches past the end: ``"error"``, ``"loop"`` (start over from frame 0)
            or ``"pad"`` (repeat the last frame).

    Returns:
        int64 ``[frames]`` in [0, n_frames).

    Raises:
        ClipError: the clip does not fit and ``short_video`` is ``"error"``, or the video has no frames.
        ConfigError: ``short_video`` is none of the three.
    """
    indices = start + np.arange(frames, dtype=np.int64) * stride
    if n_frames < 1:
        raise ClipError("the video has no readable frames")
    if short_video not in ("error", "loop", "pad"):
        raise ConfigError(f"short_video={short_video!r} is not one of 'error', 'loop', 'pad'")
    if start >= 0 and (frames == 0 or indices[-1] < n_frames):
        return indices
    if start < 0 or short_video == "error":
        raise ClipError(
            f"a clip of {frames} frames at stride {stride} from frame {start} needs {start + span(frames, stride)} "
            f"frames, the video has {n_frames}; lower frames or stride, or set short_video=loop or pad"
        )
    return indices % n_frames if short_video == "loop" else np.minimum(indices, n_frames - 1)


def random_start(rng: np.random.Generator, n_frames: int, length: int) -> int:
    """Return a uniformly drawn first frame of a stretch of ``length`` frames; 0 where the video is no longer."""
    return int(rng.integers(0, max(0, n_frames - length) + 1))


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the generator of one sample: a function of the run's seed, the epoch and ``Video.index`` alone."""
    return np.random.default_rng([_STREAM_SAMPLE, seed, epoch, index])


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """Return the sample's entry of ``Batch.seeds``, in [0, 2**63): what its augmentation draws from."""
    state = _STREAM_SEED
    for word in (seed, epoch, index):
        state = _mix(state + word)
    return state >> 1


def _mix(value: int) -> int:
    """SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection of 64-bit integers; NumPy's seeding costs 20 x."""
    value = (value * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & _WORD
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _WORD
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _WORD
    return value ^ value >> 31


def recipe_views(video: Video, recipe: ClipRecipe, read_size: int = 0, fit: str = "short-side-crop") -> list[View]:
    """Return the views of a transfer recipe, one a clip; no randomness.

    Clip ``c`` of ``C`` starts at ``(c + 1/2) / C`` of the room that the video leaves, so that clip centres are spread
    evenly and one clip stands in the middle. With ``recipe.whole`` frame ``j`` of clip ``c`` is at
    ``(j + (c + 1/2) / C) / frames`` of the video, whatever its length.

    Args:
        video: the row to read.
        recipe: frames, stride, clips, size and perturbation.
        read_size: height and width that are read; 0: ``recipe.size``.
        fit: as in ``View.fit``.

    Raises:
        ClipError: the video has no readable frames, or is shorter than a clip and ``recipe.whole`` is false.
        ConfigError: an unknown perturbation.
    """
    if video.n_frames < 1:
        raise ClipError(f"video {video.video_id!r} has no readable frames")
    side = read_size or recipe.size
    room = video.n_frames - span(recipe.frames, recipe.stride)
    if room < 0 and not recipe.whole:
        raise ClipError(
            f"video {video.video_id!r} has {video.n_frames} frames, {recipe.frames} at stride {recipe.stride} "
            f"need {span(recipe.frames, recipe.stride)}; lower frames or stride, or set whole=true"
        )
    views = []
    for clip in range(recipe.clips):
        place = (clip + 0.5) / recipe.clips
        if recipe.whole:
            at = (np.arange(recipe.frames) + place) * video.n_frames / recipe.frames
            frames = np.minimum(at.astype(np.int64), video.n_frames - 1)
        else:
            frames = clip_frames(video.n_frames, int(place * (room + 1)), recipe.frames, recipe.stride)
        views.append(View(_perturbed(frames, recipe.perturb, video.video_id, clip), (side, side), fit))
    return views


@dataclass(frozen=True, slots=True)
class OneClip:
    """A planner that draws one clip at a uniform start and makes no targets; ``task`` is its name in messages."""

    task: str
    frames: int
    stride: int
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return one view of ``frames`` frames.

        Raises:
            ClipError: ``short_video="error"`` and the video is too short.
        """
        needed = span(self.frames, self.stride)
        if self.short_video == "error" and video.n_frames < needed:
            raise ClipError(
                f"{self.task} needs {needed} frames (task.frames={self.frames}, task.stride={self.stride}), video "
                f"{video.video_id!r} has {video.n_frames}; lower one of them, or set task.short_video=loop"
            )
        start = random_start(rng, video.n_frames, needed)
        frames = clip_frames(video.n_frames, start, self.frames, self.stride, self.short_video)
        return [View(frames, self.size, self.fit)], {}


def _perturbed(frames: np.ndarray, perturb: str, video_id: str, clip: int) -> np.ndarray:
    """Reorder a clip's frames as ``ClipRecipe.perturb`` says."""
    if perturb == "none":
        return frames
    if perturb == "reverse":
        return frames[::-1].copy()
    if perturb == "freeze":
        return np.full_like(frames, frames[len(frames) // 2])
    if perturb != "shuffle":
        raise ConfigError(f"perturb={perturb!r} is not one of 'none', 'reverse', 'shuffle', 'freeze'")
    # Hashed from the name, not the index: the permutation stays when other videos are added to the set.
    name = int.from_bytes(hashlib.blake2b(video_id.encode(), digest_size=8).digest(), "little")
    rng = np.random.default_rng([_STREAM_SHUFFLE, name, clip])
    order = rng.permutation(len(frames))
    while len(frames) > 1 and np.array_equal(order, np.arange(len(frames))):
        order = rng.permutation(len(frames))
    return frames[order]
