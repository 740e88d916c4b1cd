"""``rtt``: recognise which temporal transformation a clip went through.

Paper: S. Jenni, G. Meishvili, P. Favaro, "Video Representation Learning by Recognizing Temporal Transformations",
ECCV 2020, arXiv 2007.10730. Official code: https://github.com/sjenni/temporal-ssl (commit 1d89d28,
TensorFlow 1), ``PreprocessorVideoSSL.py``.

Implemented: a clip is played at one of several speeds, in random order, there and back (periodic) or at changing speed
(warp), and a linear classifier on the pooled features names the transformation. The frame indices of each
transformation are those of the official ``PreprocessorTransform.process_train``.

Where this deviates:

- One transformation a clip and one softmax over all classes, as in the paper's list of classes. The official code puts
  all four versions of every video in one batch, and has two softmaxes: one over {speed, periodic, random, warp}, one
  over speeds.
- The middle of a clip has one law for all classes (``vssl_speed.placement``); officially the start of each clip is
  drawn freely.
- Clips are by default those of ``train_test_C3D.py``, 112 x 112 of 128 x 171 pixels, here of the central square of 128,
  with the colours of ``train_test_ResNet3D.py``: drawn for every frame (``per_frame_jitter``), one frame in five grey
  (``grey``). Brightness, contrast and saturation are factors in
  [0.8, 1.2]; there brightness moves by up to an eighth of the range and saturation by half, in either order.
- Crops vary in scale and in aspect ratio, by torchvision's law, as in all tasks here.
- A random order is never the identity or its reverse, a warp never has equal steps; officially both can happen, rarely.
- For a short video the transformations that fit are drawn (``short_video="fitting"``), as in the official code, which
  lowers the largest speed. The classes then are not equally frequent, and how many are possible depends on the video:
  ``chance`` is None, and ``accuracy_chance`` the mean of one over their number.
- Where the largest speed is 2 or less the official code warps otherwise: it takes as many frames of the whole video,
  at random and in their order. Here steps of 1 to the largest speed are drawn in every case, as it does above 2.
- ``palindrome`` and ``reversed`` are not in the paper. A palindrome goes there and back by halves, both at one speed;
  the way back falls between the frames of the way there, so that no frame comes twice and finding two frames alike does
  not answer it. It therefore needs frames at least 2 apart, and of a set's speeds only those that allow this are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import nn

from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ClipError
from vssl_speed.placement import place
from vssl_speed.transformations import Transformation, describe, frames_needed, parse, speeds_that_fit

__all__ = ["RecognizeTransformation", "RttPlanner"]

_DEFAULT = ("speed-1", "speed-2", "speed-4", "speed-8", "periodic", "random", "warp")


@dataclass(frozen=True, slots=True)
class RttPlanner:
    """Draws a transformation and the frames that show it.

    Targets: ``transformation``, its position in the list; with ``short_video="fitting"`` also ``possible``, how many
    fit the video.
    """

    transforms: tuple[Transformation, ...]
    frames: int
    stride: int
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return one view of ``frames`` frames and its class; every class that fits the video is equally likely.

        Raises:
            ClipError: the video is too short for every class (``short_video="error"``), or for two (``"fitting"``).
        """
        needed = frames_needed(self.transforms, self.frames, self.stride)
        choices = [
            (label, speeds) for label, t in enumerate(self.transforms) if (speeds := self._speeds(t, video.n_frames))
        ]
        if len(choices) < 2 or (self.short_video == "error" and needed > video.n_frames):
            raise ClipError(
                f"rtt needs {needed} frames (task.frames={self.frames}, task.stride={self.stride}), video "
                f"{video.video_id!r} has {video.n_frames}; lower task.frames, task.stride or the largest speed in "
                "task.transforms" + ("" if self.short_video == "fitting" else ", or set task.short_video=fitting")
            )
        widest = max(
            self.transforms[label].largest_extent(self.frames, self.stride, max(speeds)) for label, speeds in choices
        )
        label, speeds = choices[int(rng.integers(len(choices)))]
        transform = self.transforms[label]
        speed = max(speeds) if transform.kind == "warp" else speeds[int(rng.integers(len(speeds)))]
        relative = transform.draw(rng, self.frames, self.stride, speed)
        start = place(rng, video.n_frames, int(relative.max()) + 1, widest)
        targets = {"transformation": label}
        if self.short_video == "fitting":
            targets["possible"] = len(choices)
        return [View(relative + start, self.size, self.fit)], targets

    def _speeds(self, transform: Transformation, n_frames: int) -> list[int]:
        return speeds_that_fit(transform, self.transforms, self.frames, self.stride, n_frames)


class RecognizeTransformation(BaseTask):
    """Classifies which temporal transformation made a clip (Jenni et al. 2020, section 3).

    Attributes:
        chance: one in as many as there are; None with ``short_video="fitting"``, where it depends on the video.
    """

    asks_frame_order = True

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 16,
        stride: int = 1,
        size: int = 112,
        read_size: int = 128,
        fit: str = "short-side-crop",
        crop_scale: float = 0.766,
        flip: float = 0.5,
        jitter: float = 0.2,
        per_frame_jitter: bool = True,
        grey: float = 0.2,
        short_video: str = "fitting",
        transforms: Sequence[str] = _DEFAULT,
    ) -> None:
        super().__init__(backbone)
        read = read_size or size
        parsed = parse(transforms, frames, stride)
        self._planner = RttPlanner(parsed, frames, stride, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {
            "size": size,
            "crop_scale": crop_scale,
            "flip": flip,
            "jitter": jitter,
            "per_frame_jitter": per_frame_jitter,
            "grey": grey,
            "per_frame_grey": per_frame_jitter,
        }
        self.chance = 1 / len(parsed) if short_video == "error" else None
        self.head = nn.Linear(backbone.embed_dim, len(parsed))

    def planner(self) -> RttPlanner:
        """Return what draws the transformation and its frames."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Draw crop, flip and colours: uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]``."""
        return batch._replace(views=(augment_clip(batch.views[0], batch.seeds, **self._augmentation),))

    def forward(self, batch: Batch) -> StepOutput:
        """Cross-entropy of the transformation, the accuracy, and with ``short_video="fitting"`` that of guessing."""
        logits = self.head(self.backbone(batch.views[0]).pooled)
        target = batch.targets["transformation"]
        metrics = {"accuracy": (logits.argmax(dim=1) == target).float().mean().detach()}
        if "possible" in batch.targets:
            metrics["accuracy_chance"] = (1.0 / batch.targets["possible"]).mean()
        return StepOutput(F.cross_entropy(logits, target), metrics)

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Name the transformation that each clip went through."""
        names = [describe(transform) for transform in self._planner.transforms]
        question = f"How is this clip played: {', '.join(name.removeprefix('played ') for name in names)}?"
        return [Explanation(question, names[label]) for label in batch.targets["transformation"].tolist()]
