"""``inpainting``: what is behind the hole?

Paper: D. Pathak, P. Krähenbühl, J. Donahue, T. Darrell, A. A. Efros, "Context Encoders: Feature Learning by
Inpainting", CVPR 2016, arXiv 1604.07379 (images). Official code: https://github.com/pathak22/context-encoder at 68abd11
(Lua, Torch 7).

Implemented: the reconstruction loss of section 3.2, equation 1: mean squared error over what was dropped, pixels in
[-1, 1] as officially; the central region of section 3.3 as ``place=centre``; the overlap of section 4.1, a rim of the
predicted region that stays visible and counts 10 times (official ``overlapPred``; 0 by default, as in ``train.lua``).
The hole is filled with the official constant.

Where this deviates:

- Clips instead of images: the hole is a block of space and time, ``hole`` of each side and ``hole_time`` of the frames.
  At its place in other frames the network sees what moves through it. ``hole_time=1`` hides it in all of them.
- The hole is put anywhere (``place=random``), so that no network can count on the centre; the paper's further masks,
  several blocks and arbitrary shapes, are left out.
- The adversarial loss of equation 2 is left out; the paper's features for transfer were trained without it.
- The encoder is the backbone; its map is decoded by convolutions, each place seeing the pooled features too
  (``vssl_spatial.pixel_decoder``). A channel-wise fully connected layer would fix the size of the map.

There are no classes, hence no accuracy and no ``chance``. ``blind`` is the error of answering with the mean colour of
what is visible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vssl_core.contracts import Batch, Explanation, StepOutput
from vssl_core.data.plan import OneClip
from vssl_core.data.transforms import augment_clip, uniform
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_spatial.pixel_decoder import ClipDecoder

__all__ = ["Inpainting", "cut_blocks", "paste_blocks"]

_PLACE = 731
# Officially the first, second and third channel of RGB images; the mean of ImageNet in another order.
_FILL = (117 / 255, 104 / 255, 123 / 255)
_RIM_WEIGHT = 10.0


def cut_blocks(clip: Tensor, place: Tensor, size: Sequence[int]) -> Tensor:
    """Cut a block out of every clip.

    Args:
        clip: float ``[B, C, T, H, W]``.
        place: int64 ``[B, 3]``: first frame, row and column.
        size: frames, rows and columns.

    Returns:
        float ``[B, C, t, h, w]``.
    """
    return clip.permute(0, 2, 3, 4, 1)[_inside(place, size)].permute(0, 4, 1, 2, 3)


def paste_blocks(clip: Tensor, block: Tensor, place: Tensor) -> Tensor:
    """Return float ``[B, C, T, H, W]`` with float ``[B, C, t, h, w]`` in it, from ``place`` int64 ``[B, 3]`` on."""
    pasted = clip.permute(0, 2, 3, 4, 1).clone()
    pasted[_inside(place, block.shape[2:])] = block.permute(0, 2, 3, 4, 1)
    return pasted.permute(0, 4, 1, 2, 3).contiguous()


def _inside(place: Tensor, size: Sequence[int]) -> tuple[Tensor, ...]:
    """Return index tensors of sample, frame, row and column, which broadcast to ``[B, t, h, w]``."""
    sample = torch.arange(len(place), device=place.device).view(-1, 1, 1, 1)
    axes = []
    for axis, length in enumerate(size):
        shape = [1, 1, 1, 1]
        shape[axis + 1] = length
        axes.append(place[:, axis].view(-1, 1, 1, 1) + torch.arange(length, device=place.device).view(shape))
    return (sample, *axes)


class Inpainting(BaseTask):
    """Fills a block of space and time that is missing from a clip (Pathak et al. 2016, for clips).

    Attributes:
        supervised_by_targets: what is asked for is a target, and a permuted one is another clip's.

    Raises:
        ConfigError: nothing of the hole is left within the overlap.
    """

    supervised_by_targets = True

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
        jitter: float = 0.0,
        short_video: str = "error",
        hole: float = 0.5,
        hole_time: float = 0.5,
        place: str = "random",
        overlap: int = 0,
        width: int = 256,
        stages: int = 4,
    ) -> None:
        super().__init__(backbone)
        read = read_size or size
        self._planner = OneClip("inpainting", frames, stride, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        side = max(1, round(hole * size))
        #: frames, rows and columns of the region that is asked for
        self.block = (max(1, round(hole_time * frames)), side, side)
        self.place = place
        self.overlap = overlap
        if 2 * overlap >= side:
            raise ConfigError(
                f"task.overlap={overlap} leaves nothing hidden of a hole of {side} pixels (task.hole={hole}, task.size="
                f"{size}); lower it"
            )
        self.decoder = ClipDecoder(backbone.embed_dim, width, stages)

    def planner(self) -> OneClip:
        """Return what draws the clip."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Crop, flip and jitter each clip, then hide a block of it.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1], and targets: ``block``, float
        ``[B, 3, t, h, w]`` in [0, 1], what stood there, and ``place``, int64 ``[B, 3]``: its first frame, row, column.
        """
        clip = augment_clip(batch.views[0], batch.seeds, **self._augmentation)
        share = uniform(batch.seeds, 3, stream=_PLACE)
        if self.place == "centre":
            share = torch.full_like(share, 0.5)
        room = [whole - part + 1 for whole, part in zip(clip.shape[2:], self.block, strict=True)]
        place = (share * share.new_tensor(room)).to(torch.int64)
        fill = clip.new_tensor(_FILL).view(1, 3, 1, 1, 1).expand(len(clip), 3, *self._hidden())
        holed = paste_blocks(clip, fill, place + place.new_tensor([0, self.overlap, self.overlap]))
        targets = {**batch.targets, "block": cut_blocks(clip, place, self.block), "place": place}
        return batch._replace(views=(holed,), targets=targets)

    def forward(self, batch: Batch) -> StepOutput:
        """Mean squared error over the block, in [-1, 1], its visible rim weighted; ``error``: without weights."""
        (clip,) = batch.views
        block, place = batch.targets["block"], batch.targets["place"]
        filled = self.decoder(self.backbone(clip), clip.shape[2:])
        square = (cut_blocks(filled.float(), place, self.block) - (2 * block - 1)).square()
        blind = 4 * (block - self._visible_colour(clip)).square()
        metrics = {"error": square.mean().detach(), "blind": blind.mean().detach()}
        return StepOutput((square * self._weight(square.device)).mean(), metrics)

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Show each clip with its hole, and what was there."""
        (clip,) = batch.views
        whole = paste_blocks(clip, batch.targets["block"], batch.targets["place"])
        explained = []
        for row, place in enumerate(batch.targets["place"].tolist()):
            # Counted from 1, as everywhere that people read.
            where = [f"{first + 1} to {first + length}" for first, length in zip(place, self.block, strict=True)]
            explained.append(
                Explanation(
                    "What is behind the hole?",
                    f"what frames {where[0]} of the clip show in rows {where[1]}, columns {where[2]}",
                    ("the clip with its hole",),
                    (("the answer in its place", whole[row]),),
                )
            )
        return explained

    def _hidden(self) -> tuple[int, int, int]:
        """Return frames, rows and columns of what is not seen: the block without its rim."""
        frames, height, width = self.block
        return frames, height - 2 * self.overlap, width - 2 * self.overlap

    def _weight(self, device: torch.device) -> Tensor:
        """Return float ``[h, w]``: 10 in the rim of the block, 1 inside."""
        _, height, width = self.block
        rim = self.overlap
        weight = torch.full((height, width), _RIM_WEIGHT, device=device)
        weight[rim : height - rim, rim : width - rim] = 1.0
        return weight

    def _visible_colour(self, clip: Tensor) -> Tensor:
        """Return the mean colour of what is visible, float ``[B, 3, 1, 1, 1]``."""
        hidden, everything = math.prod(self._hidden()), math.prod(clip.shape[2:])
        total = clip.sum(dim=(2, 3, 4), keepdim=True) - hidden * clip.new_tensor(_FILL).view(1, 3, 1, 1, 1)
        return total / (everything - hidden)
