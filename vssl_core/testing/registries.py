"""A registry of chosen plugins, for tests."""

from __future__ import annotations

from vssl_core.plugins import Registry

__all__ = ["isolated_registry"]


def isolated_registry(*, installed: bool = False, **plugins: object) -> Registry:
    """Return a registry of ``plugins`` alone, whatever is installed and whatever ``VSSL_DISABLE_PLUGINS`` says.

    Args:
        installed: ``True``: the installed plugins too, for tasks that get other components by name.
        **plugins: modules or objects with hooks; ``acme_speed=acme_speed.plugin`` is listed as ``acme-speed``.

    >>> isolated_registry().names("tasks")
    []
    """
    named = {name.replace("_", "-"): plugin for name, plugin in plugins.items()}
    return Registry.discover(plugins=named, entry_points=installed, disable=())
