"""How a verb reads ``[CONFIG.yaml] key=value ...``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vssl_core.errors import ConfigError

__all__ = ["split_arguments"]


def split_arguments(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the YAML file, if one is named, and the ``key=value`` arguments.

    Raises:
        ConfigError: two files are named, or an argument is neither.
    """
    files, overrides = [], []
    for argument in arguments:
        if "=" in argument and not Path(argument).is_file():
            overrides.append(argument)
        elif argument.endswith((".yaml", ".yml")) or Path(argument).is_file():
            files.append(argument)
        else:
            raise ConfigError(f"'{argument}' is neither a YAML file nor key=value, such as task=rtt@tiny or steps=100")
    if len(files) > 1:
        raise ConfigError(f"expected one YAML file, got {', '.join(files)}; give the rest as key=value")
    return (files[0] if files else None), overrides
