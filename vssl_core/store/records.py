"""Records: one JSON file per job, the only truth that boards are made from.

``SCHEMA`` is raised when a field changes its meaning, and ``migrate`` then brings older records up, one step at a time.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vssl_core.errors import RecordError, VsslError
from vssl_core.store.runs import read_json, write_json

if TYPE_CHECKING:
    from vssl_core.components import Resolved

__all__ = [
    "SCHEMA",
    "component_record",
    "config_record",
    "error_record",
    "is_record",
    "migrate",
    "no_cost",
    "now",
    "read_record",
    "read_records",
    "write_record",
]

SCHEMA = 1

_REQUIRED = (
    "schema", "run_id", "kind", "status", "suite", "name", "identity", "config", "components", "seed", "cost",
    "unreadable", "error", "environment", "started", "finished",
)  # fmt: skip


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def no_cost() -> dict[str, int | float]:
    """Return the cost of a job that has done nothing yet: counts, and seconds."""
    return {
        "steps": 0,
        "clips": 0,
        "frames_decoded": 0,
        "wall_s": 0.0,
        "device_s": 0.0,
        "cpu_s": 0.0,
        "cache_s": 0.0,
    }


def component_record(resolved: Resolved | None) -> dict[str, Any] | None:
    """Return a component as records hold it: what it is, with which options, and whose code it is."""
    if resolved is None:
        return None
    return {
        "name": resolved.name,
        "recipe": resolved.recipe,
        "version": resolved.version,
        "options": resolved.options,
        "distribution": resolved.entry.distribution,
        "distribution_version": resolved.entry.distribution_version,
    }


def config_record(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plain configuration as records hold it: without the folders it was run in, which decide nothing."""
    return {name: value for name, value in config.items() if name not in ("out", "run")}


def error_record(error: BaseException) -> dict[str, str]:
    """Return an error as records hold it; the traceback is kept for bugs and left out for vssl's own messages."""
    own = isinstance(error, VsslError)
    text = "" if own else "".join(traceback.format_exception(error))[-8000:]
    return {"type": type(error).__name__, "message": str(error), "traceback": text}


def is_record(value: Any) -> bool:
    """Tell a record from any other JSON."""
    return (
        isinstance(value, dict)
        and "schema" in value
        and "run_id" in value
        and value.get("kind") in ("pretrain", "transfer")
    )


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Check that a record is whole and write it atomically.

    Raises:
        RecordError: a required field is missing, or a value is not JSON.
    """
    missing = [name for name in _REQUIRED if name not in record]
    if missing:
        raise RecordError(f"record {record.get('run_id', '?')} for {path} lacks {', '.join(missing)}")
    write_json(path, record)


def migrate(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """Bring a record to the current schema.

    Raises:
        RecordError: the record was written by a newer vssl.
    """
    if record["schema"] > SCHEMA:
        raise RecordError(f"{path} has schema {record['schema']}, this vssl reads up to {SCHEMA}; update vssl")
    return record


def read_record(path: Path) -> dict[str, Any]:
    """Read one record.

    Raises:
        RecordError: the file is missing, damaged, or no record.
    """
    value = read_json(path)
    if not is_record(value):
        raise RecordError(f"{path} is no record: it lacks schema, run_id or kind")
    return migrate(value, path)


def _candidates(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    yield from sorted(path for path in place.rglob("*.json") if path.name == "record.json" or path.parent == place)


def read_records(places: Sequence[Path]) -> tuple[list[dict[str, Any]], list[str]]:
    """Read every record in files and folders: ``record.json`` at any depth, and any record lying flat in a folder.

    Returns the records, one per run_id (a finished one wins over a failed one, then the later), and a line for each
    file that could not be read.

    Raises:
        RecordError: a place does not exist.
    """
    records: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for place in places:
        if not place.exists():
            raise RecordError(f"{place} does not exist; give a folder of records or the name of a suite that has run")
        for path in _candidates(place):
            try:
                value = read_json(path)
                if not is_record(value):
                    continue
                record = migrate(value, path)
            except RecordError as error:
                problems.append(str(error))
                continue
            before = records.get(record["run_id"])
            rank = (record["status"] == "done", record["finished"])
            if before is None or rank >= (before["status"] == "done", before["finished"]):
                records[record["run_id"]] = record
    return list(records.values()), problems
