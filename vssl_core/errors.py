"""Every error that vssl raises on purpose.

A message says what went wrong, where (config key, file, plugin), what was expected and what to do next. The
command line prints the message alone and exits non-zero; any other exception is a bug and shows its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CheckpointError",
    "ClipError",
    "ConfigError",
    "DataError",
    "PluginError",
    "RecordError",
    "TrainingError",
    "VsslError",
    "near_names",
]


class VsslError(Exception):
    """Base of all of vssl's own errors."""


class PluginError(VsslError):
    """A plugin or a component is missing, broken, offered twice or does not keep its contract."""


class ConfigError(VsslError):
    """A configuration value is unknown, of the wrong type, out of range or impossible in combination."""


class DataError(VsslError):
    """A data set is missing, malformed, overlapping another one, or has too many unreadable videos."""


class ClipError(VsslError):
    """One video cannot give the clip asked of it; the sample is left out and the video is quarantined."""


class CheckpointError(VsslError):
    """A checkpoint or an exported encoder is missing, incomplete or of another model."""


class RecordError(VsslError):
    """A record cannot be read, written or compared."""


class TrainingError(VsslError):
    """Training cannot go on: the loss or a gradient is no longer finite."""


def near_names(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'a' or 'b'?"`` for an unknown name, or ``""`` where nothing is near."""
    matches = difflib.get_close_matches(name, list(known), n=3, cutoff=0.55)
    if not matches:
        return ""
    return "; did you mean " + " or ".join(repr(match) for match in matches) + "?"
