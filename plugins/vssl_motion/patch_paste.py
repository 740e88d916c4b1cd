"""Pasting patches of a clip onto its own frames, the whole batch at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["paste_patches", "patch_opacity"]


def patch_opacity(box: Tensor, shape: Tensor, edge: Tensor, size: int) -> Tensor:
    """Return how opaque a patch is at each pixel of the frame that it is cut from (official ``pick_alphas``).

    The distance of a pixel to the middle is measured in sides of the box, so that 0.5 is its rim.

    Args:
        box: float ``[B, 4]``: left, top, right, bottom in pixels.
        shape: int64 ``[B]``: 0 rectangle, 1 ellipse, 2 rhombus.
        edge: float ``[B]``, at most 0.5: the distance from which on the opacity falls, to 0 at the rim; 0.5: the edge
            is hard.
        size: height and width of the frame.

    Returns:
        float32 ``[B, size, size]`` in [0, 1]; what stands outside the box means nothing.
    """
    pixel = torch.arange(size, dtype=torch.float32, device=box.device)
    sides = box[:, 2:] - box[:, :2]
    # The middle is a whole pixel, as officially.
    middle = box[:, :2] + torch.floor((sides - 1) / 2)
    x = ((pixel - middle[:, :1]).abs() / sides[:, :1])[:, None, :]
    y = ((pixel - middle[:, 1:]).abs() / sides[:, 1:])[:, :, None]
    kind = shape[:, None, None]
    distance = torch.where(kind == 0, torch.maximum(x, y), torch.where(kind == 1, (x**2 + y**2).sqrt(), x + y))
    inside = ((kind == 0) | (distance < 0.5)).float()
    width = (0.5 - edge)[:, None, None]
    soft = ((0.5 - distance) / width.clamp(min=1e-6)).clamp(0.0, 1.0)
    return torch.where(width > 0, soft, 1.0) * inside


def paste_patches(
    clip: Tensor, boxes: Tensor, source: Tensor, opacity: Tensor, *, shape: Tensor, edge: Tensor
) -> Tensor:
    """Cut a patch for each path and paste it along, scaled to the box of each frame (official ``PatchMask``).

    The patch is what its box holds in frame ``source``, before anything is pasted; it and its outline are scaled
    bilinearly, as OpenCV does by default.

    Args:
        clip: float ``[B, 3, T, S, S]``.
        boxes: ``[B, N, T, 4]``: left, top, right, bottom in whole pixels, inside the frame; pasted in this order, the
            last on top.
        source: int64 ``[B, N]``, the frame that each is cut from.
        opacity: float ``[B, N, T]`` in [0, 1]; 0: not pasted there.
        shape: int64 ``[B, N]``, see ``patch_opacity``.
        edge: float ``[B, N]``, see ``patch_opacity``.

    Returns:
        float ``[B, 3, T, S, S]``; ``clip`` is left as it is.
    """
    size = clip.shape[-1]
    pasted = clip
    for path in range(boxes.shape[1]):
        box = boxes[:, path].float()
        at = source[:, path]
        cut = box.gather(1, at[:, None, None].expand(-1, 1, 4))[:, 0]
        frame = clip.gather(2, at.view(-1, 1, 1, 1, 1).expand(-1, 3, 1, size, size))[:, :, 0]
        outline = patch_opacity(cut, shape[:, path], edge[:, path], size)
        scaled = _carry(torch.cat([frame, outline[:, None].to(frame)], dim=1), cut, box)
        alpha = scaled[:, 3:] * _inside(box, size) * opacity[:, path, :, None, None][:, None]
        pasted = pasted * (1.0 - alpha) + scaled[:, :3] * alpha
    return pasted


def _carry(image: Tensor, cut: Tensor, box: Tensor) -> Tensor:
    """Scale what ``cut`` ``[B, 4]`` holds of ``image`` ``[B, C, S, S]`` into each ``box`` ``[B, T, 4]``.

    Returns ``[B, C, T, S, S]``; outside the box the nearest pixel of its rim is repeated.
    """
    size, frames = image.shape[-1], box.shape[1]
    pixel = torch.arange(size, dtype=torch.float32, device=image.device)
    axes = []
    for low, high in ((0, 2), (1, 3)):
        first, length = cut[:, None, None, low], (cut[:, high] - cut[:, low])[:, None, None]
        start, extent = box[..., low, None], (box[..., high] - box[..., low])[..., None]
        place = (pixel - start + 0.5) * length / extent - 0.5
        # Samples stay between the centres of the patch's outermost pixels: none of its surroundings blends in.
        place = first + torch.minimum(place.clamp(min=0.0), length - 1.0)
        axes.append((2.0 * place + 1.0) / size - 1.0)
    x, y = axes
    grid = torch.stack([x[:, :, None, :].expand(-1, -1, size, -1), y[:, :, :, None].expand(-1, -1, -1, size)], dim=-1)
    # Frames one below the other: the image need not be copied for each.
    flat = F.grid_sample(image.float(), grid.flatten(1, 2), mode="bilinear", padding_mode="border", align_corners=False)
    return flat.unflatten(2, (frames, size))


def _inside(box: Tensor, size: int) -> Tensor:
    """Return float ``[B, 1, T, S, S]``: 1 on the pixels of each box ``[B, T, 4]``."""
    pixel = torch.arange(size, device=box.device)
    x = (pixel >= box[..., 0, None]) & (pixel < box[..., 2, None])
    y = (pixel >= box[..., 1, None]) & (pixel < box[..., 3, None])
    return (y[..., :, None] & x[..., None, :]).float()[:, None]
