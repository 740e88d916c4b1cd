"""Networks that see one frame at a time."""

from __future__ import annotations

from typing import Any

from vssl_core.errors import ConfigError

__all__ = ["require_frame_features"]


def require_frame_features(backbone: Any, task: str) -> None:
    """Refuse a backbone without features of single frames.

    Raises:
        ConfigError: it has no ``frame_features``.
    """
    if not hasattr(backbone, "frame_features"):
        raise ConfigError(
            f"{task} compares single frames, {type(backbone).__name__} gives features of whole clips alone; choose a "
            "backbone that provides 'frames', such as timm/resnet18 or alexnet"
        )
