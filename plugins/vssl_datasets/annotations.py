"""Reading files of annotations, which come from elsewhere: every value is checked, every error names file and place."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from vssl_core.errors import DataError

__all__ = ["AnnotationFile"]


class AnnotationFile:
    """One text, CSV or JSON file in UTF-8.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def wrong(self, place: int | str, what: str) -> DataError:
        """Return the error that ``what`` is wrong at a line, or at a place in words."""
        where = f"line {place}" if isinstance(place, int) else place
        return DataError(f"{self.path}, {where}: {what}")

    def lines(self) -> list[tuple[int, str]]:
        """Return ``(number, text)`` of the lines that are not empty, without the space around them.

        Raises:
            DataError: the file cannot be read as text.
        """
        with self._open() as handle:
            return [(number, line.strip()) for number, line in enumerate(handle, start=1) if line.strip()]

    def rows(self, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
        """Yield ``(line number, cells)`` of the rows of a CSV file that are not empty, a header among them.

        Raises:
            DataError: the file cannot be read as CSV.
        """
        with self._open() as handle:
            reader = csv.reader(handle, delimiter=delimiter)
            try:
                for cells in reader:
                    if cells:
                        yield reader.line_num, cells
            except csv.Error as error:
                raise self.wrong(reader.line_num, f"no CSV: {error}") from error

    def json(self) -> Any:
        """Return what a JSON file holds.

        Raises:
            DataError: it is no JSON.
        """
        with self._open() as handle:
            try:
                return json.load(handle)
            except (json.JSONDecodeError, RecursionError) as error:
                raise DataError(f"{self.path} is no JSON: {error}") from error

    def records(self, fields: Mapping[str, type]) -> list[Mapping[str, Any]]:
        """Return the objects of a JSON list.

        Args:
            fields: what each object must hold, and of which type; others are ignored.

        Raises:
            DataError: it is no list of such objects.
        """
        found = self.json()
        if not isinstance(found, list):
            raise DataError(f"{self.path} holds a {type(found).__name__}; expected a list")
        for number, record in enumerate(found, start=1):
            for field, kind in fields.items():
                # type(), because JSON's true is an int to isinstance
                if not isinstance(record, dict) or type(record.get(field)) is not kind:
                    raise self.wrong(f"entry {number}", f"expected an object with {field!r}, a {kind.__name__}")
        return found

    def name(self, place: int | str, text: str) -> str:
        """Return text that names one file or folder, as it is.

        Raises:
            DataError: it is empty, or leads elsewhere as a path.
        """
        if not text or text in (".", "..") or "/" in text or "\\" in text or not text.isprintable():
            raise self.wrong(place, f"{text!r} is no plain name of a video")
        return text

    def label(self, place: int | str, text: str, known: Sequence[str] | Mapping[str, Any] = ()) -> str:
        """Return the name of a class, as it is.

        Args:
            place: line number, or words.
            text: the name.
            known: all classes; empty: any name will do.

        Raises:
            DataError: it is empty, not printable or unknown.
        """
        if not text or not text.isprintable():
            raise self.wrong(place, f"{text!r} is no name of a class")
        if known and text not in known:
            raise self.wrong(place, f"there is no class {text!r} among the {len(known)} of this data set")
        return text

    @contextmanager
    def _open(self) -> Iterator[TextIO]:
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as handle:
                yield handle
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path} is no text in UTF-8: {error}") from error
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error}") from error
