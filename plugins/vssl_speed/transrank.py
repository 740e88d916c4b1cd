"""``transrank``: which of these clips of one video is the fastest, which runs backwards?

Paper: H. Duan, N. Zhao, K. Chen, D. Lin, "TransRank: Self-supervised Video Representation Learning via Ranking-based
Transformation Recognition", CVPR 2022, arXiv 2205.02028. Official code: https://github.com/kennymckormick/TransRank
(commit 624da02) holds a README alone, which names a branch of kennymckormick/mmaction2 that could not be had:
formula-only.

Implemented (figure 3 and its caption; section 3 was not available): as many clips of a video as there are
``transforms``, each with another one. The network gives every clip a score for every transformation, a matrix; in the
column of a transformation the clip that went through it has to score higher than every other clip of the same video by
``margin``. Videos have speeds of their own: x2 of a slow one may look like x1 of a quick one, and a classifier gets a
wrong answer from the right picture; ranked among clips of its own video, it is right. ``formulation="classify"`` is
what the paper compares with: a softmax over each clip's own scores.

Where this deviates, or fills what the abstract, the figure and its caption leave open:

- Scores are those of one linear layer, not normalised; the margin defaults to 1, since the layer sets their scale.
- Transformations are those of ``rtt`` (``vssl_speed.transformations``), by default those of figure 3. The paper also
  ranks rotations beside them; the task ``rotation`` does that with ``multi``.
- Videos too short for one of the transformations are left out. With ``short_video="loop"`` or ``"pad"`` clips too long
  for their video are read beyond its end: the cut, or the frame that stands still, gives high speeds away.
- Clips of a video are drawn one by one, their middle by one law for all transformations (``vssl_speed.placement``), and
  are cropped, flipped and coloured one by one, unless ``shared_draw``.
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
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.pretext.clips import require_frames
from vssl_speed.placement import place
from vssl_speed.transformations import Transformation, describe, frames_needed, parse, speeds_that_fit

__all__ = ["TransRank", "TransRankPlanner", "rank_scores"]

_DEFAULT = ("speed-1", "speed-2", "reversed-1")


@dataclass(frozen=True, slots=True)
class TransRankPlanner:
    """Draws a clip for every transformation, in an order that is drawn too.

    Targets: ``transformation`` int64 ``[clips]``, the place in the list of what each clip went through.
    """

    transforms: tuple[Transformation, ...]
    frames: int
    stride: int
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return one view a transformation.

        Raises:
            ClipError: ``short_video="error"`` and the video is too short for one of them, or it has no frames.
        """
        widest = frames_needed(self.transforms, self.frames, self.stride)
        least = widest if self.short_video == "error" else 1
        require_frames("transrank", video, least, frames=self.frames, stride=self.stride)
        order = rng.permutation(len(self.transforms))
        views = []
        for label in order:
            transform = self.transforms[label]
            speeds = speeds_that_fit(transform, self.transforms, self.frames, self.stride, widest)
            speed = max(speeds) if transform.kind == "warp" else speeds[int(rng.integers(len(speeds)))]
            relative = transform.draw(rng, self.frames, self.stride, speed)
            views.append(View(self._placed(relative, video.n_frames, widest, rng), self.size, self.fit))
        return views, {"transformation": order.astype(np.int64)}

    def _placed(self, relative: np.ndarray, n_frames: int, widest: int, rng: np.random.Generator) -> np.ndarray:
        """Return int64 ``[frames]`` in [0, n_frames); only clips longer than the video loop or are padded."""
        extent = int(relative.max()) + 1
        if extent <= n_frames:
            return relative + place(rng, n_frames, extent, widest)
        if self.short_video == "pad":
            return np.minimum(relative, n_frames - 1)
        return (relative + int(rng.integers(0, n_frames))) % n_frames


def rank_scores(scores: Tensor, transformation: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Return the margin ranking loss of score matrices, and how often the right clip stands first in its column.

    The mean over videos, columns and other clips of ``max(0, margin - right + other)``.

    Args:
        scores: float ``[B, N, N]``: of clip i for transformation j.
        transformation: int64 ``[B, N]``: what each clip went through, a permutation of 0 .. N-1.
        margin: 0 or more.
    """
    n = scores.shape[1]
    # Rows sorted by what they went through: the right scores are the diagonal.
    sorted_scores = scores.float().gather(1, transformation.argsort(dim=1)[..., None].expand(-1, -1, n))
    right = sorted_scores.diagonal(dim1=1, dim2=2)
    shortfall = F.relu(margin - right[:, None, :] + sorted_scores)
    others = ~torch.eye(n, dtype=torch.bool, device=scores.device)
    first = (sorted_scores.argmax(dim=1) == torch.arange(n, device=scores.device)).float().mean()
    return shortfall[:, others].mean(), first


class TransRank(BaseTask):
    """Ranks the clips of a video by every transformation (Duan et al. 2022, figure 3)."""

    asks_frame_order = True

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 16,
        stride: int = 2,
        size: int = 112,
        read_size: int = 128,
        fit: str = "short-side-crop",
        crop_scale: float = 0.6,
        flip: float = 0.5,
        jitter: float = 0.2,
        short_video: str = "error",
        transforms: Sequence[str] = _DEFAULT,
        margin: float = 1.0,
        formulation: str = "rank",
        shared_draw: bool = False,
    ) -> None:
        super().__init__(backbone)
        read = read_size or size
        parsed = parse(transforms, frames, stride)
        self._planner = TransRankPlanner(parsed, frames, stride, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.margin = margin
        self.formulation = formulation
        self.shared_draw = shared_draw
        self.chance = 1 / len(parsed)
        self.head = nn.Linear(backbone.embed_dim, len(parsed))

    def planner(self) -> TransRankPlanner:
        """Return what draws the clips."""
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
        """Margin ranking loss (or cross-entropy) of the score matrices, and how often the right clip stands first.

        With ``formulation="classify"`` the accuracy is that of each clip's own highest score.
        """
        scores = self.head(self.backbone(torch.cat(batch.views)).pooled)
        scores = scores.unflatten(0, (len(batch.views), -1)).transpose(0, 1)  # [B, clips, transformations]
        transformation = batch.targets["transformation"]
        if self.formulation == "classify":
            loss = F.cross_entropy(scores.flatten(0, 1), transformation.flatten())
            accuracy = (scores.argmax(dim=2) == transformation).float().mean()
        else:
            loss, accuracy = rank_scores(scores, transformation, self.margin)
        return StepOutput(loss, {"accuracy": accuracy.detach()})

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Name what each clip went through."""
        names = [describe(transform) for transform in self._planner.transforms]
        question = f"Which of these clips of one video is {', which is '.join(names)}?"
        explained = []
        for labels in batch.targets["transformation"].tolist():
            words = tuple(names[label] for label in labels)
            answer = "; ".join(f"clip {n}: {word}" for n, word in enumerate(words, 1))
            explained.append(Explanation(question, answer, words))
        return explained
