"""Data sets ``toy-motion`` and ``toy-physics``: synthetic, made on first use below ``home()``."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from vssl_core.data.home import home
from vssl_core.data.progress import shown_progress
from vssl_core.errors import ConfigError, DataError
from vssl_datasets.table import Row, TableDataset
from vssl_datasets.toy.generate import (
    TOY_MOTION,
    TOY_PHYSICS,
    ToySetError,
    ToySpec,
    ensure,
    folder_name,
    generator_hash,
)

__all__ = ["ToyMotion", "ToyPhysics"]


class _ToySet(TableDataset):
    """A synthetic set of a frozen spec, or of fewer videos of the same law."""

    def __init__(self, frozen: ToySpec, n_train: int, n_test: int) -> None:
        try:
            self._spec = dataclasses.replace(frozen, n_train=n_train or frozen.n_train, n_test=n_test or frozen.n_test)
        except ValueError as error:
            raise ConfigError(f"data set {frozen.name!r}: {error}") from error
        labels = dict(self._spec.labels)
        super().__init__(frozen.name, dict.fromkeys(labels, "class"), labels)

    def fingerprint(self) -> str:
        """Return a hash of the spec and of the generator's code; nothing needs to be made for it."""
        told = json.dumps([self._spec.to_dict(), generator_hash(self._spec)], sort_keys=True)
        return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()

    @property
    def provenance(self) -> Mapping[str, str]:
        """Which generator makes the videos, and, once they are made, which encoder wrote these very files.

        Keys ``generator`` (name and version), ``generator_hash`` (SHA-256), ``codec``, ``av``, ``libavcodec``. The
        encoder is no part of ``fingerprint``: two versions of it may write other bytes for the same set.
        """
        told = {
            "generator": f"{self._spec.name} {self._spec.version}",
            "generator_hash": generator_hash(self._spec),
        }
        written = home() / "toy" / folder_name(self._spec) / "spec.json"
        if not written.is_file():
            return told
        encoder = json.loads(written.read_text(encoding="utf-8"))["encoder"]
        return told | {name: str(encoder[name]) for name in ("codec", "av", "libavcodec")}

    def _list(self) -> tuple[Path, list[Row]]:
        workers = min(4, os.cpu_count() or 1)
        try:
            with shown_progress(f"making {self.name} videos") as progress:
                root = ensure(self._spec, home() / "toy", workers, progress)
        except ToySetError as error:
            raise DataError(str(error)) from error
        labels = [label for label, _ in self._spec.labels]
        with (root / "videos.csv").open(newline="", encoding="utf-8") as handle:
            rows = [
                Row(cells["path"], cells["split"], cells["group"], {label: cells[label] for label in labels})
                for cells in csv.DictReader(handle)
            ]
        return root, rows


class ToyMotion(_ToySet):
    """Labels ``motion`` (8 classes) and ``appearance`` (4); see ``config.ToyMotion`` for the options."""

    def __init__(self, *, n_train: int = 0, n_test: int = 0) -> None:
        super().__init__(TOY_MOTION, n_train, n_test)


class ToyPhysics(_ToySet):
    """Label ``law`` (5 classes); see ``config.ToyPhysics`` for the options."""

    def __init__(self, *, n_train: int = 0, n_test: int = 0) -> None:
        super().__init__(TOY_PHYSICS, n_train, n_test)
