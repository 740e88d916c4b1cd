"""What all sets of this package share: rows of a table whose files are indexed when a video is first asked for."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from vssl_core.contracts import Targets, Video
from vssl_core.data.home import home
from vssl_core.data.index import FRAME_FOLDER, Index
from vssl_core.data.progress import shown_progress
from vssl_core.data.reader import FileReader
from vssl_core.data.scan import build_index
from vssl_core.data.videos import IndexedVideos, segment_id
from vssl_core.errors import DataError, near_names
from vssl_datasets.listing import check_names

__all__ = ["Row", "TableDataset"]

_SPLITS = ("train", "val", "test")
SEPARATOR = ";"


@dataclass(frozen=True, slots=True)
class Row:
    """One video before its file is looked at.

    Attributes:
        path: of a file, or of a folder of pictures, relative to the root, with forward slashes.
        split: ``"train"``, ``"val"`` or ``"test"``.
        group: the source it shares with others; empty: none is known.
        labels: the text of each label.
        segment: where it begins and ends in its file, in seconds; ``None``: the whole file.
    """

    path: str
    split: str
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    segment: tuple[float, float] | None = None

    @property
    def video_id(self) -> str:
        """The video's name in the set."""
        return self.path if self.segment is None else segment_id(self.path, *self.segment)


class TableDataset(ABC):
    """A ``Dataset`` over rows, which are sorted by path and numbered over all splits.

    Args:
        name: as in records and on boards.
        kinds: label -> ``"class"``, ``"multi-label"`` or ``"number"``; the first is the set's first label.
        classes: label -> class names in order, where they are fixed; otherwise the sorted names that occur.
        frames_fps: frames a second of videos that are folders of pictures.
        index: an index file made beforehand, by ``vssl data index``; empty: one is made and kept below ``home()``.
    """

    def __init__(
        self,
        name: str,
        kinds: Mapping[str, str],
        classes: Mapping[str, Sequence[str]] | None = None,
        *,
        frames_fps: float = 0.0,
        index: str = "",
    ) -> None:
        self.name = name
        self._frames_fps = frames_fps
        self._index_file = index
        self._wants_motion = False
        self._kinds = dict(kinds)
        self._fixed_classes = dict(classes or {})

    @abstractmethod
    def _list(self) -> tuple[Path, list[Row]]:
        """Return the root and every row; called once, when first needed."""

    @cached_property
    def _table(self) -> tuple[Path, list[Row]]:
        root, rows = self._list()
        check_names(root, (row.path for row in rows))
        for row in rows:
            if row.split not in _SPLITS:
                raise DataError(
                    f"data set {self.name!r}: video {row.path!r} has split {row.split!r}; expected train, val or test"
                    f"{near_names(row.split, _SPLITS)}"
                )
        if not any(row.split == "train" for row in rows):
            raise DataError(f"data set {self.name!r} at {root} has no videos in split 'train'")
        rows = sorted(rows, key=lambda row: row.video_id)
        for before, row in pairwise(rows):
            if before.video_id == row.video_id:
                raise DataError(
                    f"data set {self.name!r}: {row.video_id!r} is listed twice; every video must stand in one place of "
                    "one split"
                )
        return root, rows

    @cached_property
    def _index(self) -> Index:
        root, rows = self._table
        if self._index_file:
            return Index(Path(self._index_file).expanduser())
        paths = sorted({row.path for row in rows})
        # One folder a root: sets over one stock of files share what is known of them.
        place = home() / "index" / _short_hash([str(root.absolute())]) / f"{_short_hash(paths)}.index"
        with shown_progress(f"indexing videos of {self.name}") as progress:
            return build_index(
                root,
                paths,
                cache_file=place,
                progress=progress,
                frames_fps=self._frames_fps,
                motion=self._wants_motion,
            )

    @cached_property
    def _numbers(self) -> np.ndarray:
        """The row of the index that belongs to each row of the table, int64."""
        at = {path: number for number, (path,) in enumerate(self._index.columns("path"))}
        lost = [row.path for row in self._table[1] if row.path not in at]
        if lost:
            raise DataError(
                f"{len(lost)} videos of {self.name!r} are not in the index {self._index.file}, such as {lost[0]!r}; "
                "make it again with 'vssl data index'"
            )
        numbers = np.array([at[row.path] for row in self._table[1]], dtype=np.int64)
        self._check_rate(numbers)
        return numbers

    def _check_rate(self, numbers: np.ndarray) -> None:
        """Refuse an index whose folders of pictures have another rate than the set: its times would be wrong."""
        if not self._index_file or not self._frames_fps:
            return
        rates = [fps if codec == FRAME_FOLDER else 0.0 for codec, fps in self._index.columns("codec", "fps")]
        for row, number in zip(self._table[1], numbers.tolist(), strict=True):
            if rates[number] not in (0.0, self._frames_fps):
                raise DataError(
                    f"data set {self.name!r} has {self._frames_fps:g} frames a second, but {row.path!r} has "
                    f"{rates[number]:g} in the index {self._index.file}; make it again with 'vssl data index ... --fps "
                    f"{self._frames_fps:g}', or give the rate of the index as data.fps, where the set has that option"
                )

    @cached_property
    def _hashes(self) -> list[str]:
        """The hash of the content of each row of the index."""
        return [content for (content,) in self._index.columns("content_hash")]

    @cached_property
    def _videos(self) -> dict[str, IndexedVideos]:
        root, rows = self._table
        segments = None
        if any(row.segment is not None for row in rows):
            segments = np.array([row.segment or (np.nan, np.nan) for row in rows], dtype=np.float64)
        videos = {}
        for split in self.splits():
            chosen = np.array([at for at, row in enumerate(rows) if row.split == split], dtype=np.int64)
            within = None if segments is None else segments[chosen]
            videos[split] = IndexedVideos(self._index, root, self._numbers[chosen], chosen, within)
        return videos

    def measure_motion(self) -> None:
        """Have ``Video.motion`` in the rows that ``videos`` returns from now on; videos not measured yet are decoded.

        Raises:
            DataError: the index was made beforehand, without motion.
        """
        if self._wants_motion:
            return
        if self._index_file and not all(curve or reason for curve, reason in self._index.columns("motion", "reason")):
            raise DataError(
                f"the index {self._index_file} holds no motion, which this task asks for; make it again with "
                "'vssl data index ... --motion', or leave data.index empty"
            )
        self._wants_motion = True
        for kept in ("_index", "_numbers", "_hashes", "_videos"):
            self.__dict__.pop(kept, None)

    def splits(self) -> Sequence[str]:
        """Return the splits that hold videos, in the order train, val, test."""
        present = {row.split for row in self._table[1]}
        return [split for split in _SPLITS if split in present]

    def videos(self, split: str) -> Sequence[Video]:
        """Return the videos of a split, sorted by path; unreadable files have 0 frames.

        Raises:
            DataError: there is no such split.
        """
        self._check_split(split)
        return self._videos[split]

    def labels(self) -> Sequence[str]:
        """Return the names of the set's labels."""
        return list(self._kinds)

    def targets(self, split: str, label: str) -> Targets:
        """Return the labels of a split, in the order of its videos; classes are those of all splits.

        Raises:
            DataError: there is no such split or label, or a value is empty or no finite number.
        """
        self._check_split(split)
        if label not in self._kinds:
            known = ", ".join(map(repr, self._kinds)) or "none"
            raise DataError(
                f"data set {self.name!r} has no label {label!r}; it has {known}{near_names(label, self._kinds)}"
            )
        texts = [row.labels[label] for row in self._rows(split)]
        kind = self._kinds[label]
        if kind == "number":
            return Targets(kind, np.array([self._number(label, text) for text in texts], dtype=np.float32), ())
        classes = self._classes(label)
        at = {name: number for number, name in enumerate(classes)}
        if kind == "class":
            return Targets(kind, np.array([at[text] for text in texts], dtype=np.int64), classes)
        values = np.zeros((len(texts), len(classes)), dtype=np.uint8)
        for row, text in enumerate(texts):
            values[row, [at[name] for name in _names(text)]] = 1
        return Targets(kind, values, classes)

    def groups(self, split: str) -> Sequence[str]:
        """Return the source of each video of a split; its own file where none is known."""
        self._check_split(split)
        return [row.group or row.path for row in self._rows(split)]

    def content_hashes(self, split: str) -> Sequence[str]:
        """Return a hash of each file's bytes, in the order of the split's videos.

        Of a copy that ``vssl data prepare`` wrote it is the original's: they are one video.
        """
        self._check_split(split)
        origins = [origin for (origin,) in self._index.columns("origin_hash")]
        rows = zip(self._table[1], self._numbers.tolist(), strict=True)
        return [origins[number] or self._hashes[number] for row, number in rows if row.split == split]

    def reader(self) -> FileReader:
        """Return a reader that decodes from the files."""
        return FileReader(self._index, self._numbers, check_time=not self._index_file)

    @property
    def provenance(self) -> Mapping[str, str]:
        """Return how the files came to be, for records; nothing is known of files that were there already."""
        return {}

    def fingerprint(self) -> str:
        """Return a hash over every row's path, content, split, group and labels; the root does not count."""
        digest = hashlib.blake2b(digest_size=16)
        for row, number in zip(self._table[1], self._numbers.tolist(), strict=True):
            line = [row.video_id, self._hashes[number], row.split, row.group, sorted(row.labels.items())]
            digest.update(json.dumps(line).encode())
        return digest.hexdigest()

    def _rows(self, split: str) -> list[Row]:
        return [row for row in self._table[1] if row.split == split]

    def _check_split(self, split: str) -> None:
        if split not in self.splits():
            raise DataError(
                f"data set {self.name!r} has no split {split!r}; it has {', '.join(map(repr, self.splits()))}. "
                "Put videos into a folder or give rows of that split, or measure on another set"
            )

    def _classes(self, label: str) -> tuple[str, ...]:
        if label in self._fixed_classes:
            return tuple(self._fixed_classes[label])
        several = self._kinds[label] == "multi-label"
        found: set[str] = set()
        for row in self._table[1]:
            text = row.labels[label]
            if not text and not several:
                raise DataError(f"data set {self.name!r}: video {row.path!r} has no value for label {label!r}")
            found.update(_names(text) if several else [text])
        return tuple(sorted(found))

    def _number(self, label: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        # float32 holds no more; beyond it a value would become infinite unseen.
        if not abs(value) <= float(np.finfo(np.float32).max):
            raise DataError(
                f"data set {self.name!r}: label {label!r} has the value {text!r}; expected a number, and a finite one: "
                "correct it, or leave its row out"
            )
        return value


def _short_hash(lines: Sequence[str]) -> str:
    # The folders above a set may have any name: only those below it stand in indexes.
    text = "\n".join(lines).encode(errors="surrogateescape")
    return hashlib.blake2b(text, digest_size=12).hexdigest()


def _names(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(SEPARATOR)) if name]
