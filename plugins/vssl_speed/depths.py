"""Features of several depths of a backbone, read while it makes its own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from vssl_core.contracts import Features
from vssl_core.engine.task import evaluating
from vssl_core.errors import ConfigError

__all__ = ["Depths"]

#: what backbones call the sequence of their stages, the last of which makes their output
_SEQUENCES = ("stages", "blocks")


class Depths:
    """Runs a backbone and pools the outputs of its last stages.

    Stages are the members of a sub-module ``stages`` or ``blocks``. A backbone that has neither, such as ``timm/NAME``,
    has one depth: its output. It is no module and holds no weights: the backbone stays where it is.

    Attributes:
        names: of the depths, shallow to deep, such as ``("stages.3", "output")``.
        dims: width of the features of each.

    Args:
        backbone: gives ``Features``.
        levels: how many depths, its output among them; where it has fewer stages, all of them.
        frames: of a clip that it takes.
        size: height and width of that clip, in pixels.

    Raises:
        ConfigError: it does not take such clips, or which axis of a stage's output holds channels cannot be told.
    """

    def __init__(self, backbone: Any, levels: int, frames: int, size: int) -> None:
        self._stages: tuple[str, ...] = ()
        self._channels = 1
        self.names: tuple[str, ...] = ("output",)
        self.dims: tuple[int, ...] = (backbone.embed_dim,)
        sequence = next((name for name in _SEQUENCES if _is_sequence(getattr(backbone, name, None))), None)
        if levels > 1 and sequence is not None:
            count = len(getattr(backbone, sequence))
            self._stages = tuple(f"{sequence}.{place}" for place in range(max(0, count - levels), count))
            self._probe(backbone, frames, size)
            self._stages = self._stages[:-1]

    def __call__(self, backbone: Any, clip: Tensor) -> list[Tensor]:
        """Return pooled features ``[B, dims[k]]``, shallow to deep, of float ``[B, 3, T, H, W]`` in [0, 1].

        ``backbone`` is the one that this was made for, or a copy of it.
        """
        outputs, features = self._run(backbone, clip)
        return [self._pool(output) for output in outputs] + [features.pooled]

    def _run(self, backbone: Any, clip: Tensor) -> tuple[list[Tensor], Features]:
        """Return the outputs of the stages and the features."""
        outputs: list[Tensor] = []
        with ExitStack() as hooks:
            for name in self._stages:
                stage = backbone.get_submodule(name)
                handle = stage.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
                hooks.callback(handle.remove)
            features: Features = backbone(clip)
        return outputs, features

    def _pool(self, output: Tensor) -> Tensor:
        places = output.movedim(self._channels, 1).flatten(2)
        return places.mean(dim=2)

    def _probe(self, backbone: Any, frames: int, size: int) -> None:
        """Find out widths, and where stages have their channels: the last one's output has the shape of the map."""
        weight = next(iter(backbone.parameters()))
        try:
            with evaluating(backbone):
                outputs, features = self._run(
                    backbone, torch.zeros(1, 3, frames, size, size, device=weight.device, dtype=weight.dtype)
                )
        except (ConfigError, RuntimeError, ValueError, AssertionError) as error:
            raise ConfigError(
                f"{type(backbone).__name__} takes no clips of {frames} frames, {size}x{size} pixels ({error}); change "
                "task.frames or task.size"
            ) from error
        dim, grid = backbone.embed_dim, features.map.shape[2:]
        shape = tuple(outputs[-1].shape[1:])
        if shape in ((dim, *grid), (dim, grid.numel())):
            self._channels = 1
        elif shape in ((*grid, dim), (grid.numel(), dim)):
            self._channels = -1
        else:
            raise ConfigError(
                f"{self._stages[-1]} of {type(backbone).__name__} returns {shape}, its map is {(dim, *grid)}: where "
                "stages have their channels cannot be told; set task.levels=1"
            )
        self.names = (*self._stages[:-1], "output")
        self.dims = (*(output.shape[self._channels] for output in outputs[:-1]), dim)


def _is_sequence(module: object) -> bool:
    return isinstance(module, nn.Sequential | nn.ModuleList) and len(module) > 1
