"""What a plan is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from vssl_core.errors import ConfigError, RecordError
from vssl_core.store.records import is_record
from vssl_core.store.runs import read_json

__all__ = [
    "FILTERS",
    "Plan",
    "PlannedJob",
    "PlannedRow",
    "PlannedWin",
    "Refusal",
    "kept_path",
    "matches",
    "parse_filters",
    "record_path",
    "state_of",
    "status_in",
]

#: what ``--only KEY=VALUE`` can look at
FILTERS = ("task", "backbone", "data", "pretrain_data", "protocol", "label", "seed", "kind")


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedJob:
    """One job, decided in full.

    Attributes:
        run_id: hash of what decides the result; also the name of the run's folder.
        kind: ``"pretrain"`` or ``"transfer"``.
        identity: what decides the result.
        config: plain ``PretrainConfig`` or ``TransferConfig``.
        needs: run_ids that must be done before.
        task: what people call it; a placebo says whose it is.
        backbone: ``""`` for floors that bring their own encoder.
        data: what is measured on; for pretraining what is trained on, ``""`` for floors.
        pretrain_data: what was trained on.
        protocol: ``""`` for pretraining.
        label: what is measured; for pretraining the label that supervised training is given.
        seed: of the pretraining, and of protocols that draw.
        steps: optimiser steps; 0 for floors and transfers.
        batch_size: videos a step.
    """

    run_id: str
    kind: str
    identity: Mapping[str, Any]
    config: Mapping[str, Any]
    needs: tuple[str, ...]
    task: str
    backbone: str
    data: str
    pretrain_data: str
    protocol: str
    label: str
    seed: int
    steps: int
    batch_size: int

    @property
    def name(self) -> str:
        """A short line for people."""
        who = " ".join(part for part in (self.task, self.backbone) if part)
        if self.kind == "pretrain":
            labelled = f"/{self.label}" if self.label else ""
            place = f" on {self.data}{labelled}" if self.data else ""
            return f"{who}{place}, seed {self.seed}"
        return f"{self.protocol} of {who} on {self.data}/{self.label}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something the suite asks for that cannot be, and why."""

    what: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRow:
    """What a suite plans for one row of its board.

    Attributes:
        key: that of ``rows.Row``.
        seeds: of the pretraining.
        columns: seeds to measure, by the key of the column.
        placebo: key of the row that the suite gives as its placebo; None: it gives none.
    """

    key: str
    task: str
    backbone: str
    pretrain_data: str
    seeds: tuple[int, ...]
    columns: Mapping[str, tuple[int, ...]]
    placebo: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedWin:
    """The one cell that a task is expected to win, named before anything is measured.

    Attributes:
        row: key of the task's row.
        column: key of the cell's column.
        reason: why this cell.
    """

    task: str
    data: str
    label: str
    protocol: str
    reason: str
    row: str
    column: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The jobs of a suite in the order in which they should start, and what was refused.

    Attributes:
        whole: run_ids of the suite's jobs, those that a filter left out included.
        rows: what the board of the whole suite should hold.
        wins: the cells that its tasks are expected to win.
    """

    suite: str
    title: str
    out: Path
    expect_minutes: float
    jobs: tuple[PlannedJob, ...]
    refused: tuple[Refusal, ...]
    whole: frozenset[str]
    rows: tuple[PlannedRow, ...]
    wins: tuple[PlannedWin, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return the plan as JSON; folders and machine do not matter to it."""
        return {
            "suite": self.suite,
            "title": self.title,
            "jobs": [
                {key: value for key, value in asdict(job).items() if key not in ("config", "identity")}
                for job in self.jobs
            ],
            "refused": [asdict(refusal) for refusal in self.refused],
        }


def record_path(out: Path, run_id: str) -> Path:
    """Return where a job's record lies."""
    return out / run_id / "record.json"


def kept_path(records: Path, run_id: str) -> Path:
    """Return where the copy of a job's record lies that was made to be kept."""
    return records / f"{run_id}.json"


def state_of(out: Path, job: PlannedJob) -> str:
    """Return ``"done"``, ``"failed"`` or ``"open"``: what a job's record in its run folder says."""
    return status_in(record_path(out, job.run_id), job.run_id)


def status_in(path: Path, run_id: str) -> str:
    """Return the status of the record of ``run_id`` in a file; missing, damaged and foreign ones are ``"open"``."""
    if not path.exists():
        return "open"
    try:
        record = read_json(path)
    except RecordError:
        return "open"
    if not is_record(record) or record["run_id"] != run_id:
        return "open"
    return str(record["status"])


def parse_filters(texts: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Read ``--only task=rtt,pace`` options.

    Raises:
        ConfigError: a key is unknown or a text is no KEY=VALUE.
    """
    filters: dict[str, tuple[str, ...]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or key not in FILTERS:
            raise ConfigError(f"--only {text}: expected KEY=VALUE[,VALUE] with KEY one of {', '.join(FILTERS)}")
        filters[key] = filters.get(key, ()) + tuple(value.strip() for value in values.split(","))
    return filters


def matches(job: PlannedJob, filters: Mapping[str, tuple[str, ...]]) -> bool:
    """Tell whether a job passes every filter; ``rtt`` also finds ``rtt@tiny``, and ``*`` stands for anything."""
    for key, wanted in filters.items():
        value = str(getattr(job, key))
        if not any(fnmatchcase(value, want) or fnmatchcase(value.partition("@")[0], want) for want in wanted):
            return False
    return True
