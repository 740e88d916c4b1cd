"""Data set ``csv``: videos listed in a CSV file."""

from __future__ import annotations

import csv as csv_format
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from vssl_core.errors import ConfigError, DataError, near_names
from vssl_datasets.table import Row, TableDataset

__all__ = ["CsvDataset"]


class CsvDataset(TableDataset):
    """Videos of a CSV file; see ``config.Csv`` for the options.

    Raises:
        ConfigError: no ``csv``, or one column used for two labels.
        DataError: the file is missing or lacks a column, or a path leads out of ``root``.
    """

    _named_by = "data.path"

    def __init__(
        self,
        *,
        root: str = "",
        csv: str = "",
        title: str = "",
        path: str = "path",
        split: str = "split",
        group: str = "group",
        labels: Sequence[str] = ("label",),
        multi_labels: Sequence[str] = (),
        numbers: Sequence[str] = (),
        index: str = "",
    ) -> None:
        if not csv:
            raise ConfigError("data.csv is empty; give the CSV file: data=csv data.root=DIRECTORY data.csv=FILE")
        base = Path(root).expanduser().absolute() if root else None
        self._file = Path(csv).expanduser()
        if not self._file.is_absolute():
            self._file = (base or Path()).absolute() / self._file
        if not self._file.is_file():
            raise DataError(f"data.csv={csv!r}: there is no file {self._file}")
        self._root = base or self._file.parent
        self._path, self._split, self._group = path, split, group
        kinds = [("class", column) for column in labels]
        kinds += [("multi-label", column) for column in multi_labels]
        kinds += [("number", column) for column in numbers]
        columns = [column for _, column in kinds]
        if len(set(columns)) < len(columns):
            raise ConfigError(f"data.labels, data.multi_labels and data.numbers name a column twice: {columns}")
        self._columns = columns
        self._listed = self._read()
        super().__init__(title or self._root.name, {column: kind for kind, column in kinds}, index=index)

    def _list(self) -> tuple[Path, list[Row]]:
        return self._root, self._listed

    def _read(self) -> list[Row]:
        with self._file.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv_format.DictReader(handle)
            header = list(reader.fieldnames or ())
            for column in self._needed():
                if column not in header:
                    raise DataError(
                        f"{self._file.name} has no column {column!r}; it has {', '.join(map(repr, header))}"
                        f"{near_names(column, header)}. Name the columns with {self._named_by} and data.labels "
                        "([] for none)"
                    )
            rows = []
            for line, cells in enumerate(reader, start=2):
                if None in cells or None in cells.values():
                    raise DataError(f"{self._file.name}, line {line}: {len(header)} cells are expected")
                rows.append(self._row(cells, line))
        return rows

    def _needed(self) -> list[str]:
        """Return the columns without which there is no row."""
        return [self._path, *self._columns]

    def _row(self, cells: Mapping[str, str], line: int) -> Row:
        return Row(
            self._checked(cells[self._path].strip(), line),
            cells[self._split].strip() if self._split in cells else "train",
            cells[self._group].strip() if self._group in cells else "",
            {column: cells[column].strip() for column in self._columns},
        )

    def _checked(self, path: str, line: int) -> str:
        """Return the path, normalised; one that leaves the root is refused."""
        parts = PurePosixPath(path).parts
        if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
            raise DataError(
                f"{self._file.name}, line {line}: path {path!r} must be relative to {self._root} and stay below it"
            )
        return "/".join(parts)
