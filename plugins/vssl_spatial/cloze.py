"""``cloze``: what was done to the middle one of three clips (video cloze procedure, VCP).

Paper: D. Luo, C. Liu, Y. Zhou, D. Yang, C. Ma, Q. Ye, W. Wang, "Video Cloze Procedure for Self-Supervised
Spatio-Temporal Learning", AAAI 2020, arXiv 2001.00294. No official code is published; read beside it:
https://github.com/BestJuly/VCP at ca99a08, an unofficial one that reports the paper's accuracy again.

Implemented: three clips of 16 frames, 8 frames apart. The middle one is left as it is or replaced by one of four
options made from the video: ``rotation``, all its frames turned by 90, 180 or 270 degrees; ``permutation``, the four
quarters of its frames shuffled; ``adjacent``, two of its four parts in time exchanged; ``remote``, a clip that lies at
least 16 frames before the first or behind the third. The pooled features of the three are concatenated, and a linear
layer names the operation. Each clip has a crop of its own, the same for its frames; no flip, no colour jitter.

Where this deviates:

- Quarters are shuffled in any of the 23 orders that change something; the unofficial code always reverses their order.
- Clips lie ``gap`` frames apart; in the unofficial code they overlap, for it adds the gap to the number of clips.
- All operations are equally likely, and the three clips lie where a remote one would fit, whichever operation is drawn:
  else their place in the video would tell it. Where a video has no room for one, the others are drawn
  (``short_video="fitting"``, as in the unofficial code, which asks for room on both sides) or it is left out
  (``"error"``).
  Guessing is then right more often for such a video: ``accuracy_chance`` is the mean over the samples, and there is no
  ``chance``, which would be one number, unless ``"error"`` or operations without ``remote`` make it the same for all.
- The random crop varies in scale and in aspect ratio, by torchvision's law, as in all tasks here (there 112 x 112 of
  128 x 171 pixels, which of the square read here is the smallest; ``crop_scale=1``: none).
- ``hidden`` puts a layer before the last one; 0, as published, compares no clip with another, only adds them up.
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
from vssl_core.data.plan import clip_frames, span
from vssl_core.data.transforms import augment_clip, join_pieces, quarter_turns
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_core.pretext.clips import require_frames
from vssl_core.pretext.permutations import all_orders

__all__ = ["Cloze", "ClozeHead", "ClozePlanner", "exchange_parts", "permute_quarters"]

_OPERATIONS = ("original", "rotation", "permutation", "adjacent", "remote")
_CLIPS, _MIDDLE = 3, 1
_PARTS = 4
_ORDERS = all_orders(_PARTS)
_WORDS = {
    "original": "nothing: it is the clip that belongs there",
    "rotation": "turned by {degrees} degrees",
    "permutation": "the quarters of its frames are shuffled",
    "adjacent": "two of its four parts in time are exchanged",
    "remote": "replaced by a clip from elsewhere in the video",
}


def exchange_parts(frames: np.ndarray, one: int, other: int) -> np.ndarray:
    """Exchange two of the four parts of int64 ``[T]``, T >= 4; the first parts are longer where 4 does not divide T."""
    parts = np.array_split(frames, _PARTS)
    parts[one], parts[other] = parts[other], parts[one]
    return np.concatenate(parts)


def permute_quarters(clip: Tensor, order: Tensor) -> Tensor:
    """Shuffle the quarters of every clip's frames.

    Args:
        clip: float ``[B, 3, T, S, S]``, S even.
        order: int64 ``[B, 4]``: place i, row by row, shows quarter ``order[i]``.
    """
    half = clip.shape[-1] // 2
    rows = [clip[..., :half, :], clip[..., half:, :]]
    quarters = torch.stack([part for row in rows for part in (row[..., :half], row[..., half:])], dim=1)
    at = order.view(*order.shape, 1, 1, 1, 1).expand_as(quarters)
    return join_pieces(quarters.gather(1, at), rows=2, columns=2)


@dataclass(frozen=True, slots=True)
class ClozePlanner:
    """Draws three clips and what happens to the middle one.

    Targets: ``operation``, its place in ``operations``; ``possible``, how many operations could have been drawn;
    ``turns``, quarters of a circle counter-clockwise by which the middle clip is to be turned; ``quarters`` int64
    ``[4]``, the order of its quarters.
    """

    frames: int
    stride: int
    gap: int
    distance: int
    operations: tuple[str, ...]
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return three views and the operation; every operation that fits the video is equally likely.

        Raises:
            ClipError: the video is too short for three clips, or ``short_video="error"`` and it has no room for a
                remote one.
        """
        length = span(self.frames, self.stride)
        reach = _CLIPS * length + (_CLIPS - 1) * self.gap
        remote = "remote" in self.operations
        needed = reach + (self.distance + length if remote and self.short_video == "error" else 0)
        options = {"frames": self.frames, "stride": self.stride, "gap": self.gap}
        require_frames("cloze", video, needed, **options, **({"distance": self.distance} if remote else {}))
        starts = np.arange(video.n_frames - reach + 1)
        # First frames that a remote clip could have, before and behind, for each start.
        before = np.maximum(0, starts - self.distance - length + 1)
        behind = np.maximum(0, video.n_frames - length + 1 - (starts + reach + self.distance))
        choices = np.arange(len(self.operations))
        if remote and (before + behind).any():
            starts = starts[before + behind > 0]
        elif remote:
            choices = np.delete(choices, self.operations.index("remote"))
        start = int(rng.choice(starts))
        label = int(rng.choice(choices))
        operation = self.operations[label]
        firsts = [start + clip * (length + self.gap) for clip in range(_CLIPS)]
        if operation == "remote":
            firsts[_MIDDLE] = self._remote(rng, int(before[start]), int(behind[start]), start + reach + self.distance)
        frames = [clip_frames(video.n_frames, first, self.frames, self.stride) for first in firsts]
        if operation == "adjacent":
            one, other = rng.choice(_PARTS, size=2, replace=False)
            frames[_MIDDLE] = exchange_parts(frames[_MIDDLE], int(one), int(other))
        turns = int(rng.integers(1, 4)) if operation == "rotation" else 0
        # Row 0 is the order that changes nothing.
        quarters = _ORDERS[int(rng.integers(1, len(_ORDERS))) if operation == "permutation" else 0]
        targets = {"operation": label, "possible": len(choices), "turns": turns, "quarters": quarters}
        return [View(clip, self.size, self.fit) for clip in frames], targets

    @staticmethod
    def _remote(rng: np.random.Generator, before: int, behind: int, first_behind: int) -> int:
        """Return the first frame of a remote clip: either side by equal chance, where both have room."""
        early = bool(rng.integers(2)) if before and behind else before > 0
        return int(rng.integers(before)) if early else first_behind + int(rng.integers(behind))


class ClozeHead(nn.Module):
    """Features of the three clips, concatenated, to logits of the operations."""

    def __init__(self, embed_dim: int, classes: int, hidden: int) -> None:
        super().__init__()
        width = _CLIPS * embed_dim
        self.joint = nn.Sequential(nn.Linear(width, hidden), nn.ReLU()) if hidden else nn.Identity()
        self.operation = nn.Linear(hidden or width, classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return float ``[B, classes]`` of three float ``[B, D]``, in the order of time."""
        logits: Tensor = self.operation(self.joint(torch.cat(list(features), dim=1)))
        return logits


class Cloze(BaseTask):
    """Classifies what was done to the middle clip (Luo et al. 2020).

    Raises:
        ConfigError: unknown operations, fewer than two, or a size that has no quarters.
    """

    asks_frame_order = True

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 16,
        stride: int = 1,
        size: int = 112,
        read_size: int = 128,
        fit: str = "short-side-crop",
        crop_scale: float = 0.766,
        flip: float = 0.0,
        jitter: float = 0.0,
        short_video: str = "fitting",
        gap: int = 8,
        distance: int = 16,
        operations: Sequence[str] = _OPERATIONS,
        shared_draw: bool = False,
        hidden: int = 0,
    ) -> None:
        super().__init__(backbone)
        if len(set(operations)) < max(2, len(operations)) or not set(operations) <= set(_OPERATIONS):
            raise ConfigError(
                f"task.operations={list(operations)}: give two or more different ones of {', '.join(_OPERATIONS)}"
            )
        if size % 2:
            raise ConfigError(f"task.size={size} cannot be cut into quarters; take an even one")
        if short_video == "fitting" and len(set(operations) - {"remote"}) < 2:
            raise ConfigError(
                f"task.operations={list(operations)}: a short video has no room for a remote clip, which leaves one "
                "operation and no choice; give another one, or set task.short_video=error"
            )
        read = read_size or size
        self._planner = ClozePlanner(frames, stride, gap, distance, tuple(operations), (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.shared_draw = shared_draw
        self.operations = tuple(operations)
        always = short_video == "error" or "remote" not in operations
        self.chance = 1 / len(operations) if always else None
        self.head = ClozeHead(backbone.embed_dim, len(operations), hidden)

    def planner(self) -> ClozePlanner:
        """Return what draws the clips and the operation."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Draw crop, flip and colour once a clip, or once a video with ``shared_draw``; then turn and shuffle space.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1]. The other operations are in the frames
        that were read.
        """
        views = [
            augment_clip(view, batch.seeds, **self._augmentation, stream=0 if self.shared_draw else stream)
            for stream, view in enumerate(batch.views)
        ]
        middle = quarter_turns(views[_MIDDLE], batch.targets["turns"])
        views[_MIDDLE] = permute_quarters(middle, batch.targets["quarters"])
        return batch._replace(views=tuple(views))

    def forward(self, batch: Batch) -> StepOutput:
        """Cross-entropy of the operation, the accuracy, and that of guessing among what could have been drawn."""
        pooled = self.backbone(torch.cat(batch.views)).pooled
        logits = self.head(pooled.chunk(_CLIPS))
        target = batch.targets["operation"]
        accuracy = (logits.argmax(dim=1) == target).float().mean()
        chance = batch.targets["possible"].float().reciprocal().mean()
        metrics = {"accuracy": accuracy.detach(), "accuracy_chance": chance}
        return StepOutput(F.cross_entropy(logits, target), metrics)

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Name what was done to the middle clip."""
        explained = []
        for label, turns in zip(batch.targets["operation"].tolist(), batch.targets["turns"].tolist(), strict=True):
            operation = self.operations[label]
            explained.append(
                Explanation(
                    "Three clips in a row: what was done to the middle one?",
                    f"{operation}: {_WORDS[operation].format(degrees=90 * turns)}",
                    captions=("the clip before", "the clip in question", "the clip after"),
                )
            )
        return explained
