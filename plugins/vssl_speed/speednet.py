"""``speednet``: is this clip played at its natural speed, or sped up?

Paper: S. Benaim, A. Ephrat, O. Lang, I. Mosseri, W. T. Freeman, M. Rubinstein, M. Irani, T. Dekel, "SpeedNet: Learning
the Speediness in Videos", CVPR 2020, arXiv 2004.06130. No official code.

Implemented (section 3): a binary classifier, sigmoid and binary cross-entropy, of clips at normal speed and sped up
about twice. Against the shortcuts of section 3.2, each an option that can be turned off:

- ``same_batch``: both versions of a video stand in one batch, so that nothing but speed tells them apart.
- ``random_skip``: of a stretch of three clip lengths each frame is skipped with probability 1 - 1/f, f drawn anew for
  each version, 1-1.2 at normal speed and 1.7-2.2 sped up, and as many of the rest as a clip has are taken. Else every
  frame or every second one.
- ``resize="batch"``: a spatial size is drawn between 64 and 336 pixels, so that neither compression noise nor the
  magnitude of motion in pixels gives the speed away.
- ``max_pool``: the maximum over space, then the mean over time of the map, then one linear layer.

The random size. Clips of one batch must share it, and the look of a sample must not depend on its batch. ``augment``
therefore makes clips of ``size`` whatever the batch, from each sample's own seed. In training ``forward`` then scales
the whole batch to one side, drawn from the sum of ``batch.seeds`` (modulo 2**64): a pure function of the batch's seeds,
in whatever order, that asks no generator; each process draws for its own part. In evaluation clips keep ``size``.
``resize="clip"`` is for networks with a fixed input size: each clip is shrunk to a side of its own and enlarged again,
which takes away detail as scaling does, but leaves motion as large as it was.

Where this deviates:

- Of the frames that were not skipped those in the middle of the stretch are taken, for both versions, so that the place
  in the video tells nothing of the speed.
- The paper's network is an S3D-G whose pools keep time; here any network with a map, its pools as they are.
- Clips are scaled up or down from ``size`` pixels; where the drawn side is above it, detail of the file is lost.
- Without ``same_batch`` each video gives one version, drawn.
- Videos shorter than the stretch are left out. With ``short_video="loop"`` or ``"pad"`` they are read beyond their end,
  where sped up clips come more often than others: the cut, or the frame that stands still, then gives the speed away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.plan import clip_frames, random_start, span
from vssl_core.data.transforms import augment_clip, crop_resize, lower_resolution, uniform
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_core.pretext.clips import require_frames
from vssl_core.pretext.shapes import map_shape

__all__ = ["SpeedNet", "SpeedNetPlanner", "batch_side", "pool_speed", "scale_to"]

#: streams of the sides' draws; augmentations use others
_BATCH_SIDE, _CLIP_SIDE = 613, 617


@dataclass(frozen=True, slots=True)
class SpeedNetPlanner:
    """Draws a stretch of a video and shows it at normal speed and sped up, in an order that is drawn too.

    Targets, each ``[versions]``: ``fast`` int64, 1 where the clip is sped up; ``factor`` float32, by how much.
    """

    frames: int
    stride: int
    window: int
    normal_speed: tuple[float, float]
    fast_speed: tuple[float, float]
    random_skip: bool
    same_batch: bool
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return both versions, or one of them without ``same_batch``.

        Raises:
            ClipError: ``short_video="error"`` and the video is shorter than the stretch.
        """
        length = self.window * self.frames
        needed = span(length, self.stride)
        if self.short_video == "error":
            require_frames("speednet", video, needed, frames=self.frames, stride=self.stride, window=self.window)
        start = random_start(rng, video.n_frames, needed)
        stretch = clip_frames(video.n_frames, start, length, self.stride, self.short_video)
        versions = rng.permutation(2) if self.same_batch else rng.integers(2, size=1)
        factors = [self._factor(bool(fast), rng) for fast in versions]
        views = [View(stretch[self._kept(factor, length, rng)], self.size, self.fit) for factor in factors]
        return views, {"fast": versions.astype(np.int64), "factor": np.array(factors, dtype=np.float32)}

    def _factor(self, fast: bool, rng: np.random.Generator) -> float:
        if not self.random_skip:
            return 2.0 if fast else 1.0
        low, high = self.fast_speed if fast else self.normal_speed
        return float(rng.uniform(low, high))

    def _kept(self, factor: float, length: int, rng: np.random.Generator) -> np.ndarray:
        """Return int64 ``[frames]``: which frames of the stretch the clip shows, ascending."""
        kept = np.arange(0, length, round(factor))
        if self.random_skip:
            kept = np.flatnonzero(rng.random(length) < 1.0 / factor)
            while len(kept) < self.frames:
                kept = np.flatnonzero(rng.random(length) < 1.0 / factor)
        # Half a frame is rounded either way: always down would put one version earlier than the other.
        first = (len(kept) - self.frames + int(rng.integers(0, 2))) // 2
        return kept[first : first + self.frames]


def batch_side(seeds: Tensor, sides: Sequence[int]) -> int:
    """Draw one of ``sides`` for a whole batch, all equally likely: a function of the set of its seeds alone.

    Args:
        seeds: int64 ``[B]``; their order does not matter.
        sides: what is drawn from, in pixels.
    """
    draw = uniform(seeds.sum().reshape(1), 1, stream=_BATCH_SIDE)
    return sides[int(draw * len(sides))]


def scale_to(video: Tensor, side: int) -> Tensor:
    """Scale float ``[B, 3, T, H, W]`` to ``side`` pixels square, bilinear with antialiasing."""
    height, width = video.shape[-2:]
    if (height, width) == (side, side):
        return video
    whole = torch.tensor([0.0, 0.0, height, width], device=video.device)
    return crop_resize(video, whole.expand(len(video), 4), side)


def pool_speed(feature_map: Tensor, max_pool: bool) -> Tensor:
    """Return float ``[B, D]`` of a map ``[B, D, t, h, w]``: the maximum (else mean) over space, the mean over time."""
    over_space = feature_map.amax((3, 4)) if max_pool else feature_map.mean((3, 4))
    return over_space.mean(2)


class SpeedNet(BaseTask):
    """Tells normal speed from sped up (Benaim et al. 2020, section 3).

    Raises:
        ConfigError: the ranges of speed overlap, run backwards or do not fit the window; no side is left to draw; or
            the backbone does not take clips of ``size`` pixels or of the sides that are drawn.
    """

    chance = 0.5

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 64,
        stride: int = 1,
        size: int = 224,
        read_size: int = 0,
        fit: str = "short-side-crop",
        crop_scale: float = 1.0,
        flip: float = 0.0,
        jitter: float = 0.0,
        short_video: str = "error",
        window: int = 3,
        normal_speed: Sequence[float] = (1.0, 1.2),
        fast_speed: Sequence[float] = (1.7, 2.2),
        random_skip: bool = True,
        same_batch: bool = True,
        resize: str = "batch",
        smallest: int = 64,
        largest: int = 336,
        side_step: int = 1,
        max_pool: bool = True,
    ) -> None:
        super().__init__(backbone)
        normal, fast = _ranges(normal_speed, fast_speed, window)
        read = read_size or size
        self._planner = SpeedNetPlanner(
            frames, stride, window, normal, fast, random_skip, same_batch, (read, read), fit, short_video
        )
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.resize = resize
        self.sides: tuple[int, ...] = ()
        if resize != "none":
            self.sides = _sides(backbone, smallest, largest, side_step)
        if resize == "batch":
            advice = (
                "set task.smallest, task.largest and task.side_step to sides that it takes, or task.resize=clip for a "
                "network with a fixed input size"
            )
            for side in self.sides[:2]:  # a network of a fixed size does not take both; large ones cost more
                map_shape(backbone, frames, side, advice)
        # Whatever training scales clips to, evaluation shows them at this size.
        map_shape(backbone, frames, size, "set task.frames and task.size to what it takes")
        self.max_pool = max_pool
        self.head = nn.Linear(backbone.embed_dim, 1)

    def planner(self) -> SpeedNetPlanner:
        """Return what draws the stretch, the speeds and the frames."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Draw crop, flip and colour once a clip, and with ``resize="clip"`` how much detail it keeps.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1].
        """
        views = []
        for stream, view in enumerate(batch.views):
            clip = augment_clip(view, batch.seeds, **self._augmentation, stream=stream)
            if self.resize == "clip":
                draw = uniform(batch.seeds, 1, stream=_CLIP_SIDE + stream)[:, 0]
                sides = torch.tensor(self.sides, device=draw.device)
                clip = lower_resolution(clip, sides[(draw * len(sides)).to(torch.int64)])
            views.append(clip)
        return batch._replace(views=tuple(views))

    def forward(self, batch: Batch) -> StepOutput:
        """Binary cross-entropy over all clips of the batch, and the accuracy."""
        video = torch.cat(batch.views)
        if self.training and self.resize == "batch":
            video = scale_to(video, batch_side(batch.seeds, self.sides))
        speed = self.head(pool_speed(self.backbone(video).map, self.max_pool))[:, 0]
        fast = batch.targets["fast"].T.reshape(-1)  # [B, versions] in the order of the views: version by version
        loss = F.binary_cross_entropy_with_logits(speed.float(), fast.float())
        accuracy = ((speed > 0) == (fast == 1)).float().mean()
        return StepOutput(loss, {"accuracy": accuracy.detach()})

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Name the speed of every version; with ``resize="batch"`` show one at this batch's size too."""
        explained = []
        for row, (fast, factor) in enumerate(
            zip(batch.targets["fast"].tolist(), batch.targets["factor"].tolist(), strict=True)
        ):
            words = ["sped up" if one else "normal speed" for one in fast]
            captions = tuple(f"{word} (on average x{by:.2f})" for word, by in zip(words, factor, strict=True))
            answer = "; ".join(f"clip {n}: {word}" for n, word in enumerate(words, 1))
            pictures: tuple[tuple[str, Tensor], ...] = ()
            if self.resize == "batch":
                side = batch_side(batch.seeds, self.sides)
                shown = scale_to(batch.views[0][row : row + 1], side)[0]
                pictures = ((f"clip 1 as this batch is scaled: {side} pixels", shown),)
            explained.append(
                Explanation("Is this clip played at normal speed, or sped up?", answer, captions, pictures)
            )
        return explained


def _ranges(
    normal: Sequence[float], fast: Sequence[float], window: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Check the ranges of speed."""
    if len(normal) != 2 or len(fast) != 2 or not 1.0 <= normal[0] <= normal[1] < fast[0] <= fast[1] <= window:
        raise ConfigError(
            f"task.normal_speed={list(normal)}, task.fast_speed={list(fast)} with task.window={window}; expected two "
            "ranges [low, high], 1 or more, the first below the second, which is not above the window, such as "
            "[1.0, 1.2] and [1.7, 2.2] with window 3"
        )
    return (float(normal[0]), float(normal[1])), (float(fast[0]), float(fast[1]))


def _sides(backbone: Any, smallest: int, largest: int, step: int) -> tuple[int, ...]:
    """Return the sides that may be drawn: multiples of ``step`` and of the backbone's patches, where it has any."""
    patch = getattr(backbone, "patch_size", (1, 1, 1))
    multiple = math.lcm(step, int(patch[1]), int(patch[2]))
    sides = tuple(side for side in range(smallest, largest + 1) if side % multiple == 0)
    if not sides:
        raise ConfigError(
            f"task.smallest={smallest} to task.largest={largest} holds no side that is a multiple of {multiple} "
            f"(task.side_step={step}, patches {patch[1]}x{patch[2]}); widen the range or lower task.side_step"
        )
    return sides
