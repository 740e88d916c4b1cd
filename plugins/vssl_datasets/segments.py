"""Data set ``segments``: parts of long videos, listed in a CSV file with their start and end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from vssl_core.errors import DataError
from vssl_datasets.csv_table import CsvDataset
from vssl_datasets.table import Row

__all__ = ["SegmentsDataset"]


class SegmentsDataset(CsvDataset):
    """The parts of long videos that a CSV file lists; see ``config.Segments`` for the options.

    A part is a video of its own, called ``PATH#START-END``. Parts of one file share a group, the file's path unless the
    table names another, so that they never stand on both sides of a split.

    Raises:
        ConfigError: no ``csv``, or one column used for two labels.
        DataError: the file is missing or lacks a column, a path leads out of ``root``, a time is no number of seconds
            or a part does not end after it starts, a part is listed twice, or parts of one file are of different
            groups.
    """

    _named_by = "data.path, data.start, data.end"

    def __init__(
        self,
        *,
        root: str = "",
        csv: str = "",
        title: str = "",
        path: str = "path",
        start: str = "start",
        end: str = "end",
        split: str = "split",
        group: str = "group",
        labels: Sequence[str] = ("label",),
        multi_labels: Sequence[str] = (),
        numbers: Sequence[str] = (),
        index: str = "",
    ) -> None:
        self._start, self._end = start, end
        self._seen: dict[tuple[str, str, str], int] = {}
        self._group_of: dict[str, str] = {}
        super().__init__(
            root=root,
            csv=csv,
            title=title,
            path=path,
            split=split,
            group=group,
            labels=labels,
            multi_labels=multi_labels,
            numbers=numbers,
            index=index,
        )

    def _needed(self) -> list[str]:
        return [*super()._needed(), self._start, self._end]

    def _row(self, cells: Mapping[str, str], line: int) -> Row:
        row = super()._row(cells, line)
        start, end = self._seconds(cells, self._start, line), self._seconds(cells, self._end, line)
        # As in the part's name: what differs by less than a millisecond would have one name.
        part = (row.path, f"{start:.3f}", f"{end:.3f}")
        if part[1] == part[2] or start > end:
            raise DataError(f"{self._file.name}, line {line}: the part ends at {end} s, which is not after {start} s")
        if part in self._seen:
            raise DataError(f"{self._file.name}, line {line}: the same part stands in line {self._seen[part]}")
        self._seen[part] = line
        group = row.group or row.path
        if self._group_of.setdefault(row.path, group) != group:
            raise DataError(
                f"{self._file.name}, line {line}: {row.path!r} is of group {group!r} here and of "
                f"{self._group_of[row.path]!r} above; all parts of a file are of one group"
            )
        return replace(row, group=group, segment=(start, end))

    def _seconds(self, cells: Mapping[str, str], column: str, line: int) -> float:
        """Return a time, in seconds."""
        text = cells[column].strip()
        try:
            time = float(text)
        except ValueError:
            time = math.nan
        if not 0 <= time < math.inf:
            raise DataError(f"{self._file.name}, line {line}: {column} is {text!r}; expected seconds, 0 or more")
        return time
