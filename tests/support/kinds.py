"""One network of each kind, and which tasks can go with them."""

from __future__ import annotations

from vssl_core.contracts import Spec
from vssl_core.plugins import Registry

#: a 3D network, a video transformer, a network and a transformer for single frames
KINDS = ("r2plus1d-tiny", "vit-tiny-video", "timm/test_resnet", "timm/test_vit")

#: what no capability says: recipes ``tiny`` whose clips do not suit these networks, and why
REFUSED = {
    ("colorization", "timm/test_resnet"): "points at places, and this network's map of 32 x 32 pixels has one",
    ("cubic-puzzle", "timm/test_vit"): "does not take frames of 24x24 pixels",
    ("speednet", "timm/test_vit"): "does not take frames of 24x24 pixels",
}


def able(spec: Spec, registry: Registry) -> list[str]:
    """Return the kinds that offer what a task requires."""
    return [kind for kind in KINDS if spec.requires <= registry.resolve("backbones", kind).spec.provides]
