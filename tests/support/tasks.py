"""A network, videos and batches small enough for tests of pretext tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from support.videos import pictures
from vssl_core.contracts import Batch, Features, Video, View
from vssl_core.data.flow import compute_flow
from vssl_core.plugins import Registry


class TinyNet(nn.Module):
    """One convolution with batch norm; ``embed_dim`` 16. Encodes a part of its tokens too: tubelets 2 x 4 x 4."""

    def __init__(self, input_mode: str = "raw") -> None:
        super().__init__()
        self.embed_dim = 16
        self.input_mode = input_mode
        self.sampling: Mapping[str, Any] = {}
        self.patch_size = (2, 4, 4)
        self.conv = nn.Conv3d(3, 16, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm3d(16)
        self.tubelets = nn.Conv3d(3, 16, self.patch_size, self.patch_size)
        self.mix = nn.Linear(16, 16)

    def forward(self, video: Tensor) -> Features:
        feature_map = torch.relu(self.norm(self.conv(video)))
        return Features(feature_map, feature_map.mean((2, 3, 4)))

    def preprocess(self, video: Tensor) -> Tensor:
        return (video - 0.5) / 0.25

    def embed(self, video: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        x = self.tubelets(video)
        return x.flatten(2).transpose(1, 2), tuple(x.shape[2:])  # type: ignore[return-value]

    def encode(self, tokens: Tensor, keep: Tensor) -> Tensor:
        visible = tokens.gather(1, keep[..., None].expand(-1, -1, tokens.shape[2]))
        return self.mix(torch.relu(visible + visible.mean(1, keepdim=True)))


def registry() -> Registry:
    """Return the first-party tasks and heads, without the entry points."""
    import vssl_baselines.plugin
    import vssl_contrast.plugin
    import vssl_heads.plugin
    import vssl_masked.plugin
    import vssl_motion.plugin
    import vssl_order.plugin
    import vssl_spatial.plugin
    import vssl_speed.plugin

    offered = (
        vssl_baselines,
        vssl_contrast,
        vssl_heads,
        vssl_masked,
        vssl_motion,
        vssl_order,
        vssl_spatial,
        vssl_speed,
    )
    return Registry.discover(plugins={m.__name__: m.plugin for m in offered}, entry_points=False)


def video(index: int = 0, n_frames: int = 32) -> Video:
    """Return a row of a data set that is nowhere on disk."""
    return Video(index, f"v{index}.mp4", f"/nowhere/v{index}.mp4", n_frames, 25.0, n_frames / 25.0, (32, 32))


def _shown(view: View, pixels: Tensor) -> Tensor:
    """Return uint8 frames ``[T, H, W, 3]``, or float16 flow ``[T - 1, H, W, 2]`` where the view asks for it."""
    return pixels if view.flow is None else torch.from_numpy(compute_flow(view.flow, pixels.numpy()))


def make_batch(
    task: Any, n: int = 6, *, n_frames: int = 32, labels: Sequence[int] | None = None, moving: bool = False
) -> Batch:
    """Plan ``n`` videos and show noise that is the same wherever the same frame of a video is asked for.

    ``moving``: a square before a drifting background instead of noise, for tasks that follow things through frames.
    """
    planner = task.planner()
    views: list[list[Tensor]] = []
    targets: list[Mapping[str, Any]] = []
    for index in range(n):
        planned, target = planner(video(index, n_frames), np.random.default_rng(index))
        height, width = planned[0].size
        if moving:
            pixels = torch.from_numpy(pictures(n_frames, height, width, seed=index))
        else:
            noise = torch.Generator().manual_seed(index)
            pixels = torch.randint(0, 256, (n_frames, height, width, 3), dtype=torch.uint8, generator=noise)
        views.append([_shown(view, pixels[torch.from_numpy(view.frames)]) for view in planned])
        targets.append(target)
    stacked = {name: torch.stack([torch.as_tensor(target[name]) for target in targets]) for name in targets[0]}
    if labels is not None:
        stacked["label"] = torch.tensor(labels)
    seeds = torch.arange(n) * 104_729 + 3
    return Batch(tuple(torch.stack(list(view)) for view in zip(*views, strict=True)), stacked, seeds, torch.arange(n))


def losses_on(task: Any, batch: Batch, steps: int) -> list[float]:
    """Train on one augmented batch and return the loss of every step."""
    optimizer = torch.optim.Adam(task.param_groups(), lr=3e-3)
    losses = []
    for _ in range(steps):
        loss = task(batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
