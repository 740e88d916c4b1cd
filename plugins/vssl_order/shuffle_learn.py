"""``shuffle-learn``: are these three frames in the order of time?

Paper: I. Misra, C. L. Zitnick, M. Hebert, "Shuffle and Learn: Unsupervised Learning using Temporal Order Verification",
ECCV 2016, arXiv 1603.08561. Official code: https://github.com/imisra/shuffle-tuple@5d27dfa (Caffe; the network and the
reading of tuples. The tuples themselves come as a list: what chose them is not there, and follows the paper.)

Implemented: five frames a < b < c < d < e of a window; (b, c, d) is in order, (b, a, d) and (b, e, d) are not, and each
may be shown backward, (d, c, b), (d, a, b), (d, e, b), with the same label (section 3). First and last frame have one
law for both labels, so that the middle one alone decides. A quarter of the tuples is in order (section 4). Windows
where more moves are drawn more often (``select="motion"``, section 3). The features of the three frames, all from one
network, are concatenated; a linear layer gives two logits (official ``networks/tuple_train.prototxt``, fc7 to fc8).

Where this deviates:

- Distances are multiples of ``stride``: a stands one before b, d ``spread`` after b, e one after d. With stride 15 and
  spread 4 these are the paper's |b - d| = 60 and min(|a - b|, |d - e|) = 15 frames. c is any multiple between b and d,
  so that with either label the middle frame is ``stride`` or more from its neighbours; the paper's condition is b < c
  < d.
- The paper leaves out tuples whose a or e looks like c. Which frames are read is decided here before any is decoded;
  frames a stride or more apart where much moves are seldom alike.
- Motion is the mean absolute difference of successive frames instead of the magnitude of optical flow.
- Where ``crop_scale`` is below 1, the crop varies in scale and in aspect ratio by torchvision's law, as in all tasks
  here.
- ``hidden`` puts a layer between the concatenated features and the logits; the paper has none. A linear layer adds up
  what each frame says by itself, and compares none with another.
- ``chance`` is that of always naming the more frequent label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import nn

from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.plan import random_start, span
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_core.pretext.motion import motion_curve, motion_window
from vssl_order.fitting import fit_stride
from vssl_order.single_frames import require_frame_features

__all__ = ["ShuffleLearn", "TuplePlanner"]

#: frames of a tuple
_TUPLE = 3


@dataclass(frozen=True, slots=True)
class TuplePlanner:
    """Draws three frames, in order or not. Target: ``in_order``, 1 or 0."""

    stride: int
    spread: int
    positive: float
    backward: bool
    select: str
    size: tuple[int, int]
    fit: str
    short_video: str

    @property
    def needs_motion(self) -> bool:
        """Whether videos must come with their motion."""
        return self.select == "motion"

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return one view of three frames, as shown, and whether they are in order.

        Raises:
            ClipError: the video is too short, or its motion is not known and ``select`` is ``"motion"``.
        """
        positions = self.spread + 3
        stride = fit_stride("shuffle-learn", video, positions, self.stride, self.short_video, spread=self.spread)
        length = span(positions, stride)
        if self.select == "motion":
            curve = motion_curve(video, "shuffle-learn", "task.select=uniform")
            start = motion_window(curve, length, rng)
        else:
            start = random_start(rng, video.n_frames, length)
        first, last = 1, 1 + self.spread
        in_order = bool(rng.random() < self.positive)
        outside = (0, last + 1)[int(rng.integers(2))]
        middle = int(rng.integers(first + 1, last)) if in_order else outside
        shown = [first, middle, last]
        if self.backward and rng.integers(2):
            shown.reverse()
        frames = start + stride * np.array(shown, dtype=np.int64)
        return [View(frames, self.size, self.fit)], {"in_order": np.int64(in_order)}


class ShuffleLearn(BaseTask):
    """Verifies the order of three frames (Misra et al. 2016, section 3).

    Raises:
        ConfigError: the backbone has no features of single frames, or a tuple is not of three.
    """

    asks_frame_order = True

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 3,
        stride: int = 15,
        size: int = 227,
        read_size: int = 0,
        fit: str = "stretch",
        crop_scale: float = 1.0,
        flip: float = 0.0,
        jitter: float = 0.0,
        short_video: str = "error",
        spread: int = 4,
        positive: float = 0.25,
        backward: bool = True,
        select: str = "motion",
        hidden: int = 0,
    ) -> None:
        super().__init__(backbone)
        require_frame_features(backbone, "shuffle-learn")
        if frames != _TUPLE:
            raise ConfigError(f"task.frames={frames}: shuffle-learn asks about three frames; set task.frames=3")
        read = read_size or size
        self._planner = TuplePlanner(stride, spread, positive, backward, select, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.chance = max(positive, 1 - positive)
        width = _TUPLE * backbone.embed_dim
        self.head: nn.Module = nn.Linear(width, 2)
        if hidden:
            self.head = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 2))

    def planner(self) -> TuplePlanner:
        """Return what draws the frames."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Draw crop, flip and colour once a tuple: uint8 ``[B, 3, H, W, 3]`` to float ``[B, 3, 3, size, size]``."""
        return batch._replace(views=(augment_clip(batch.views[0], batch.seeds, **self._augmentation),))

    def forward(self, batch: Batch) -> StepOutput:
        """Cross-entropy of "in order" and "not", and the accuracy."""
        features = self.backbone.frame_features(batch.views[0])
        logits = self.head(features.flatten(1))
        target = batch.targets["in_order"]
        accuracy = (logits.argmax(dim=1) == target).float().mean()
        return StepOutput(F.cross_entropy(logits, target), {"accuracy": accuracy.detach()})

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Say whether each sample's frames are in order."""
        question = "Was the middle frame filmed between the other two? (Forward or backward does not matter.)"
        answers = ("not in order: the middle frame was filmed before or after both others", "in order")
        captions = ("the three frames as shown, with their numbers in the video",)
        return [Explanation(question, answers[label], captions) for label in batch.targets["in_order"].tolist()]
