"""``motion-stats``: where does most move, and which way? Where does colour change most, and which colour is it?

Paper: J. Wang, J. Jiao, L. Bao, S. He, Y. Liu, W. Liu, "Self-supervised Spatio-temporal Representation Learning for
Videos by Predicting Motion and Appearance Statistics", CVPR 2019, arXiv 1904.03597. Official code: https://github.com/
laura-wang/video_repres_sts at e79986b (PyTorch, both kinds of numbers, of the extended paper, arXiv 2008.13426) and
https://github.com/laura-wang/video_repres_mas at 1240135 (TensorFlow, motion alone).

Implemented: the 14 motion and 13 appearance numbers of sections 3.2 and 3.3, in the official order
(``vssl_motion.clip_statistics``), regressed as they stand, 1 to 16, by a linear layer each on the pooled features. The
loss is the mean squared error of the motion numbers x 1, and of the appearance numbers x 0.1 (section 3.4, official
``train.py``).

Where this deviates:

- Flow comes from a provider (``task.flow``, by default dense inverse search, computed in loader workers and kept);
  officially TV-L1, computed beforehand, cut off at 20 pixels and rounded to 8 bits.
- The flow of T frames has T - 1 fields, as in the TensorFlow code. The PyTorch code reads T, one of which reaches past
  the clip, and looks for the frame of the largest motion among the first T - 1.
- A mirrored clip has mirrored motion: the horizontal component changes its sign. Officially it keeps it, so that a flip
  turns the directions of its boundaries round, which no clip shows.
- The dominant colour of a region is the octant with most pixels, as the paper describes it; the official code takes the
  octant of the most frequent exact colour (``dominant=colour``), and counts the second ring wrongly
  (``compute_pattern_2_color`` slices frames where it means rows).
- The random crop varies in scale and in aspect ratio, by torchvision's law, as in all tasks here; officially 112 x 112
  of 128 x 171 pixels, which of the square read here is the smallest. Starts are drawn, as everywhere here; officially a
  list of clips.
- Biases learn at the rate of weights, for an optimiser here has one rate a network; officially at twice it.

There are no classes in the loss, hence no accuracy and no ``chance``. ``motion_blind`` and ``appearance_blind`` are the
errors of answering every clip with the mean of all: what ``motion`` and ``appearance`` must come below. They are the
variances of the numbers, estimated from each batch without bias (divided by its clips less one), so that they are the
same in the mean whatever its size; a batch of one clip says nothing of them and is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssl_core.contracts import Batch, Build, Explanation, FlowProvider, StepOutput, Video, View
from vssl_core.data.plan import OneClip
from vssl_core.data.transforms import colour_jitter, crop_resize, random_boxes, uniform
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_motion.clip_statistics import appearance_labels, motion_boundaries, motion_labels
from vssl_motion.regions import Pattern, patterns

__all__ = ["MotionStats", "MotionStatsPlanner"]

_MOTION, _APPEARANCE = 14, 13
_CROP, _FLIP, _JITTER = range(701, 704)
_COLOURS = ("blue", "cyan", "magenta", "bright", "dark", "green", "red", "yellow")
# A boundary points to where its component of flow falls: the first of eight directions is to the right, the third down.
_TOWARDS = ("right", "lower right", "bottom", "lower left", "left", "upper left", "top", "upper right")


@dataclass(frozen=True, slots=True)
class MotionStatsPlanner:
    """Draws one clip and asks for its frames and their flow. The numbers follow from the pixels: no targets here."""

    clip: OneClip
    flow: FlowProvider

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return the clip and its flow, of the same frames.

        Raises:
            ClipError: ``short_video="error"`` and the video is too short.
        """
        views, targets = self.clip(video, rng)
        return [views[0], views[0]._replace(flow=self.flow)], targets


class MotionStats(BaseTask):
    """Regresses statistics of motion and appearance (Wang et al. 2019).

    Attributes:
        supervised_by_targets: permuted numbers leave nothing to learn, though it is ``augment`` that makes them.

    Raises:
        ConfigError: ``size`` is no multiple of 8, or both weights are 0.
        PluginError: the flow provider cannot be had, such as without extra ``flow``.
    """

    supervised_by_targets = True

    def __init__(
        self,
        backbone: Any,
        *,
        build: Build,
        frames: int = 16,
        stride: int = 1,
        size: int = 112,
        read_size: int = 128,
        fit: str = "short-side-crop",
        crop_scale: float = 0.766,
        flip: float = 0.5,
        jitter: float = 0.0,
        short_video: str = "error",
        flow: Any = "dis",
        motion_weight: float = 1.0,
        appearance_weight: float = 0.1,
        dominant: str = "octant",
    ) -> None:
        super().__init__(backbone)
        if not motion_weight and not appearance_weight:
            raise ConfigError("task.motion_weight and task.appearance_weight are both 0: nothing would be asked")
        read = read_size or size
        clip = OneClip("motion-stats", frames, stride, (read, read), fit, short_video)
        self._planner = MotionStatsPlanner(clip, build("flows", flow))
        self._patterns: dict[torch.device, tuple[Pattern, ...]] = {torch.device("cpu"): patterns(size)}
        self.size = size
        self.crop_scale = crop_scale
        self.flip = flip
        self.jitter = jitter
        self.dominant = dominant
        self.weights = {"motion": motion_weight, "appearance": appearance_weight}
        asked = {"motion": _MOTION, "appearance": _APPEARANCE}
        self.heads = nn.ModuleDict(
            {name: nn.Linear(backbone.embed_dim, n) for name, n in asked.items() if self.weights[name]}
        )

    def planner(self) -> MotionStatsPlanner:
        """Return what draws the clip."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Crop, flip and jitter each clip, its flow with it, and make the numbers of what is left.

        uint8 ``[B, T, H, W, 3]`` and float16 ``[B, T - 1, H, W, 2]`` to one view, float ``[B, 3, T, size, size]`` in
        [0, 1], and targets ``motion`` float ``[B, 14]`` and ``appearance`` float ``[B, 13]``, as far as they are asked.
        """
        raw, flow = batch.views
        box = random_boxes(batch.seeds, *raw.shape[2:4], scale=(self.crop_scale, 1.0), stream=_CROP)
        mirrored = uniform(batch.seeds, 1, stream=_FLIP)[:, 0] < self.flip
        clip = crop_resize(raw, box, self.size, mirrored)
        if self.jitter > 0:
            low, high = max(0.0, 1.0 - self.jitter), 1.0 + self.jitter
            factors = uniform(batch.seeds, 3, stream=_JITTER, low=low, high=high)
            clip = colour_jitter(clip, brightness=factors[:, 0], contrast=factors[:, 1], saturation=factors[:, 2])
        targets = dict(batch.targets)
        if "motion" in self.heads:
            field = crop_resize(flow.permute(0, 4, 1, 2, 3).float(), box, self.size, mirrored)
            # To the right is to the left in a mirror. How far does not matter: only where, and which way, is asked.
            sign = torch.where(mirrored, -1.0, 1.0).view(-1, 1, 1, 1)
            field = torch.stack([field[:, 0] * sign, field[:, 1]], dim=-1)
            targets["motion"] = motion_labels(motion_boundaries(field), self._divisions(clip.device)).float()
        if "appearance" in self.heads:
            pixels = (clip * 255).round().to(torch.uint8)
            labels = appearance_labels(pixels, self._divisions(clip.device), dominant=self.dominant)
            targets["appearance"] = labels.float()
        return batch._replace(views=(clip,), targets=targets)

    def forward(self, batch: Batch) -> StepOutput:
        """Weighted sum of mean squared errors; each of them a metric, and what it is without looking at the clips."""
        pooled = self.backbone(batch.views[0]).pooled
        loss = pooled.new_zeros(())
        metrics = {}
        for name, head in self.heads.items():
            target = batch.targets[name]
            error = F.mse_loss(head(pooled).float(), target)
            loss = loss + self.weights[name] * error
            metrics[name] = error.detach()
            if len(target) > 1:
                metrics[f"{name}_blind"] = target.var(dim=0).mean()
        return StepOutput(loss, metrics)

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Show each clip with the regions outlined that its numbers name: red for motion, green for colour."""
        divisions = self._divisions(batch.views[0].device)
        explained = []
        for row, clip in enumerate(batch.views[0]):
            words, pictures = [], []
            if "motion" in self.heads:
                numbers = batch.targets["motion"][row].long().tolist()
                for start, way, signed, colour in (
                    (0, "across", "rightward", (1.0, 0.1, 0.1)),
                    (2, "up or down", "downward", (1.0, 0.7, 0.1)),
                ):
                    # So block 0 says; rings and triangles are numbered all the same.
                    if not numbers[start]:
                        words.append(f"nothing moves {way}")
                        continue
                    regions = [division.masks[numbers[4 * at + start] - 1] for at, division in enumerate(divisions)]
                    title = f"where motion {way} changes most: block, ring, triangle"
                    pictures.append((title, _outlined(clip, regions, colour)))
                    at_most = zip(("block", "ring", "triangle"), range(start, 12, 4), strict=True)
                    places = (
                        f"{name} {numbers[i]} (falling towards the {_TOWARDS[numbers[i + 1] - 1]})"
                        for name, i in at_most
                    )
                    words.append(
                        f"{signed} motion changes most in {', '.join(places)}, most after {numbers[12 + start // 2]}"
                        " frames of the clip"
                    )
            if "appearance" in self.heads:
                numbers = batch.targets["appearance"][row].long().tolist()
                regions = [division.masks[numbers[4 * at] - 1] for at, division in enumerate(divisions)]
                pictures.append(("where colours change most", _outlined(clip, regions, (0.1, 1.0, 0.1))))
                words.append(
                    f"colours change most in block {numbers[0]} (mostly {_COLOURS[numbers[1] - 1]}), the clip is "
                    f"mostly {_COLOURS[numbers[12] - 1]}"
                )
            explained.append(
                Explanation(
                    "Where does most move, and which way? Where do colours change most, and which are they?",
                    "; ".join(words),
                    ("the clip",),
                    tuple(pictures),
                )
            )
        return explained

    def _divisions(self, device: torch.device) -> tuple[Pattern, ...]:
        """Return the three divisions on a device, moved there once."""
        if device not in self._patterns:
            self._patterns[device] = tuple(pattern.to(device) for pattern in patterns(self.size))
        return self._patterns[device]


def _outlined(clip: Tensor, regions: Sequence[Tensor], colour: tuple[float, float, float]) -> Tensor:
    """Draw the inner edges of some regions, bool ``[S, S]``, over float ``[3, T, S, S]``."""
    edge = torch.zeros_like(regions[0])
    for region in regions:
        filled = region.float()[None, None]
        # A pixel of the region with a neighbour outside of it; the frame's rim counts as outside.
        inner = 1 - F.max_pool2d(F.pad(1 - filled, (1, 1, 1, 1), value=1.0), 3, stride=1)
        edge |= region & (inner[0, 0] < 0.5)
    return torch.where(edge, torch.tensor(colour, device=clip.device).view(3, 1, 1, 1), clip)
