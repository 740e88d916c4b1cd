"""Offers the networks: small ones, those of the papers, and every network of timm, frame by frame."""

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
        provides=frozenset({"map", "temporal"}),
    )
    yield Spec(
        name="r3d-18",
        target="vssl_backbones.video_resnets:R3D18",
        config="vssl_backbones.config:R3D18Config",
        summary="torchvision's R3D-18 without its classifier, 33.2 M parameters",
        paper="1711.11248",
        provides=frozenset({"map", "temporal"}),
    )
    yield Spec(
        name="r2plus1d-18",
        target="vssl_backbones.video_resnets:R2Plus1D18",
        config="vssl_backbones.config:R2Plus1D18Config",
        summary="torchvision's R(2+1)D-18 without its classifier, 31.3 M parameters",
        paper="1711.11248",
        provides=frozenset({"map", "temporal"}),
    )
    yield Spec(
        name="r3d-10",
        target="vssl_backbones.vcop_resnets:R3D10",
        config="vssl_backbones.config:R3D10Config",
        summary="R3D with one block a stage, as in VCOP, VCP, PRP and IIC, 14.4 M parameters",
        paper="1711.11248",
        provides=frozenset({"map", "temporal"}),
    )
    yield Spec(
        name="r2plus1d-10",
        target="vssl_backbones.vcop_resnets:R2Plus1D10",
        config="vssl_backbones.config:R2Plus1D10Config",
        summary="R(2+1)D with one block a stage, as in VCOP, VCP and PRP, 14.4 M parameters",
        paper="1711.11248",
        provides=frozenset({"map", "temporal"}),
    )
    yield Spec(
        name="c3d",
        target="vssl_backbones.c3d:C3D",
        config="vssl_backbones.config:C3DConfig",
        summary="C3D with batch norm and no fully connected layer, as in VCOP and its kin, 27.7 M parameters",
        paper="1412.0767",
        provides=frozenset({"map", "temporal"}),
    )
    yield Spec(
        name="s3d",
        target="vssl_backbones.s3d:S3D",
        config="vssl_backbones.config:S3DConfig",
        summary="torchvision's S3D (no gating) without its classifier, 7.9 M parameters",
        paper="1712.04851",
        provides=frozenset({"map", "temporal"}),
    )
    yield Spec(
        name="alexnet",
        target="vssl_backbones.alexnet:AlexNet",
        config="vssl_backbones.config:AlexNetConfig",
        summary="torchvision's AlexNet up to fc7 applied to every frame, 57 M parameters",
        paper="1404.5997",
        provides=frozenset({"map", "frames"}),
    )
    yield Spec(
        name="vit-tiny-video",
        target="vssl_backbones.vit:VideoViT",
        config="vssl_backbones.config:VideoViTConfig",
        summary="transformer on space-time tubelets that can encode a part of its tokens, 0.57 M parameters",
        paper="2203.12602",
        provides=frozenset({"map", "temporal", "tokens", "masking"}),
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
