"""``supervised``: the backbone trained from scratch on labels, the row against which pretraining is measured.

Not from a paper. One clip a video is drawn at a uniform start, augmented as a clip, and classified by a head on the
features. With ``frames=1`` it is the one-frame network: what it reaches is what single frames give away. Its encoder
then insists on one frame a video in transfer too, so that no protocol shows it motion.

``chance``, which its accuracy on held-out videos stands beside, is 1/C: a task is told how many classes there are, not
how often each occurs. On unbalanced classes a constant answer reaches more; the chance of transfer protocols counts it.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F

from vssl_core.contracts import Batch, Build, StepOutput
from vssl_core.data.plan import OneClip
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError

__all__ = ["Supervised"]


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
        self._planner = OneClip("supervised", frames, stride, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.label_smoothing = label_smoothing
        self.chance = 1 / n_classes
        self.head = build("heads", head, backbone.embed_dim, n_classes)
        if frames == 1:
            backbone.sampling = {"frames": 1, "stride": 1, "clips": 1}

    def planner(self) -> OneClip:
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
