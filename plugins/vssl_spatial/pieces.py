"""Where the pieces of a puzzle lie in a frame: a window, a grid in it, a piece somewhere in each cell of the grid."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vssl_core.data.transforms import grid_boxes, random_boxes, uniform
from vssl_core.errors import ConfigError

__all__ = ["check_pieces", "piece_boxes", "window_boxes"]

# The narrowest that ``random_boxes`` draws, width by height or height by width.
_NARROWEST = 3 / 4


def check_pieces(*, read: int, grid: int, size: int, gap: int, crop_scale: float) -> None:
    """Check that every piece of a puzzle covers a pixel of the frame, of ``read`` x ``read`` pixels, or more.

    Raises:
        ConfigError: some would fall between its pixels, and nothing would be in them.
    """
    side = grid * (size + gap)
    window = math.sqrt(crop_scale * max(crop_scale, _NARROWEST)) * read if crop_scale < 1 else min(read, side)
    if window * size / side < 1:
        raise ConfigError(
            f"task.size={size}, task.gap={gap}, task.read_size={read} and task.crop_scale={crop_scale:g} make a puzzle "
            f"of {grid} x {grid} with pieces of {window * size / side:.2f} pixels of the frame; raise task.read_size "
            "or task.crop_scale, or lower task.gap"
        )


def window_boxes(seeds: Tensor, height: int, width: int, *, side: int, crop_scale: float, stream: int) -> Tensor:
    """Draw the part of every frame that the puzzle covers.

    Args:
        seeds: int64 ``[B]``.
        height: of the frames, in pixels.
        width: of the frames, in pixels.
        side: of the puzzle, in pixels.
        crop_scale: 1: a square of ``side`` pixels at a whole-pixel place, or as much of it as the frame holds; below:
            a box of at least this part of the frame's area, as ``random_boxes`` draws it.
        stream: see ``vssl_core.data.transforms.uniform``.

    Returns:
        float32 ``[B, 4]``: top, left, height and width in pixels.
    """
    if crop_scale < 1.0:
        return random_boxes(seeds, height, width, scale=(crop_scale, 1.0), stream=stream)
    tall, wide = min(side, height), min(side, width)
    draws = uniform(seeds, 2, stream=stream)
    corner = (draws * draws.new_tensor([height - tall + 1, width - wide + 1])).floor()
    return torch.cat([corner, draws.new_tensor([tall, wide]).expand_as(corner)], dim=1)


def piece_boxes(window: Tensor, seeds: Tensor, *, grid: int, size: int, gap: int, stream: int) -> Tensor:
    """Place one piece in each cell of a ``grid`` x ``grid`` puzzle, each at a place of its own in its cell.

    A cell is ``size + gap`` pixels wide where the window has the puzzle's own size, so that 0 to ``2 * gap`` pixels lie
    between two neighbours: lines that run across the cut do not meet.

    Args:
        window: float ``[B, 4]``, see ``window_boxes``.
        seeds: int64 ``[B]``.
        grid: cells in a row and in a column.
        size: height and width of a piece.
        gap: pixels by which a piece may move in its cell, each way.
        stream: see ``vssl_core.data.transforms.uniform``.

    Returns:
        float32 ``[B, grid * grid, 4]``, row by row, inside the window; whole pixels where the window has the puzzle's
        size and begins at one.
    """
    side = grid * (size + gap)
    box = grid_boxes(seeds, side, side, rows=grid, columns=grid, piece=size, stream=stream)
    scale = (window[:, None, 2:] / side).repeat(1, 1, 2)
    box = box * scale
    return torch.cat([box[..., :2] + window[:, None, :2], box[..., 2:]], dim=2)
