"""``clip-order``: put shuffled clips of a video in order (VCOP).

Paper: D. Xu, J. Xiao, Z. Zhao, J. Shao, D. Xie, Y. Zhuang, "Self-Supervised Spatiotemporal Learning via Video Clip
Order Prediction", CVPR 2019, doi 10.1109/CVPR.2019.01058. Official code:
https://github.com/xudejing/video-clip-order-prediction@7a1710d.

Implemented: ``clips`` clips, ``gap`` frames apart, start drawn uniformly, are shuffled; the head of the official
``VCOPN`` (features of every pair concatenated, one shared linear layer and ReLU, all pairs concatenated, dropout,
linear) names the order among all n! of them, the identity included, numbered as ``itertools.permutations`` lists them.
Each clip has a crop of its own, the same for its frames, as in the official ``UCF101VCOPDataset``; no flip and no
colour jitter by default.

Where this deviates: the random crop varies in scale (officially 112 of 128 x 171 pixels; ``crop_scale=1`` turns it
off), and too short videos are left out and named (officially a list of long enough ones is prepared).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.plan import clip_frames, random_start, span
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ClipError
from vssl_order.order_head import OrderHead
from vssl_order.ordinals import ordinal, ordinals

__all__ = ["ClipOrder", "ClipOrderPlanner", "OrderHead"]


@dataclass(frozen=True, slots=True)
class ClipOrderPlanner:
    """Draws where the clips lie and how they are shuffled. Targets: ``order``, the number of the permutation."""

    frames: int
    stride: int
    clips: int
    gap: int
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return the shuffled clips and the number of their order: the i-th view is the ``order[i]``-th clip in time.

        Raises:
            ClipError: ``short_video="error"`` and the video is too short.
        """
        length = span(self.frames, self.stride)
        needed = self.clips * length + (self.clips - 1) * self.gap
        if self.short_video == "error" and video.n_frames < needed:
            raise ClipError(
                f"clip-order needs {needed} frames (task.clips={self.clips}, task.frames={self.frames}, task.stride="
                f"{self.stride}, task.gap={self.gap}), video {video.video_id!r} has {video.n_frames}; lower one of "
                "them, or set task.short_video=loop"
            )
        start = random_start(rng, video.n_frames, needed)
        # All frames are planned as one clip, so that a loop or a pad falls where the video ends, once.
        whole = clip_frames(video.n_frames, start, needed, 1, self.short_video)
        steps = np.arange(self.frames) * self.stride
        views = [View(whole[k * (length + self.gap) + steps], self.size, self.fit) for k in range(self.clips)]
        orders = list(itertools.permutations(range(self.clips)))
        number = int(rng.integers(len(orders)))
        return [views[k] for k in orders[number]], {"order": number}


class ClipOrder(BaseTask):
    """Classifies the order of shuffled clips (Xu et al. 2019)."""

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 16,
        stride: int = 1,
        size: int = 112,
        read_size: int = 128,
        fit: str = "short-side-crop",
        crop_scale: float = 0.6,
        flip: float = 0.0,
        jitter: float = 0.0,
        short_video: str = "error",
        clips: int = 3,
        gap: int = 8,
        shared_draw: bool = False,
        hidden: int = 512,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(backbone)
        read = read_size or size
        self._planner = ClipOrderPlanner(frames, stride, clips, gap, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.shared_draw = shared_draw
        self.chance = 1 / math.factorial(clips)
        self.head = OrderHead(backbone.embed_dim, clips, hidden, dropout)

    def planner(self) -> ClipOrderPlanner:
        """Return what draws the clips and their order."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Draw once a clip, or once for all clips of a video with ``shared_draw``.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1].
        """
        views = tuple(
            augment_clip(view, batch.seeds, **self._augmentation, stream=0 if self.shared_draw else stream)
            for stream, view in enumerate(batch.views)
        )
        return batch._replace(views=views)

    def forward(self, batch: Batch) -> StepOutput:
        """Cross-entropy of the order, and the accuracy."""
        pooled = self.backbone(torch.cat(batch.views)).pooled
        logits = self.head(pooled.chunk(len(batch.views)))
        target = batch.targets["order"]
        accuracy = (logits.argmax(dim=1) == target).float().mean()
        return StepOutput(F.cross_entropy(logits, target), {"accuracy": accuracy.detach()})

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Say in which order each sample's clips were filmed."""
        n = len(batch.views)
        orders = list(itertools.permutations(range(n)))
        question = f"These {n} clips of one video are shuffled: which was filmed first, which next?"
        explained = []
        for number in batch.targets["order"].tolist():
            captions = tuple(f"shown {ordinal(k)}: filmed {ordinal(place)}" for k, place in enumerate(orders[number]))
            answer = f"filmed {ordinals(orders[number])} (order {number + 1} of {len(orders)})"
            explained.append(Explanation(question, answer, captions))
        return explained
