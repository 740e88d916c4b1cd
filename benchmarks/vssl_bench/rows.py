"""Records joined into rows (one thing that was pretrained, over seeds) and columns (one way of measuring it)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vssl_bench.names import PLACEBO, canonical, shown, shown_task
from vssl_core.components import Reference
from vssl_core.store.identity import identity_hash

__all__ = [
    "Column",
    "Row",
    "column_key",
    "differences",
    "flatten",
    "join_records",
    "row_key",
    "row_names",
    "table_names",
]

Record = Mapping[str, Any]


@dataclass(slots=True)
class Row:
    """Everything that was pretrained in one way, whatever the seed.

    Attributes:
        key: hash of the identity without the seed.
        identity: what decided the weights, without the seed.
        runs: pretraining records by seed, failed ones too.
        role: ``"floor"`` (not trained), ``"placebo"``, ``"task"`` or ``"supervised"`` (uses labels).
    """

    key: str
    identity: Mapping[str, Any]
    task: str
    backbone: str
    pretrain_data: str
    role: str
    runs: dict[int, Record] = field(default_factory=dict)

    @property
    def first(self) -> Record:
        """The record of the lowest seed, one that is done where there is one."""
        return min(self.runs.values(), key=lambda record: (record["status"] != "done", record["seed"]))

    @property
    def done(self) -> list[Record]:
        """The records that are done, by seed."""
        return [self.runs[seed] for seed in sorted(self.runs) if self.runs[seed]["status"] == "done"]

    @property
    def task_key(self) -> tuple[str, str, str]:
        """The task as configurations write it, spelled in one way."""
        return canonical(self.first["config"]["task"])

    def same_work(self, other: Row) -> bool:
        """Whether both had the same network, data, steps, batch and optimiser: all but the task."""
        return {k: v for k, v in self.identity.items() if k not in ("task", "label")} == {
            k: v for k, v in other.identity.items() if k not in ("task", "label")
        }


@dataclass(slots=True)
class Column:
    """One way of measuring: data, label, protocol, version and options are all equal within it.

    Attributes:
        key: hash of all of these.
        measured: per row key, per seed of the pretraining the transfer record, failed ones too.
    """

    key: str
    data: str
    fingerprint: str
    label: str
    protocol: str
    version: int
    identity: Mapping[str, Any]
    measured: dict[str, dict[int, Record]] = field(default_factory=dict)


def row_key(identity: Mapping[str, Any]) -> str:
    """Return the key of the row that a pretraining of this identity belongs to."""
    return identity_hash({key: value for key, value in identity.items() if key != "seed"})


def column_key(identity: Mapping[str, Any]) -> str:
    """Return the key of the column that a measurement of this identity belongs to."""
    return identity_hash(_measuring(identity))


def _measuring(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in identity.items() if key not in ("pretrain", "seed")}


def join_records(records: Iterable[Record]) -> tuple[dict[str, Row], dict[str, Column], list[str]]:
    """Return rows and columns by key, and a line for each record that could not be placed.

    A transfer belongs to the row of its pretraining run; without that run's record nobody knows what was measured.
    """
    records = [_whole(record) for record in records]
    rows: dict[str, Row] = {}
    row_of: dict[str, tuple[Row, int]] = {}
    problems = []
    for record in records:
        if record["kind"] != "pretrain":
            continue
        if not record["identity"].get("task"):
            problems.append(f"{record['run_id']} failed before it was known what it is: {_error(record)}")
            continue
        row = _row(record, rows)
        row.runs[record["seed"]] = record
        row_of[record["run_id"]] = row, record["seed"]
    columns: dict[str, Column] = {}
    for record in records:
        if record["kind"] != "transfer":
            continue
        if record["pretrain_run_id"] not in row_of:
            problems.append(f"{record['run_id']} measures {record['pretrain_run_id']}, whose record is not here")
            continue
        if not record["identity"].get("protocol"):
            problems.append(f"{record['run_id']} failed before it was known what it is: {_error(record)}")
            continue
        column = _column(record, columns)
        row, seed = row_of[record["pretrain_run_id"]]
        measured = column.measured.setdefault(row.key, {})
        if seed not in measured or _measuring_rank(record, seed) < _measuring_rank(measured[seed], seed):
            measured[seed] = record
    _name_columns(list(columns.values()))
    return rows, columns, problems


def _whole(record: Record) -> Record:
    """Return a record with every field that boards read.

    Failed jobs leave what they knew when they died, which may be little; a finished record has everything.
    """
    if record["status"] == "done":
        return record
    identity = record["identity"] or {}
    blank = {
        "needs_labels": bool(identity.get("label")) if record["kind"] == "pretrain" else False,
        "trains": "data" in identity,
        "label": "",
        "heldout": {},
        "chance": None,
        "metrics": [],
        "pretrain_run_id": "",
    }
    data = {"name": (identity.get("data") or {}).get("name", ""), "fingerprint": ""}
    return {**blank, **record, "identity": identity, "data": {**data, **(record.get("data") or {})}}


def _measuring_rank(record: Record, seed: int) -> tuple[bool, bool, int]:
    """A run that was measured more than once counts once: done before failed, and with the run's own seed if it can."""
    return record["status"] != "done", record["seed"] != seed, record["seed"]


def _error(record: Record) -> str:
    return str((record["error"] or {"message": "no reason given"})["message"])


def _row(record: Record, rows: dict[str, Row]) -> Row:
    identity = {key: value for key, value in record["identity"].items() if key != "seed"}
    key = row_key(identity)
    if key not in rows:
        trains = "data" in identity
        rows[key] = Row(
            key=key,
            identity=identity,
            task=shown_task(record["config"]["task"]),
            backbone=shown(record["config"]["backbone"]) if identity["backbone"] else "",
            pretrain_data=record["data"]["name"] if trains else "",
            role=_role(record, trains),
        )
    return rows[key]


def _role(record: Record, trains: bool) -> str:
    if record["identity"]["task"]["name"] == PLACEBO:
        return "placebo"
    if not trains:
        return "floor"
    return "supervised" if record["needs_labels"] else "task"


def _column(record: Record, columns: dict[str, Column]) -> Column:
    identity = _measuring(record["identity"])
    key = identity_hash(identity)
    if key not in columns:
        columns[key] = Column(
            key=key,
            data=record["data"]["name"],
            fingerprint=identity["data"]["fingerprint"],
            label=identity["label"],
            protocol=shown(record["config"]["protocol"]),
            version=identity["protocol"]["version"],
            identity=identity,
        )
    return columns[key]


# --------------------------------------------------------------------------------------------------- names


def row_names(rows: Sequence[Row]) -> dict[str, str]:
    """Return what each row is called, by key; rows that would be called the same get what tells them apart.

    Such as ``rtt@tiny [steps=1000]``. The backbone and the pretraining set stand beside the name and need not be in it.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.task, row.backbone, row.pretrain_data), []).append(row)
    names = {}
    for group in groups.values():
        for row, extra in zip(group, _telling_apart([row.identity for row in group]), strict=True):
            names[row.key] = f"{row.task} [{extra}]" if extra else row.task
    return names


def table_names(tables: Mapping[tuple[str, str, str], Sequence[Column]]) -> dict[tuple[str, str, str], str]:
    """Return what each table's data is called, by data, fingerprint and label.

    With what all its records say of it, ``toy-physics(n_train=60)``, and where tables of one label would still be
    called the same, with as much of the fingerprint as tells them apart.
    """
    names = {key: _with_options(key[0], columns) for key, columns in tables.items()}
    groups: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for key, name in names.items():
        groups.setdefault((name, key[2]), []).append(key)
    for (name, _), group in groups.items():
        if len(group) > 1:
            length = next((n for n in range(8, 65) if len({key[1][:n] for key in group}) == len(group)), None)
            names |= {key: f"{name} [fingerprint={key[1][:length]}]" for key in group}
    return names


def _with_options(name: str, columns: Sequence[Column]) -> str:
    records = (record for column in columns for measured in column.measured.values() for record in measured.values())
    common = set.intersection(*(set(_data_options(record).items()) for record in records))
    return f"{name}({', '.join(f'{key}={told}' for key, told in sorted(common))})" if common else name


def _data_options(record: Record) -> dict[str, Any]:
    """Return the numbers and switches said of the data: what tells versions of a set apart and is no machine's path."""
    value = record["config"].get("data")
    options = Reference.parse(value, where="data").options if value else {}
    return {key: told for key, told in options.items() if isinstance(told, (bool, int, float))}


def _name_columns(columns: Sequence[Column]) -> None:
    groups: dict[tuple[str, str, str, str], list[Column]] = {}
    for column in columns:
        groups.setdefault((column.data, column.fingerprint, column.label, column.protocol), []).append(column)
    for group in groups.values():
        for column, extra in zip(group, _telling_apart([column.identity for column in group]), strict=True):
            column.protocol += f" [{extra}]" if extra else ""


def _telling_apart(identities: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for each identity the values in which it differs from the others, shortly."""
    if len(identities) < 2:
        return [""] * len(identities)
    flat = [flatten(identity) for identity in identities]
    keys = sorted({key for one in flat for key in one})
    differing = [key for key in keys if len({json.dumps(one.get(key)) for one in flat}) > 1]
    return [", ".join(_short(key, one[key]) for key in differing if key in one) for one in flat]


def _short(key: str, value: Any) -> str:
    name = key.rpartition(".")[2]
    return f"{name}={str(value)[:8] if name == 'fingerprint' else value}"


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested maps as one of dotted keys; lists are values."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return key, value in ``a`` and value in ``b`` wherever two nested maps differ; absent values are None."""
    flat_a, flat_b = flatten(a), flatten(b)
    keys = list(dict.fromkeys([*flat_a, *flat_b]))
    return [(key, flat_a.get(key), flat_b.get(key)) for key in keys if flat_a.get(key) != flat_b.get(key)]
