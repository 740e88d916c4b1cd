"""What this package offers."""

from __future__ import annotations

from collections.abc import Iterable

from vssl_core.contracts import Spec
from vssl_core.hookspecs import hookimpl

__all__ = ["vssl_datasets"]


@hookimpl
def vssl_datasets() -> Iterable[Spec]:
    """Offer ``folder``, ``csv``, ``toy-motion`` and ``toy-physics``."""
    yield Spec(
        name="folder",
        target="vssl_datasets.folder:FolderDataset",
        config="vssl_datasets.config:Folder",
        summary="A directory of your own videos; folders inside it can be classes and train/val/test splits",
    )
    yield Spec(
        name="csv",
        target="vssl_datasets.csv_table:CsvDataset",
        config="vssl_datasets.config:Csv",
        summary="Videos listed in a CSV file, with split, group and label columns of your choice",
    )
    yield Spec(
        name="toy-motion",
        target="vssl_datasets.toy_sets:ToyMotion",
        config="vssl_datasets.config:ToyMotion",
        summary="8 motions that no single frame gives away, 4 textures; 2,000 videos of 32 frames, made on first use",
    )
    yield Spec(
        name="toy-physics",
        target="vssl_datasets.toy_sets:ToyPhysics",
        config="vssl_datasets.config:ToyPhysics",
        summary="5 laws of motion with an arrow and a pace of time; 1,600 videos of 80 frames, made on first use",
    )
