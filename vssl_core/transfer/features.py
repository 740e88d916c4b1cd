"""Features on disk, so that every frozen protocol, in whatever process, extracts them once."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vssl_core.store.runs import sync_folder
from vssl_core.transfer.extract import Extraction

__all__ = ["FeatureStore"]

# Raised when extraction changes what it returns for the same key.
_FORMAT = 1
_FIELDS = "vssl"


class FeatureStore:
    """A folder of extractions, named by the hash of everything that decides them.

    Args:
        folder: made when the first features are written. Deleting it costs time and nothing else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: Mapping[str, Any], make: Callable[[], Extraction]) -> Extraction:
        """Return the extraction of a key, made now if there is none; a second process asking for it waits.

        Args:
            key: JSON that decides the features: weights, data, split, recipe.
            make: extracts them.
        """
        text = json.dumps({"format": _FORMAT, **key}, sort_keys=True, separators=(",", ":"), allow_nan=False)
        path = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            found = _load(path)
            if found is None:
                found = make()
                _save(path, found, text)
        return found


def _save(path: Path, extraction: Extraction, key: str) -> None:
    """Write whole or not at all: a file under its final name is complete."""
    fields = {
        "key": json.loads(key),
        "unreadable": dict(extraction.unreadable),
        "frames": extraction.frames,
        "clips": extraction.clips,
    }
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    try:
        tensors = {"values": np.ascontiguousarray(extraction.values), "rows": extraction.rows}
        save_file(tensors, name, metadata={_FIELDS: json.dumps(fields)})
        with open(name, "rb") as stream:
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _load(path: Path) -> Extraction | None:
    """Return an extraction; None where there is none, or where the file is damaged and must be made again."""
    try:
        with safe_open(path, framework="numpy") as stream:
            fields = json.loads(stream.metadata()[_FIELDS])
            values, rows = stream.get_tensor("values"), stream.get_tensor("rows")
        return Extraction(values, rows, fields["unreadable"], fields["frames"], fields["clips"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
