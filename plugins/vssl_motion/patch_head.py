"""The head of Catch-the-Patch: where a patch of the first frame is in every frame, and how large."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

__all__ = ["BoxLoss", "PatchHead", "box_iou", "box_targets", "boxes_of_targets"]


def _centre_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Split ``[..., 4]`` (left, top, right, bottom) into centres and sides ``[..., 2]``; sides are 1 pixel or more."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]).clamp(min=1.0)


def box_targets(boxes: Tensor, position_std: float, size_std: float) -> Tensor:
    """Return what the head regresses: moves of the centre and changes of the sides since the first frame.

    Args:
        boxes: float ``[B, N, T, 4]``: left, top, right, bottom in pixels.
        position_std: divides the moves, in pixels.
        size_std: divides the changes of the logarithms of width and height.

    Returns:
        float ``[B, N, T, 4]``: x, y, width, height; 0 in the first frame.
    """
    centre, sides = _centre_and_sides(boxes)
    moves = (centre - centre[:, :, :1]) / position_std
    changes = (sides.log() - sides[:, :, :1].log()) / size_std
    return torch.cat([moves, changes], dim=-1)


def boxes_of_targets(targets: Tensor, first: Tensor, position_std: float, size_std: float) -> Tensor:
    """Return the boxes, float ``[B, N, T, 4]``, that ``box_targets`` gives back: ``first`` is float ``[B, N, 4]``."""
    centre, sides = _centre_and_sides(first[:, :, None])
    centre = centre + targets[..., :2] * position_std
    half = sides * (targets[..., 2:] * size_std).exp() / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def box_iou(one: Tensor, other: Tensor) -> Tensor:
    """Return the area that two boxes share over the area that they cover, float ``[...]`` in [0, 1] of ``[..., 4]``."""
    low, high = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    shared = (high - low).clamp(min=0.0).prod(dim=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).clamp(min=0.0).prod(dim=-1) for boxes in (one, other)]
    return shared / (areas[0] + areas[1] - shared).clamp(min=1e-6)


class BoxLoss(NamedTuple):
    """Attributes: ``position`` and ``size``, scalars with gradient; the loss is their sum."""

    position: Tensor
    size: Tensor

    @classmethod
    def of(cls, predicted: Tensor, target: Tensor) -> BoxLoss:
        """Smooth L1 (from 1 on linear), summed over two coordinates each, the mean over boxes and frames."""
        loss = F.smooth_l1_loss(predicted.float(), target, reduction="none", beta=1.0)
        return cls(loss[..., :2].sum(-1).mean(), loss[..., 2:].sum(-1).mean())


class PatchHead(nn.Module):
    """Official ``CtPHead``: a convolution over all of the map's time, RoIAlign of the first box, two linear layers.

    Args:
        embed_dim: D of the map.
        map_frames: t of the map.
        frames: T, of which the boxes are predicted.
        hidden: width of the layers between.
        roi_size: rows and columns that a box is read at.
    """

    def __init__(self, embed_dim: int, map_frames: int, frames: int, hidden: int = 512, roi_size: int = 5) -> None:
        super().__init__()
        self.frames = frames
        self.roi_size = roi_size
        self.squeeze_time = nn.Conv3d(embed_dim, hidden, (map_frames, 1, 1))
        self.hidden = nn.Linear(hidden * roi_size**2, hidden)
        self.predict = nn.Linear(hidden, frames * 4)
        nn.init.kaiming_normal_(self.squeeze_time.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.hidden.weight, std=0.001)
        nn.init.normal_(self.predict.weight, std=0.001)
        for layer in (self.squeeze_time, self.hidden, self.predict):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, feature_map: Tensor, first: Tensor, size: int) -> Tensor:
        """Return float ``[B, N, T, 4]`` as ``box_targets`` gives them.

        Args:
            feature_map: float ``[B, D, t, h, w]``.
            first: float ``[B, N, 4]``, the boxes of the first frame, in pixels of the clip.
            size: height and width of the clip, in pixels.
        """
        batch, boxes = first.shape[:2]
        plane = F.relu(self.squeeze_time(feature_map))[:, :, 0]
        sample = torch.arange(batch, device=first.device, dtype=torch.float32).repeat_interleave(boxes)
        rois = torch.cat([sample[:, None], first.reshape(-1, 4).float()], dim=1)
        # A map may have other strides over rows than over columns; RoIAlign knows one, so boxes are scaled before.
        rows, columns = plane.shape[2] / size, plane.shape[3] / size
        rois = rois * rois.new_tensor([1.0, columns, rows, columns, rows])
        read = roi_align(plane.float(), rois, self.roi_size, 1.0, sampling_ratio=2, aligned=True)
        hidden = F.relu(self.hidden(read.flatten(1).to(plane.dtype)))
        predicted: Tensor = self.predict(hidden)
        return predicted.view(batch, boxes, self.frames, 4)
