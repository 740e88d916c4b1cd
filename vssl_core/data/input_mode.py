"""How a backbone normalises its input: named, recorded, and the backbone's own business."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vssl_core.errors import ConfigError

__all__ = ["INPUT_MODES", "InputMode"]

INPUT_MODES = ("raw", "temporal-residual")


class InputMode(nn.Module):
    """Normalise clips: float ``[B, 3, T, H, W]`` in [0, 1] -> the same shape.

    ``"raw"`` subtracts ``mean`` and divides by ``std`` per channel. ``"temporal-residual"`` subtracts the clip's own
    mean over time at every pixel and divides by the standard deviation of what is left (over channels, time and place)
    plus ``eps``: what does not move is gone, and faint and strong motion come to the same scale.

    Args:
        mode: ``"raw"`` or ``"temporal-residual"``.
        mean: per channel, for ``"raw"``; the default is Kinetics-400's, as torchvision's video networks use it.
        std: per channel, for ``"raw"``.
        eps: added to the deviation, in units of the [0, 1] range; keeps the coding noise of a still clip small.

    Raises:
        ConfigError: an unknown mode.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mode: str = "raw",
        *,
        mean: Sequence[float] = (0.43216, 0.394666, 0.37645),
        std: Sequence[float] = (0.22803, 0.22145, 0.216989),
        eps: float = 0.01,
    ) -> None:
        super().__init__()
        if mode not in INPUT_MODES:
            raise ConfigError(f"input_mode={mode!r} is not one of {', '.join(map(repr, INPUT_MODES))}")
        self.mode = mode
        self.eps = eps
        # Not persistent: they belong to the configuration, which is saved beside the weights.
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1, 1), persistent=False)

    def forward(self, video: Tensor) -> Tensor:
        """Return the normalised clip, float ``[B, 3, T, H, W]``."""
        if self.mode == "raw":
            return (video - self.mean) / self.std
        # In float32 also under autocast: differences of near frames are lost in half precision.
        residual = video.float()
        residual = residual - residual.mean(dim=2, keepdim=True)
        deviation = residual.square().mean(dim=(1, 2, 3, 4), keepdim=True).sqrt()
        return (residual / (deviation + self.eps)).to(video.dtype)

    def extra_repr(self) -> str:
        """Show the mode in ``print(module)``."""
        return self.mode
