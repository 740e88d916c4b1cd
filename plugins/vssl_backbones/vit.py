"""A small vision transformer on space-time tubelets that can encode a part of its tokens.

Papers: tubelets, Arnab et al., ViViT (arXiv 2103.15691, section 3.2); joint attention over the visible tokens alone and
fixed positions, Tong et al., VideoMAE (arXiv 2203.12602, section 3.3). Deviation: positions are sines and cosines of
each token's time, row and column, a third of the width for each, where VideoMAE encodes the token's number; they come
from the grid of the clip at hand, so that any number of frames and any size that tubelets divide will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from vssl_core.contracts import Features
from vssl_core.data.input_mode import InputMode
from vssl_core.errors import ConfigError

__all__ = ["VideoViT", "sincos_positions"]

Grid = tuple[int, int, int]


def sincos_positions(grid: Grid, dim: int, *, device: torch.device | None = None) -> Tensor:
    """Return float32 ``[t*h*w, dim]`` in [-1, 1]: sines and cosines of a token's time, row and column.

    Frequencies are ``10000**(-k/K)`` as in Vaswani et al. (arXiv 1706.03762, section 3.5), K for each of the three
    axes; where 6 does not divide ``dim``, the last columns are 0.
    """
    bands = dim // 6
    frequencies = 10000.0 ** (-torch.arange(bands, dtype=torch.float32, device=device) / max(1, bands))
    axes = [torch.arange(length, dtype=torch.float32, device=device) for length in grid]
    parts: list[Tensor] = []
    for coordinate in torch.meshgrid(*axes, indexing="ij"):
        angles = coordinate.reshape(-1, 1) * frequencies
        parts += [angles.sin(), angles.cos()]
    parts.append(torch.zeros(parts[0].shape[0], dim - 6 * bands, device=device))
    return torch.cat(parts, dim=1)


class VideoViT(nn.Module):
    """Transformer over tubelets, from float ``[B, 3, T, H, W]`` in [0, 1] to a map ``[B, dim, t, h, w]``.

    Args:
        dim: width of a token, ``embed_dim``.
        depth: transformer blocks.
        heads: attention heads; they divide ``dim``.
        mlp_ratio: hidden width of a block's MLP over ``dim``.
        tubelet: frames, rows and columns of pixels in a token.
        drop_path: probability with which the last block is skipped in training; earlier blocks less, linearly.
        input_mode: ``"raw"`` or ``"temporal-residual"``, see ``vssl_core.data.input_mode``.

    Raises:
        ConfigError: ``heads`` does not divide ``dim``, or ``tubelet`` is not three numbers >= 1.
    """

    def __init__(
        self,
        *,
        dim: int = 96,
        depth: int = 5,
        heads: int = 3,
        mlp_ratio: float = 4.0,
        tubelet: Sequence[int] = (2, 4, 4),
        drop_path: float = 0.0,
        input_mode: str = "temporal-residual",
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(
                f"backbone.dim={dim} is no multiple of backbone.heads={heads}; choose heads that divide it"
            )
        if len(tubelet) != 3 or min(tubelet) < 1:
            raise ConfigError(f"backbone.tubelet={list(tubelet)}; expected frames, rows and columns, such as [2,4,4]")
        self.embed_dim = dim
        self.input_mode = input_mode
        self.sampling: Mapping[str, Any] = {}
        self.patch_size: Grid = (int(tubelet[0]), int(tubelet[1]), int(tubelet[2]))
        self.normalise = InputMode(input_mode)
        self.project = nn.Linear(3 * self.patch_size[0] * self.patch_size[1] * self.patch_size[2], dim)
        rates = torch.linspace(0.0, drop_path, depth).tolist()
        self.blocks = nn.ModuleList(
            Block(dim, heads, mlp_ratio=mlp_ratio, qkv_bias=True, drop_path=rate) for rate in rates
        )
        self.norm = nn.LayerNorm(dim)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def preprocess(self, video: Tensor) -> Tensor:
        """Return the normalised video that ``embed`` takes, same shape; its last frame is repeated to fill a tubelet.

        Args:
            video: float ``[B, 3, T, H, W]`` in [0, 1].
        """
        missing = -video.shape[2] % self.patch_size[0]
        if missing:
            video = torch.cat([video, video[:, :, -1:].expand(-1, -1, missing, -1, -1)], dim=2)
        normalised: Tensor = self.normalise(video)
        return normalised

    def embed(self, video: Tensor) -> tuple[Tensor, Grid]:
        """Return tokens ``[B, N, dim]``, positions added, and their grid ``(t, h, w)`` in row-major order.

        Args:
            video: float ``[B, 3, T, H, W]`` as ``preprocess`` returns it.

        Raises:
            ConfigError: a tubelet does not divide the clip.
        """
        batch, channels, *shape = video.shape
        t, h, w = (length // size for length, size in zip(shape, self.patch_size, strict=True))
        if any(length % size or not length for length, size in zip(shape, self.patch_size, strict=True)):
            raise ConfigError(
                f"clips of {shape[0]} frames, {shape[1]}x{shape[2]} pixels are no multiple of "
                f"backbone.tubelet={list(self.patch_size)}; change frames, size or the tubelet"
            )
        pt, ph, pw = self.patch_size
        x = video.reshape(batch, channels, t, pt, h, ph, w, pw).permute(0, 2, 4, 6, 1, 3, 5, 7)
        tokens = self.project(x.reshape(batch, t * h * w, channels * pt * ph * pw))
        return tokens + sincos_positions((t, h, w), self.embed_dim, device=tokens.device).to(tokens.dtype), (t, h, w)

    def encode(self, tokens: Tensor, keep: Tensor) -> Tensor:
        """Run the blocks on the tokens in ``keep`` alone; returns ``[B, K, dim]`` in the order of ``keep``.

        Args:
            tokens: float ``[B, N, dim]`` from ``embed``.
            keep: int64 ``[B, K]``, indices into N.
        """
        return self._blocks(tokens.gather(1, keep.unsqueeze(-1).expand(-1, -1, tokens.shape[2])))

    def forward(self, video: Tensor) -> Features:
        """Return features of float ``[B, 3, T, H, W]`` in [0, 1]; ``pooled`` is the mean over all tokens."""
        tokens, grid = self.embed(self.preprocess(video))
        tokens = self._blocks(tokens)
        return Features(map=tokens.transpose(1, 2).unflatten(2, grid), pooled=tokens.mean(1))

    def _blocks(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        normed: Tensor = self.norm(tokens)
        return normed
