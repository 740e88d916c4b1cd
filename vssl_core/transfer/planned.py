"""A transfer measurement, resolved: encoder, data, label, protocol, identity and ``run_id``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vssl_core.config.schema import TransferConfig
from vssl_core.contracts import Dataset
from vssl_core.errors import CheckpointError, ConfigError, near_names
from vssl_core.plugins import Registry, Resolved
from vssl_core.store.identity import run_id, transfer_identity
from vssl_core.store.runs import RunFolder

__all__ = ["OTHER_SET", "PlannedTransfer", "check_question", "plan_transfer", "transfer_folder"]

OTHER_SET = (
    "this is another set, or it has changed since: measure on the set that the run was trained on (leave data= out)"
)


@dataclass(frozen=True, slots=True)
class PlannedTransfer:
    """What a transfer measurement will be; making it decodes nothing.

    Attributes:
        config: with data and label filled in.
        source: folder of the pretraining run.
        pretrain: its record.
    """

    config: TransferConfig
    source: RunFolder
    pretrain: Mapping[str, Any]
    protocol: Resolved
    data: Resolved
    dataset: Dataset
    fingerprint: str
    identity: Mapping[str, Any]
    run_id: str

    @property
    def folder(self) -> RunFolder:
        """Where the measurement goes."""
        return RunFolder(transfer_folder(self.config, self.run_id))

    @property
    def task_reference(self) -> str:
        """The pretext task as users write it."""
        return _reference(self.pretrain["components"]["task"])


def transfer_folder(config: TransferConfig, run_id: str) -> Path:
    """Return where a measurement goes: ``out``, or below the pretraining run's folder."""
    return Path(config.out) if config.out else Path(config.run) / "transfer" / run_id


def _reference(component: Mapping[str, Any]) -> str:
    return f"{component['name']}@{component['recipe']}" if component["recipe"] else str(component["name"])


def plan_transfer(config: TransferConfig, registry: Registry) -> PlannedTransfer:
    """Resolve a configuration against the pretraining run that it names.

    Raises:
        CheckpointError: there is no finished pretraining run in that folder.
        ConfigError: an option is wrong, the label is missing or unknown, or the protocol asks of the run what it has
            not (``check_question``).
    """
    if not config.run:
        raise ConfigError("run is empty: give the folder of a pretraining run")
    source = RunFolder(Path(config.run))
    pretrain = source.read_record()
    if pretrain is None or pretrain["kind"] != "pretrain" or pretrain["status"] != "done":
        found = "no record" if pretrain is None else f"a {pretrain['kind']} record with status {pretrain['status']!r}"
        raise CheckpointError(
            f"{source.path} holds {found}; expected a pretraining run that is done: run it, or give its folder"
        )
    value = config.data or _component(pretrain, "data")
    data = registry.resolve("datasets", value)
    protocol = registry.resolve("protocols", config.protocol)
    dataset: Dataset = registry.build("datasets", value)
    known = list(dataset.labels())
    if not known:
        raise ConfigError(f"data={data.name} has no labels to measure on; choose a labelled set")
    fingerprint = dataset.fingerprint()
    asked = ""  # the label that the run's own question is about
    if protocol.spec.requires:
        task = registry.resolve("tasks", _component(pretrain, "task"))
        reason = check_question(protocol, task, pretrain["data"]["fingerprint"], fingerprint)
        if reason:
            raise ConfigError(reason)
        asked = pretrain["config"]["label"] if task.spec.needs_labels else ""
    label = config.label or asked or known[0]
    if label not in known:
        raise ConfigError(
            f"label={label} is none of {data.name}'s labels ({', '.join(known)}){near_names(label, known)}"
        )
    if asked and label != asked:
        raise ConfigError(
            f"label={label}: the run was trained on label {asked}, and protocol {protocol.name} asks it that"
        )
    config = replace(config, data=value, label=label)
    identity = transfer_identity(config, pretrain["run_id"], protocol, data, fingerprint, label)
    trained = _reference(pretrain["components"]["task"])
    words = (protocol.reference, data.name, label, trained, f"s{config.seed}")
    return PlannedTransfer(
        config, source, pretrain, protocol, data, dataset, fingerprint, identity, run_id(identity, *words)
    )


def check_question(protocol: Resolved, task: Resolved, trained: str, measured: str) -> str | None:
    """Say why a protocol cannot put a trained task's own question again, or return None where it can or does not.

    Args:
        protocol: one that asks nothing of the task (``Spec.requires``) can measure any encoder.
        task: what was trained.
        trained: fingerprint of the pretraining's set.
        measured: fingerprint of the set that is to be measured on.
    """
    if not protocol.spec.requires:
        return None
    who = f"protocol {protocol.name} puts a trained task's own question to the videos that the run held out"
    if not task.spec.trains:
        return f"{who}; {task.name} is not trained: choose the run of a task that is"
    missing = sorted(protocol.spec.requires - task.provides - {"trained"})
    if missing:
        offers = ", ".join(sorted(task.provides)) or "nothing of the kind"
        return (
            f"{who} and needs one that offers {', '.join(missing)}; {task.name} offers {offers}: choose another task "
            "('vssl list tasks' shows what each gives), or say it in the Spec of a task of your own whose evaluate does"
        )
    return None if trained == measured else f"{who}; {OTHER_SET}"


def _component(pretrain: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a component of the pretraining run, such as ``"data"``, in the mapping form of configurations."""
    component = pretrain["components"][key]
    return {"name": component["name"], **component["options"]}
