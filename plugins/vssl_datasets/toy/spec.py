"""What a synthetic set is: its name, sizes, seed and labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOTIONS = (
    "drift",
    "swing",
    "orbit",
    "spin-cw",
    "spin-ccw",
    "grow",
    "shrink",
    "stop-and-go",
)
APPEARANCES = ("plain", "halves", "stripes", "checker")
LAWS = ("gravity", "bounce", "pendulum", "friction", "balloon")


@dataclass(frozen=True, kw_only=True, slots=True)
class ToySpec:
    """The full description of one synthetic set; equal specs give equal videos.

    Small sets for tests come from ``dataclasses.replace(TOY_MOTION, n_train=24, n_test=16)``.
    """

    name: str  # picks the generator: "toy-motion" or "toy-physics"
    version: int  # raised whenever the videos of a seed change
    n_train: int  # videos on the training side, those of the validation split included
    n_test: int
    frames: int  # frames per video
    size: int  # height and width, px; even, because H.264 4:2:0 halves the chroma
    fps: int
    seed: int
    labels: tuple[tuple[str, tuple[str, ...]], ...]  # (label, its class names), in column order
    group_size: int = 10  # videos that share one background world
    val_fraction: float = 0.2  # share of the training side's groups that is held out as "val"

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be laid out or encoded."""
        if self.n_train < 2 or self.n_test < 1:
            raise ValueError("a toy set needs n_train >= 2 and n_test >= 1")
        if self.frames < 1 or self.fps < 1 or self.group_size < 1:
            raise ValueError("a toy set needs frames, fps and group_size >= 1")
        if self.size < 16 or self.size % 2:
            raise ValueError(f"size={self.size} px must be even and at least 16")
        if not 0.0 < self.val_fraction < 1.0:
            raise ValueError(f"val_fraction={self.val_fraction} must lie in (0, 1)")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["labels"] = [[label, list(classes)] for label, classes in self.labels]
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ToySpec:
        """Rebuild a spec from what :meth:`to_dict` returned."""
        labels = tuple((label, tuple(classes)) for label, classes in fields["labels"])
        return cls(**{**fields, "labels": labels})


TOY_MOTION = ToySpec(
    name="toy-motion",
    version=1,
    n_train=1000,
    n_test=1000,
    frames=32,
    size=32,
    fps=16,
    seed=20240,
    labels=(("motion", MOTIONS), ("appearance", APPEARANCES)),
)
TOY_PHYSICS = ToySpec(
    name="toy-physics",
    version=1,
    n_train=600,
    n_test=1000,
    frames=80,
    size=32,
    fps=16,
    seed=20241,
    labels=(("law", LAWS),),
)
