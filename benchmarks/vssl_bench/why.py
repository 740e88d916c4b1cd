"""What differs between two results: the answer to "why are these two not the same row?"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vssl_bench.rows import Record, differences, join_records, row_names
from vssl_core.errors import RecordError, near_names

__all__ = ["Why", "explain"]

Difference = tuple[str, Any, Any]


@dataclass(frozen=True, slots=True)
class Why:
    """Differences between two records as key, first value, second value.

    Attributes:
        names: run_ids of the two.
        decisive: in what decides the result: with any of these the two are not compared as seeds of one row.
        pretraining: the same for the runs that two measurements belong to.
        around: in what should not matter: environment and cost.
        verdict: one sentence.
    """

    names: tuple[str, str]
    decisive: list[Difference]
    pretraining: list[Difference]
    around: list[Difference]
    verdict: str


def explain(records: Sequence[Record], first: str, second: str) -> Why:
    """Compare two records, each named by its run_id, a part of it, or the name of a row.

    Raises:
        RecordError: a name fits no record, or more than one run_id.
    """
    a, b = _find(records, first), _find(records, second)
    decisive = _without_seed(differences(a["identity"], b["identity"]))
    by_id = {record["run_id"]: record for record in records}
    pretraining: list[Difference] = []
    if a["kind"] == b["kind"] == "transfer":
        decisive = [item for item in decisive if item[0] != "pretrain"]
        sources = [by_id.get(record["pretrain_run_id"]) for record in (a, b)]
        if sources[0] is not None and sources[1] is not None:
            pretraining = _without_seed(differences(sources[0]["identity"], sources[1]["identity"]))
    around = differences(_around(a), _around(b))
    names = (a["run_id"], b["run_id"])
    return Why(names, decisive, pretraining, around, _verdict(a, b, decisive, pretraining))


def _verdict(a: Record, b: Record, decisive: list[Difference], pretraining: list[Difference]) -> str:
    if a["run_id"] == b["run_id"]:
        return "They are the same record."
    if a["kind"] != b["kind"]:
        return f"One is a {a['kind']} and the other a {b['kind']} record: they are never compared."
    if a["kind"] == "pretrain":
        if decisive:
            return "They are different rows: they differ in what decides the weights."
        return f"They are the same row: only the seed differs ({a['seed']} and {b['seed']})."
    if decisive:
        return "They stand in different columns or tables and are not compared: they were not measured in the same way."
    if pretraining:
        return "They were measured in the same way and may be compared: different rows of one column."
    return f"They are the same cell: only the seed differs ({a['seed']} and {b['seed']})."


def _find(records: Sequence[Record], name: str) -> Record:
    by_id = {record["run_id"]: record for record in records}
    if name in by_id:
        return by_id[name]
    parts = [run_id for run_id in by_id if name in run_id]
    if len(parts) == 1:
        return by_id[parts[0]]
    rows, _, _ = join_records(records)
    called = row_names(list(rows.values()))
    named = [
        row for key, row in rows.items() if name in (called[key], row.task, f"{called[key]} {row.backbone}".strip())
    ]
    if len(named) == 1:
        return named[0].first
    if len(named) > 1:
        options = ", ".join(f"'{called[row.key]} {row.backbone}'" for row in named)
        raise RecordError(f"{name!r} is the name of {len(named)} rows: {options}; say which, or give a run_id")
    if parts:
        shown = ", ".join(sorted(parts)[:5])
        raise RecordError(
            f"{name!r} fits {len(parts)} run_ids: {shown}{', ...' if len(parts) > 5 else ''}; give more of it"
        )
    near = near_names(name, [*by_id, *called.values()])
    raise RecordError(
        f"no record or row is called {name!r}{near or '; give a run_id, a part of one, or the name of a row'}"
    )


def _around(record: Record) -> Mapping[str, Any]:
    cost = {key: value for key, value in record["cost"].items() if key in ("parameters", "flops_per_clip")}
    return {"status": record["status"], "environment": record["environment"], "cost": cost}


def _without_seed(items: list[Difference]) -> list[Difference]:
    return [item for item in items if item[0] != "seed"]
