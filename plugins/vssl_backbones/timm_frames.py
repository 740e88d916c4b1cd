"""``timm/NAME``: a network for images applied to every frame, averaged over time.

``names`` and ``member`` are what the registry asks of a resolver. timm and torch are imported by ``member`` alone, so
that listing the family costs milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vssl_backbones.timm_names import timm_names
from vssl_core.errors import PluginError, near_names

if TYPE_CHECKING:
    from vssl_backbones.timm_network import TimmFrames

__all__ = ["member", "names"]


def names() -> Sequence[str]:
    """Return the networks of the installed timm, without importing it."""
    return timm_names()


def member(
    name: str, *, pretrained: bool = False, tag: str = "", img_size: int = 0, input_mode: str = "raw"
) -> TimmFrames:
    """Build ``timm/NAME``; the options are those of ``TimmFrames``.

    Raises:
        PluginError: timm is not installed, has no network of that name, or its weights cannot be had.
        ConfigError: the network cannot be built for ``img_size``.
    """
    known = timm_names()
    if name not in known:
        if not known:
            raise PluginError(f"backbone timm/{name} needs timm, which is not installed: pip install timm")
        raise PluginError(f"timm has no network '{name}'{near_names(name, known)} (all: timm.list_models())")
    from vssl_backbones.timm_network import TimmFrames

    return TimmFrames(name, pretrained=pretrained, tag=tag, img_size=img_size, input_mode=input_mode)
