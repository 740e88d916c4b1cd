"""``rspnet``: which of two clips is played at my speed, and which clips show my video?

Paper: P. Chen, D. Huang, D. He, X. Long, R. Zeng, S. Wen, M. Tan, C. Gan, "RSPNet: Relative Speed Perception for
Unsupervised Video Representation Learning", AAAI 2021, arXiv 2011.07949. Official code:
https://github.com/PeihaoChen/RSPNet@2958779807005ceb06eff49e10fb0d69280f681d (``moco/builder_diffspeed_diffloss.py``,
``moco/split_wrapper.py``, ``config/pretrain``).

Implemented: a query clip and two keys of the same video, both keys from one other place and one crop: the positive at
the query's speed, the negative at the other one; half of the queries are slow. Two linear heads on the pooled features.
Relative speed: with the speed head the positive must be nearer than the negative (cosines over ``temperature``, margin
ranking). Appearance: with the appearance head both keys are positives, against a queue of earlier negative keys, each
by its own InfoNCE. Keys pass a momentum encoder, the negatives first, each kind as a batch of its own; the loss, the
order of the updates and all defaults are the official ones.

Where this deviates:

- Every sample draws its speed and whether its query is slow; officially one speed for the batch, and half of its
  samples exactly.
- Batches are not shuffled over processes before the momentum encoder (of one process the official shuffle changes
  nothing), and the queue takes the keys of its own process.
- A clip that is grey becomes so after its colour jitter, officially before it. Contrast is jittered about the mean of
  each frame, officially about that of the whole clip.
- Crops are cut out of the central square of the frame, officially out of all of it, and shrunk with antialiasing.
- Which videos the queue's keys are of is not kept, here as officially, nor is the queue cut to the number of videos:
  where it holds more keys than there are videos, or nearly as many, a video's own earlier keys are among its negatives.
- Short videos loop (``short_video="loop"``), as officially: the cut is seen in fast clips alone and gives their speed
  away. ``short_video="error"`` leaves them out.
- The convolutional heads of the official code (``fc_type: conv``) are left out; it sets ``linear``.

``accuracy`` is how often the positive is nearer than the negative by the speed head, where they are as near half of the
time, ``chance`` 1/2; ``contrast_top1`` how often it is nearer than the whole queue by the appearance head. Which clips
are of one video is told by the views themselves, so that permuted targets are no placebo: ``supervised_by_targets`` is
False.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.plan import clip_frames, random_start
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_core.pretext.clips import require_frames
from vssl_core.pretext.contrast import info_nce
from vssl_core.pretext.momentum import MomentumCopy
from vssl_core.pretext.queue import FeatureQueue
from vssl_speed.wording import every_nth_frame

__all__ = ["RelativeSpeed", "RspnetPlanner", "TwoHeads", "relative_speed_loss"]


@dataclass(frozen=True, slots=True)
class RspnetPlanner:
    """Draws query, positive and negative. Targets: ``speeds`` int64 ``[2]``, the query's and the negative key's."""

    frames: int
    stride: int
    speeds: tuple[int, ...]
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return the three views, in this order.

        The stretch of a clip is as long at every speed, and clips begin with it: the two keys share their first frame.

        Raises:
            ClipError: ``short_video="error"`` and the video is too short for the fastest speed, whichever is drawn.
        """
        stretch = self.frames * self.stride * max(self.speeds)
        if self.short_video == "error":
            options = {"frames": self.frames, "stride": self.stride, "speeds": list(self.speeds)}
            require_frames("rspnet", video, stretch, **options)
        fast = int(rng.choice(self.speeds))
        query, other = (1, fast) if rng.random() < 0.5 else (fast, 1)
        places = random_start(rng, video.n_frames, stretch), random_start(rng, video.n_frames, stretch)
        views = [
            View(self._clip(video.n_frames, start, speed), self.size, self.fit)
            for start, speed in ((places[0], query), (places[1], query), (places[1], other))
        ]
        return views, {"speeds": np.array([query, other], dtype=np.int64)}

    def _clip(self, n_frames: int, start: int, speed: int) -> np.ndarray:
        return clip_frames(n_frames, start, self.frames, self.stride * speed, self.short_video)


def relative_speed_loss(positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Return the mean of ``max(0, margin - (positive - negative))``, scalar, of similarities float ``[B]``."""
    return (margin - (positive - negative)).clamp(min=0.0).mean()


class TwoHeads(nn.Module):
    """A backbone with its heads for appearance and for speed (official ``MultiTaskWrapper``).

    Args:
        backbone: gives ``Features``.
        appearance: from ``pooled`` to the embedding.
        speed: likewise.
    """

    def __init__(self, backbone: Any, appearance: nn.Module, speed: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.appearance = appearance
        self.speed = speed

    def forward(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Return two embeddings of length 1, float ``[B, projection]``, of float ``[B, 3, T, H, W]`` in [0, 1]."""
        pooled = self.backbone(clip).pooled
        appearance, speed = self.appearance(pooled).float(), self.speed(pooled).float()
        return F.normalize(appearance, dim=1), F.normalize(speed, dim=1)


def _head(kind: str, embed_dim: int, projection: int) -> nn.Module:
    last = nn.Linear(embed_dim, projection)
    return last if kind == "linear" else nn.Sequential(nn.Linear(embed_dim, embed_dim), nn.ReLU(), last)


class RelativeSpeed(BaseTask):
    """Compares speeds and tells videos apart (Chen et al. 2021).

    Attributes:
        supervised_by_targets: False, see above.

    Raises:
        ConfigError: no speed, or one below 2.
    """

    chance = 0.5
    supervised_by_targets = False

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 16,
        stride: int = 1,
        size: int = 112,
        read_size: int = 128,
        fit: str = "short-side-crop",
        crop_scale: float = 0.4,
        flip: float = 0.5,
        jitter: float = 0.4,
        short_video: str = "loop",
        speeds: Sequence[int] = (2,),
        grey: float = 0.2,
        hue: float = 0.4,
        shared_draw: bool = False,
        queue: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.999,
        projection: int = 128,
        head: str = "linear",
        margin: float = 2.0,
        appearance_weight: float = 1.0,
        speed_weight: float = 1.0,
    ) -> None:
        super().__init__(backbone)
        if not speeds or min(speeds) < 2:
            raise ConfigError(f"task.speeds={list(speeds)}; expected one or more numbers >= 2, such as [2]: 1 is given")
        if appearance_weight <= 0 and speed_weight <= 0:
            raise ConfigError("task.appearance_weight and task.speed_weight are both 0: nothing is learnt; raise one")
        read = read_size or size
        self._planner = RspnetPlanner(frames, stride, tuple(speeds), (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self._augmentation |= {"grey": grey, "hue": hue, "random_order": True}
        self.shared_draw = shared_draw
        self.temperature, self.margin = temperature, margin
        self.appearance_weight, self.speed_weight = appearance_weight, speed_weight
        self.appearance = _head(head, backbone.embed_dim, projection)
        self.speed = _head(head, backbone.embed_dim, projection)
        self.keys = MomentumCopy(self._online(), momentum)
        self.queue = FeatureQueue(projection, queue)

    def _online(self) -> TwoHeads:
        # Put together at need: kept as a module of its own, every weight would be stored twice.
        return TwoHeads(self.backbone, self.appearance, self.speed)

    def planner(self) -> RspnetPlanner:
        """Return what draws the clips and their speeds."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Draw once for the query and once for both keys, or once for all three with ``shared_draw``.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1].
        """
        streams = (0, 0, 0) if self.shared_draw else (0, 1, 1)
        views = tuple(
            augment_clip(view, batch.seeds, **self._augmentation, stream=stream)
            for view, stream in zip(batch.views, streams, strict=True)
        )
        return batch._replace(views=views)

    def forward(self, batch: Batch) -> StepOutput:
        """Both losses; in training the negative keys then enter the queue."""
        query, positive, negative = batch.views
        negative_looks, negative_speed = self.keys(negative)
        positive_looks, positive_speed = self.keys(positive)
        looks, speed = self._online()(query)
        near = (speed * positive_speed).sum(dim=1) / self.temperature
        far = (speed * negative_speed).sum(dim=1) / self.temperature
        ranking = relative_speed_loss(near, far, self.margin)
        same = info_nce(looks, positive_looks, self.queue.items, self.temperature)
        other = info_nce(looks, negative_looks, self.queue.items, self.temperature)
        appearance = same.loss + other.loss
        if self.training:
            self.queue.push(negative_looks)
        metrics = {
            # Keys that cannot be told apart are as near: called wrong, they would stand below chance.
            "accuracy": ((near > far).float() + 0.5 * (near == far).float()).mean().detach(),
            "contrast_top1": same.top1,
            "loss_speed": ranking.detach(),
            "loss_appearance": appearance.detach(),
        }
        return StepOutput(self.appearance_weight * appearance + self.speed_weight * ranking, metrics)

    def after_step(self, step: int, total_steps: int) -> None:
        """Let the momentum encoder follow; officially just before the next step, which is the same."""
        self.keys.update(self._online())

    def explain(self, batch: Batch) -> list[Explanation]:
        """Name the speeds."""
        explained = []
        for query, other in batch.targets["speeds"].tolist():
            mine, its = (every_nth_frame(self._planner.stride * speed) for speed in (query, other))
            explained.append(
                Explanation(
                    "Which of two clips is played at the speed of the first? (And all three show one video, unlike the "
                    "clips of earlier batches.)",
                    f"the second clip is ({mine}), the third is not ({its})",
                    captions=(f"the query: {mine}", f"at its speed: {mine}", f"at the other speed: {its}"),
                )
            )
        return explained
