"""``videomae``: reconstruct the pixels behind a tube mask.

Paper: Z. Tong, Y. Song, J. Wang, L. Wang, "VideoMAE: Masked Autoencoders are Data-Efficient Learners for
Self-Supervised Video Pre-Training", NeurIPS 2022, arXiv 2203.12602. Official code: https://github.com/MCG-NJU/VideoMAE.

Implemented: a tube mask over space (section 3.3), the encoder on visible tokens alone, a linear map without bias to the
decoder's width, a learned mask token, fixed sine-cosine positions of the decoder, narrow pre-norm blocks over visible,
then masked tokens, and the mean squared error on masked patches alone, each patch standardised channel by channel
(official ``modeling_pretrain``, ``engine_for_pretraining``, ``masking_generator``). The mask ratio is rounded down, as
officially.

Where this deviates:

- The target is what the backbone embeds (``backbone.preprocess``). For ``input_mode="raw"`` that is the official
  target, since standardised patches do not change with the mean and deviation of a channel; for ``"temporal-residual"``
  it is the residual.
- The random crop takes any scale from ``crop_scale`` up and aspect ratios from 3/4 to 4/3; officially fixed scales 1,
  .875, .75, .66.
- The mask ratio defaults to 0.9, the paper's; the official argument's default is 0.75, its scripts set 0.9.
- Positions of the encoder are the backbone's business. No drop path in the decoder, as officially by default.

There are no classes, hence no accuracy and no ``chance``: a reconstruction loss says little of features.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from vssl_core.contracts import Batch, Explanation, StepOutput
from vssl_core.data.plan import OneClip
from vssl_core.data.transforms import augment_clip
from vssl_core.engine.task import BaseTask
from vssl_core.errors import ConfigError
from vssl_masked.patches import normalise_patches, patches, sinusoid_table, tube_mask

__all__ = ["VideoMAE"]

#: stream of the mask's draw; augmentations use others
_MASK_STREAM = 641


class VideoMAE(BaseTask):
    """Masked autoencoder of video (Tong et al. 2022).

    Raises:
        ConfigError: the backbone cannot encode a part of its tokens, or heads do not divide the decoder's width.
    """

    def __init__(
        self,
        backbone: Any,
        *,
        frames: int = 16,
        stride: int = 4,
        size: int = 224,
        read_size: int = 0,
        fit: str = "short-side-crop",
        crop_scale: float = 0.5,
        flip: float = 0.5,
        jitter: float = 0.0,
        short_video: str = "error",
        mask_ratio: float = 0.9,
        normalise_target: bool = True,
        decoder_dim: int = 0,
        decoder_depth: int = 4,
        decoder_heads: int = 0,
    ) -> None:
        super().__init__(backbone)
        if missing := [name for name in ("preprocess", "embed", "encode", "patch_size") if not hasattr(backbone, name)]:
            raise ConfigError(
                f"videomae masks tokens, {type(backbone).__name__} has no {', '.join(missing)}; choose a backbone that "
                "provides 'masking', such as vit-tiny-video"
            )
        dim = decoder_dim or max(1, backbone.embed_dim // 2)
        heads = decoder_heads or max(1, dim // 64)
        if dim % heads:
            raise ConfigError(
                f"task.decoder_heads={heads} does not divide task.decoder_dim={dim}; choose heads that do"
            )
        read = read_size or size
        self._planner = OneClip("videomae", frames, stride, (read, read), fit, short_video)
        self._augmentation: dict[str, Any] = {"size": size, "crop_scale": crop_scale, "flip": flip, "jitter": jitter}
        self.mask_ratio = mask_ratio
        self.normalise_target = normalise_target
        pt, ph, pw = backbone.patch_size
        self.to_decoder = nn.Linear(backbone.embed_dim, dim, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.decoder = nn.ModuleList(Block(dim, heads, qkv_bias=True) for _ in range(decoder_depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.predict = nn.Linear(dim, pt * ph * pw * 3)
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.02, b=0.02)
        for layer in [*self.decoder.modules(), self.predict]:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def planner(self) -> OneClip:
        """Return what draws the clip."""
        return self._planner

    def augment(self, batch: Batch) -> Batch:
        """One crop and flip a clip: uint8 ``[B, T, H, W, 3]`` to float ``[B, 3, T, size, size]`` in [0, 1]."""
        return batch._replace(views=(augment_clip(batch.views[0], batch.seeds, **self._augmentation),))

    def explain(self, batch: Batch) -> list[Explanation]:
        """Show what is visible of each clip: the hidden tubes are black."""
        clip = batch.views[0]
        size = self.backbone.patch_size
        grid = (clip.shape[2] // size[0], clip.shape[3] // size[1], clip.shape[4] // size[2])
        visible, masked = tube_mask(batch.seeds, grid, self.mask_ratio, stream=_MASK_STREAM)
        kept = torch.zeros(len(clip), grid[0] * grid[1] * grid[2], device=clip.device).scatter_(1, visible, 1.0)
        pixels = F.interpolate(kept.reshape(-1, 1, *grid), size=tuple(clip.shape[2:]), mode="nearest")
        return [
            Explanation(
                "What is behind the mask? Only the uncovered tubes are seen, the pixels of the others are predicted.",
                f"{masked.shape[1]} of {kept.shape[1]} patches are hidden, the same places in every frame",
                captions=("the clip",),
                pictures=(("what the network sees", shown),),
            )
            for shown in clip * pixels
        ]

    def targets(self, video: Tensor) -> Tensor:
        """Return what tokens are to predict, float32 ``[B, N, P*3]``, of a preprocessed video ``[B, 3, T, H, W]``."""
        cut = patches(video.detach().float(), self.backbone.patch_size)
        return (normalise_patches(cut) if self.normalise_target else cut).flatten(2)

    def forward(self, batch: Batch) -> StepOutput:
        """Mean squared error on the masked patches; also the metric ``loss``."""
        video = self.backbone.preprocess(batch.views[0])
        tokens, grid = self.backbone.embed(video)
        visible, masked = tube_mask(batch.seeds, grid, self.mask_ratio, stream=_MASK_STREAM)
        encoded = self.to_decoder(self.backbone.encode(tokens, visible))
        position = sinusoid_table(tokens.shape[1], encoded.shape[2]).to(encoded)
        # Visible tokens first, masked ones behind them: positions tell which is which, attention knows no order.
        x = torch.cat([encoded + position[visible], self.mask_token.to(encoded) + position[masked]], dim=1)
        for block in self.decoder:
            x = block(x)
        prediction = self.predict(self.norm(x[:, visible.shape[1] :]))
        target = self.targets(video)
        target = target.gather(1, masked[..., None].expand(-1, -1, target.shape[2]))
        loss = F.mse_loss(prediction.float(), target)
        return StepOutput(loss, {"loss": loss.detach()})
