"""Small jobs by which launchers are checked; they run in the launcher's processes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

__all__ = ["double", "fail", "sleep"]


def double(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``{"y": 2 * x}``."""
    return {"y": 2 * payload["x"]}


def fail(payload: Mapping[str, Any]) -> None:
    """Raise.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError(payload["message"])


def sleep(payload: Mapping[str, Any]) -> None:
    """Do nothing for a while."""
    time.sleep(payload["seconds"])
