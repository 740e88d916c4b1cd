"""What the verbs of one invocation share: the registry, discovered when it is first needed."""

from __future__ import annotations

from functools import cached_property

import click

from vssl_core.plugins import Registry

__all__ = ["State", "current_registry"]


class State:
    """The click context's object.

    Args:
        registry: used instead of discovering one.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        if registry is not None:
            self.registry = registry

    @cached_property
    def registry(self) -> Registry:
        """Everything that is installed."""
        return Registry.discover()


def current_registry() -> Registry:
    """Return the registry of the running command; commands of plugins may call it too."""
    return click.get_current_context().ensure_object(State).registry
