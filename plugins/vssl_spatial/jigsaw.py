"""``jigsaw``: put the shuffled tiles of a frame in order.

Paper: M. Noroozi, P. Favaro, "Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles", ECCV 2016,
arXiv 1603.09246. Official code: https://github.com/MehdiNoroozi/JigsawPuzzleSolver (Caffe), read at 2fba1c6 (the
paper's solver) and 8c7ec09 (its successor, for the normalisation by mean and deviation).

Implemented: the context-free network. A square is cut out of the frame and divided into 3 x 3 cells, a tile is taken
from a random place of each cell, and the tiles are shown in one of ``permutations`` orders that differ in as many
places as can be (algorithm 1; ``vssl_core.pretext.permutations``). Place i shows tile ``order[i]``. One network sees
every tile without its context (``frame_features``), a shared layer follows (fc6, 1024), the tiles are concatenated, and
two layers (fc7, 4096; fc8) name the order. Dropout of 0.5 follows both hidden layers.

Shortcuts closed, as in the paper: tiles do not touch (``gap``), every tile has one mean and one deviation
(``normalise_tiles``), part of the puzzles are grey (``grey``), and the colour channels of coloured tiles are moved
against each other by up to ``channel_shift`` pixels, so that chromatic aberration does not tell a tile's place. Square
(255 pixels), cells (85) and tiles (64) are those of the code. 100 orders, as many as its file of them lists.

Where this deviates:

- Frames of videos instead of photographs; ``frames`` of each video, each with an order of its own.
- Tiles are brought to mean 1/2 and deviation 1/6 over their pixels and channels, and what lies more than three
  deviations off is cut: views are in [0, 1], and networks normalise them in their own way. The first code subtracts the
  mean of each channel alone, its successor normalises as here, without a cut.
- Moved channels repeat the tile's outermost pixels; the paper does not say what it reads there.
- Which 100 orders differs: the greedy choice ends in others from another first order. The official file's differ in
  8.08 of 9 places in the mean.
- fc6 takes the network's pooled features, not AlexNet's flattened map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssl_core.contracts import Batch, Explanation, StepOutput, Video, View
from vssl_core.data.plan import clip_frames, random_start, span
from vssl_core.data.transforms import colour_jitter, crop_pieces, join_pieces, to_grey, uniform
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_core.pretext.clips import require_frames
from vssl_core.pretext.permutations import distant_permutations
from vssl_spatial.pieces import check_pieces, piece_boxes, window_boxes

__all__ = ["Jigsaw", "JigsawPlanner", "TileHead", "normalise_tiles", "shift_channels"]

# Draws of one puzzle take the streams 16 * puzzle + 0, 1, ...; puzzles of a sample stay apart.
_STREAMS = 16
_WINDOW, _TILES, _FLIP, _JITTER, _GREY, _SHIFT = range(6)
# Deviations between black and white of a normalised tile: three to either side of the mean.
_SPREAD = 6.0
# Smallest deviation that is divided by: a tile of one colour stays grey.
_FLAT = 1 / 255


@dataclass(frozen=True, slots=True)
class JigsawPlanner:
    """Draws frames and the number of each one's order. Targets: ``order`` int64 ``[frames]``."""

    frames: int
    stride: int
    permutations: int
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return one view of one frame for each puzzle, and the orders; all orders are equally likely.

        Raises:
            ClipError: ``short_video="error"`` and the video is too short.
        """
        needed = span(self.frames, self.stride)
        if self.short_video == "error":
            require_frames("jigsaw", video, needed, frames=self.frames, stride=self.stride)
        start = random_start(rng, video.n_frames, needed)
        frames = clip_frames(video.n_frames, start, self.frames, self.stride, self.short_video)
        orders = rng.integers(self.permutations, size=self.frames, dtype=np.int64)
        return [View(frames[at : at + 1], self.size, self.fit) for at in range(self.frames)], {"order": orders}


def shift_channels(tiles: Tensor, shift: Tensor) -> Tensor:
    """Move every colour channel of every tile by itself, the outermost pixels repeated.

    Args:
        tiles: float ``[B, 3, N, S, S]``.
        shift: int64 ``[B, 3, N, 2]``: result pixel (y, x) is pixel (y + shift[0], x + shift[1]).

    Returns:
        float ``[B, 3, N, S, S]``.
    """
    for axis in (0, 1):
        length = tiles.shape[3 + axis]
        at = torch.arange(length, device=tiles.device) + shift[..., axis, None]
        at = at.clamp(0, length - 1)
        at = at[..., :, None] if axis == 0 else at[..., None, :]
        tiles = tiles.gather(3 + axis, at.expand_as(tiles))
    return tiles


def normalise_tiles(tiles: Tensor) -> Tensor:
    """Bring every tile to mean 1/2 and deviation 1/6 over its pixels and channels, and cut it to [0, 1].

    Caffe's MVN layer with ``across_channels`` makes of a tile ``(x - mean) / deviation``; here that is divided by 6 and
    1/2 added.

    Args:
        tiles: float ``[B, 3, N, S, S]``.

    Returns:
        float ``[B, 3, N, S, S]`` in [0, 1]. A tile of one colour becomes 1/2.
    """
    over = (1, 3, 4)
    centred = tiles - tiles.mean(dim=over, keepdim=True)
    deviation = centred.square().mean(dim=over, keepdim=True).sqrt().clamp(min=_FLAT)
    return (centred / (_SPREAD * deviation) + 0.5).clamp(0.0, 1.0)


class TileHead(nn.Module):
    """Features of the tiles to logits of their orders: fc6 for each tile, fc7 and fc8 for all (section 3.2)."""

    def __init__(self, embed_dim: int, tiles: int, classes: int, hidden: int, joint: int, dropout: float) -> None:
        super().__init__()
        self.tile = nn.Sequential(nn.Linear(embed_dim, hidden), nn.ReLU(), nn.Dropout(dropout))
        self.joint = nn.Sequential(nn.Linear(tiles * hidden, joint), nn.ReLU(), nn.Dropout(dropout))
        self.order = nn.Linear(joint, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Return float ``[N, classes]`` of float ``[N, tiles, D]``, tiles in the places in which they are shown."""
        logits: Tensor = self.order(self.joint(self.tile(features).flatten(1)))
        return logits


class Jigsaw(BaseTask):
    """Classifies the order of shuffled tiles (Noroozi and Favaro 2016).

    Raises:
        ConfigError: more orders than there are of so many tiles, or tiles smaller than a pixel of the frame.
    """

    orders: Tensor

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 1,
        stride: int = 8,
        size: int = 64,
        read_size: int = 0,
        fit: str = "short-side-crop",
        crop_scale: float = 1.0,
        flip: float = 0.0,
        jitter: float = 0.0,
        short_video: str = "error",
        grid: int = 3,
        permutations: int = 100,
        permutation_seed: int = 0,
        gap: int = 21,
        grey: float = 0.3,
        channel_shift: int = 2,
        normalise_tiles: bool = True,
        hidden: int = 1024,
        joint: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(backbone)
        tiles = grid * grid
        if permutations > math.factorial(tiles):
            raise ConfigError(
                f"task.permutations={permutations}: {tiles} tiles (task.grid={grid}) have {math.factorial(tiles)} "
                "orders; lower it, or set task.grid=3"
            )
        read = read_size or grid * (size + gap)
        check_pieces(read=read, grid=grid, size=size, gap=gap, crop_scale=crop_scale)
        self._planner = JigsawPlanner(frames, stride, permutations, (read, read), fit, short_video)
        self.register_buffer(
            "orders", torch.from_numpy(distant_permutations(tiles, permutations, permutation_seed)), persistent=False
        )
        self.chance = 1 / permutations
        self.size, self.grid, self.gap, self.crop_scale = size, grid, gap, crop_scale
        self.flip, self.jitter, self.grey = flip, jitter, grey
        self.channel_shift, self.normalise = channel_shift, normalise_tiles
        self.head = TileHead(backbone.embed_dim, tiles, permutations, hidden, joint, dropout)

    def planner(self) -> JigsawPlanner:
        """Return what draws the frames and their orders."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Cut every frame into tiles and shuffle them.

        uint8 ``[B, 1, H, W, 3]`` for each puzzle to float ``[B, 3, grid * grid, size, size]`` in [0, 1]: the tiles, in
        the order in which they are shown, take the place of time.
        """
        orders = self.orders[batch.targets["order"]]
        views = tuple(
            self._tiles(view, batch.seeds, orders[:, puzzle], puzzle * _STREAMS)
            for puzzle, view in enumerate(batch.views)
        )
        return batch._replace(views=views)

    def _tiles(self, view: Tensor, seeds: Tensor, order: Tensor, stream: int) -> Tensor:
        """Return the shuffled tiles float ``[B, 3, N, size, size]`` of uint8 ``[B, 1, H, W, 3]``."""
        if self.flip > 0:
            flipped = uniform(seeds, 1, stream=stream + _FLIP)[:, 0] < self.flip
            view = torch.where(flipped.view(-1, 1, 1, 1, 1), view.flip(3), view)
        height, width = view.shape[2:4]
        side = self.grid * (self.size + self.gap)
        window = window_boxes(seeds, height, width, side=side, crop_scale=self.crop_scale, stream=stream + _WINDOW)
        box = piece_boxes(window, seeds, grid=self.grid, size=self.size, gap=self.gap, stream=stream + _TILES)
        shown = box.gather(1, order[..., None].expand_as(box))
        tiles = crop_pieces(view, shown, self.size).squeeze(3).transpose(1, 2)
        return self._look(tiles, seeds, stream)

    def _look(self, tiles: Tensor, seeds: Tensor, stream: int) -> Tensor:
        """Change the colours of float ``[B, 3, N, size, size]`` so that they tell no tile's place."""
        if self.jitter > 0:
            low, high = max(0.0, 1 - self.jitter), 1 + self.jitter
            factors = uniform(seeds, 3, stream=stream + _JITTER, low=low, high=high)
            tiles = colour_jitter(tiles, brightness=factors[:, 0], contrast=factors[:, 1], saturation=factors[:, 2])
        grey = uniform(seeds, 1, stream=stream + _GREY)[:, 0] < self.grey
        coloured = tiles
        if self.channel_shift > 0:
            n, reach = tiles.shape[2], self.channel_shift
            draws = uniform(seeds, 6 * n, stream=stream + _SHIFT, high=2 * reach + 1)
            coloured = shift_channels(tiles, draws.to(torch.int64).view(-1, 3, n, 2) - reach)
        tiles = torch.where(grey.view(-1, 1, 1, 1, 1), to_grey(tiles), coloured)
        return normalise_tiles(tiles) if self.normalise else tiles

    def forward(self, batch: Batch) -> StepOutput:
        """Cross-entropy of the orders of all puzzles, and the accuracy."""
        features = self.backbone.frame_features(torch.cat(batch.views))
        logits = self.head(features)
        target = batch.targets["order"].T.reshape(-1)  # [B, puzzles] in the order of the views: puzzle by puzzle
        accuracy = (logits.argmax(dim=1) == target).float().mean()
        return StepOutput(F.cross_entropy(logits, target), {"accuracy": accuracy.detach()})

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Show the first puzzle of each video as the network gets it, and put together."""
        explained = []
        for row, number in enumerate(batch.targets["order"][:, 0].tolist()):
            order, tiles = self.orders[number], batch.views[0][row]
            pictures = (
                ("the tiles as shown", _board(tiles, self.grid)),
                ("put in order", _board(tiles[:, order.argsort()], self.grid)),
            )
            places = " ".join(str(tile + 1) for tile in order.tolist())
            explained.append(
                Explanation(
                    f"Which of {len(self.orders)} orders are these {len(order)} tiles of one frame in?",
                    f"order {number}: row by row, tiles {places} of the frame",
                    pictures=pictures,
                    shown=(),
                )
            )
        return explained


def _board(tiles: Tensor, grid: int) -> Tensor:
    """Lay float ``[3, N, S, S]`` out as one frame ``[3, 1, H, W]`` with white lines between the tiles."""
    framed = F.pad(tiles, (1, 1, 1, 1), value=1.0)
    return join_pieces(framed.transpose(0, 1)[None, :, :, None], rows=grid, columns=grid)[0]
