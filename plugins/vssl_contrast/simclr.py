"""``simclr``: clips of one video attract, clips of different videos repel.

Papers: R. Qian et al., "Spatiotemporal Contrastive Video Representation Learning" (CVRL), CVPR 2021, arXiv 2008.03800;
C. Feichtenhofer et al., "A Large-Scale Study on Unsupervised Spatiotemporal Representation Learning" (rho-SimCLR), CVPR
2021, arXiv 2104.14558. Official code: tensorflow/models official/projects/video_ssl; facebookresearch/SlowFast
``slowfast/models/contrastive.py``.

Implemented: ``clips`` (rho) clips of a video, each with one crop, flip, colour, grey and blur draw for all its frames;
the distance t of the first two starts has density 1 - (t/T)^``distance_power`` (official ``sample_ssl_sequence``, power
1), further clips start anywhere; a projection of hidden layers with batch norm and ReLU and a linear layer (official
``VideoSSLModel``: three of 2048, out 128); NT-Xent at temperature 0.1.

With power 1 two starts are simply independent and uniform: the distance of two uniform draws has the linearly falling
density. That is also how SlowFast draws its rho clips.

Where this deviates:

- Colour is jittered in brightness, contrast and saturation, always and evenly; officially also in hue, with probability
  0.8.
- Blur comes with one probability for all clips; CVRL blurs the first clip always, the second with 0.1, and solarises
  it.
- Negatives are those of the process's own batch, none is gathered from other processes.
- A video that the sampler puts into one batch twice, at the seam of two epochs, is no negative of itself.

``chance`` is None, since it depends on the size of the batch: ``contrast_top1`` says how often a clip's nearest
neighbour in the batch is of its video, ``contrast_chance`` how often a random one would be, over the very batches
measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from vssl_contrast.nt_xent import nt_xent
from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.plan import clip_frames, span
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ClipError

__all__ = ["ClipPairPlanner", "SimCLR"]


@dataclass(frozen=True, slots=True)
class ClipPairPlanner:
    """Draws ``clips`` clips of a video, near ones more often than far ones. No targets: the video is the target."""

    frames: int
    stride: int
    clips: int
    distance_power: float
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return the views; their order says nothing of their order in time.

        Raises:
            ClipError: ``short_video="error"`` and the video is shorter than a clip.
        """
        needed = span(self.frames, self.stride)
        if self.short_video == "error" and video.n_frames < needed:
            raise ClipError(
                f"simclr needs {needed} frames (task.frames={self.frames}, task.stride={self.stride}), video "
                f"{video.video_id!r} has {video.n_frames}; lower one of them, or set task.short_video=loop"
            )
        starts = self._starts(max(0, video.n_frames - needed), rng)
        planned = [clip_frames(video.n_frames, start, self.frames, self.stride, self.short_video) for start in starts]
        return [View(frames, self.size, self.fit) for frames in planned], {}

    def _starts(self, last: int, rng: np.random.Generator) -> list[int]:
        """Draw the first frames, each in 0 .. ``last``."""
        distances = np.arange(last + 1)
        density = 1.0 - (distances / (last + 1)) ** self.distance_power
        distance = int(rng.choice(last + 1, p=density / density.sum()))
        first = int(rng.integers(0, last - distance + 1))
        pair = [first, first + distance]
        rng.shuffle(pair)
        return pair + [int(start) for start in rng.integers(0, last + 1, size=self.clips - 2)]


def _projection(embed_dim: int, hidden: int, layers: int, dim: int) -> nn.Sequential:
    modules: list[nn.Module] = []
    width = embed_dim
    for _ in range(layers):
        modules += [nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
        width = hidden
    return nn.Sequential(*modules, nn.Linear(width, dim))


class SimCLR(BaseTask):
    """Contrasts clips (Qian et al. 2021, section 3; Feichtenhofer et al. 2021, section 3)."""

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 16,
        stride: int = 2,
        size: int = 224,
        read_size: int = 256,
        fit: str = "short-side-crop",
        crop_scale: float = 0.3,
        flip: float = 0.5,
        jitter: float = 0.8,
        short_video: str = "error",
        clips: int = 2,
        distance_power: float = 1.0,
        grey: float = 0.2,
        blur: float = 0.5,
        temperature: float = 0.1,
        hidden: int = 2048,
        layers: int = 3,
        projection: int = 128,
    ) -> None:
        super().__init__(backbone)
        read = read_size or size
        self._planner = ClipPairPlanner(frames, stride, clips, distance_power, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self._augmentation |= {"grey": grey, "blur": blur}
        self.temperature = temperature
        self.projection = _projection(backbone.embed_dim, hidden, layers, projection)

    def planner(self) -> ClipPairPlanner:
        """Return what draws the clips."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Draw once for every clip: uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1]."""
        views = tuple(
            augment_clip(view, batch.seeds, **self._augmentation, stream=stream)
            for stream, view in enumerate(batch.views)
        )
        return batch._replace(views=views)

    def explain(self, batch: Batch) -> list[Explanation]:
        """Say which clips belong together."""
        n = len(batch.views)
        one = Explanation(
            "Which clips of the batch are of one video? Those attract, the clips of all other videos repel.",
            f"the {n} clips beside this belong together",
            captions=tuple(f"clip {k + 1} of {n}, with its own crop and colours" for k in range(n)),
        )
        return [one] * len(batch.index)

    def forward(self, batch: Batch) -> StepOutput:
        """NT-Xent over all clips of the batch, however many videos it holds."""
        embedding = self.projection(self.backbone(torch.cat(batch.views)).pooled)
        result = nt_xent(embedding, batch.index.repeat(len(batch.views)), self.temperature)
        metrics = {"contrast_top1": result.top1, "contrast_chance": result.chance}
        return StepOutput(result.loss, {"loss": result.loss.detach(), **metrics})
