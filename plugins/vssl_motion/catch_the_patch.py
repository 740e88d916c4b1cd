"""``catch-the-patch``: follow patches that were pasted onto a clip along random paths.

Paper: G. Wang, Y. Zhou, C. Luo, W. Xie, W. Zeng, Z. Xiong, "Unsupervised Visual Representation Learning by Tracking
Patches in Video" (Catch-the-Patch, CtP), CVPR 2021, arXiv 2105.01058. Official code: https://github.com/microsoft/CtP
@847b8fc1710d21438352de0f291b841b36ed3d2b (``pyvrl/models/pretraining/ctp``, ``configs/ctp``).

Implemented: boxes of drawn scale and aspect ratio move and change their size from key frame to key frame
(``vssl_motion.trajectories``); what a box holds in one drawn frame is pasted along its path, in the shape of a
rectangle, ellipse or rhombus, half of them with a soft edge, with an opacity of 0.8 to 1 that changes over the clip
(``vssl_motion.patch_paste``); after the first frame and outside the one it is cut from it is left out with probability
1 - ``paste_probability``, but asked for all the same. Given its box in the first frame, the head of ``CtPHead``
regresses move and change of size in every frame by smooth L1 (``vssl_motion.patch_head``). A stride is drawn for each
clip, and every frame jumps ahead by less than a stride. Brightness and contrast change over the clip's time after
pasting.

Where this deviates:

- The random crop varies in scale, by torchvision's law, as in all tasks here; officially the short side is scaled to
  112, 128 or 144 and 112 x 112 are cut out.
- The hue is turned before pasting, not after: the same colours but where a patch is not opaque. Saturation stays
  (officially within 10 %, together with the hue): what all tasks share has one strength for both it and brightness,
  which is not to change.
- A clip with its jumps ends inside the video where that is long enough; officially the last frame can come up to a
  stride too late and is then the video's last.
- Pixels are not rounded between the steps; officially frames are uint8 when patches are pasted.
- A box keeps one pixel at least.
- RoIAlign takes the map's stride from the backbone's map (officially the networks are changed to a stride of 8).

There are no classes, hence no ``accuracy``: ``iou`` is the mean overlap of predicted and true boxes (official
``forward_test``), ``iou_still`` that of guessing that nothing moves, over all frames but the first. RoIAlign adds its
gradients in no fixed order on a GPU, so that runs there do not repeat to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.plan import clip_frames, random_start
from vssl_core.data.transforms import adjust_brightness, augment_clip, uniform
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_core.pretext.clips import require_frames
from vssl_core.pretext.shapes import map_shape
from vssl_motion.patch_head import BoxLoss, PatchHead, box_iou, box_targets, boxes_of_targets
from vssl_motion.patch_paste import paste_patches
from vssl_motion.trajectories import Trajectories, curve, key_frames

__all__ = ["CatchThePatch", "PatchPlanner"]

#: official constants: key frames of the light, range of the opacity, offset of brightness, logarithm of contrast
_LIGHT_KEYS = (0.7, 0.3)
_OPACITY = (0.8, 1.0)
_BRIGHTNESS, _CONTRAST = 30 / 255, 0.12
#: odds of rectangle and ellipse (the rest are rhombi), of a soft edge, and where that begins
_RECTANGLE, _ELLIPSE, _SOFT, _EDGE = 0.5, 0.35, 0.5, (0.30, 0.45)
#: streams of the patches' draws; augment_clip uses others
_SOURCE, _SHAPE, _PASTED = 811, 812, 813
#: of the outlines in previews
_COLOURS = (
    ("green", (0.1, 0.9, 0.2)),
    ("red", (1.0, 0.2, 0.1)),
    ("blue", (0.2, 0.5, 1.0)),
    ("yellow", (1.0, 0.9, 0.1)),
)


@dataclass(frozen=True, slots=True)
class PatchPlanner:
    """Draws the clip and the paths. Targets: ``boxes`` and what else changes from key frame to key frame.

    ``boxes`` float32 ``[N, T, 4]``: left, top, right, bottom in pixels of the network's input. ``opacity`` float32
    ``[N, T]`` in [0.8, 1]. ``light`` float32 ``[2, T]``: what is added to every pixel, and what then multiplies it.
    """

    frames: int
    stride: int
    strides: tuple[int, ...]
    temporal_jitter: bool
    trajectories: Trajectories
    light: float
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return one view and the paths of its patches.

        Raises:
            ClipError: ``short_video="error"`` and the video is too short for the largest stride, whichever is drawn.
        """
        if self.short_video == "error":
            longest = self._extent(self.stride * max(self.strides))
            options = {"frames": self.frames, "stride": self.stride, "strides": list(self.strides)}
            require_frames("catch-the-patch", video, longest, **options)
        frames = self._frames(video.n_frames, self.stride * int(rng.choice(self.strides)), rng)
        boxes = self.trajectories.draw(rng, self.frames)
        targets = {
            "boxes": boxes.astype(np.float32),
            "opacity": np.stack([self._opacity(rng) for _ in boxes]).astype(np.float32),
            "light": np.stack([self._offset(rng), self._gain(rng)]).astype(np.float32),
        }
        return [View(frames, self.size, self.fit)], targets

    def _extent(self, stride: int) -> int:
        return (self.frames - 1) * stride + (stride if self.temporal_jitter else 1)

    def _frames(self, n_frames: int, stride: int, rng: np.random.Generator) -> np.ndarray:
        extent = self._extent(stride)
        start = random_start(rng, n_frames, extent)
        # The stretch is planned as a whole, so that a loop or a pad falls where the video ends, once.
        whole = clip_frames(n_frames, start, extent, 1, self.short_video)
        places = np.arange(self.frames) * stride
        if self.temporal_jitter:
            places = places + rng.integers(0, stride, size=self.frames)
        chosen: np.ndarray = whole[places]
        return chosen

    def _opacity(self, rng: np.random.Generator) -> np.ndarray:
        keys = key_frames(rng, self.frames, self.trajectories.key_probabilities)
        filled: np.ndarray = np.interp(np.arange(self.frames), keys, rng.uniform(*_OPACITY, size=len(keys)))
        return filled

    def _offset(self, rng: np.random.Generator) -> np.ndarray:
        if rng.random() >= self.light:
            return np.zeros(self.frames)
        keys = key_frames(rng, self.frames, _LIGHT_KEYS)
        return curve(rng, rng.uniform(-_BRIGHTNESS, _BRIGHTNESS, size=len(keys)), keys)

    def _gain(self, rng: np.random.Generator) -> np.ndarray:
        if rng.random() >= self.light:
            return np.ones(self.frames)
        keys = key_frames(rng, self.frames, _LIGHT_KEYS)
        return curve(rng, np.exp(rng.uniform(-_CONTRAST, _CONTRAST, size=len(keys))), keys)


class CatchThePatch(BaseTask):
    """Regresses where pasted patches go (Wang et al. 2021, section 3).

    Raises:
        ConfigError: fewer than two frames, an empty list, odds that do not sum to 1, or patches larger than the frame.
    """

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 16,
        stride: int = 1,
        size: int = 112,
        read_size: int = 144,
        fit: str = "short-side-crop",
        crop_scale: float = 0.6,
        flip: float = 0.5,
        jitter: float = 0.0,
        short_video: str = "pad",
        strides: Sequence[int] = (1, 2, 3, 4, 5),
        temporal_jitter: bool = True,
        hue: float = 0.067,
        jitter_probability: float = 0.25,
        light: float = 0.5,
        patches: int = 3,
        scales: Sequence[float] = (16.0, 24.0, 28.0, 32.0, 48.0, 64.0),
        ratios: Sequence[float] = (0.5, 0.67, 0.75, 1.0, 1.33, 1.5, 2.0),
        scale_jitter: float = 0.18,
        position_velocity: float = 3.0,
        size_velocity: float = 0.025,
        key_probabilities: Sequence[float] = (0.5, 0.3, 0.2),
        paste_probability: float = 0.8,
        masks: bool = True,
        position_std: float = 0.8,
        size_std: float = 0.04,
        hidden: int = 512,
        roi_size: int = 5,
    ) -> None:
        super().__init__(backbone)
        _check(frames, size, strides, scales, ratios, key_probabilities)
        paths = Trajectories(
            size=size,
            boxes=patches,
            scales=tuple(scales),
            ratios=tuple(ratios),
            scale_jitter=scale_jitter,
            position_velocity=position_velocity,
            size_velocity=size_velocity,
            key_probabilities=tuple(key_probabilities),
        )
        read = read_size or size
        self._planner = PatchPlanner(
            frames, stride, tuple(strides), temporal_jitter, paths, light, (read, read), fit, short_video
        )
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self._augmentation |= {"hue": hue, "jitter_probability": jitter_probability}
        self.paste_probability = paste_probability
        self.masks = masks
        self.position_std, self.size_std = position_std, size_std
        map_frames, _, _ = map_shape(backbone, frames, size, "change task.frames or task.size")
        self.head = PatchHead(backbone.embed_dim, map_frames, frames, hidden, roi_size)

    def planner(self) -> PatchPlanner:
        """Return what draws the clip and the paths."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Crop, flip and turn the hue once a clip, paste the patches, then let the light change.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1].
        """
        clip = self._paste(augment_clip(batch.views[0], batch.seeds, **self._augmentation), batch)
        light = batch.targets["light"]
        clip = (clip + light[:, 0, None, :, None, None]).clamp(0.0, 1.0)
        return batch._replace(views=(adjust_brightness(clip, light[:, 1]),))

    def _paste(self, clip: Tensor, batch: Batch) -> Tensor:
        """Draw how each patch looks and paste it."""
        boxes, opacity = batch.targets["boxes"], batch.targets["opacity"]
        patches, frames = boxes.shape[1:3]
        source = (uniform(batch.seeds, patches, stream=_SOURCE) * frames).long()
        shown = uniform(batch.seeds, patches * frames, stream=_PASTED).view(-1, patches, frames)
        shown = shown < self.paste_probability
        # In the first frame, which the head is shown the box of, and in its own a patch always stands.
        shown[:, :, 0] = True
        shown = shown.scatter(2, source[..., None], True)
        look = uniform(batch.seeds, 3 * patches, stream=_SHAPE).unflatten(1, (3, patches))
        shape = (look[:, 0] >= _RECTANGLE).long() + (look[:, 0] >= _RECTANGLE + _ELLIPSE).long()
        begin = _EDGE[0] + look[:, 2] * (_EDGE[1] - _EDGE[0])
        edge = torch.where(look[:, 1] < _SOFT, begin, 0.5)
        if not self.masks:
            shape, edge, opacity = torch.zeros_like(shape), torch.full_like(edge, 0.5), torch.ones_like(opacity)
        return paste_patches(clip, boxes, source, opacity * shown, shape=shape, edge=edge)

    def forward(self, batch: Batch) -> StepOutput:
        """Smooth L1 of moves and changes of size; ``iou`` and ``iou_still`` over all frames but the first."""
        clip, boxes = batch.views[0], batch.targets["boxes"]
        predicted = self.head(self.backbone(clip).map, boxes[:, :, 0], clip.shape[-1])
        loss = BoxLoss.of(predicted, box_targets(boxes, self.position_std, self.size_std))
        found = boxes_of_targets(predicted.detach().float(), boxes[:, :, 0], self.position_std, self.size_std)
        metrics = {
            "loss_position": loss.position.detach(),
            "loss_size": loss.size.detach(),
            "iou": box_iou(found, boxes)[:, :, 1:].mean(),
            "iou_still": box_iou(boxes[:, :, :1].expand_as(boxes), boxes)[:, :, 1:].mean(),
        }
        return StepOutput(loss.position + loss.size, metrics)

    def explain(self, batch: Batch) -> list[Explanation]:
        """Outline every patch in its own colour."""
        return [
            Explanation(
                "Where does each pasted patch go, and how large does it get? Only its first place is told.",
                "; ".join(_story(path, _COLOURS[at % len(_COLOURS)][0]) for at, path in enumerate(paths)),
                captions=("what the network sees",),
                pictures=(("the right answer, outlined", _outlined(clip, paths)),),
            )
            for clip, paths in zip(batch.views[0], batch.targets["boxes"], strict=True)
        ]


def _check(
    frames: int,
    size: int,
    strides: Sequence[int],
    scales: Sequence[float],
    ratios: Sequence[float],
    key_probabilities: Sequence[float],
) -> None:
    """Refuse options that no clip can be made with."""
    if frames < 2:
        raise ConfigError(f"task.frames={frames}: a path needs 2 frames or more")
    if not strides or min(strides) < 1:
        raise ConfigError(f"task.strides={list(strides)}; expected one or more numbers >= 1, such as [1,2,3,4,5]")
    for name, values in (("scales", scales), ("ratios", ratios)):
        if not values or min(values) <= 0:
            raise ConfigError(f"task.{name}={list(values)}; expected one or more numbers above 0")
    if max(scales) >= size:
        raise ConfigError(
            f"task.scales={list(scales)} holds patches of {max(scales):g} pixels, the frame has task.size={size}; "
            "lower them: officially 16 to 64 of 112"
        )
    if not key_probabilities or min(key_probabilities) < 0 or abs(sum(key_probabilities) - 1) > 1e-6:
        raise ConfigError(
            f"task.key_probabilities={list(key_probabilities)} must sum to 1: the odds of 0, 1, 2, ... key frames "
            "between the first and the last"
        )


def _outlined(clip: Tensor, paths: Tensor) -> Tensor:
    """Return float ``[3, T, S, S]`` with the rim of every box ``[N, T, 4]`` drawn one pixel wide."""
    drawn = clip.clone()
    for at, path in enumerate(paths.round().long().tolist()):
        colour = drawn.new_tensor(_COLOURS[at % len(_COLOURS)][1])[:, None]
        for frame, (left, top, right, bottom) in enumerate(path):
            drawn[:, frame, [top, bottom - 1], left:right] = colour[:, :, None]
            drawn[:, frame, top:bottom, [left, right - 1]] = colour[:, :, None]
    return drawn


def _story(path: Tensor, colour: str) -> str:
    """Say in words how a box ``[T, 4]`` got from the first to the last frame."""
    first, last = path[0], path[-1]
    x, y = ((last[:2] + last[2:] - first[:2] - first[2:]) / 2).tolist()
    growth = float(((last[2:] - last[:2]).prod() / (first[2:] - first[:2]).prod()).sqrt())
    across, along = "right" if x >= 0 else "left", "down" if y >= 0 else "up"
    return f"{colour}: {abs(x):.0f} px {across}, {abs(y):.0f} px {along}, size x{growth:.2f}"
