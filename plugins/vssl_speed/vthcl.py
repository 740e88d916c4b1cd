"""``vthcl``: a video read slowly and read fast is one video, at several depths of the network.

Paper: C. Yang, Y. Xu, B. Dai, B. Zhou, "Video Representation Learning with Visual Tempo Consistency" (VTHCL), arXiv
2006.15489, 2020. No official code: https://github.com/decisionforce/VTHCL@368f9adf9dc47a5fd4d236c5aca4d766dca5d883
holds a description, the figure of the method and a link to weights. Formula-only.

Implemented: a stretch of video is read at a slow frame rate and at a fast one, ``ratio`` times as many frames of the
same time; two encoders take them; the two readings of a video attract, those of other videos, kept in a memory bank,
repel, from slow to fast and from fast to slow (InfoNCE of cosines); the same at the outputs of the network's last
stages (hierarchical contrastive learning), the losses added. The slow encoder is the one that is kept.

Chosen here, where no code says otherwise:

- 8 frames at stride 8 and 32 frames at stride 2, as in SlowFast 8 x 8 (arXiv 1812.03982), which also names the rates.
- Bank and loss as in contrastive multiview coding (arXiv 1906.05849), the framework for two views: temperature 0.07,
  momentum of the bank 0.5, 16,384 negatives, 128 dimensions after one linear layer; positives too are as the bank has
  them, without a gradient. Here the bank takes a batch in before it is compared with (there: after), so that a video
  has a positive from its first time on, and the softmax runs over all slots.
- The fast encoder begins as a copy of the slow one and has weights of its own (``encoders="separate"``).
- Crop, flip, grey and colour are drawn once for each clip, with MoCo's ranges (arXiv 1911.05722).

The hierarchy is taken from the members of the backbone's ``stages`` or ``blocks`` (``vssl_speed.depths``), each
averaged over space and time; of r3d-18 with ``levels=2`` these are conv4_x and conv5_x. The contract of backbones knows
no stages: one that has no such sequence, such as ``timm/NAME``, is compared at its output alone, and ``loss_output``
then is the only such metric.

``contrast_top1`` says how often a clip's own other reading is nearer than the whole bank, at the output, mean of both
directions; ``contrast_chance`` how often a random candidate would be. ``chance`` is None: it depends on how full the
bank is. There are no targets: which clips are of one video is told by the views themselves.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.plan import clip_frames, random_start, span
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_core.pretext.clips import require_frames
from vssl_speed.depths import Depths
from vssl_speed.video_bank import VideoBank, bank_contrast
from vssl_speed.wording import every_nth_frame

__all__ = ["TempoConsistency", "TempoPlanner"]


@dataclass(frozen=True, slots=True)
class TempoPlanner:
    """Draws one stretch of a video and reads it slowly and fast. No targets."""

    frames: int
    stride: int
    ratio: int
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return the slow view of ``frames`` frames and the fast one of ``ratio`` times as many; both begin together.

        Raises:
            ClipError: ``short_video="error"`` and the video is too short for the fast view, which ends later.
        """
        readings = ((self.frames, self.stride), (self.frames * self.ratio, self.stride // self.ratio))
        needed = span(*readings[1])
        if self.short_video == "error":
            require_frames("vthcl", video, needed, frames=self.frames, stride=self.stride, ratio=self.ratio)
        start = random_start(rng, video.n_frames, needed)
        planned = [clip_frames(video.n_frames, start, n, stride, self.short_video) for n, stride in readings]
        return [View(frames, self.size, self.fit) for frames in planned], {}


class TempoConsistency(BaseTask):
    """Contrasts the slow and the fast reading of videos at several depths (Yang et al. 2020).

    Attributes:
        supervised_by_targets: False, see above.

    Raises:
        ConfigError: ``ratio`` does not divide ``stride``.
    """

    supervised_by_targets = False

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 8,
        stride: int = 8,
        size: int = 224,
        read_size: int = 256,
        fit: str = "short-side-crop",
        crop_scale: float = 0.2,
        flip: float = 0.5,
        jitter: float = 0.4,
        short_video: str = "error",
        ratio: int = 4,
        levels: int = 2,
        encoders: str = "separate",
        grey: float = 0.2,
        hue: float = 0.4,
        shared_draw: bool = False,
        bank: int = 16384,
        bank_momentum: float = 0.5,
        temperature: float = 0.07,
        projection: int = 128,
    ) -> None:
        super().__init__(backbone)
        if stride % ratio:
            raise ConfigError(
                f"task.stride={stride} is no multiple of task.ratio={ratio}: the fast clip takes every (stride / "
                "ratio)-th frame; choose a ratio that divides the stride"
            )
        read = read_size or size
        self._planner = TempoPlanner(frames, stride, ratio, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self._augmentation |= {"grey": grey, "hue": hue, "random_order": True}
        self.shared_draw = shared_draw
        self.temperature = temperature
        self.depths = Depths(backbone, levels, frames, size)
        self.fast = copy.deepcopy(backbone) if encoders == "separate" else None
        self.slow_heads = nn.ModuleList(nn.Linear(dim, projection) for dim in self.depths.dims)
        self.fast_heads = nn.ModuleList(nn.Linear(dim, projection) for dim in self.depths.dims)
        self.bank = VideoBank(2 * len(self.depths.dims), projection, bank, bank_momentum)

    def setup(self, n_videos: int, total_steps: int) -> None:
        """Take no more slots than there are videos: with all of them in it, every other one is a negative."""
        kinds, slots, dim = self.bank.features.shape
        self.bank = VideoBank(kinds, dim, min(slots, n_videos), self.bank.momentum)

    def planner(self) -> TempoPlanner:
        """Return what draws the stretch."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Draw once for each reading, or once for both with ``shared_draw``.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1].
        """
        views = tuple(
            augment_clip(view, batch.seeds, **self._augmentation, stream=0 if self.shared_draw else stream)
            for stream, view in enumerate(batch.views)
        )
        return batch._replace(views=views)

    def embed(self, slow: Tensor, fast: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return, shallow to deep, the embeddings of the two clips, float ``[B, projection]`` of length 1 each.

        Args:
            slow: float ``[B, 3, T, H, W]`` in [0, 1].
            fast: float ``[B, 3, ratio * T, H, W]`` in [0, 1].
        """
        encoder = self.backbone if self.fast is None else self.fast
        features = (self.depths(self.backbone, slow), self.depths(encoder, fast))
        embedded = (
            [F.normalize(head(pooled).float(), dim=1) for head, pooled in zip(heads, of, strict=True)]
            for heads, of in zip((self.slow_heads, self.fast_heads), features, strict=True)
        )
        return list(zip(*embedded, strict=True))

    def forward(self, batch: Batch) -> StepOutput:
        """The sum over depths of both directions' losses; in training the embeddings first enter the bank."""
        pairs = self.embed(*batch.views)
        embeddings = torch.stack([embedding for pair in pairs for embedding in pair])
        positives = self.bank.moved(batch.index, embeddings)
        if self.training:
            self.bank.update(batch.index, embeddings)
        # A copy: the gradient needs the features as they were compared, and the next batch changes them.
        kept, others = self.bank.features.clone(), self.bank.others(batch.index)
        losses, metrics = [], {}
        for depth, (name, (slow, fast)) in enumerate(zip(self.depths.names, pairs, strict=True)):
            its_slow, its_fast = 2 * depth, 2 * depth + 1
            to_fast = bank_contrast(slow, positives[its_fast], kept[its_fast], others, self.temperature)
            to_slow = bank_contrast(fast, positives[its_slow], kept[its_slow], others, self.temperature)
            losses.append(to_fast.loss + to_slow.loss)
            metrics[f"loss_{name}"] = losses[-1].detach()
            # Of the deepest one in the end.
            metrics |= {"contrast_top1": (to_fast.top1 + to_slow.top1) / 2, "contrast_chance": to_fast.chance}
        return StepOutput(torch.stack(losses).sum(), metrics)

    def explain(self, batch: Batch) -> list[Explanation]:
        """Say at which rates the stretch was read."""
        plan = self._planner
        slow, fast = every_nth_frame(plan.stride), every_nth_frame(plan.stride // plan.ratio)
        one = Explanation(
            "Which of the clips read fast shows the same video as this one read slowly? (And the other way round, "
            f"compared at {len(self.depths.names)} depths of the network.)",
            "the two beside this are one stretch of one video",
            captions=(
                f"read slowly: {slow}, {plan.frames} in all",
                f"read fast: {fast}, {plan.frames * plan.ratio} in all",
            ),
        )
        return [one] * len(batch.index)
