"""``motion-energy``: how much a video changes from frame to frame, over its whole length, as a curve.

Not from a paper. It sees neither what moves nor where, only when; motions that differ in rhythm are told apart by it,
which no network should be credited with. It reads the whole video in one clip, while protocols average several short
clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from vssl_baselines.floors import Floor
from vssl_core.contracts import Features
from vssl_core.errors import ConfigError

__all__ = ["MotionEnergy", "MotionEnergyEncoder"]


class MotionEnergyEncoder(nn.Module):
    """Videos to their curve of mean absolute frame difference; no parameters.

    Attributes:
        embed_dim: points of the curve, one less than frames.
        input_mode: always ``"raw"``.
        sampling: one clip whose frames are spread over the whole video.
    """

    input_mode = "raw"

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.embed_dim = frames - 1
        self.sampling: Mapping[str, Any] = {"whole": True, "frames": frames, "stride": 1, "clips": 1}

    def forward(self, video: Tensor) -> Features:
        """Return the curve, float ``[B, frames - 1]`` in [0, 1], of float ``[B, 3, frames, H, W]`` in [0, 1].

        Raises:
            ConfigError: the clip has another number of frames.
        """
        if video.shape[2] != self.frames:
            raise ConfigError(f"motion-energy reads {self.frames} frames (task.frames), got a clip of {video.shape[2]}")
        curve = (video[:, :, 1:] - video[:, :, :-1]).abs().mean(dim=(1, 3, 4))
        return Features(map=curve[..., None, None, None], pooled=curve)


class MotionEnergy(Floor):
    """Hands out a ``MotionEnergyEncoder``; no backbone is used."""

    name = "motion-energy"

    def __init__(self, backbone: nn.Module | None = None, *, frames: int = 32) -> None:
        super().__init__(MotionEnergyEncoder(frames))
