"""What this package offers."""

from __future__ import annotations

from collections.abc import Iterator

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_launchers"]


@hookimpl
def vssl_launchers() -> Iterator[Spec]:
    """Offer ``local``."""
    yield Spec(
        name="local",
        target="vssl_launchers.local:LocalLauncher",
        config="vssl_launchers.config:LocalLauncher",
        summary="warm worker processes on this machine",
    )
