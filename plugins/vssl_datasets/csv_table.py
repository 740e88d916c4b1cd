"""Data set ``csv``: videos listed in a CSV file."""

from __future__ import annotations

import csv as csv_format
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from vssl_core.data.index import Index
from vssl_core.errors import ConfigError, DataError, near_names
from vssl_datasets.listing import copies
from vssl_datasets.table import Row, TableDataset

__all__ = ["CsvDataset", "opened_csv"]


class CsvDataset(TableDataset):
    """Videos of a CSV file; see ``config.Csv`` for the options.

    A path that is absent while the copy of it is there that ``vssl data prepare`` wrote means the copy.

    Raises:
        ConfigError: no ``csv``, or one column used for two labels.
        DataError: the file is missing, is no CSV in UTF-8 or lacks a column, or a path leads out of ``root``.
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
        there = None
        if self._index_file:
            # An index says what is there without a look at the disk.
            there = {path for (path,) in Index(Path(self._index_file).expanduser()).columns("path")}
        copy_of = copies(self._root, (row.path for row in self._listed), there)
        return self._root, [replace(row, path=copy_of.get(row.path, row.path)) for row in self._listed]

    def _read(self) -> list[Row]:
        with opened_csv(self._file) as reader:
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
        if not parts or PurePosixPath(path).is_absolute() or ".." in parts or "\0" in path:
            raise DataError(
                f"{self._file.name}, line {line}: path {path!r} must be relative to {self._root} and stay below it"
            )
        return "/".join(parts)


@contextmanager
def opened_csv(file: Path) -> Iterator[csv_format.DictReader[str]]:
    """Open a CSV file for reading, with or without a mark of byte order.

    Raises:
        DataError: it cannot be read, or as far as it is read it is no CSV in UTF-8.
    """
    line = 0
    try:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv_format.DictReader(handle)
            try:
                yield reader
            finally:
                # Of the reader within: this one counts a line once it is understood.
                line = reader.reader.line_num
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is no text in UTF-8 ({error.reason}, after line {line}); save it as UTF-8, which spreadsheets "
            "offer when they export CSV"
        ) from error
    except csv_format.Error as error:
        raise DataError(
            f"{file}, line {line}: no CSV ({error}); is a quotation mark left open there, or the file none of commas?"
        ) from error
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); make it readable") from error
