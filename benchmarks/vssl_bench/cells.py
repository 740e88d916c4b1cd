"""One cell of a board: a row measured in one way, with its interval, its gains and what it cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vssl_bench.rows import Column, Record, Row
from vssl_bench.stats import Difference, Estimate, accuracy_interval, seed_interval, welch, wilson

__all__ = ["Cell", "cell_difference", "make_cell", "pretext"]

#: numbers that are means over test videos of something between 0 and 1
FRACTION = "fraction"


@dataclass(kw_only=True, slots=True)
class Cell:
    """What a board says of one row under one protocol, on one label of one data set. Absent numbers are None.

    Attributes:
        row: what people call the row; unique in its table.
        role: ``"floor"``, ``"placebo"``, ``"task"`` or ``"supervised"``.
        mean: of the primary metric over the seeds that are done; a fraction unless ``unit`` says otherwise.
        low: lower end of the 95 % interval (``stats.accuracy_interval``).
        high: upper end.
        seed_error: whether the interval covers the spread over seeds; one seed shows none.
        seeds: how many are in the mean.
        standard_error: of the test sample, where the metric brings one; fractions have theirs from ``n_test``.
        seeds_expected: how many runs there are or, by the suite's plan, should be; above ``seeds`` where some failed or
            are missing: such a cell is ``incomplete``.
        failed: reasons of the runs and measurements that failed.
        pretext_accuracy: mean over seeds of the task's own accuracy on held-out videos.
        runs_at_chance: how many of ``pretext_runs`` runs cannot be told from their chance, each by Wilson's interval of
            its own accuracy on its own held-out samples; None where there is no such accuracy or no chance.
        at_chance: whether none of them can; the spread over seeds does not enter, as each run is asked by itself.
        gain_over_placebo: difference of means to the placebo's row, which ``placebo`` names.
        p: Welch's two-sided p-value against the placebo; ``p_holm``: adjusted over the tasks of this column, None
            where either side is incomplete.
        best: the highest mean among complete tasks; ``tied``: cannot be told apart from it.
        steps: of pretraining; ``clips``: seen by it, over all views; ``seconds``: wall clock, mean over seeds.
        unreadable: test videos that could not be read and count as wrong, at most over seeds.
        metrics: means over seeds of the protocol's other numbers.
    """

    row: str
    row_key: str
    role: str
    task: str
    recipe: str
    backbone: str
    pretrain_data: str
    data: str
    fingerprint: str
    protocol: str
    protocol_version: int
    protocol_key: str
    label: str
    metric: str
    unit: str
    mean: float | None
    low: float | None
    high: float | None
    seed_error: bool
    values: dict[str, float]
    seeds: int
    seeds_expected: int
    failed: list[str]
    n_test: int
    standard_error: float | None
    chance: float | None
    needs_labels: bool
    pretext_accuracy: float | None
    pretext_low: float | None
    pretext_high: float | None
    pretext_chance: float | None
    at_chance: bool | None
    runs_at_chance: int | None
    pretext_runs: int
    placebo: str | None = None
    gain_over_placebo: float | None = None
    gain_over_placebo_low: float | None = None
    gain_over_placebo_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    gain_over_random: float | None = None
    gain_over_random_low: float | None = None
    gain_over_random_high: float | None = None
    best: bool = False
    tied: bool = False
    steps: int
    clips: float | None
    frames_decoded: float | None
    seconds: float | None
    device_seconds: float | None
    parameters: int | None
    flops_per_clip: int | None
    unreadable: int
    metrics: dict[str, float]
    run_ids: list[str]

    @property
    def incomplete(self) -> bool:
        """Whether seeds are missing: those that are there may be the ones that happened to go well."""
        return self.seeds < self.seeds_expected

    def plain(self) -> dict[str, Any]:
        """Return the cell as JSON."""
        return asdict(self)


def make_cell(row: Row, column: Column, name: str, planned: Sequence[int] | None = None) -> Cell:
    """Return the cell of a row, called ``name``, in a column, without what takes other rows: gains and ties.

    Args:
        row: what was pretrained.
        column: how it was measured.
        name: what people call the row.
        planned: seeds that the suite's plan wants here; None: no plan says, and every run of the row is expected.
    """
    measured = column.measured.get(row.key, {})
    done = {seed: measured[seed] for seed in sorted(measured) if measured[seed]["status"] == "done"}
    primary = {seed: _primary(record) for seed, record in done.items()}
    some = next(iter(primary.values()), None)
    values = {seed: float(metric["value"]) for seed, metric in primary.items()}
    unit = some["unit"] if some else FRACTION
    error = _standard_error(primary.values())
    estimate = _estimate(list(values.values()), unit, some["n"] if some else 0, error)
    own = pretext(row)
    runs = [row.runs[seed] for seed in done if seed in row.runs] or row.done
    failed = [record for record in (*row.runs.values(), *measured.values()) if record["status"] == "failed"]
    return Cell(
        row=name,
        row_key=row.key,
        role=row.role,
        task=row.task,
        recipe=row.task_key[1],
        backbone=row.backbone,
        pretrain_data=row.pretrain_data,
        data=column.data,
        fingerprint=column.fingerprint,
        protocol=column.protocol,
        protocol_version=column.version,
        protocol_key=column.key,
        label=column.label,
        metric=some["name"] if some else "",
        unit=unit,
        mean=estimate.mean if estimate else None,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        seed_error=estimate.seed_error if estimate else False,
        values={str(seed): value for seed, value in values.items()},
        seeds=len(values),
        seeds_expected=len({*(row.runs if planned is None else planned), *measured}),
        failed=[_reason(record) for record in failed],
        n_test=some["n"] if some else 0,
        standard_error=error,
        chance=some["chance"] if some else None,
        needs_labels=row.first["needs_labels"],
        pretext_accuracy=own.estimate.mean if own else None,
        pretext_low=own.estimate.low if own else None,
        pretext_high=own.estimate.high if own else None,
        pretext_chance=own.chance if own else None,
        at_chance=own.at_chance if own else None,
        runs_at_chance=own.runs_at_chance if own else None,
        pretext_runs=own.runs if own else 0,
        steps=int(row.identity.get("steps", 0)),
        clips=_mean_cost(runs, "clips"),
        frames_decoded=_mean_cost(runs, "frames_decoded"),
        seconds=_mean_cost(runs, "wall_s"),
        device_seconds=_mean_cost(runs, "device_s"),
        parameters=_first_cost([*runs, *done.values()], "parameters"),
        flops_per_clip=_first_cost([*done.values(), *runs], "flops_per_clip"),
        unreadable=max((_unreadable(record) for record in done.values()), default=0),
        metrics=_other_metrics(list(done.values())),
        run_ids=[record["run_id"] for record in done.values()],
    )


@dataclass(frozen=True, slots=True)
class Pretext:
    """A task's own accuracy on held-out videos over seeds, what guessing gives, and whether it does better."""

    estimate: Estimate
    chance: float | None
    runs: int
    runs_at_chance: int | None

    @property
    def at_chance(self) -> bool | None:
        """Whether no run is better than guessing."""
        return None if self.runs_at_chance is None else self.runs_at_chance == self.runs


def pretext(row: Row) -> Pretext | None:
    """Return a row's own accuracy; None for tasks that have none, such as reconstruction.

    It is the held-out metric ``accuracy`` against ``accuracy_chance`` or else the task's ``chance``, or a metric
    ``NAME_top1`` against ``NAME_chance``.
    """
    for record in row.done:
        heldout = record["heldout"]
        own_chance = "accuracy_chance" if "accuracy_chance" in heldout else None
        names = ("accuracy", own_chance) if "accuracy" in heldout else _paired(heldout)
        if names is None:
            return None
        accuracy, chance_name = names
        records = [other for other in row.done if accuracy in other["heldout"]]
        values = [float(other["heldout"][accuracy]["value"]) for other in records]
        counts = [int(other["heldout"][accuracy]["n"]) for other in records]
        chances = [other["heldout"][chance_name]["value"] if chance_name else other["chance"] for other in records]
        known = [value for value in chances if value is not None]
        stuck = [
            wilson(min(1.0, max(0.0, value)), n)[0] <= guessed
            for value, n, guessed in zip(values, counts, chances, strict=True)
            if guessed is not None
        ]
        # Where chance differs between seeds, the highest is what is shown.
        chance = max(known, default=None)
        estimate = accuracy_interval(values, min(counts))
        return Pretext(estimate, chance, len(stuck), sum(stuck) if stuck else None)
    return None


def cell_difference(a: Cell, b: Cell) -> Difference:
    """Return the difference of two cells of one column, with the error of the test sample where they are fractions."""
    n_a, n_b = (cell.n_test if cell.unit == FRACTION else None for cell in (a, b))
    return welch(
        list(a.values.values()), list(b.values.values()), n_a, n_b, error_a=a.standard_error, error_b=b.standard_error
    )


def _paired(heldout: Mapping[str, Any]) -> tuple[str, str] | None:
    for name in heldout:
        chance = name.removesuffix("_top1") + "_chance"
        if name.endswith("_top1") and chance in heldout:
            return name, chance
    return None


def _primary(record: Record) -> Mapping[str, Any]:
    metric: Mapping[str, Any] = next(metric for metric in record["metrics"] if metric["primary"])
    return metric


def _estimate(values: Sequence[float], unit: str, n: int, error: float | None) -> Estimate | None:
    if not values:
        return None
    return accuracy_interval(values, n) if unit == FRACTION else seed_interval(values, error)


def _standard_error(metrics: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the test sample's error of a mean over seeds: the seeds share the videos, so that it does not shrink."""
    errors = [metric.get("standard_error") for metric in metrics]
    known = [float(error) for error in errors if error is not None]
    return math.sqrt(sum(error**2 for error in known) / len(known)) if known and len(known) == len(errors) else None


def _other_metrics(records: Sequence[Record]) -> dict[str, float]:
    """Means over seeds; a metric that not every seed has is left out: a mean with a gap is no mean."""
    found: dict[str, list[float]] = {}
    for record in records:
        for metric in record["metrics"]:
            if not metric["primary"]:
                found.setdefault(metric["name"], []).append(float(metric["value"]))
    return {name: sum(values) / len(values) for name, values in found.items() if len(values) == len(records)}


def _reason(record: Record) -> str:
    error = record["error"] or {"message": "no reason given"}
    return f"{record['kind']} seed {record['seed']}: {error['message']}"


def _unreadable(record: Record) -> int:
    return sum(entry["split"] == "test" for entry in record["unreadable"])


def _costs(records: Sequence[Record], name: str) -> list[float]:
    return [record["cost"][name] for record in records if record["cost"].get(name) is not None]


def _mean_cost(records: Sequence[Record], name: str) -> float | None:
    return _reduce(_costs(records, name), lambda costs: sum(costs) / len(costs))


def _first_cost(records: Sequence[Record], name: str) -> int | None:
    first = _reduce(_costs(records, name), lambda costs: costs[0])
    return None if first is None else int(first)


def _reduce(costs: list[float], how: Callable[[list[float]], float]) -> float | None:
    return how(costs) if costs else None
