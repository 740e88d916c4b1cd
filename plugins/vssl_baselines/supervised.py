"""``supervised``: the backbone trained from scratch on labels, the row against which pretraining is measured.

Not from a paper. One clip a video is drawn at a uniform start, augmented as a clip, and classified by a head on the
features. With ``frames=1`` it is the one-frame network: what it reaches is what single frames give away. Its encoder
then insists on one frame a video in transfer too, so that no protocol shows it motion.

``chance``, which its accuracy on held-out videos stands beside, is 1/C: a task is told how many classes there are, not
how often each occurs. On unbalanced classes a constant answer reaches more; the chance of transfer protocols counts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F

from vssl_core.contracts import Batch, Build, StepOutput, Video, View
from vssl_core.data.plan import clip_frames, random_start, span
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ClipError, ConfigError

__all__ = ["ClipPlanner", "Supervised"]


@dataclass(frozen=True, slots=True)
class ClipPlanner:
    """Draws one clip at a uniform start. No targets: labels come from the data set."""

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
                f"supervised needs {needed} frames (task.frames={self.frames}, task.stride={self.stride}), video "
                f"{video.video_id!r} has {video.n_frames}; lower one of them, or set task.short_video=loop"
            )
        start = random_start(rng, video.n_frames, needed)
        frames = clip_frames(video.n_frames, start, self.frames, self.stride, self.short_video)
        return [View(frames, self.size, self.fit)], {}


class Supervised(BaseTask):
    """Classifies the label of a clip.

    Raises:
        ConfigError: no label was chosen, or one-frame clips meet a backbone that subtracts the clip's mean over time.
    """

    def __init__(
        self,
        backbone: Any,
        *,
        build: Build,
        n_classes: int = 0,
        frames: int = 16,
        stride: int = 2,
        size: int = 112,
        read_size: int = 0,
        fit: str = "short-side-crop",
        crop_scale: float = 0.6,
        flip: float = 0.0,
        jitter: float = 0.2,
        short_video: str = "error",
        head: Any = "linear",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(backbone)
        if n_classes < 2:
            raise ConfigError(
                f"supervised is given labels, and has {n_classes} classes: set label to one that the data set has"
            )
        if frames == 1 and backbone.input_mode == "temporal-residual":
            raise ConfigError(
                "task.frames=1 with backbone.input_mode=temporal-residual: a frame minus its mean over time is 0; "
                "set backbone.input_mode=raw"
            )
        read = read_size or size
        self._planner = ClipPlanner(frames, stride, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.label_smoothing = label_smoothing
        self.chance = 1 / n_classes
        self.head = build("heads", head, backbone.embed_dim, n_classes)
        if frames == 1:
            backbone.sampling = {"frames": 1, "stride": 1, "clips": 1}

    def planner(self) -> ClipPlanner:
        """Return what draws the clip."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Draw crop, flip and colour once a clip: uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]``."""
        return batch._replace(views=(augment_clip(batch.views[0], batch.seeds, **self._augmentation),))

    def forward(self, batch: Batch) -> StepOutput:
        """Cross-entropy of ``targets["label"]`` int64 ``[B]``, and the accuracy."""
        logits = self.head(self.backbone(batch.views[0]))
        target = batch.targets["label"]
        loss = F.cross_entropy(logits, target, label_smoothing=self.label_smoothing)
        return StepOutput(loss, {"accuracy": (logits.argmax(dim=1) == target).float().mean().detach()})
