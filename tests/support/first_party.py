"""The project's own plugins, found in the source tree: without entry points, whatever is installed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from vssl_core.plugins import Registry

__all__ = ["first_party_registry", "packages"]

_ROOTS = tuple(Path(__file__).parents[2] / name for name in ("plugins", "benchmarks"))

# An editable install knows the packages that were there when it was made; a newer one is found here.
sys.path.extend(str(root) for root in _ROOTS if str(root) not in sys.path)


def packages() -> list[str]:
    """Return the names of the packages that hold a plugin, sorted."""
    return sorted(place.parent.name for root in _ROOTS for place in root.glob("vssl_*/plugin.py"))


def first_party_registry() -> Registry:
    """Return everything that the project itself offers."""
    plugins: dict[str, object] = {name: importlib.import_module(f"{name}.plugin") for name in packages()}
    return Registry.discover(plugins=plugins, entry_points=False, disable=())
