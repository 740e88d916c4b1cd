"""What copies were made of: the hash of a file's content, and the note of it that lies beside copies."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

__all__ = ["ORIGINS", "content_hash", "read_map"]

#: below the root of copies: JSON, path of a copy -> content hash of the file that it was made of
ORIGINS = ".vssl-origins.json"


def content_hash(file: Path | str) -> str:
    """Return the BLAKE2b hash of a file's bytes, 32 hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def read_map(file: Path) -> dict[str, Any]:
    """Return what stands in a file of JSON; nothing where it is missing or broken: it can be found out again."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
