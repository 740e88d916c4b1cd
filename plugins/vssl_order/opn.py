"""``opn``: sort shuffled frames (Order Prediction Network).

Paper: H.-Y. Lee, J.-B. Huang, M. Singh, M.-H. Yang, "Unsupervised Representation Learning by Sorting Sequences", ICCV
2017, arXiv 1708.01246. Official code: https://github.com/HsinYingLee/OPN@d0ba14e (Caffe; network and augmentation. The
tuples come as a list: what chose them is not there, and follows the paper.)

Implemented: ``frames`` frames are shown in one of their orders; since many actions look natural backward too, an order
and its reversal are one class, 12 for four frames (section 3.1). Features of each frame pass a fully connected layer
(official ``fc6``: 1024, ReLU, dropout), those of every pair of frames another one (``fc7``: 512), and all pairs
together name the class (``fc8``; ``vssl_order.order_head``, official ``train_opn_nobn.prototxt``). Against shortcuts,
each of them an option:

- frames come from windows where much moves (``select="motion"``), and of those the region in which the frames differ
  most (``region`` pixels wide) is looked at (motion-aware tuple selection);
- the crop moves in every frame by itself, up to ``frame_shift`` pixels (spatial jittering; officially 5 for crops of 80
  in a region of 100 pixels);
- one channel, drawn for every frame by itself as in the official data layer, takes the place of all three (channel
  splitting).

Where this deviates:

- Frames are ``stride`` apart. How far those of the official list are is not in its code; 15 is ours.
- The region is looked for in the central square of the frame, which is all that is read; officially in the whole frame.
- The random crop varies in scale, from ``crop_scale`` of the region's area up, and in aspect ratio, 3/4 to 4/3, by
  torchvision's law, as in all tasks here; officially always 80 x 80 of 100 x 100 pixels, which is the smallest. The
  shift is drawn in fractions of pixels and stops at the region's rim; officially whole pixels, none where the crop
  would leave the region.
- Motion is the mean absolute difference of successive frames, and the variance of grey values over the tuple, instead
  of the magnitude of optical flow.
- The layers of the head have no batch norm, as in the official ``train_opn_nobn.prototxt``; ``train_opn.prototxt`` has
  it, with statistics of its own for every pair.
- Classes are numbered as ``orders_up_to_reversal`` lists them; the official list has the same 12 in another order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.plan import random_start, span
from vssl_core.data.transforms import augment_clip, channel_split, uniform
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_core.pretext.motion import motion_curve, motion_window
from vssl_core.pretext.permutations import all_orders, orders_up_to_reversal
from vssl_order.fitting import fit_stride
from vssl_order.order_head import OrderHead
from vssl_order.ordinals import ordinals
from vssl_order.regions import cut_regions, moving_corners, random_corners
from vssl_order.single_frames import require_frame_features

__all__ = ["OrderPrediction", "SortingPlanner"]

#: streams of this task's own draws; augmentations use others
_REGION_STREAM, _CHANNEL_STREAM = 311, 312


@lru_cache
def _orders(frames: int, reversal: bool) -> np.ndarray:
    """Return int64 ``[classes, frames]``: an order of each class; not to be written to."""
    orders = orders_up_to_reversal(frames) if reversal else all_orders(frames)
    orders.flags.writeable = False
    return orders


@dataclass(frozen=True, slots=True)
class SortingPlanner:
    """Draws frames and an order in which they are shown. Target: ``order``, its class."""

    frames: int
    stride: int
    reversal: bool
    select: str
    size: tuple[int, int]
    fit: str
    short_video: str

    @property
    def needs_motion(self) -> bool:
        """Whether videos must come with their motion."""
        return self.select == "motion"

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return one view, the frames as shown, and the class of their order; every order is equally likely.

        Raises:
            ClipError: the video is too short, or its motion is not known and ``select`` is ``"motion"``.
        """
        stride = fit_stride("opn", video, self.frames, self.stride, self.short_video, frames=self.frames)
        length = span(self.frames, stride)
        if self.select == "motion":
            start = motion_window(motion_curve(video, "opn", "task.select=uniform"), length, rng)
        else:
            start = random_start(rng, video.n_frames, length)
        orders = _orders(self.frames, self.reversal)
        number = int(rng.integers(len(orders)))
        order = orders[number]
        if self.reversal and rng.integers(2):
            order = order[::-1]
        return [View(start + stride * order, self.size, self.fit)], {"order": np.int64(number)}


class OrderPrediction(BaseTask):
    """Classifies the order of shuffled frames (Lee et al. 2017, section 3).

    Raises:
        ConfigError: the backbone has no features of single frames, the crop cannot move, or there is a single class.
    """

    asks_frame_order = True

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 4,
        stride: int = 15,
        size: int = 80,
        read_size: int = 240,
        fit: str = "short-side-crop",
        crop_scale: float = 0.64,
        flip: float = 0.5,
        jitter: float = 0.0,
        short_video: str = "error",
        reversal: bool = True,
        select: str = "motion",
        region: int = 100,
        region_select: str = "motion",
        frame_shift: float = 5.0,
        split_channels: float = 1.0,
        frame_width: int = 1024,
        hidden: int = 512,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(backbone)
        require_frame_features(backbone, "opn")
        if frame_shift > 0 and crop_scale >= 1:
            raise ConfigError(
                f"task.frame_shift={frame_shift} moves a crop, task.crop_scale={crop_scale} leaves none; lower "
                "task.crop_scale or set task.frame_shift=0"
            )
        read = read_size or size
        if region > read:
            raise ConfigError(
                f"task.region={region} is wider than the {read} pixels that are decoded; lower it or raise "
                "task.read_size, or set task.region=0 for the whole frame"
            )
        self._planner = SortingPlanner(frames, stride, reversal, select, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self._augmentation["per_frame_shift"] = frame_shift
        self.region = region
        self.region_select = region_select
        self.split_channels = split_channels
        self.reversal = reversal
        classes = math.factorial(frames) // (2 if reversal else 1)
        if classes < 2:
            raise ConfigError(
                f"task.frames={frames}: an order of two frames and its reversal are one class, and nothing is left to "
                "tell; raise task.frames or set task.reversal=false"
            )
        self.chance = 1 / classes
        width = frame_width or backbone.embed_dim
        self.frame: nn.Module = nn.Identity()
        if frame_width:
            self.frame = nn.Sequential(nn.Linear(backbone.embed_dim, width), nn.ReLU(), nn.Dropout(dropout))
        self.head = OrderHead(width, frames, hidden, dropout, classes)

    def planner(self) -> SortingPlanner:
        """Return what draws the frames and their order."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Cut the region, then draw crop, flip and colour once a tuple, shift and channel once a frame.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1].
        """
        video = batch.views[0]
        if self.region:
            if self.region_select == "motion":
                corner = moving_corners(video, self.region)
            else:
                height, width = video.shape[2:4]
                corner = random_corners(batch.seeds, height, width, self.region, stream=_REGION_STREAM)
            video = cut_regions(video, corner, self.region)
        clip = augment_clip(video, batch.seeds, **self._augmentation)
        if self.split_channels > 0:
            draws = uniform(batch.seeds, 2 * clip.shape[2], stream=_CHANNEL_STREAM).unflatten(1, (2, -1))
            channel = (3 * draws[:, 1]).to(torch.int64)
            clip = channel_split(clip, torch.where(draws[:, 0] < self.split_channels, channel, -1))
        return batch._replace(views=(clip,))

    def forward(self, batch: Batch) -> StepOutput:
        """Cross-entropy of the order's class, and the accuracy."""
        features = self.frame(self.backbone.frame_features(batch.views[0]))
        logits = self.head(features.unbind(1))
        target = batch.targets["order"]
        accuracy = (logits.argmax(dim=1) == target).float().mean()
        return StepOutput(F.cross_entropy(logits, target), {"accuracy": accuracy.detach()})

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Say in which order each sample's frames were filmed."""
        orders = _orders(batch.views[0].shape[2], self.reversal)
        question = f"These {orders.shape[1]} frames are shuffled: in which order were they filmed?"
        explained = []
        for number in batch.targets["order"].tolist():
            order = orders[number].tolist()
            answer = f"filmed {ordinals(order)}"
            # One class: the same row read from the right.
            answer += f", or {ordinals(order[::-1])}" if self.reversal else ""
            captions = ("the frames as shown, with their numbers in the video",)
            explained.append(Explanation(question, f"{answer} (class {number + 1} of {len(orders)})", captions))
        return explained
