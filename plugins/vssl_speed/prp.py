"""``prp``: name the rate at which a clip is played, and rebuild it at twice that rate.

Paper: Y. Yao, C. Liu, D. Luo, Y. Zhou, Q. Ye, "Video Playback Rate Perception for Self-supervised Spatio-Temporal
Representation Learning", CVPR 2020, arXiv 2006.11476. Official code: https://github.com/yuanyao366/PRP (commit
a0e42ba), ``datasets/predict_dataset.py``, ``models/sscn.py``, ``datasets/patch_region.py``, ``train_predict.py``.

Implemented: a stride is drawn among ``strides`` and a clip is read at it. The discriminative half (section 3.2) names
the stride: a convolution block on the map, its mean, a linear layer with ten times the learning rate, cross-entropy
times 0.1. The generative half (section 3.3) rebuilds twice as many frames of the same stretch, at half the stride, in
``vssl_speed.reconstruction.Decoder``; the squared error is weighted by the motion map of each clip length of the
stretch, 0.8 where least and 2.0 where most moves. At stride 1 the frames in between do not exist: the error counts the
frames that were read, as officially (``Motion_MSEloss_NoFakeGt``). The paper speaks of slow motion; the rate is 2, the
only one in the official code.

Where this deviates:

- The decoder fits any map: where an axis needs fewer than four doublings some of its strides are 1, and where no
  doublings reach the clip's size the rest is interpolated. For 2 x 7 x 7 (``c3d``, ``r3d-10``, ``r2plus1d-10`` at 16
  frames of 112 pixels) it is the official one.
- The windows of the motion map scale with the frame; at 112 pixels they are the official ones.
- The middle of the stretch has one law for all strides (``vssl_speed.placement``); officially the start is drawn
  freely. Videos too short for the largest stride are left out; officially another video is drawn in their place where
  the stride drawn does not fit, so that slow strides alone come from short videos. With ``short_video="loop"`` or
  ``"pad"`` they are read beyond their end: the cut, or the frame that stands still, is seen at large strides alone and
  gives them away.
- Frames are scaled to ``size`` and their centre is cut; officially to 128 x 171, of which the central 112 are cut.

The loss uses frames besides the targets: ``supervised_by_targets`` is False, unless ``reconstruction=0``.
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
from vssl_core.data.plan import clip_frames
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_core.pretext.clips import require_frames
from vssl_core.pretext.shapes import map_shape
from vssl_speed.placement import place
from vssl_speed.reconstruction import Decoder, conv_block, motion_attention
from vssl_speed.wording import every_nth_frame

__all__ = ["PlaybackRatePerception", "PrpPlanner", "reconstruction_error"]


@dataclass(frozen=True, slots=True)
class PrpPlanner:
    """Draws a stride and the frames that show it. Targets: ``stride``, its place in ``strides``.

    Views: the clip; with ``rebuild`` the T frames half-way between its own (at stride 1 its own again); with ``attend``
    four frames of every clip length of the stretch. A stretch is as many clip lengths long as its stride; shorter ones
    give each of their fours several times, so that every video gives as many frames as the longest stretch.
    """

    frames: int
    stride: int
    strides: tuple[int, ...]
    rebuild: bool
    attend: bool
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return one to three views of one stretch of the video, and the stride.

        Raises:
            ClipError: ``short_video="error"`` and the video is too short for the largest stride. The stride drawn does
                not matter: short videos that came at small strides alone would give the stride away.
        """
        longest = max(self.strides)
        widest = self._extent(longest)
        if self.short_video == "error":
            require_frames("prp", video, widest, frames=self.frames, stride=self.stride, strides=list(self.strides))
        label = int(rng.integers(len(self.strides)))
        stride = self.strides[label]
        extent = self._extent(stride)
        if extent <= video.n_frames:
            start = place(rng, video.n_frames, extent, widest)
        else:
            start = int(rng.integers(0, video.n_frames)) if self.short_video == "loop" else 0
        # All frames of the stretch are planned as one clip, so that a loop or a pad falls where the video ends, once.
        stretch = clip_frames(video.n_frames, start, self.frames * stride, self.stride, self.short_video)
        shown = np.arange(self.frames) * stride
        planned = [shown]
        if self.rebuild:
            planned.append(shown + stride // 2)
        if self.rebuild and self.attend:
            quarter = np.round(np.arange(4) * (self.frames - 1) / 3).astype(np.int64)
            length = np.arange(longest) * stride // longest
            planned.append((length[:, None] * self.frames + quarter).reshape(-1))
        return [View(stretch[at], self.size, self.fit) for at in planned], {"stride": label}

    def _extent(self, stride: int) -> int:
        return (self.frames * stride - 1) * self.stride + 1


def reconstruction_error(output: Tensor, target: Tensor, weight: Tensor, real: Tensor) -> Tensor:
    """Return the weighted squared error: per clip the mean over its real frames, then the mean over clips.

    Official ``Motion_MSEloss_NoFakeGt``.

    Args:
        output: float ``[B, 3, T, H, W]``.
        target: float ``[B, 3, T, H, W]``.
        weight: float, broadcast against them.
        real: bool ``[B, T]``: frames that exist; one or more a clip.
    """
    error = (weight * (output.float() - target.float()).square()).mean((1, 3, 4))
    return ((error * real).sum(1) / real.sum(1)).mean()


class PlaybackRatePerception(BaseTask):
    """Names the playback rate and rebuilds the clip (Yao et al. 2020, section 3).

    Attributes:
        supervised_by_targets: whether permuted targets leave nothing to learn; only with ``reconstruction=0``.

    Raises:
        ConfigError: ``strides`` cannot be told apart or halved, or the backbone does not take the clips; in training, a
            batch of one clip whose map has a single place, of which batch norm can take no statistics.
    """

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 16,
        stride: int = 1,
        size: int = 112,
        read_size: int = 0,
        fit: str = "short-side-crop",
        crop_scale: float = 1.0,
        flip: float = 0.0,
        jitter: float = 0.0,
        short_video: str = "error",
        strides: Sequence[int] = (1, 2, 4, 8),
        classification: float = 0.1,
        reconstruction: float = 1.0,
        motion_attention: bool = True,
        attention_low: float = 0.8,
        attention_high: float = 2.0,
        classifier_rate: float = 10.0,
    ) -> None:
        super().__init__(backbone)
        if classification <= 0 and reconstruction <= 0:
            raise ConfigError("task.classification and task.reconstruction are both 0: nothing is learnt; raise one")
        read = read_size or size
        self.rebuild = reconstruction > 0
        self.attend = motion_attention and self.rebuild
        self._planner = PrpPlanner(
            frames, stride, _checked(strides, frames), self.rebuild, self.attend, (read, read), fit, short_video
        )
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.classification, self.reconstruction = classification, reconstruction
        self.attention = (attention_low, attention_high)
        self.classifier_rate = classifier_rate
        self.chance = 1 / len(strides)
        self.supervised_by_targets = not self.rebuild
        dim = backbone.embed_dim
        self.classify = conv_block(dim, dim)
        self.head = nn.Linear(dim, len(strides))
        shape = map_shape(backbone, frames, size, "choose task.frames and task.size that it takes")
        self._single_place = shape == (1, 1, 1)
        self.decoder: Decoder | None = None
        if self.rebuild:
            self.decoder = Decoder(dim, shape, (2 * frames, size, size))

    def planner(self) -> PrpPlanner:
        """Return what draws the stride and its frames."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Draw crop, flip and colour once a video: what is rebuilt must be what is seen.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1].
        """
        return batch._replace(views=tuple(augment_clip(v, batch.seeds, **self._augmentation) for v in batch.views))

    def param_groups(self) -> list[dict[str, Any]]:
        """Two groups: the classifier's linear layer learns ``classifier_rate`` times as fast (official ``fc8``)."""
        fast = list(self.head.parameters())
        chosen = {id(parameter) for parameter in fast}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in chosen]
        return [{"params": rest}, {"params": fast, "lr_scale": self.classifier_rate}]

    def target_clip(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return what is to be rebuilt, float ``[B, 3, 2T, H, W]``, and which of it exists, bool ``[B, 2T]``."""
        clip = torch.stack(batch.views[:2], dim=3).flatten(2, 3)  # read and in-between frames take turns
        strides = torch.tensor(self._planner.strides, device=clip.device)[batch.targets["stride"]]
        read = torch.arange(clip.shape[2], device=clip.device) % 2 == 0
        return clip, read | (strides > 1)[:, None]

    def attention_map(self, batch: Batch) -> Tensor:
        """Return the weights of the error, float32 ``[B, 3, 2T, H, W]``; ones of no extent without attention."""
        if not self.attend:
            return torch.ones(1, 1, 1, 1, 1, device=batch.views[0].device)
        quarters = batch.views[2].unflatten(2, (-1, 4))  # [B, 3, lengths, 4, H, W]
        n = quarters.shape[2]
        weight = motion_attention(quarters.transpose(1, 2).flatten(0, 1), *self.attention)
        weight = weight.unflatten(0, (-1, n)).transpose(1, 2)
        return weight.repeat_interleave(2 * batch.views[0].shape[2] // n, dim=2)

    def forward(self, batch: Batch) -> StepOutput:
        """Cross-entropy of the stride and the error of the reconstruction, weighted; the accuracy of the stride."""
        if self._single_place and self.training and len(batch.index) == 1:
            raise ConfigError(
                f"prp cannot train on one clip of which {type(self.backbone).__name__} makes a map of a single place: "
                "batch norm has nothing to take a deviation of; raise the batch size, task.frames or task.size"
            )
        feature_map = self.backbone(batch.views[0]).map
        logits = self.head(self.classify(feature_map).mean((2, 3, 4)))
        stride = batch.targets["stride"]
        loss = self.classification * F.cross_entropy(logits, stride)
        metrics = {"accuracy": (logits.argmax(dim=1) == stride).float().mean().detach()}
        if self.decoder is not None:
            clip, real = self.target_clip(batch)
            error = reconstruction_error(self.decoder(feature_map), clip, self.attention_map(batch), real)
            metrics["reconstruction"] = error.detach()
            loss = loss + self.reconstruction * error
        return StepOutput(loss, metrics)

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Show the clip, the frames that are to be made up between its own, and where errors count most."""
        question, seen = "Which frames of the video does this clip show?", "what the network sees"
        if self.rebuild:
            question, seen = f"{question} What do they and the frames in between look like?", f"{seen} and rebuilds"
        weight = self.attention_map(batch) / max(self.attention)
        explained = []
        for row, label in enumerate(batch.targets["stride"].tolist()):
            stride = self._planner.strides[label]
            pictures: tuple[tuple[str, Tensor], ...] = ()
            if self.attend:
                grey = weight[row, :, ::2].mean(0, keepdim=True).expand(3, -1, -1, -1)
                pictures = (("where its errors count: more where it is brighter", grey),)
            explained.append(
                Explanation(
                    question,
                    every_nth_frame(stride * self._planner.stride),
                    (seen, "what it has to make up in between"),
                    pictures,
                    shown=(0, 1) if self.rebuild and stride > 1 else (0,),
                )
            )
        return explained


def _checked(strides: Sequence[int], frames: int) -> tuple[int, ...]:
    """Check the strides: halves of even ones are read, and every one must fill the longest evenly."""
    found = tuple(int(stride) for stride in strides)
    longest = max(found, default=0)
    halved = all(stride == 1 or (stride > 0 and stride % 2 == 0 and longest % stride == 0) for stride in found)
    if len(set(found)) < max(2, len(found)) or not halved or (2 * frames) % longest:
        raise ConfigError(
            f"task.strides={list(strides)} with task.frames={frames}; expected two or more different ones, each 1 or "
            "an even number that divides the largest, which divides twice the frames, such as [1, 2, 4, 8] with 16"
        )
    return found
