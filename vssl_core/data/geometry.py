"""Where to look: random boxes, mirrored and turned frames, pieces of a grid; per sample, for a clip or frame by frame.

Boxes are float32 of top, left, height and width in pixels, and go to ``crop_resize``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vssl_core.data.draws import uniform
from vssl_core.data.layout import over_time
from vssl_core.data.resample import Size, crop_resize
from vssl_core.errors import ConfigError

__all__ = [
    "crop_pieces",
    "grid_boxes",
    "horizontal_flip",
    "join_pieces",
    "quarter_turns",
    "random_boxes",
    "shift_boxes",
]


def random_boxes(
    seeds: Tensor,
    height: int,
    width: int,
    *,
    stream: int,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:
    """Draw one crop per sample: the area uniform, the logarithm of the aspect ratio uniform among those that fit.

    torchvision's RandomResizedCrop draws area and ratio until a box fits, ten times at most, and rounds it to pixels.
    Where every ratio fits at every area the laws are equal up to this rounding. Elsewhere torchvision's has fewer large
    areas; ours has them, with the ratios that fit, and with the nearest one to ``ratio`` where none in it does.

    Args:
        seeds: int64 ``[B]``.
        height: of the frames, in pixels.
        width: of the frames, in pixels.
        stream: see ``uniform``.
        scale: smallest and largest part of the frame's area; from 1 on the whole frame.
        ratio: smallest and largest width / height.

    Returns:
        float32 ``[B, 4]``, inside the frame, in fractions of pixels.

    Raises:
        ConfigError: bounds that are not positive and in order.
    """
    for name, (low, high) in (("scale", scale), ("ratio", ratio)):
        if not 0 < low <= high:
            raise ConfigError(f"{name}={(low, high)} is no range of positive numbers; give the smaller one first")
    if scale[0] >= 1.0:
        whole = torch.tensor([0.0, 0.0, height, width], dtype=torch.float32, device=seeds.device)
        return whole.expand(seeds.shape[0], 4)
    draws = uniform(seeds, 4, stream=stream)
    area = scale[0] + draws[:, 0] * (min(scale[1], 1.0) - scale[0])
    narrowest, widest = area * (width / height), (width / height) / area
    low_log = torch.minimum(narrowest.clamp(min=ratio[0]), widest).log()
    high_log = torch.maximum(widest.clamp(max=ratio[1]), narrowest).log()
    aspect = torch.exp(low_log + draws[:, 1] * (high_log - low_log))
    pixels = area * float(height * width)
    box_height = (pixels / aspect).sqrt().clamp(max=float(height))
    box_width = (pixels * aspect).sqrt().clamp(max=float(width))
    top = draws[:, 2] * (height - box_height)
    left = draws[:, 3] * (width - box_width)
    return torch.stack([top, left, box_height, box_width], dim=1)


def shift_boxes(
    box: Tensor, seeds: Tensor, frames: int, *, height: int, width: int, pixels: float, stream: int
) -> Tensor:
    """Move every sample's box by itself in every frame: uniform in [-pixels, pixels] each way, kept inside the frame.

    Spatial jitter, against tracking low-level edges from frame to frame (OPN, arXiv 1708.01246: 5 pixels).

    Args:
        box: float ``[B, 4]``.
        seeds: int64 ``[B]``.
        frames: how many.
        height: of the frames, in pixels.
        width: of the frames, in pixels.
        pixels: of the frame before it is cropped.
        stream: see ``uniform``.

    Returns:
        float32 ``[B, frames, 4]``.
    """
    moves = uniform(seeds, 2 * frames, stream=stream, low=-pixels, high=pixels).unflatten(1, (frames, 2))
    corner = (box[:, None, :2] + moves).clamp(min=0.0)
    room = box.new_tensor([height, width]) - box[:, None, 2:]
    return torch.cat([torch.minimum(corner, room), box[:, None, 2:].expand(-1, frames, -1)], dim=2)


def horizontal_flip(clip: Tensor, chosen: Tensor) -> Tensor:
    """Mirror float ``[B, 3, T, H, W]`` left to right where bool ``chosen`` ``[B]`` or ``[B, T]``; exact."""
    return torch.where(over_time(chosen), clip.flip(-1), clip)


def quarter_turns(clip: Tensor, turns: Tensor) -> Tensor:
    """Turn float ``[B, 3, T, S, S]`` by quarters of a circle, exact.

    Args:
        clip: square frames.
        turns: int64 ``[B]`` or ``[B, T]``: how many quarters, counter-clockwise, modulo 4.

    Raises:
        ConfigError: frames that are not square.
    """
    height, width = clip.shape[-2:]
    if height != width:
        raise ConfigError(
            f"frames of {height} x {width} pixels cannot be turned by a quarter; crop them to a square first"
        )
    turns = over_time(turns) % 4
    turned = torch.where(turns % 2 == 1, clip.transpose(-2, -1), clip)
    turned = torch.where((turns == 1) | (turns == 2), turned.flip(-2), turned)
    return torch.where(turns >= 2, turned.flip(-1), turned)


def grid_boxes(seeds: Tensor, height: int, width: int, *, rows: int, columns: int, piece: Size, stream: int) -> Tensor:
    """Place one box in each cell of a grid, each at a whole-pixel place of its own.

    The gap that moves between neighbours keeps a puzzle from being solved by lines that run across the cut (jigsaw,
    arXiv 1603.09246).

    Args:
        seeds: int64 ``[B]``.
        height: of the frames, in pixels.
        width: of the frames, in pixels.
        rows: cells from top to bottom.
        columns: cells from left to right.
        piece: height and width of a box, at most those of a cell; as large as a cell: no gap.
        stream: see ``uniform``.

    Returns:
        float32 ``[B, rows * columns, 4]``, row by row.

    Raises:
        ConfigError: pieces larger than cells.
    """
    tall, wide = (piece, piece) if isinstance(piece, int) else piece
    cell_height, cell_width = height // rows, width // columns
    if not (0 < tall <= cell_height and 0 < wide <= cell_width):
        raise ConfigError(
            f"pieces of {tall} x {wide} pixels do not fit {rows} x {columns} cells of {cell_height} x {cell_width}; "
            "take smaller pieces, fewer cells or larger frames"
        )
    n = rows * columns
    draws = uniform(seeds, 2 * n, stream=stream).unflatten(1, (n, 2))
    room = draws.new_tensor([cell_height - tall + 1, cell_width - wide + 1])
    cell = torch.arange(n, device=seeds.device)
    corner = torch.stack([cell // columns * cell_height, cell % columns * cell_width], dim=1)
    place = corner + (draws * room).floor()
    return torch.cat([place, draws.new_tensor([tall, wide]).expand_as(place)], dim=2)


def crop_pieces(clip: Tensor, box: Tensor, size: Size) -> Tensor:
    """Cut several boxes out of every clip and scale them.

    Args:
        clip: float ``[B, 3, T, H, W]`` or uint8 ``[B, T, H, W, 3]``.
        box: float ``[B, N, 4]``.
        size: height and width of a piece.

    Returns:
        float ``[B, N, 3, T, height, width]``; boxes of ``size`` at whole pixels are cut out exactly. ``flatten(0, 1)``
        and ``split_seeds`` make of each piece a sample that jitter treats by itself.
    """
    return torch.stack([crop_resize(clip, box[:, at], size, rim="box") for at in range(box.shape[1])], dim=1)


def join_pieces(pieces: Tensor, *, rows: int, columns: int) -> Tensor:
    """Put pieces together to frames, row by row.

    Args:
        pieces: float ``[B, rows * columns, 3, T, h, w]``.
        rows: pieces from top to bottom.
        columns: pieces from left to right.

    Returns:
        float ``[B, 3, T, rows * h, columns * w]``.
    """
    batch, _, channels, frames, height, width = pieces.shape
    grid = pieces.view(batch, rows, columns, channels, frames, height, width).permute(0, 3, 4, 1, 5, 2, 6)
    return grid.reshape(batch, channels, frames, rows * height, columns * width)
