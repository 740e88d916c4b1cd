"""``cubic-puzzle``: put four pieces of a video in order, pieces of a frame's space or of time.

Paper: D. Kim, D. Cho, I. S. Kweon, "Self-Supervised Video Representation Learning with Space-Time Cubic Puzzles", AAAI
2019, arXiv 1811.09795. No official code is published.

Implemented: a stretch of video is divided into 2 x 2 cells of space and 4 of time. A puzzle is the four cells of one
time, or the four times of one cell, by equal chance. A piece of each is taken at a place and time of its own within its
cell (80 x 80 pixels and 16 frames out of 112 x 112 and 32), and the pieces are shown in one of all 4! orders: view i is
piece ``order[i]``, pieces counted row by row or as time goes. One network sees every piece by itself, and its features
of the four are concatenated and classified (late fusion): 24 classes for both kinds of puzzle.

Shortcuts closed, as in the paper: pieces do not touch in space (``gap``) or in time (``gap_frames``), and one colour
channel, the same for all pieces, stands for all three (``channel_replication``), so that chromatic aberration does not
tell a piece's place.

Where this deviates, or goes beyond what the paper says:

- The head has one hidden layer (``hidden``, ReLU, dropout): a linear one could not compare pieces with each other.
- The channel is replaced in every puzzle, as in OPN (arXiv 1708.01246), which the trick is taken from.
- ``upside_down`` turns half of the puzzles by 180 degrees as a whole and asks for that too, which doubles the classes:
  rotation with classification, after T. N. Mundhenk et al. (arXiv 1711.06379). It is off by default.
- A flip mirrors the whole puzzle: its pieces change places as their pixels do.
- Which time, or which cell, stays the same for the four pieces is drawn uniformly.
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
from vssl_core.data.plan import clip_frames, random_start, span
from vssl_core.data.transforms import (
    channel_split,
    colour_jitter,
    crop_resize,
    horizontal_flip,
    join_pieces,
    quarter_turns,
    uniform,
)
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_core.pretext.clips import require_frames
from vssl_core.pretext.permutations import all_orders
from vssl_spatial.pieces import check_pieces, piece_boxes, window_boxes

__all__ = ["CubicPuzzle", "CubicPuzzlePlanner", "PieceHead"]

_PIECES, _GRID = 4, 2
_ORDERS = all_orders(_PIECES)
_DIMENSIONS = ("space", "time")
# Places of pieces take the streams _PLACE + 0 .. 3.
_WINDOW, _FLIP, _JITTER, _CHANNEL, _PLACE = 1, 2, 3, 4, 8


@dataclass(frozen=True, slots=True)
class CubicPuzzlePlanner:
    """Draws a puzzle: its dimension, the order of its pieces and their frames.

    Targets: ``order``, the number of the permutation as ``itertools.permutations`` lists them; ``place`` int64 ``[4]``,
    the cell of space of each view, row by row; ``time``, 1 for a puzzle of time; ``upside_down``, 1 for one to turn.
    """

    frames: int
    stride: int
    gap_frames: int
    dimensions: tuple[str, ...]
    upside_down: bool
    size: tuple[int, int]
    fit: str
    short_video: str

    def __call__(self, video: Video, rng: np.random.Generator) -> tuple[Sequence[View], Mapping[str, Any]]:
        """Return the four pieces in the order in which they are shown; all orders are equally likely.

        Raises:
            ClipError: ``short_video="error"`` and the video is too short for a puzzle of time; also where one of space
                is drawn: a short video that came as one kind alone would tell its kind.
        """
        cell = span(self.frames, self.stride) + self.gap_frames
        needed = _PIECES * cell
        if self.short_video == "error":
            options = {"frames": self.frames, "stride": self.stride, "gap_frames": self.gap_frames}
            require_frames("cubic-puzzle", video, needed, **options)
        start = random_start(rng, video.n_frames, needed)
        # All frames are planned as one clip, so that a loop or a pad falls where the video ends, once.
        whole = clip_frames(video.n_frames, start, needed, 1, self.short_video)
        dimension = self.dimensions[int(rng.integers(len(self.dimensions)))]
        number, same = int(rng.integers(len(_ORDERS))), int(rng.integers(_PIECES))
        order, constant = _ORDERS[number], np.full(_PIECES, same, dtype=np.int64)
        times, places = (order, constant) if dimension == "time" else (constant, order)
        first = times * cell + rng.integers(0, self.gap_frames + 1, size=_PIECES)
        steps = np.arange(self.frames) * self.stride
        turned = int(rng.integers(2)) if self.upside_down else 0
        targets = {"order": number, "place": places, "time": int(dimension == "time"), "upside_down": turned}
        return [View(whole[at + steps], self.size, self.fit) for at in first], targets


class PieceHead(nn.Module):
    """Features of the four pieces, concatenated, to logits of their orders."""

    def __init__(self, embed_dim: int, classes: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.joint = nn.Sequential(nn.Linear(_PIECES * embed_dim, hidden), nn.ReLU(), nn.Dropout(dropout))
        self.order = nn.Linear(hidden, classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return float ``[B, classes]`` of four float ``[B, D]``, in the order in which the pieces are shown."""
        logits: Tensor = self.order(self.joint(torch.cat(list(features), dim=1)))
        return logits


class CubicPuzzle(BaseTask):
    """Classifies the order of four pieces of a video (Kim et al. 2019).

    Raises:
        ConfigError: ``dimensions`` holds something else than space and time, or nothing; or pieces are smaller than a
            pixel of the frame.
    """

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 16,
        stride: int = 1,
        size: int = 80,
        read_size: int = 0,
        fit: str = "short-side-crop",
        crop_scale: float = 1.0,
        flip: float = 0.0,
        jitter: float = 0.0,
        short_video: str = "error",
        dimensions: Sequence[str] = _DIMENSIONS,
        gap: int = 32,
        gap_frames: int = 16,
        channel_replication: float = 1.0,
        upside_down: bool = False,
        hidden: int = 512,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(backbone)
        if not dimensions or not set(dimensions) <= set(_DIMENSIONS) or len(set(dimensions)) < len(dimensions):
            raise ConfigError(
                f"task.dimensions={list(dimensions)}: a puzzle is made of space or of time; give one of them or both"
            )
        read = read_size or _GRID * (size + gap)
        check_pieces(read=read, grid=_GRID, size=size, gap=gap, crop_scale=crop_scale)
        self._planner = CubicPuzzlePlanner(
            frames, stride, gap_frames, tuple(dimensions), upside_down, (read, read), fit, short_video
        )
        self.size, self.gap, self.crop_scale = size, gap, crop_scale
        self.flip, self.jitter, self.channel_replication = flip, jitter, channel_replication
        classes = len(_ORDERS) * (2 if upside_down else 1)
        self.chance = 1 / classes
        self.head = PieceHead(backbone.embed_dim, classes, hidden, dropout)

    def planner(self) -> CubicPuzzlePlanner:
        """Return what draws the puzzle."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """Cut each view's piece out of its cell; colours, flip and turn are those of the puzzle.

        uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1].
        """
        seeds = batch.seeds
        height, width = batch.views[0].shape[2:4]
        side = _GRID * (self.size + self.gap)
        window = window_boxes(seeds, height, width, side=side, crop_scale=self.crop_scale, stream=_WINDOW)
        flipped = uniform(seeds, 1, stream=_FLIP)[:, 0] < self.flip
        turned = batch.targets["upside_down"].bool()
        # Mirrored, what is shown at the left is read at the right; turned, at the opposite corner.
        place = torch.where(flipped[:, None], batch.targets["place"] ^ 1, batch.targets["place"])
        place = torch.where(turned[:, None], _PIECES - 1 - place, place)
        row = torch.arange(len(seeds), device=seeds.device)
        pieces = []
        for at, view in enumerate(batch.views):
            cells = piece_boxes(window, seeds, grid=_GRID, size=self.size, gap=self.gap, stream=_PLACE + at)
            piece = crop_resize(view, cells[row, place[:, at]], self.size, rim="box")
            piece = quarter_turns(horizontal_flip(piece, flipped), 2 * turned.to(torch.int64))
            pieces.append(self._colours(piece, seeds))
        return batch._replace(views=tuple(pieces))

    def _colours(self, piece: Tensor, seeds: Tensor) -> Tensor:
        if self.jitter > 0:
            low, high = max(0.0, 1 - self.jitter), 1 + self.jitter
            factors = uniform(seeds, 3, stream=_JITTER, low=low, high=high)
            piece = colour_jitter(piece, brightness=factors[:, 0], contrast=factors[:, 1], saturation=factors[:, 2])
        if self.channel_replication > 0:
            draws = uniform(seeds, 2, stream=_CHANNEL)
            channel = (3 * draws[:, 1]).to(torch.int64)
            piece = channel_split(piece, torch.where(draws[:, 0] < self.channel_replication, channel, -1))
        return piece

    def forward(self, batch: Batch) -> StepOutput:
        """Cross-entropy of the order, together with the turn where that is asked, and the accuracy."""
        pooled = self.backbone(torch.cat(batch.views)).pooled
        logits = self.head(pooled.chunk(_PIECES))
        target = batch.targets["order"] + len(_ORDERS) * batch.targets["upside_down"]
        accuracy = (logits.argmax(dim=1) == target).float().mean()
        return StepOutput(F.cross_entropy(logits, target), {"accuracy": accuracy.detach()})

    def explain(self, batch: Batch) -> Sequence[Explanation]:
        """Show the pieces as the network gets them, and put together: side by side, or one after the other."""
        explained = []
        for row, number in enumerate(batch.targets["order"].tolist()):
            order = _ORDERS[number].tolist()
            pieces = torch.stack([view[row] for view in batch.views])
            sorted_pieces = pieces[[order.index(piece) for piece in range(_PIECES)]]
            if batch.targets["time"][row]:
                kind, names = "one after the other", ("first", "second", "third", "fourth")
                together = torch.cat(list(sorted_pieces), dim=1)
            else:
                kind, names = "side by side", ("top left", "top right", "bottom left", "bottom right")
                framed = F.pad(sorted_pieces, (1, 1, 1, 1), value=1.0)
                together = join_pieces(framed[None], rows=_GRID, columns=_GRID)[0]
            upside_down = ", upside down" if batch.targets["upside_down"][row] else ""
            explained.append(
                Explanation(
                    "In which order are these four pieces, which lay side by side or one after the other?",
                    f"{kind}: {', '.join(names[piece] for piece in order)}{upside_down}",
                    captions=tuple(f"piece {at + 1}" for at in range(_PIECES)),
                    pictures=((f"put together, {kind}", together),),
                )
            )
        return explained
