"""``pixel-baseline``: what small frames and maps of where frames differ give away, without any network.

Not from a paper. Frames say what appearance alone gives away, differences what the place of motion gives away; a task
that stays below them has learned nothing that a thumbnail does not show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssl_baselines.floors import Floor
from vssl_core.contracts import Features
from vssl_core.errors import ConfigError

__all__ = ["PixelBaseline", "PixelEncoder"]

# Weights of R, G and B in luma (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)


class PixelEncoder(nn.Module):
    """Clips to thumbnails and difference maps; no parameters.

    Attributes:
        embed_dim: numbers a clip.
        input_mode: always ``"raw"``.
        sampling: empty: the protocol's own clips.
    """

    input_mode = "raw"

    def __init__(self, part: str, frames: int, grid: int, colour: bool) -> None:
        super().__init__()
        self.part, self.frames, self.grid, self.colour = part, frames, grid, colour
        self.sampling: Mapping[str, Any] = {}
        cells = frames * grid * grid
        self.embed_dim = (part != "differences") * cells * (3 if colour else 1) + (part != "frames") * cells

    def forward(self, video: Tensor) -> Features:
        """Return the features of float ``[B, 3, T, H, W]`` in [0, 1].

        Frames are taken at the middles of ``frames`` equal stretches of the clip. Differences are absolute, of the grey
        values of neighbouring frames, averaged over each of ``frames`` stretches. Both are averaged to ``grid`` x
        ``grid`` cells.

        Raises:
            ConfigError: differences are asked of clips of one frame.
        """
        luma = video.new_tensor(_LUMA).view(1, 3, 1, 1, 1)
        grey = (video * luma).sum(dim=1, keepdim=True)
        parts = []
        if self.part != "differences":
            length = video.shape[2]
            at = ((torch.arange(self.frames, device=video.device) + 0.5) * length / self.frames).long()
            chosen = (video if self.colour else grey).index_select(2, at)
            parts.append(F.adaptive_avg_pool3d(chosen, (self.frames, self.grid, self.grid)).flatten(1))
        if self.part != "frames":
            if video.shape[2] < 2:
                raise ConfigError(
                    "pixel-baseline needs clips of two frames or more for differences; set task.part=frames"
                )
            difference = (grey[:, :, 1:] - grey[:, :, :-1]).abs()
            parts.append(F.adaptive_avg_pool3d(difference, (self.frames, self.grid, self.grid)).flatten(1))
        pooled = torch.cat(parts, dim=1)
        return Features(map=pooled[..., None, None, None], pooled=pooled)


class PixelBaseline(Floor):
    """Hands out a ``PixelEncoder``; no backbone is used."""

    name = "pixel-baseline"

    def __init__(
        self,
        backbone: nn.Module | None = None,
        *,
        part: str = "both",
        frames: int = 3,
        grid: int = 8,
        colour: bool = False,
    ) -> None:
        super().__init__(PixelEncoder(part, frames, grid, colour))
