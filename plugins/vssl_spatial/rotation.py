"""``rotation``: by how many quarters of a circle a clip was turned (3DRotNet).

Paper: L. Jing, X. Yang, J. Liu, Y. Tian, "Self-Supervised Spatiotemporal Feature Learning via Video Rotation
Prediction", arXiv 1811.11387. Official code: https://github.com/LongLong-Jing/3DRotNet, read at 32dcfcf.

Implemented: each clip is shown at 0, 90, 180 and 270 degrees, counter-clockwise, all four in one batch, and a linear
classifier on the pooled features names the turn. Clip, crop and flip are the same for the four. Clips are 16 frames,
two apart, tilted by up to 10 degrees, cropped to 112 pixels, flipped or not (``Video_dataloader.py``).

Where this deviates:

- A video's four turns come in an order of its own, and the targets say in which. The loss is the same; targets that
  were equal for all videos could not be permuted, and the task would have no placebo.
- ``every_turn=false`` shows each clip at one turn that is drawn: a quarter of the cost.
- The tilt follows the crop, and what it lacks at the rim is mirrored; officially whole frames are tilted first, and
  their corners are black.
- The random crop varies in scale, by torchvision's law, as in all tasks here, from the official 112 of 136 pixels up to
  the whole frame (the size of the official frames is the paper's; the code reads files that are not published).
- Networks normalise as they always do; officially the mean and deviation of Kinetics are used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.plan import OneClip
from vssl_core.data.transforms import augment_clip, quarter_turns, uniform
from vssl_core.engine.task import BaseTask

__all__ = ["Rotation", "RotationPlanner", "tilt_clips"]

_TURNS = 4
#: stream of the tilt; augment_clip's own lie elsewhere
_TILT = 1


@dataclass(frozen=True, slots=True)
class RotationPlanner:
    """Draws a clip and the order of its turns. Targets: ``turns`` int64 ``[4]`` or ``[1]``, in quarters of a circle."""

    clip: OneClip
    shown: int

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return one view, which the task turns, and the turns in the order in which it shows them.

        Raises:
            ClipError: ``short_video="error"`` and the video is too short.
        """
        views, _ = self.clip(video, rng)
        return views, {"turns": rng.permutation(_TURNS)[: self.shown].astype(np.int64)}


def tilt_clips(clip: Tensor, degrees: Tensor) -> Tensor:
    """Rotate every clip about its centre, bilinear; the frame is mirrored at its rim.

    Args:
        clip: float ``[B, 3, T, S, S]``, square.
        degrees: float ``[B]``, counter-clockwise.

    Returns:
        float ``[B, 3, T, S, S]``, in the range of the input.
    """
    batch, channels, frames, height, width = clip.shape
    angle = degrees * (math.pi / 180)
    sine, cosine, zero = angle.sin(), angle.cos(), torch.zeros_like(angle)
    # Where each result pixel is read, y downwards: the inverse of a counter-clockwise rotation.
    rows = [torch.stack([cosine, -sine, zero], dim=1), torch.stack([sine, cosine, zero], dim=1)]
    flat = clip.reshape(batch, channels * frames, height, width)
    # Autocast would round the places of pixels to half precision.
    with torch.autocast(clip.device.type, enabled=False):
        grid = F.affine_grid(torch.stack(rows, dim=1), list(flat.shape), align_corners=False)
        tilted = F.grid_sample(flat, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return tilted.view(clip.shape)


class Rotation(BaseTask):
    """Classifies by how much a clip was turned (Jing et al. 2018)."""

    chance = 1 / _TURNS

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 16,
        stride: int = 2,
        size: int = 112,
        read_size: int = 136,
        fit: str = "short-side-crop",
        crop_scale: float = 0.68,
        flip: float = 0.5,
        jitter: float = 0.0,
        short_video: str = "error",
        tilt: float = 10.0,
        every_turn: bool = True,
    ) -> None:
        super().__init__(backbone)
        read = read_size or size
        clip = OneClip("rotation", frames, stride, (read, read), fit, short_video)
        self._planner = RotationPlanner(clip, _TURNS if every_turn else 1)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.tilt = tilt
        self.head = nn.Linear(backbone.embed_dim, _TURNS)

    def planner(self) -> RotationPlanner:
        """Return what draws the clip and the order of its turns."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Crop, flip and tilt every clip, then turn it.

        uint8 ``[B, T, H, W, 3]`` to one float view ``[B, 3, T, size, size]`` in [0, 1] for each turn.
        """
        clip = augment_clip(batch.views[0], batch.seeds, **self._augmentation)
        if self.tilt > 0:
            degrees = uniform(batch.seeds, 1, stream=_TILT, low=-self.tilt, high=self.tilt)[:, 0]
            clip = tilt_clips(clip, degrees)
        turns = batch.targets["turns"]
        return batch._replace(views=tuple(quarter_turns(clip, turns[:, at]) for at in range(turns.shape[1])))

    def forward(self, batch: Batch) -> StepOutput:
        """Cross-entropy of the turns of all views, and the accuracy."""
        logits = self.head(self.backbone(torch.cat(batch.views)).pooled)
        target = batch.targets["turns"].T.reshape(-1)  # [B, turns] in the order of the views: view by view
        accuracy = (logits.argmax(dim=1) == target).float().mean()
        return StepOutput(F.cross_entropy(logits, target), {"accuracy": accuracy.detach()})

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Show each clip at its turns, the right answer above each."""
        explained = []
        for row, turns in enumerate(batch.targets["turns"].tolist()):
            said = [f"turned by {90 * turn} degrees" for turn in turns]
            pictures = tuple((text, view[row]) for text, view in zip(said, batch.views, strict=True))
            answer = ", ".join(str(90 * turn) for turn in turns)
            explained.append(
                Explanation(
                    "By how many degrees was this clip turned counter-clockwise: 0, 90, 180 or 270?",
                    f"{answer} degrees",
                    pictures=pictures,
                    shown=(),
                )
            )
        return explained
