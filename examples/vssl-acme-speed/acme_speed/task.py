"""``speed-pair``: two clips of one video at two speeds; which one is faster?

After the relative-speed task of RSPNet (Chen et al., AAAI 2021, arXiv 2011.07949), as a two-way classification of the
pair instead of a margin ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vssl_core.contracts import Batch, StepOutput, Video, View
from vssl_core.data.plan import clip_frames, random_start, span
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask


@dataclass(frozen=True)
class SpeedPairPlanner:
    """Draws the two clips and their order. Target: ``faster`` int64, 0 or 1, the position of the faster clip."""

    frames: int
    strides: tuple[int, int]
    size: int

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[list[View], dict[str, Any]]:
        """Return the two views; a video shorter than the faster clip raises ``ClipError``."""
        faster = int(rng.integers(2))
        views = []
        for stride in self.strides if faster else self.strides[::-1]:
            start = random_start(rng, video.n_frames, span(self.frames, stride))
            views.append(View(clip_frames(video.n_frames, start, self.frames, stride), (self.size, self.size)))
        return views, {"faster": np.int64(faster)}


class SpeedPair(BaseTask):
    """Tells which of two clips of one video is played faster, from their pooled features side by side."""

    chance = 0.5

    def __init__(self, backbone: Any, *, frames: int, stride: int, ratio: int, size: int, crop_scale: float) -> None:
        super().__init__(backbone)
        self._planner = SpeedPairPlanner(frames, (stride, stride * ratio), size)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": 0.5, "jitter": 0.2}
        self.head = nn.Sequential(nn.Linear(2 * backbone.embed_dim, 64), nn.ReLU(), nn.Linear(64, 2))

    def planner(self) -> SpeedPairPlanner:
        """Return what draws the clips."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Crop, flip and colour each clip by itself: uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]``."""
        views = [augment_clip(view, batch.seeds, stream=k, **self._augmentation) for k, view in enumerate(batch.views)]
        return batch._replace(views=tuple(views))

    def forward(self, batch: Batch) -> StepOutput:
        """Return the cross-entropy and the accuracy."""
        features = self.backbone(torch.cat(batch.views)).pooled
        logits = self.head(torch.cat(features.chunk(2), dim=1))
        target = batch.targets["faster"]
        accuracy = (logits.argmax(1) == target).float().mean()
        return StepOutput(F.cross_entropy(logits, target), {"accuracy": accuracy.detach()})
