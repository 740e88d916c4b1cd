"""``arrow-of-time``: is this clip played forward or backward?

Paper: D. Wei, J. Lim, A. Zisserman, W. Freeman, "Learning and Using the Arrow of Time", CVPR 2018, doi
10.1109/CVPR.2018.00840. Official code: https://github.com/donglaiw/AoT_TCAM@580d8a2 (Lua Torch; network and training),
https://github.com/donglaiw/AoT_Dataset@618326d (how videos are prepared).

Implemented: a clip is shown backward with probability 1/2. T-CAM (official ``models/vggbn_tcam_pair2_cudnn.lua``): the
clip is cut into ``groups`` of successive frames, the network sees each by itself, and the last maps are fused late: put
one behind the other along the channels, two 3x3 convolutions with ReLU, batch norm and dropout, the mean over space,
and logistic regression. Clips of 20 frames in 2 groups, 224 of 256 x 256 pixels, width 1024, dropout 0.5 and no flip
are those of the official demo.

Against cues that tell the direction and say nothing of the world, each of them an option: a black frame is cut off
(``black_level``; videos are compressed forward in time, and black rims show it most), a camera's pan is undone
(``stabilise``; people film in habits), and a part of every side can be cut off (``border``).

Where this deviates:

- The network sees frames, the paper's sees optical flow: ten frames of it as the channels of one image. Here a group's
  map is the mean over its time, so that fusion gets one image's map per group as there.
- Cameras are steadied by whole-pixel shifts that phase correlation finds and most of the picture bears out, which takes
  texture; officially by homographies between matched points, which undo turns and zoom too. Videos that cannot be
  steadied, cuts and stills, are officially thrown out before.
- The black frame is looked for in the clip, with all its frames; officially in five frames of the video. Neither its
  threshold nor a largest shift is in the official code: 10 of 255 and 12 of 256 pixels are ours.
- Traces of compression inside the picture stay; the paper collected videos without them (MJPEG-AoT).
- Of frames whose short side is 256 pixels the central square is read; officially the sides are kept as they are.
- Crops are random in scale, from ``crop_scale`` of the area up, and in aspect ratio, 3/4 to 4/3, by torchvision's law,
  as in all tasks here; officially one of five of 224 x 224 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.plan import random_start, span
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_order.fitting import fit_stride
from vssl_order.framing import crop_border, without_black_frame, without_camera_shifts
from vssl_order.single_frames import require_frame_order

__all__ = ["ArrowOfTime", "DirectionPlanner", "LateFusion"]


@dataclass(frozen=True, slots=True)
class DirectionPlanner:
    """Draws a clip and its direction. Target: ``backward``, 1 or 0."""

    frames: int
    stride: int
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return one view; either direction is equally likely, at every place in the video.

        Raises:
            ClipError: the video is too short.
        """
        stride = fit_stride("arrow-of-time", video, self.frames, self.stride, self.short_video, frames=self.frames)
        start = random_start(rng, video.n_frames, span(self.frames, stride))
        frames = start + stride * np.arange(self.frames, dtype=np.int64)
        backward = int(rng.integers(2))
        return [View(frames[::-1].copy() if backward else frames, self.size, self.fit)], {"backward": backward}


class _Norm(nn.BatchNorm2d):
    """Batch norm that uses its running statistics where a batch has a single value a channel, of which there are none.

    So a batch of one sample trains networks whose last map has one place.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training and input.numel() == input.shape[1]:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)


class LateFusion(nn.Module):
    """T-CAM's layers behind the network: maps of ``groups`` parts of a clip to one logit.

    Args:
        embed_dim: D of the maps.
        groups: how many.
        hidden: width of the two convolutions.
        dropout: behind each of them.
    """

    def __init__(self, embed_dim: int, groups: int, hidden: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (groups * embed_dim, hidden):
            convolution = nn.Conv2d(width, hidden, 3, padding=1)
            layers += [convolution, nn.ReLU(), _Norm(hidden, eps=1e-3), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.logit = nn.Linear(hidden, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return float ``[B]`` from one map float ``[B, D, h, w]`` per group, in the order of time as shown."""
        fused: Tensor = self.layers(torch.cat(list(maps), dim=1))
        logit: Tensor = self.logit(fused.mean(dim=(2, 3)))
        return logit[:, 0]


class ArrowOfTime(BaseTask):
    """Tells whether a clip runs forward (Wei et al. 2018).

    Raises:
        ConfigError: the frames cannot be cut into equal groups, steadying would leave nothing of them, or all of them
            are one group and a clip is the same to the backbone in both directions.
    """

    chance = 0.5

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 20,
        stride: int = 1,
        size: int = 224,
        read_size: int = 256,
        fit: str = "short-side-crop",
        crop_scale: float = 0.766,
        flip: float = 0.0,
        jitter: float = 0.0,
        short_video: str = "error",
        groups: int = 2,
        hidden: int = 1024,
        dropout: float = 0.5,
        border: float = 0.0,
        black_level: float = 10.0,
        stabilise: int = 12,
    ) -> None:
        super().__init__(backbone)
        if frames % groups:
            raise ConfigError(
                f"task.frames={frames} cannot be cut into task.groups={groups} equal parts; choose a multiple"
            )
        if groups == 1:
            require_frame_order(backbone, "arrow-of-time", frames, size, ", or set task.groups=2 or more")
        read = read_size or size
        if 4 * stabilise > read:
            raise ConfigError(
                f"task.stabilise={stabilise} cuts so many pixels off each side of {read}, and little is left; lower it "
                "or raise task.read_size"
            )
        self._planner = DirectionPlanner(frames, stride, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.groups = groups
        self.border = border
        self.black_level = black_level
        self.stabilise = stabilise
        self.head = LateFusion(backbone.embed_dim, groups, hidden, dropout)

    def planner(self) -> DirectionPlanner:
        """Return what draws the clip and its direction."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Take out borders and the camera's motion, then draw crop, flip and colour once a clip.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1].
        """
        video = batch.views[0]
        if self.black_level > 0:
            video = without_black_frame(video, self.black_level)
        if self.stabilise:
            video = without_camera_shifts(video, self.stabilise)
        if self.border > 0:
            video = crop_border(video, self.border)
        return batch._replace(views=(augment_clip(video, batch.seeds, **self._augmentation),))

    def forward(self, batch: Batch) -> StepOutput:
        """Binary cross-entropy of the direction, and the accuracy."""
        parts = torch.cat(batch.views[0].chunk(self.groups, dim=2))
        maps = self.backbone(parts).map.mean(dim=2)
        logit = self.head(maps.chunk(self.groups))
        target = batch.targets["backward"]
        accuracy = ((logit > 0) == (target > 0)).float().mean()
        return StepOutput(
            F.binary_cross_entropy_with_logits(logit, target.to(logit.dtype)), {"accuracy": accuracy.detach()}
        )

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Say in which direction each sample is played."""
        question = "Is this clip played forward or backward?"
        ways = [("played forward", "as filmed"), ("played backward", "last frame first")]
        return [Explanation(question, ways[way][0], (ways[way][1],)) for way in batch.targets["backward"].tolist()]
