"""Names of timm's networks, read from its source: importing timm would import torch and take seconds."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

__all__ = ["timm_names"]

# A network's entry point is a function under this decorator; other decorators may stand between the two.
_ENTRY_POINT = re.compile(r"^@register_model\b[^\n]*\n(?:@[^\n]*\n)*def\s+(\w+)\s*\(", re.MULTILINE)


@functools.cache
def timm_names() -> tuple[str, ...]:
    """Return every architecture that the installed timm registers, sorted; empty where timm is not installed."""
    spec = importlib.util.find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        return ()
    found: set[str] = set()
    for place in spec.submodule_search_locations:
        for source in sorted((Path(place) / "models").glob("*.py")):
            try:
                found.update(_ENTRY_POINT.findall(source.read_text(encoding="utf-8")))
            except (OSError, UnicodeDecodeError):  # one unreadable module costs its own names alone
                continue
    return tuple(sorted(found))
