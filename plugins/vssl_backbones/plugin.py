"""Offers the networks: three that train from nothing on clips, and every network of timm, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_backbones", "vssl_resolvers"]


@hookimpl
def vssl_backbones() -> Iterator[Spec]:
    """Yield the listed networks."""
    yield Spec(
        name="r2plus1d-tiny",
        target="vssl_backbones.r2plus1d:R2Plus1D",
        config="vssl_backbones.config:R2Plus1DConfig",
        summary="R(2+1)D with one residual block a stage, widths 16-128, 0.44 M parameters",
        paper="1711.11248",
        provides=frozenset({"map"}),
    )
    yield Spec(
        name="r3d-18",
        target="vssl_backbones.r3d:R3D18",
        config="vssl_backbones.config:R3D18Config",
        summary="torchvision's R3D-18 without its classifier, 33 M parameters",
        paper="1711.11248",
        provides=frozenset({"map"}),
    )
    yield Spec(
        name="vit-tiny-video",
        target="vssl_backbones.vit:VideoViT",
        config="vssl_backbones.config:VideoViTConfig",
        summary="transformer on space-time tubelets that can encode a part of its tokens, 0.57 M parameters",
        paper="2203.12602",
        provides=frozenset({"map", "tokens", "masking"}),
    )


@hookimpl
def vssl_resolvers() -> Iterator[Spec]:
    """Yield the family ``timm/NAME``."""
    yield Spec(
        name="backbones:timm",
        target="vssl_backbones.timm_frames:names",
        config="vssl_backbones.config:TimmFramesConfig",
        summary="any network of timm applied to every frame, averaged over time",
        provides=frozenset({"map", "frames"}),
    )
