"""AlexNet on every frame, averaged over time: the network of the early frame-based tasks.

Paper: Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, NeurIPS 2012. The layers are
those of ``torchvision.models.alexnet`` (the one-tower form of Krizhevsky, arXiv 1404.5997), without weights and without
the last, classifying layer. Shuffle & Learn, OPN and odd-one-out used CaffeNet and its kin, which have two towers
(grouped convolutions), 96 first filters and local response normalisation: near, and not the same.

Deviation: a pool's window is no larger than the map that it meets, so that frames below 63 pixels have features; from
there on the same weights give torchvision's numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import alexnet

from vssl_backbones.layout import channels_last_
from vssl_core.contracts import Features
from vssl_core.data.input_mode import InputMode
from vssl_core.errors import ConfigError

__all__ = ["AlexNet"]

#: ImageNet's, as torchvision's weights ask for
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_WIDTHS = {"fc7": 4096, "conv5": 256}


class _Pool(nn.Module):
    """3x3 max pooling of stride 2, with a smaller window on smaller maps."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, (min(3, x.shape[2]), min(3, x.shape[3])), stride=2)


class AlexNet(nn.Module):
    """AlexNet frame by frame, from float ``[B, 3, T, H, W]`` in [0, 1] to a map ``[B, D, T, h, w]``.

    A clip's features are the mean over its frames.

    Args:
        features: ``"fc7"``: the 4096 numbers before the classifier, a map of one place a frame; ``"conv5"``: the last
            convolution's 256-channel map, pooled, and its mean.
        dropout: probability before fc6 and fc7, for ``"fc7"``.
        input_mode: ``"raw"`` or ``"temporal-residual"``, see ``vssl_core.data.input_mode``.

    Raises:
        ConfigError: ``features`` is neither of the two.
    """

    def __init__(self, *, features: str = "fc7", dropout: float = 0.5, input_mode: str = "raw") -> None:
        super().__init__()
        if features not in _WIDTHS:
            raise ConfigError(f"backbone.features={features!r}; expected one of {', '.join(_WIDTHS)}")
        self.embed_dim = _WIDTHS[features]
        self.input_mode = input_mode
        self.sampling: Mapping[str, Any] = {}
        self.normalise = InputMode(input_mode, mean=_MEAN, std=_STD)
        network = alexnet(weights=None, dropout=dropout)
        self.convolutions = nn.Sequential(
            *(_Pool() if isinstance(layer, nn.MaxPool2d) else layer for layer in network.features)
        )
        self.grid: nn.Module | None = network.avgpool if features == "fc7" else None
        self.connected: nn.Sequential | None = network.classifier[:-1] if features == "fc7" else None
        channels_last_(self)

    def forward(self, video: Tensor) -> Features:
        """Return features of float ``[B, 3, T, H, W]`` in [0, 1]."""
        maps = self._maps(video)
        return Features(map=maps, pooled=maps.mean((2, 3, 4)))

    def frame_features(self, video: Tensor) -> Tensor:
        """Return float ``[B, T, D]``, features of each frame of float ``[B, 3, T, H, W]`` in [0, 1]."""
        return self._maps(video).mean((3, 4)).transpose(1, 2)

    def _maps(self, video: Tensor) -> Tensor:
        batch, _, frames, _, _ = video.shape
        images = self.normalise(video).transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x: Tensor = self.convolutions(images)
        if self.grid is not None and self.connected is not None:
            x = self.connected(self.grid(x).flatten(1))[:, :, None, None]
        return x.unflatten(0, (batch, frames)).transpose(1, 2)
