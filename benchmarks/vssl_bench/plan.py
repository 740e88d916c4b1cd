"""From a suite to its jobs: every identity computed, impossible pairs refused with their reason, nothing decoded."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vssl_bench.expected import planned_rows
from vssl_bench.jobs import Plan, PlannedJob, Refusal, matches
from vssl_bench.names import shown, shown_task
from vssl_bench.rows import row_key
from vssl_bench.suite import DataEntry, PretrainEntry, Suite
from vssl_bench.wins import planned_wins
from vssl_core.config.compose import to_plain, typed
from vssl_core.config.schema import PretrainConfig, TransferConfig
from vssl_core.contracts import Dataset
from vssl_core.engine.planned import PlannedPretrain, check_pair, plan_pretrain
from vssl_core.engine.rehearsal import rehearse
from vssl_core.errors import ConfigError
from vssl_core.plugins import Registry, Resolved
from vssl_core.store.identity import run_id, transfer_identity
from vssl_core.transfer.planned import check_question

__all__ = ["make_plan"]


def make_plan(
    suite: Suite,
    registry: Registry,
    out: Path,
    only: Mapping[str, tuple[str, ...]] | None = None,
    *,
    rehearsal: bool = True,
) -> Plan:
    """Plan a suite.

    Seeds are the outermost loop and every run's transfers stand right behind it, so that a board with one seed is there
    early and fills up. A budget in epochs becomes one in steps here. Runs that two data sets share (``random-init``)
    are planned once.

    Args:
        suite: what to do.
        registry: the components.
        out: folder of the runs.
        only: filters, as ``parse_filters`` returns them; the pretraining that a chosen transfer needs stays in.
        rehearsal: try each task on its backbone with a made-up batch, on the CPU, and refuse what cannot work; without
            it, only what the specifications of the two say is known.

    Raises:
        ConfigError: an option is wrong, or the suite names data that does not exist.
    """
    planner = _Planner(suite, _Remembering(registry), out, rehearsal)
    planner.run()
    jobs = tuple(planner.jobs.values())
    rows = planned_rows(jobs, planner.placebos())
    wins = planned_wins(suite, jobs)
    if only:
        jobs = _filtered(jobs, only)
    refused = tuple(Refusal(what, reason) for what, reason in planner.refused.items())
    return Plan(suite.name, suite.title, out, suite.expect_minutes, jobs, refused, frozenset(planner.jobs), rows, wins)


def _filtered(jobs: tuple[PlannedJob, ...], only: Mapping[str, tuple[str, ...]]) -> tuple[PlannedJob, ...]:
    kept = {job.run_id for job in jobs if matches(job, only)}
    kept |= {needed for job in jobs if job.run_id in kept for needed in job.needs}
    return tuple(job for job in jobs if job.run_id in kept)


class _Remembering(Registry):
    """A registry that resolves each component and builds each data set once: a plan asks for few of them often."""

    def __init__(self, registry: Registry) -> None:
        entries = [entry for kind in registry.kinds() for entry in registry.entries(kind)]
        super().__init__(registry.plugins, entries, registry.notes)
        self._resolved: dict[str, Resolved] = {}
        self._datasets: dict[str, Any] = {}

    def resolve(self, kind: str, value: object, *, where: str | None = None) -> Resolved:
        key = repr((kind, value, where))
        if key not in self._resolved:
            self._resolved[key] = super().resolve(kind, value, where=where)
        return self._resolved[key]

    def build(self, kind: str, value: object, *args: Any, **options: Any) -> Any:
        if kind != "datasets" or args or options:
            return super().build(kind, value, *args, **options)
        key = repr(value)
        if key not in self._datasets:
            self._datasets[key] = _Fingerprinted(super().build(kind, value))
        return self._datasets[key]


class _Fingerprinted:
    """A data set whose fingerprint, which may mean hashing files, is made once."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.fingerprint = functools.cache(dataset.fingerprint)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)


@dataclass(slots=True)
class _Planner:
    suite: Suite
    registry: Registry
    out: Path
    rehearsal: bool
    jobs: dict[str, PlannedJob] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    configs: dict[str, PretrainConfig] = field(default_factory=dict)
    #: row keys of an entry by its place in the suite, the place of the data set, and whether they are its placebo's
    keys: dict[tuple[int, int, bool], set[str]] = field(default_factory=dict)
    #: what came of trying a task on a backbone: why it cannot work, or nothing
    rehearsals: dict[str, str | None] = field(default_factory=dict)
    transfer: TransferConfig = field(init=False)

    def __post_init__(self) -> None:
        self.transfer = typed(TransferConfig, self.suite.transfer, where="transfer")

    def run(self) -> None:
        entries = [
            (i, placebo, variant)
            for i, entry in enumerate(self.suite.pretrain)
            for placebo, variant in enumerate(_with_placebo(entry, self.registry))
        ]
        for rank in range(max(len(entry.seeds) for _, _, entry in entries)):
            for j, data in enumerate(self.suite.data):
                for i, placebo, entry in entries:
                    if rank < len(entry.seeds):
                        keys = self.keys.setdefault((i, j, bool(placebo)), set())
                        keys |= self._entry(entry, data, entry.seeds[rank])

    def placebos(self) -> dict[str, str]:
        """Return the row of the placebo that each row is given; rows that are given two have none."""
        given: dict[str, set[str]] = {}
        for (i, j, placebo), keys in self.keys.items():
            for key in keys if not placebo else ():
                given.setdefault(key, set()).update(self.keys.get((i, j, True), ()))
        return {key: next(iter(found)) for key, found in given.items() if len(found) == 1}

    def _entry(self, entry: PretrainEntry, data: DataEntry, seed: int) -> set[str]:
        """Plan an entry's runs and measurements on one data set and return the keys of their rows."""
        pretrain_data = self.registry.resolve("datasets", data.pretrain_data)
        if entry.data and pretrain_data.name not in entry.data and pretrain_data.reference not in entry.data:
            return set()
        keys = set()
        base = self._config(entry)
        task = self.registry.resolve("tasks", base.task)
        known = self._labels(data)
        labels = [label for label in known if not entry.labels or label in entry.labels]
        for label in labels if task.spec.needs_labels else [""]:
            config = replace(base, data=data.pretrain_data, seed=seed, label=label)
            planned = self._pretrain(config, task, pretrain_data, entry)
            if planned is None:
                continue
            keys.add(row_key(planned.identity))
            for protocol in self.suite.protocols:
                # A question of the task's own is the same under every label: it is put once, all tasks' under one.
                own = self.registry.resolve("protocols", protocol).spec.requires
                for measured in [label] if label else known[:1] if own else labels:
                    self._transfer(planned, data, measured, protocol, entry)
        return keys

    def _config(self, entry: PretrainEntry) -> PretrainConfig:
        """The entry as a checked configuration, without data, seed and label."""
        key = repr(entry.config)
        if key not in self.configs:
            self.configs[key] = typed(PretrainConfig, entry.config, where=entry.where)
        return self.configs[key]

    def _labels(self, data: DataEntry) -> list[str]:
        """Labels of a measured set that exist; those that do not are refused."""
        resolved = self.registry.resolve("datasets", data.data)
        dataset: Dataset = self.registry.build("datasets", data.data)
        known = list(dataset.labels())
        if not known:
            self._refuse(f"every transfer to {resolved.reference}", "the data set has no labels")
        for label in data.labels:
            if label not in known:
                self._refuse(f"label {label} of {resolved.reference}", f"it has only {', '.join(known) or 'none'}")
        return [label for label in (data.labels or known) if label in known]

    def _pretrain(
        self, config: PretrainConfig, task: Resolved, data: Resolved, entry: PretrainEntry
    ) -> PlannedPretrain | None:
        backbone = self.registry.resolve("backbones", config.backbone) if task.spec.uses_backbone else None
        who = " on ".join(part for part in (task.reference, backbone.reference if backbone else "") if part)
        reason = check_pair(task, backbone)
        if reason is None and config.label:
            dataset: Dataset = self.registry.build("datasets", config.data)
            if config.label not in dataset.labels():
                reason = f"the pretraining set {data.reference} has no label {config.label}"
        reason = reason or (self._rehearsed(config) if self.rehearsal else None)
        if reason is not None:
            self._refuse(who, reason)
            return None
        try:
            planned = plan_pretrain(config, self.registry)
        except ConfigError as error:
            raise ConfigError(f"{entry.where} ({who}): {error}") from error
        # Steps are what a budget is from here on; the folder follows from what they decide.
        final = replace(planned.config, steps=planned.steps, epochs=0.0, out=str(self.out / planned.run_id))
        planned = replace(planned, config=final)
        self.jobs.setdefault(
            planned.run_id,
            PlannedJob(
                run_id=planned.run_id,
                kind="pretrain",
                identity=planned.identity,
                config=to_plain(final),
                needs=(),
                task=shown_task(config.task),
                backbone=shown(config.backbone) if backbone else "",
                data=self._data_name(config.data) if task.spec.trains else "",
                pretrain_data=self._data_name(config.data) if task.spec.trains else "",
                protocol="",
                label=config.label,
                seed=config.seed,
                steps=planned.steps,
                batch_size=config.batch_size,
            ),
        )
        return planned

    def _rehearsed(self, config: PretrainConfig) -> str | None:
        """Try a task on its backbone, once for all seeds and data sets."""
        key = repr((config.task, config.backbone))
        if key not in self.rehearsals:
            self.rehearsals[key] = rehearse(config, self.registry)
        return self.rehearsals[key]

    def _transfer(
        self, planned: PlannedPretrain, data: DataEntry, label: str, value: Any, entry: PretrainEntry
    ) -> None:
        protocol = self.registry.resolve("protocols", value)
        if entry.protocols and protocol.name not in entry.protocols and protocol.reference not in entry.protocols:
            return
        measured = self.registry.resolve("datasets", data.data)
        dataset: Dataset = self.registry.build("datasets", data.data)
        reason = check_question(protocol, planned.task, planned.fingerprint, dataset.fingerprint())
        if reason:
            who = f"{shown(value)} of {shown_task(planned.config.task)}"
            self._refuse(f"{who} on {self._data_name(data.data)}", reason)
            return
        config = replace(
            self.transfer,
            run=planned.config.out,
            data=data.data,
            protocol=value,
            label=label,
            seed=planned.config.seed,
            # Where nothing else is said, a run is measured where it was trained.
            device=self.suite.transfer.get("device", planned.config.device),
        )
        identity = transfer_identity(config, planned.run_id, protocol, measured, dataset.fingerprint(), label)
        words = (protocol.reference, measured.name, label, planned.task.reference, f"s{config.seed}")
        job_id = run_id(identity, *words)
        final = replace(config, out=str(self.out / job_id))
        self.jobs.setdefault(
            job_id,
            PlannedJob(
                run_id=job_id,
                kind="transfer",
                identity=identity,
                config=to_plain(final),
                needs=(planned.run_id,),
                task=shown_task(planned.config.task),
                backbone=shown(planned.config.backbone) if planned.backbone else "",
                data=self._data_name(data.data),
                pretrain_data=self._data_name(planned.config.data) if planned.task.spec.trains else "",
                protocol=shown(value),
                label=label,
                seed=config.seed,
                steps=0,
                batch_size=config.batch_size,
            ),
        )

    def _data_name(self, value: Any) -> str:
        """The name that a set of one's own gives itself, else how the configuration calls it."""
        own = str(self.registry.build("datasets", value).name)
        return own if own != self.registry.resolve("datasets", value).name else shown(value)

    def _refuse(self, what: str, reason: str) -> None:
        self.refused.setdefault(what, reason)


def _with_placebo(entry: PretrainEntry, registry: Registry) -> Iterator[PretrainEntry]:
    """Yield an entry and, where it asks for one, its placebo: the same in everything but the targets.

    Floors are not trained and ``supervised`` is no pretext task, so they have none.
    """
    yield entry
    spec = registry.resolve("tasks", entry.config["task"]).spec
    if entry.placebo == "none" or not spec.trains or spec.needs_labels:
        return
    of = entry.config["task"] if entry.placebo == "own" else entry.placebo
    yield replace(entry, config={**entry.config, "task": {"name": "random-labels", "of": of}}, placebo="none")
