"""Words for the strides at which clips are read."""

from __future__ import annotations

__all__ = ["every_nth_frame"]


def every_nth_frame(n: int) -> str:
    """Return ``"every frame"``, ``"every 2nd frame"``, ``"every 21st frame"``."""
    if n == 1:
        return "every frame"
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"every {n}{ending} frame"
