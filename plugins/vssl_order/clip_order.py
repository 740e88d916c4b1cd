"""``clip-order``: put shuffled clips of a video in order (VCOP).

Paper: D. Xu, J. Xiao, Z. Zhao, J. Shao, D. Xie, Y. Zhuang, "Self-Supervised Spatiotemporal Learning via Video Clip
Order Prediction", CVPR 2019, doi 10.1109/CVPR.2019.01058. Official code:
https://github.com/xudejing/video-clip-order-prediction@7a1710d.

Implemented: ``clips`` clips, ``gap`` frames apart, start drawn uniformly, are shuffled; the head of the official
``VCOPN`` (features of every pair concatenated, one shared linear layer and ReLU, all pairs concatenated, dropout,
linear) names the order among all n! of them, the identity included, numbered as ``itertools.permutations`` lists them.
Each clip has a crop of its own, the same for its frames, as in the official ``UCF101VCOPDataset``; no flip and no
colour jitter by default.

Where this deviates:

- Frames are read as the central square of 128 pixels, and the random crop of it varies in scale, from ``crop_scale`` of
  the area up, and in aspect ratio, 3/4 to 4/3, by torchvision's law, as in all tasks here; officially 112 x 112 of 128
  x 171 pixels, which of the square is the smallest crop. ``crop_scale=1`` is no crop at all: the whole square.
- All clips of a batch pass the network together; officially (``VCOPN.forward``) one place after the other, so that in
  training batch norm's statistics are those of the clips shown at that place.
- Videos that are too short are left out and named (officially a list of long enough ones is prepared), or read at the
  largest stride that fits (``short_video="fitting"``; ``gap`` stays).
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
from vssl_core.data.plan import random_start, span
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_order.fitting import fit_stride
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
            ClipError: the video is too short.
        """
        # The steps inside the clips, and what lies between one clip's last frame and the next one's first.
        steps, between = self.clips * (self.frames - 1), (self.clips - 1) * (self.gap + 1)
        options = {"clips": self.clips, "frames": self.frames, "gap": self.gap}
        stride = fit_stride("clip-order", video, steps + 1, self.stride, self.short_video, apart=between, **options)
        length = span(self.frames, stride)
        start = random_start(rng, video.n_frames, span(steps + 1, stride) + between)
        clip = start + stride * np.arange(self.frames, dtype=np.int64)
        views = [View(clip + k * (length + self.gap), self.size, self.fit) for k in range(self.clips)]
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
        crop_scale: float = 0.766,
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
