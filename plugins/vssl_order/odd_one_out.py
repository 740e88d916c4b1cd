"""``odd-one-out``: one of several clips is in the wrong order; which?

Paper: B. Fernando, H. Bilen, E. Gavves, S. Gould, "Self-Supervised Video Representation Learning With Odd-One-Out
Networks" (O3N), CVPR 2017, arXiv 1611.06646. No official code.

Implemented: ``clips`` clips of one video, all but one of them in the order of time, the odd one in any other order; the
network names its place. Three ways of choosing the frames of a clip (section on sampling):

- ``consecutive``: each clip is ``frames`` successive frames from a place of its own;
- ``random``: each clip is ``frames`` frames from anywhere in the video;
- ``constrained``: all clips are drawn from one window of ``window`` times ``frames`` successive frames.

The clips' features, all from one network, pass a fully connected layer and are fused: one behind the other
(``fusion="concat"``), or as the sum of their pairwise differences, o = sum over i < j of v_j - v_i
(``fusion="difference"``); two more layers name the odd one. The difference weighs clip k of n, counted from 0, by
2 k + 1 - n: of an odd number the middle one has weight 0 and does not come into the fusion at all, so that it is named
where none of the others looks odd. The paper's six clips have none in the middle.

Where this deviates:

- The paper's networks see one image, and clips are encoded into its channels: a dynamic image, the sum, or the stack of
  differences of frames (six frames, 15 channels). Here the backbone reads the clip itself;
  ``backbone.input_mode=temporal-residual`` takes out what stands still, and goes along into transfer.
- The odd clip is drawn by the law of the others and then put out of order, with every sampling: were its frames drawn
  otherwise, the distances between them would give it away.
- Each clip has a crop, flip and colour draw of its own, or all share one (``shared_draw``); the crop varies in scale
  and in aspect ratio, 3/4 to 4/3. What the paper does is not known here, nor are its widths; 128 is ours.
"""

from __future__ import annotations

import itertools
import math
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
from vssl_order.ordinals import ordinal
from vssl_order.single_frames import require_frame_order

__all__ = ["OddOneOut", "OddPlanner", "fuse"]


@dataclass(frozen=True, slots=True)
class OddPlanner:
    """Draws clips and puts one of them out of order. Target: ``odd``, its place among the views."""

    frames: int
    stride: int
    clips: int
    sampling: str
    window: float
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return the clips; each place is equally likely to be the odd one's, and each wrong order to be its order.

        Raises:
            ClipError: the video is too short.
        """
        odd = int(rng.integers(self.clips))
        clips = []
        for clip, frames in enumerate(self._frames(video, rng)):
            order = _wrong_order(rng, self.frames) if clip == odd else np.arange(self.frames)
            clips.append(View(frames[order], self.size, self.fit))
        return clips, {"odd": np.int64(odd)}

    def _frames(self, video: Video, rng: np.random.Generator) -> list[np.ndarray]:
        """Draw the frames of each clip, sorted, int64 ``[frames]``."""
        window = math.ceil(self.window * self.frames) if self.sampling == "constrained" else self.frames
        stride = fit_stride("odd-one-out", video, window, self.stride, self.short_video, frames=self.frames)
        # Every stride-th frame of the video, from any of the first ones on that leaves enough of them.
        phase = int(rng.integers(min(stride, video.n_frames - span(window, stride) + 1)))
        frames = np.arange(phase, video.n_frames, stride, dtype=np.int64)
        if self.sampling == "consecutive":
            starts = [random_start(rng, len(frames), self.frames) for _ in range(self.clips)]
            return [frames[start : start + self.frames] for start in starts]
        if self.sampling == "constrained":
            start = random_start(rng, len(frames), window)
            frames = frames[start : start + window]
        return [np.sort(rng.choice(frames, size=self.frames, replace=False)) for _ in range(self.clips)]


def _wrong_order(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw an order of ``n`` things that is not the sorted one, int64 ``[n]``."""
    while True:
        order = rng.permutation(n)
        if (np.diff(order) < 0).any():
            return order


def fuse(features: Sequence[Tensor], fusion: str) -> Tensor:
    """Bring the features of several clips together.

    Args:
        features: one float ``[B, D]`` per clip.
        fusion: ``"concat"``, or ``"difference"``: the sum over i < j of the j-th less the i-th.

    Returns:
        float ``[B, D]``, or ``[B, clips * D]`` with ``"concat"``.
    """
    if fusion == "concat":
        return torch.cat(list(features), dim=1)
    pairs = itertools.combinations(features, 2)
    return torch.stack([later - earlier for earlier, later in pairs]).sum(dim=0)


class OddOneOut(BaseTask):
    """Finds the clip whose frames are out of order (Fernando et al. 2017).

    Raises:
        ConfigError: clips of one frame have no order, or a clip is the same to the backbone in every order.
    """

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 6,
        stride: int = 1,
        size: int = 112,
        read_size: int = 128,
        fit: str = "short-side-crop",
        crop_scale: float = 0.6,
        flip: float = 0.5,
        jitter: float = 0.0,
        short_video: str = "error",
        clips: int = 6,
        sampling: str = "constrained",
        window: float = 1.5,
        fusion: str = "difference",
        shared_draw: bool = False,
        hidden: int = 128,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(backbone)
        if frames < 2:
            raise ConfigError(f"task.frames={frames}: a clip of one frame has no order; set task.frames to 2 or more")
        require_frame_order(backbone, "odd-one-out", frames, size)
        read = read_size or size
        self._planner = OddPlanner(frames, stride, clips, sampling, window, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.shared_draw = shared_draw
        self.fusion = fusion
        self.chance = 1 / clips
        self.clip = nn.Sequential(nn.Linear(backbone.embed_dim, hidden), nn.ReLU())
        fused = hidden * (clips if fusion == "concat" else 1)
        self.head = nn.Sequential(nn.Linear(fused, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, clips))

    def planner(self) -> OddPlanner:
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
        """Cross-entropy of the odd one's place, and the accuracy."""
        features = self.clip(self.backbone(torch.cat(batch.views)).pooled)
        logits = self.head(fuse(features.chunk(len(batch.views)), self.fusion))
        target = batch.targets["odd"]
        accuracy = (logits.argmax(dim=1) == target).float().mean()
        return StepOutput(F.cross_entropy(logits, target), {"accuracy": accuracy.detach()})

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Say which of each sample's clips is the odd one."""
        n = len(batch.views)
        question = f"Of these {n} clips of one video one plays its frames in a wrong order: which?"
        explained = []
        for odd in batch.targets["odd"].tolist():
            captions = tuple(
                f"clip {clip + 1} of {n}: {'out of order' if clip == odd else 'in order'}" for clip in range(n)
            )
            explained.append(Explanation(question, f"the {ordinal(odd)} clip is the odd one", captions))
        return explained
