"""``pace``: predict how fast a clip is played.

Paper: J. Wang, J. Jiao, Y. Liu, "Self-supervised Video Representation Learning by Pace Prediction", ECCV 2020,
arXiv 2008.05861. Official code: https://github.com/laura-wang/video-pace (commit cc1e561),
``datasets/ucf101.py`` and ``train.py``.

Implemented: every rate-th frame is read, the rate is drawn among 1..``rates``, and a linear classifier on the pooled
features names it (section 3.2). Optionally the contrastive terms of section 3.3, which the official code does not hold:
``content``, two clips of one video attract whatever their rates, or ``rate``, clips of one rate attract whatever their
videos. They are off by default, as in the official code. With ``content`` the task has no placebo: which clips are of
one video is told by the batch, not by targets that could be permuted, and ``supervised_by_targets`` is False.

Where this deviates:

- The start is drawn so that the clip fits and its middle has one law for all rates (``vssl_speed.placement``). The
  official code starts anywhere and loops at the end of any video, so that a cut, more frequent at higher rates, gives
  the rate away. Here only videos shorter than the clip of the highest rate loop, and they do so at every rate: of such
  a video a stretch is shown again and again that is shorter the lower the rate, so that a clip has as many different
  frames, and its cuts are where they are, whatever the rate. ``short_video="pad"`` stands still likewise.
- Colour is jittered frame by frame (``per_frame_jitter``), as officially, in brightness, contrast and saturation.
  Officially hue too, and each frame with probability 0.8: three draws are what tasks that jitter have in common here.
- Frames are read as the central square of 128 pixels, and the random crop of it varies in scale and in aspect ratio, by
  torchvision's law, as in all tasks here; officially 112 x 112 of 128 x 171 pixels, which of the square is the smallest
  crop.
- Contrast compares cosine similarities divided by ``temperature``; clips pass a two-layer projection first.
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
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ClipError
from vssl_speed.placement import place
from vssl_speed.wording import every_nth_frame

__all__ = ["Pace", "PacePlanner", "attraction"]


@dataclass(frozen=True, slots=True)
class PacePlanner:
    """Draws a rate for each clip and the frames that show it. Targets: ``rate`` int64 ``[clips]``, 0 for rate 1.

    With ``short_video="loop"`` or ``"pad"``, of a video too short for the highest rate as many different frames are
    shown at every rate as fit at the highest one.
    """

    frames: int
    stride: int
    rates: int
    clips: int
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return ``clips`` views and their rates.

        Raises:
            ClipError: ``short_video="error"`` and the video is too short for the fastest rate, or it is too short for
                two frames at the fastest rate. The rate drawn does not matter: short videos that came at slow rates
                alone would give the rate away.
        """
        widest = span(self.frames, self.stride * self.rates)
        if self.short_video == "error" and video.n_frames < widest:
            raise ClipError(
                f"pace needs {widest} frames (task.frames={self.frames}, task.stride={self.stride}, task.rates="
                f"{self.rates}), video {video.video_id!r} has {video.n_frames}; lower one of them, or set "
                "task.short_video=loop"
            )
        different = (video.n_frames - 1) // (self.stride * self.rates) + 1
        if different < min(2, self.frames):
            raise ClipError(
                f"pace needs {self.stride * self.rates + 1} frames to show two of them at every rate (task.stride="
                f"{self.stride}, task.rates={self.rates}), video {video.video_id!r} has {video.n_frames}; lower one of "
                "them"
            )
        rates = rng.integers(1, self.rates + 1, size=self.clips)
        shown = min(different, self.frames)
        views = [View(self._frames(video.n_frames, int(rate), shown, rng), self.size, self.fit) for rate in rates]
        return views, {"rate": rates.astype(np.int64) - 1}

    def _frames(self, n_frames: int, rate: int, shown: int, rng: np.random.Generator) -> np.ndarray:
        """Return int64 ``[frames]``, ``shown`` of them different: fewer in a video too short for the fastest rate."""
        stride = self.stride * rate
        start = place(rng, n_frames, span(shown, stride), span(shown, self.stride * self.rates))
        # Were the video looped as it is, only fast clips would have a cut, or more of them than slow ones.
        begin = int(rng.integers(shown)) if shown < self.frames and self.short_video == "loop" else 0
        return start + stride * clip_frames(shown, begin, self.frames, 1, self.short_video)


def attraction(embedding: Tensor, group: Tensor, temperature: float) -> Tensor:
    """Return the contrastive loss in which clips of one group attract (section 3.3; NT-Xent where groups are pairs).

    Mean over clips i of ``-log(sum of exp(s_ik) over the others of its group / sum over all others)``, s the cosine
    similarity divided by ``temperature``, in float32 under autocast too. A clip alone in its group counts nothing; if
    all are alone the loss is 0.

    Args:
        embedding: float ``[N, D]``.
        group: int64 ``[N]``.
        temperature: above 0.
    """
    # Autocast would round the similarities to half precision.
    with torch.autocast(embedding.device.type, enabled=False):
        unit = F.normalize(embedding.float(), dim=1)
        similarity = unit @ unit.T / temperature
    others = ~torch.eye(len(group), dtype=torch.bool, device=group.device)
    positive = (group[:, None] == group[None, :]) & others
    paired = positive.any(dim=1)
    # Rows without a positive have no finite logarithm: they are left out before it is taken.
    similarity, positive, others = similarity[paired], positive[paired], others[paired]
    attracted = similarity.masked_fill(~positive, -torch.inf).logsumexp(dim=1)
    everything = similarity.masked_fill(~others, -torch.inf).logsumexp(dim=1)
    return (everything - attracted).sum() / paired.sum().clamp(min=1)


class Pace(BaseTask):
    """Classifies the rate at which a clip is played (Wang et al. 2020, sections 3.2 and 3.3).

    Attributes:
        supervised_by_targets: whether permuted targets leave nothing to learn; not with ``contrast="content"``.
    """

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
        flip: float = 0.5,
        jitter: float = 0.8,
        per_frame_jitter: bool = True,
        short_video: str = "loop",
        rates: int = 4,
        contrast: str = "none",
        contrast_weight: float = 0.1,
        temperature: float = 0.1,
        projection: int = 128,
    ) -> None:
        super().__init__(backbone)
        read = read_size or size
        clips = 2 if contrast == "content" else 1
        self._planner = PacePlanner(frames, stride, rates, clips, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self._augmentation["per_frame_jitter"] = per_frame_jitter
        self.chance = 1 / rates
        self.contrast = contrast
        self.supervised_by_targets = contrast != "content"
        self.contrast_weight = contrast_weight
        self.temperature = temperature
        dim = backbone.embed_dim
        self.head = nn.Linear(dim, rates)
        self.projection = None
        if contrast != "none":
            self.projection = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, projection))

    def planner(self) -> PacePlanner:
        """Return what draws the rates and the frames."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Draw crop and flip once a clip, colour once a frame with ``per_frame_jitter``.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1].
        """
        views = tuple(
            augment_clip(view, batch.seeds, **self._augmentation, stream=stream)
            for stream, view in enumerate(batch.views)
        )
        return batch._replace(views=views)

    def forward(self, batch: Batch) -> StepOutput:
        """Cross-entropy of the rates, the contrastive term where there is one, and the accuracy over all clips."""
        n_clips = len(batch.views)
        pooled = self.backbone(torch.cat(batch.views)).pooled
        rate = batch.targets["rate"].T.reshape(-1)  # [B, clips] in the order of the views: clip by clip
        logits = self.head(pooled)
        loss = F.cross_entropy(logits, rate)
        metrics = {"accuracy": (logits.argmax(dim=1) == rate).float().mean().detach()}
        if self.projection is not None:
            group = rate if self.contrast == "rate" else batch.index.repeat(n_clips)
            contrast = attraction(self.projection(pooled), group, self.temperature)
            metrics["contrast"] = contrast.detach()
            loss = loss + self.contrast_weight * contrast
        return StepOutput(loss, metrics)

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Name the rate of every clip."""
        question = "Which frames of the video does this clip show?"
        explained = []
        for rates in batch.targets["rate"].tolist():
            words = tuple(every_nth_frame(self._planner.stride * (rate + 1)) for rate in rates)
            explained.append(Explanation(question, "; ".join(words), words))
        return explained
