"""Where vssl keeps what it can make again: indices, decoded frames, generated sets."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["home"]


def home() -> Path:
    """Return ``$VSSL_HOME``, or the user's cache folder of this platform where that is not set.

    The folder need not exist yet; whoever writes below it makes it.
    """
    named = os.environ.get("VSSL_HOME", "")
    return Path(named).expanduser().absolute() if named else Path(platformdirs.user_cache_dir("vssl"))
