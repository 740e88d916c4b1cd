"""A network of timm on the frames of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import Tensor, nn

from vssl_backbones.layout import channels_last_
from vssl_core.contracts import Features
from vssl_core.data.input_mode import InputMode
from vssl_core.errors import ConfigError, PluginError

__all__ = ["TimmFrames"]


def _create(name: str, pretrained: bool, img_size: int) -> nn.Module:
    options: dict[str, Any] = {"img_size": img_size} if img_size else {}
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        # Networks that do not take it are those that run at any size.
        return timm.create_model(name, pretrained=pretrained, num_classes=0)
    except (AssertionError, ValueError) as error:
        raise ConfigError(f"backbone timm/{name} cannot be built with img_size={img_size}: {error}") from error
    except Exception as error:  # the hub's clients raise types of their own, which change with their versions
        if not pretrained:
            raise
        raise PluginError(
            f"backbone timm/{name}, pretrained=true: its weights cannot be had ({type(error).__name__}: {error}); "
            "give the machine access to huggingface.co or a filled HF_HOME, name a tag that timm.list_pretrained() "
            "shows, or set pretrained=false"
        ) from error


class TimmFrames(nn.Module):
    """Frames one by one through timm's NAME, from float ``[B, 3, T, H, W]`` in [0, 1] to a map ``[B, D, T, h, w]``.

    A frame's features are what timm's own classifier would see, or the mean over the frame's map where those have
    another width than the map; a clip's are the mean over its frames.

    Args:
        name: timm's name of the architecture.
        pretrained: fetch published weights. Raw input is normalised as they ask, fetched or not.
        tag: which published weights; empty: timm's default.
        img_size: handed to networks of a fixed input size; 0: timm's own size.
        input_mode: ``"raw"`` or ``"temporal-residual"``, see ``vssl_core.data.input_mode``.

    Raises:
        PluginError: the weights cannot be had.
        ConfigError: the network cannot be built for ``img_size``.
    """

    def __init__(
        self, name: str, *, pretrained: bool = False, tag: str = "", img_size: int = 0, input_mode: str = "raw"
    ) -> None:
        super().__init__()
        self.name = name
        self.network = _create(f"{name}.{tag}" if tag else name, pretrained, img_size)
        self.embed_dim = int(self.network.num_features)  # type: ignore[arg-type]
        self.input_mode = input_mode
        self.sampling: Mapping[str, Any] = {}
        published: Any = self.network.pretrained_cfg
        self.normalise = InputMode(input_mode, mean=published["mean"], std=published["std"])
        self._own_pooling = self.network.head_hidden_size == self.embed_dim
        channels_last_(self)

    def forward(self, video: Tensor) -> Features:
        """Return features of float ``[B, 3, T, H, W]`` in [0, 1]."""
        maps, frames = self._frames(video)
        return Features(map=maps, pooled=frames.mean(1))

    def frame_features(self, video: Tensor) -> Tensor:
        """Return float ``[B, T, D]``, features of each frame of float ``[B, 3, T, H, W]`` in [0, 1]."""
        return self._frames(video)[1]

    def _frames(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map ``[B, D, T, h, w]`` and the frames' features ``[B, T, D]``."""
        batch, _, frames, height, width = video.shape
        images = self.normalise(video).transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        try:
            output: Tensor = self.network.forward_features(images)  # type: ignore[operator]
        except AssertionError as error:  # timm asserts the size of networks with fixed positions
            raise ConfigError(
                f"backbone timm/{self.name} does not take frames of {height}x{width} pixels ({error}); "
                f"set backbone.img_size={height}, or the clip's size to the network's own"
            ) from error
        maps = self._as_map(output)
        if self._own_pooling:
            pooled: Tensor = self.network.forward_head(output, pre_logits=True)  # type: ignore[operator]
        else:
            pooled = maps.mean((2, 3))
        return maps.unflatten(0, (batch, frames)).transpose(1, 2), pooled.unflatten(0, (batch, frames))

    def _as_map(self, output: Tensor) -> Tensor:
        """Bring timm's layouts to ``[N, D, h, w]``: NCHW, NHWC, or tokens ``[N, L, D]`` after prefix tokens."""
        if output.ndim == 4:
            return output.permute(0, 3, 1, 2) if getattr(self.network, "output_fmt", "NCHW") == "NHWC" else output
        if output.ndim == 3:
            tokens = output[:, getattr(self.network, "num_prefix_tokens", 0) :]
            side = round(tokens.shape[1] ** 0.5)
            # Tokens that form no square have no rows to restore: they are laid out as one.
            grid = (side, side) if side * side == tokens.shape[1] else (1, tokens.shape[1])
            return tokens.transpose(1, 2).unflatten(2, grid)
        if output.ndim == 2:
            return output[:, :, None, None]
        raise PluginError(
            f"timm/{self.name} returns features of shape {tuple(output.shape)}; expected 2 to 4 dimensions"
        )
