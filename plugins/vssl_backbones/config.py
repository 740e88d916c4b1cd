"""Options of the networks."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import option

__all__ = [
    "AlexNetConfig",
    "C3DConfig",
    "R2Plus1D10Config",
    "R2Plus1D18Config",
    "R2Plus1DConfig",
    "R3D10Config",
    "R3D18Config",
    "S3DConfig",
    "TimmFramesConfig",
    "VideoViTConfig",
]

_INPUT_MODES = ("raw", "temporal-residual")
_INPUT_MODE_DOC = (
    "what the network sees: raw (pixels, by channel mean and deviation) or temporal-residual "
    "(the clip's mean over time subtracted, divided by what deviates)"
)


@dataclass(kw_only=True, slots=True)
class R2Plus1DConfig:
    """Options of ``r2plus1d-tiny``."""

    widths: list[int] = option([16, 32, 64, 128], "channels of the stages; one residual block each")
    stem_stride: int = option(2, "stride in space of the first convolution", minimum=1, maximum=4)
    input_mode: str = option("temporal-residual", _INPUT_MODE_DOC, choices=_INPUT_MODES)


@dataclass(kw_only=True, slots=True)
class R3D18Config:
    """Options of ``r3d-18``."""

    input_mode: str = option("raw", _INPUT_MODE_DOC, choices=_INPUT_MODES)


@dataclass(kw_only=True, slots=True)
class R2Plus1D18Config:
    """Options of ``r2plus1d-18``."""

    input_mode: str = option("raw", _INPUT_MODE_DOC, choices=_INPUT_MODES)


@dataclass(kw_only=True, slots=True)
class R3D10Config:
    """Options of ``r3d-10``; raw input is pixels in [0, 1]."""

    input_mode: str = option("raw", _INPUT_MODE_DOC, choices=_INPUT_MODES)


@dataclass(kw_only=True, slots=True)
class R2Plus1D10Config:
    """Options of ``r2plus1d-10``; raw input is pixels in [0, 1]."""

    input_mode: str = option("raw", _INPUT_MODE_DOC, choices=_INPUT_MODES)


@dataclass(kw_only=True, slots=True)
class C3DConfig:
    """Options of ``c3d``; raw input is pixels in [0, 1]."""

    input_mode: str = option("raw", _INPUT_MODE_DOC, choices=_INPUT_MODES)


@dataclass(kw_only=True, slots=True)
class S3DConfig:
    """Options of ``s3d``."""

    norm_momentum: float = option(
        0.001,
        "part of a batch in batch norm's running statistics; 0.1 for runs of fewer than some thousand steps",
        minimum=1e-4,
        maximum=1.0,
    )
    input_mode: str = option("raw", _INPUT_MODE_DOC, choices=_INPUT_MODES)


@dataclass(kw_only=True, slots=True)
class AlexNetConfig:
    """Options of ``alexnet``."""

    features: str = option(
        "fc7", "fc7: 4096 numbers a frame; conv5: the last convolution's 256 channels", choices=("fc7", "conv5")
    )
    dropout: float = option(0.5, "probability before fc6 and fc7", minimum=0.0, maximum=0.99)
    input_mode: str = option("raw", _INPUT_MODE_DOC, choices=_INPUT_MODES)


@dataclass(kw_only=True, slots=True)
class VideoViTConfig:
    """Options of ``vit-tiny-video``."""

    dim: int = option(96, "width of a token; a multiple of heads, and even", minimum=6)
    depth: int = option(5, "transformer blocks", minimum=1)
    heads: int = option(3, "attention heads", minimum=1)
    mlp_ratio: float = option(4.0, "hidden width of a block's MLP over dim", minimum=0.5)
    tubelet: list[int] = option([2, 4, 4], "frames, rows and columns of pixels that make a token")
    drop_path: float = option(
        0.0, "largest probability with which a block is skipped in training", minimum=0.0, maximum=0.9
    )
    input_mode: str = option("temporal-residual", _INPUT_MODE_DOC, choices=_INPUT_MODES)


@dataclass(kw_only=True, slots=True)
class TimmFramesConfig:
    """Options of ``timm/NAME``."""

    pretrained: bool = option(False, "start from timm's published weights, fetched from the Hugging Face hub")
    tag: str = option("", "which published weights, such as a1_in1k; empty: timm's default; for pretrained=true")
    img_size: int = option(0, "height and width for networks of a fixed input size; 0: timm's own", minimum=0)
    input_mode: str = option("raw", _INPUT_MODE_DOC, choices=_INPUT_MODES)
