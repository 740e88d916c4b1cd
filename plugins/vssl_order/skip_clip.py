"""``skip-clip``: rank later clips by how soon they follow.

Paper: A. El-Nouby, S. Zhai, G. W. Taylor, J. M. Susskind, "Skip-Clip: Self-Supervised Spatiotemporal Representation
Learning by Future Clip Order Ranking", ICCV workshops 2019, arXiv 1910.12770. No official code.

Implemented: a context clip is followed by ``targets`` clips of the same video. The score of a target is the cosine
similarity of its map and the context's, cell by cell, averaged over the cells; for every two targets the sooner one is
to score higher by ``margin`` at least:

    loss = sum over i < j of max(0, margin - score_i + score_j)

with targets numbered by their distance from the context. Against solutions that look at the whole scene alone, all
clips of a sample are turned by one of four quarter turns, and a linear layer on the context's features names it
(``turning``).

Where this deviates:

- The targets are shown in random order, and their places in time are the target to learn: the loss is the same.
- Cells are those of the map averaged over time: clips of a sample share crop and flip (``shared_draw``), so that a cell
  is the same place in all of them.
- The crop varies in scale and in aspect ratio, 3/4 to 4/3.
- Number, length and distance of the clips, margin and the weight of the turns were not at hand when this was written;
  the defaults are ours.

``accuracy`` is the share of pairs of targets that are ranked right, 1/2 by chance; a tie counts as half right.
That is chance for answers that know nothing of the clips. The likeness of features is not such an answer: networks that
have learnt nothing come to 0.63 on ``toy-physics`` (suite ``catalogue-untrained``), which is what to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.plan import random_start, span
from vssl_core.data.transforms import augment_clip, quarter_turns
from vssl_core.engine.task import BaseTask
from vssl_order.fitting import fit_stride
from vssl_order.ordinals import ordinal, ordinals

__all__ = ["Ranking", "SkipClip", "SkipClipPlanner", "cell_similarity", "rank_future"]

_TURNS = 4


@dataclass(frozen=True, slots=True)
class SkipClipPlanner:
    """Draws a context clip and the shuffled clips that follow it.

    Targets: ``place`` int64 ``[targets]``, of each shown target its place in time, 0 the soonest; ``turns``, how many
    quarters of a circle the clips are turned.
    """

    frames: int
    stride: int
    targets: int
    gap: int
    turned: bool
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return the context first, then the targets; their order is uniform.

        Raises:
            ClipError: the video is too short.
        """
        step = self.frames + self.gap
        positions = self.targets * step + self.frames
        stride = fit_stride(
            "skip-clip", video, positions, self.stride, self.short_video, frames=self.frames, targets=self.targets
        )
        start = random_start(rng, video.n_frames, span(positions, stride))
        place = rng.permutation(self.targets).astype(np.int64)
        clip = start + stride * np.arange(self.frames, dtype=np.int64)
        views = [View(clip + stride * step * after, self.size, self.fit) for after in (0, *(place + 1))]
        turns = int(rng.integers(_TURNS)) if self.turned else 0
        return views, {"place": place, "turns": np.int64(turns)}


class Ranking(NamedTuple):
    """``loss`` (scalar, with gradient), ``accuracy`` (detached scalar: the part of pairs ranked right, ties half)."""

    loss: Tensor
    accuracy: Tensor


def cell_similarity(context: Tensor, target: Tensor) -> Tensor:
    """Return the cosine similarity of two maps cell by cell, averaged over the cells: float32 ``[B]`` in [-1, 1].

    Args:
        context: float ``[B, D, h, w]``.
        target: float ``[B, D, h, w]``.
    """
    return F.cosine_similarity(context.float(), target.float(), dim=1).mean(dim=(1, 2))


def rank_future(score: Tensor, place: Tensor, margin: float) -> Ranking:
    """Return the hinge loss of the order of targets, summed over their pairs, and the share of pairs in order.

    Args:
        score: float ``[B, M]``, higher for what comes sooner.
        place: int64 ``[B, M]``: which of the M targets each is, 0 the soonest.
        margin: by which the sooner of two is to lead, above 0.
    """
    sooner = place[:, :, None] < place[:, None, :]
    lead = score[:, :, None] - score[:, None, :]
    hinge = torch.where(sooner, F.relu(margin - lead), 0.0)
    # Of a tie one half is right: a network to which all targets are one is at chance, not below.
    right = ((1 + lead.sign()) / 2 * sooner).sum() / sooner.sum()
    return Ranking(hinge.sum(dim=(1, 2)).mean(), right.detach())


class SkipClip(BaseTask):
    """Ranks clips by how soon they follow a context clip (El-Nouby et al. 2019)."""

    chance = 0.5

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 16,
        stride: int = 1,
        size: int = 112,
        read_size: int = 128,
        fit: str = "short-side-crop",
        crop_scale: float = 0.6,
        flip: float = 0.5,
        jitter: float = 0.2,
        short_video: str = "error",
        targets: int = 3,
        gap: int = 8,
        margin: float = 0.1,
        turning: float = 1.0,
        shared_draw: bool = True,
    ) -> None:
        super().__init__(backbone)
        read = read_size or size
        turned = turning > 0
        self._planner = SkipClipPlanner(frames, stride, targets, gap, turned, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.margin = margin
        self.turning = turning
        self.shared_draw = shared_draw
        self.turn = nn.Linear(backbone.embed_dim, _TURNS) if turned else None

    def planner(self) -> SkipClipPlanner:
        """Return what draws the clips and their order."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Draw once for all clips of a video, or once a clip without ``shared_draw``, and turn them all alike.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1].
        """
        views = []
        for stream, view in enumerate(batch.views):
            clip = augment_clip(view, batch.seeds, **self._augmentation, stream=0 if self.shared_draw else stream)
            views.append(clip if self.turn is None else quarter_turns(clip, batch.targets["turns"]))
        return batch._replace(views=tuple(views))

    def forward(self, batch: Batch) -> StepOutput:
        """Hinge loss of the ranking, the turns' cross-entropy where there are turns, and the pairs ranked right."""
        n = len(batch.views)
        features = self.backbone(torch.cat(batch.views))
        context, *later = features.map.mean(dim=2).chunk(n)
        score = torch.stack([cell_similarity(context, target) for target in later], dim=1)
        ranking = rank_future(score, batch.targets["place"], self.margin)
        metrics = {"accuracy": ranking.accuracy}
        loss = ranking.loss
        if self.turn is not None:
            logits, turns = self.turn(features.pooled.chunk(n)[0]), batch.targets["turns"]
            loss = loss + self.turning * F.cross_entropy(logits, turns)
            metrics["turns_accuracy"] = (logits.argmax(dim=1) == turns).float().mean().detach()
        return StepOutput(loss, metrics)

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Say in which order each sample's clips follow the context."""
        n = len(batch.views) - 1
        question = f"Which of these {n} later clips follows the first one soonest, which next?"
        explained = []
        for place, turns in zip(batch.targets["place"].tolist(), batch.targets["turns"].tolist(), strict=True):
            captions = (
                "the context",
                *(f"shown {ordinal(k)}: the {ordinal(at)} to follow" for k, at in enumerate(place)),
            )
            answer = f"shown are the {ordinals(place)} to follow"
            if self.turn is not None:
                answer += f"; all are turned by {90 * turns} degrees"
            explained.append(Explanation(question, answer, captions))
        return explained
