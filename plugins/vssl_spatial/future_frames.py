"""``future-frames``: what do the next frames look like?

Paper: M. Mathieu, C. Couprie, Y. LeCun, "Deep multi-scale video prediction beyond mean square error", ICLR 2016, arXiv
1511.05440. Official code: https://github.com/coupriec/VideoPredictionICLR2016 at 802e902 (Lua, Torch 7).

Implemented: the frames that follow a clip are predicted at ``scales`` scales, each network seeing the enlarged
prediction of the coarser one and adding to it, tanh on top, targets averaged down (section 3.1, official
``getPyrModel`` and ``getPyrPreprocessor``). The loss is the l1 or l2 norm (equation 5) times ``norm_weight`` plus the
gradient difference loss (equation 6) times ``gradient_weight``, each a mean over pixels and summed over scales, as
officially; pixels are in [-1, 1]. The default, l1 with gradient differences of exponent 1, is the best of the paper
without an adversary.

Where this deviates:

- The adversarial loss (equations 1 to 4) is left out: it needs a second optimiser and batches of its own between the
  steps, and the loop has one of each.
- The encoder is the backbone; its map is decoded by convolutions, each place seeing the pooled features too
  (``vssl_spatial.pixel_decoder``). Officially each scale is a network of its own, of 4 to 6 convolutions, which sees
  the past frames at its scale beside the coarser prediction; here it is 2 convolutions, with batch norm, which see the
  coarser scale's channels in their place. A decoder that saw the past could follow the motion by itself, and the
  backbone would learn nothing.
- Frames are random crops scaled to ``size``, as for the other tasks; officially patches of 32 x 32 pixels that show
  enough motion, then of 64 x 64. Several frames are predicted at once; officially one, and further ones from it.

There are no classes, hence no accuracy and no ``chance``. ``still`` is the error of answering with the last frame:
what ``error`` must come below for motion to be understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from vssl_core.contracts import Batch, Explanation, StepOutput
from vssl_core.data.plan import OneClip
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_spatial.pixel_decoder import FrameDecoder

__all__ = ["FutureFrames", "gradient_difference"]


def gradient_difference(predicted: Tensor, target: Tensor, exponent: float = 1.0) -> Tensor:
    """Return the gradient difference loss (equation 6): how much steps from pixel to pixel differ in size.

    Means over all steps down and over all steps to the right, added, as in the official ``GDLCriterion``; the paper
    writes sums.

    Args:
        predicted: float ``[..., H, W]``.
        target: of the same shape.
        exponent: alpha, 1 or more; the official code has 1.
    """
    total = predicted.new_zeros(())
    for axis in (-2, -1):
        difference = target.diff(dim=axis).abs() - predicted.diff(dim=axis).abs()
        total = total + difference.abs().pow(exponent).mean()
    return total


class FutureFrames(BaseTask):
    """Predicts the pixels of the frames that follow a clip (Mathieu et al. 2016, without an adversary).

    Attributes:
        supervised_by_targets: the future is a target, and a permuted one is another clip's.

    Raises:
        ConfigError: both weights are 0, or frames too small for as many scales.
    """

    supervised_by_targets = True

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 4,
        stride: int = 1,
        size: int = 112,
        read_size: int = 128,
        fit: str = "short-side-crop",
        crop_scale: float = 0.6,
        flip: float = 0.0,
        jitter: float = 0.0,
        short_video: str = "error",
        future: int = 1,
        norm: int = 1,
        norm_weight: float = 1.0,
        gradient_weight: float = 1.0,
        gradient_exponent: float = 1.0,
        scales: int = 4,
        width: int = 256,
    ) -> None:
        super().__init__(backbone)
        if not norm_weight and not gradient_weight:
            raise ConfigError("task.norm_weight and task.gradient_weight are both 0: nothing would be asked")
        if size < 2**scales:
            raise ConfigError(
                f"task.scales={scales} halves frames of {size} pixels to {size / 2 ** (scales - 1):g}; lower it"
            )
        read = read_size or size
        self._planner = OneClip("future-frames", frames + future, stride, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.frames = frames
        self.norm = norm
        self.norm_weight = norm_weight
        self.gradient_weight = gradient_weight
        self.gradient_exponent = gradient_exponent
        #: height and width at each scale, coarsest first
        self.sizes = [(side, side) for side in (size // 2**scale for scale in reversed(range(scales)))]
        self.decoder = FrameDecoder(backbone.embed_dim, future, width, scales)

    def planner(self) -> OneClip:
        """Return what draws the clip, past and future in one."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Crop, flip and jitter past and future alike, and part them.

        uint8 ``[B, T + F, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1], and the target ``future``, float
        ``[B, 3, F, size, size]`` in [0, 1].
        """
        clip = augment_clip(batch.views[0], batch.seeds, **self._augmentation)
        past, future = clip[:, :, : self.frames].contiguous(), clip[:, :, self.frames :].contiguous()
        return batch._replace(views=(past,), targets={**batch.targets, "future": future})

    def forward(self, batch: Batch) -> StepOutput:
        """Sum over scales of the norm and the gradient differences; ``error``: mean squared error at full size."""
        (past,) = batch.views
        future = 2 * batch.targets["future"] - 1
        guesses = self.decoder(self.backbone(past), self.sizes)
        loss = future.new_zeros(())
        for guess, size in zip(guesses, self.sizes, strict=True):
            guess = guess.float()
            target = future if size == self.sizes[-1] else F.adaptive_avg_pool3d(future, (future.shape[2], *size))
            loss = loss + self.norm_weight * (guess - target).abs().pow(self.norm).mean()
            if self.gradient_weight > 0:
                loss = loss + self.gradient_weight * gradient_difference(guess, target, self.gradient_exponent)
        still = (future - (2 * past[:, :, -1:] - 1)).square().mean()
        metrics = {"error": (guesses[-1].float() - future).square().mean().detach(), "still": still.detach()}
        return StepOutput(loss, metrics)

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Show each clip, and the frames that follow it."""
        future = batch.targets["future"]
        last = batch.views[0][:, :, -1:]
        explained = []
        for row in range(len(future)):
            change = (future[row] - last[row]).abs()
            mean = float(change.mean())
            explained.append(
                Explanation(
                    "What do the frames look like that come next?",
                    f"{future.shape[2]} frames, which differ from the last one seen by {mean:.3f} a pixel",
                    ("what the network sees",),
                    (("what it must draw", future[row]), ("what changes since the last frame", change)),
                )
            )
        return explained
