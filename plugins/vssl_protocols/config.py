"""Options of the protocols. Every one decides numbers, so every one is part of a result's identity."""

from __future__ import annotations

from dataclasses import dataclass

from vssl_core.config.schema import option

__all__ = [
    "LinearProbeConfig",
    "NearestNeighboursConfig",
    "RetrievalConfig",
    "ShortcutAuditConfig",
    "TemporalSensitivityConfig",
]

_STRENGTHS = [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0]


@dataclass(kw_only=True, slots=True)
class _FrozenOptions:
    """How videos are read for frozen features."""

    frames: int = option(16, "frames a clip", minimum=1)
    stride: int = option(2, "distance between two of them, in frames of the video", minimum=1)
    clips: int = option(10, "clips a video, spread evenly; their features are averaged", minimum=1)
    size: int = option(112, "height and width in pixels: short side scaled, centre cropped", minimum=8)
    whole: bool = option(False, "spread each clip's frames over the whole video instead of using stride")
    settle_batches: int = option(
        10,
        "batches of 32 training clips on which batch norm is re-estimated before extraction; 0: left as trained",
        minimum=0,
    )


@dataclass(kw_only=True, slots=True)
class LinearProbeConfig(_FrozenOptions):
    """Options of ``linear-probe``."""

    standardise: bool = option(True, "bring every feature to mean 0 and deviation 1 on the training videos")
    strengths: list[float] = option(_STRENGTHS, "inverse L2 strengths C to choose from on the validation split")


@dataclass(kw_only=True, slots=True)
class NearestNeighboursConfig(_FrozenOptions):
    """Options of ``knn``."""

    standardise: bool = option(True, "bring every feature to mean 0 and deviation 1 on the training videos")
    neighbours: list[int] = option([1, 5, 10, 20, 50, 100], "numbers k to choose from on the validation split")
    temperature: float = option(0.07, "a neighbour of cosine s votes with exp(s / temperature)", minimum=1e-3)


@dataclass(kw_only=True, slots=True)
class RetrievalConfig(_FrozenOptions):
    """Options of ``retrieval``."""

    stride: int = option(1, "distance between two of them, in frames of the video", minimum=1)
    settle_batches: int = option(
        0,
        "batches of 32 training clips on which batch norm is re-estimated before extraction; 0: left as trained",
        minimum=0,
    )
    standardise: bool = option(False, "bring every feature to mean 0 and deviation 1 on the training videos")
    ranks: list[int] = option([1, 5, 10, 20, 50], "numbers k for recall@k; the first one is the primary metric")


@dataclass(kw_only=True, slots=True)
class TemporalSensitivityConfig(_FrozenOptions):
    """Options of ``temporal-sensitivity``."""

    standardise: bool = option(True, "bring every feature to mean 0 and deviation 1 on the training videos")
    strengths: list[float] = option(_STRENGTHS, "inverse L2 strengths C to choose from on the validation split")


@dataclass(kw_only=True, slots=True)
class ShortcutAuditConfig:
    """Options of ``shortcut-audit``."""

    perturbations: list[str] = option(
        ["frozen", "shuffled", "reencoded", "cropped", "grey"],
        "what is taken away, one at a time",
        choices=("frozen", "shuffled", "reencoded", "cropped", "grey"),
    )
    crf: int = option(35, "reencoded: constant rate factor of H.264; higher is coarser", minimum=0, maximum=51)
    border: float = option(
        0.1, "cropped: part of height and width that is cut off each border", minimum=0.01, maximum=0.45
    )
    batches: int = option(0, "batches of held-out videos, as large as pretraining's; 0: all of them", minimum=0)
