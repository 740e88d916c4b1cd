"""A pretraining run, resolved: every component known, the budget in steps, the identity and ``run_id`` made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vssl_core.config.schema import PretrainConfig
from vssl_core.contracts import Dataset
from vssl_core.errors import ConfigError, near_names
from vssl_core.plugins import Registry, Resolved
from vssl_core.store.identity import pretrain_identity, run_id

__all__ = ["PlannedPretrain", "check_pair", "plan_pretrain", "steps_of"]


@dataclass(frozen=True, slots=True)
class PlannedPretrain:
    """What a pretraining run will be; making it decodes nothing. ``config`` has its number format settled."""

    config: PretrainConfig
    task: Resolved
    backbone: Resolved | None
    data: Resolved
    dataset: Dataset
    fingerprint: str
    steps: int
    identity: Mapping[str, Any]
    run_id: str

    @property
    def folder(self) -> Path:
        """Where the run goes."""
        return Path(self.config.out) if self.config.out else Path("runs") / "single" / self.run_id


def check_pair(task: Resolved, backbone: Resolved | None) -> str | None:
    """Say why a task and a backbone cannot go together, or return None where they can."""
    if backbone is None:
        return None
    missing = sorted(task.requires - backbone.spec.provides)
    if missing:
        offers = ", ".join(sorted(backbone.spec.provides)) or "nothing special"
        return (
            f"task {task.name} needs a backbone that offers {', '.join(missing)}; {backbone.name} offers {offers}"
            " ('vssl list backbones' shows what each offers)"
        )
    return None


def steps_of(config: PretrainConfig, task: Resolved, n_videos: int) -> int:
    """Turn the budget into optimiser steps; floors that are not trained take none.

    Raises:
        ConfigError: neither steps nor epochs are given, or both are.
    """
    if not task.spec.trains:
        return 0
    if bool(config.steps) == bool(config.epochs):
        given = f"steps={config.steps} and epochs={config.epochs:g}" if config.steps else "neither"
        raise ConfigError(f"give the budget as steps=N or as epochs=N; given: {given}")
    if config.steps:
        return config.steps
    return max(1, round(config.epochs * n_videos / (config.batch_size * config.optim.accumulate)))


def plan_pretrain(config: PretrainConfig, registry: Registry) -> PlannedPretrain:
    """Resolve a configuration.

    Raises:
        ConfigError: an option is wrong, the pair is impossible, or a label is missing or unknown.
    """
    task = registry.resolve("tasks", config.task)
    backbone = registry.resolve("backbones", config.backbone) if task.spec.uses_backbone else None
    data = registry.resolve("datasets", config.data)
    reason = check_pair(task, backbone)
    if reason:
        raise ConfigError(reason)
    dataset: Dataset = registry.build("datasets", config.data)
    if task.spec.needs_labels:
        known = list(dataset.labels())
        if config.label not in known:
            said = f"label={config.label!r} is none of them" if config.label else "no label was given"
            raise ConfigError(
                f"task {task.name} needs a label of {data.name} ({', '.join(known) or 'it has none'}); {said}"
                f"{near_names(config.label, known)}"
            )
    fingerprint = dataset.fingerprint()
    # Only a budget in epochs has to know how many videos there are, which may mean indexing them.
    n_videos = len(_fit_videos(dataset)) if config.epochs and task.spec.trains else 0
    steps = steps_of(config, task, n_videos)
    if task.spec.trains and config.precision == "auto":
        # Like a budget in epochs, it is settled once: a number format decides numbers, so it is part of the run_id.
        from vssl_core.engine.precision import pick_device, pick_precision

        config = replace(config, precision=pick_precision("auto", pick_device(config.device)).name)
    identity = pretrain_identity(config, task, backbone, data, fingerprint, steps)
    words = (
        task.reference,
        backbone.name if backbone else "",
        data.name if task.spec.trains else "",
        f"s{config.seed}",
    )
    return PlannedPretrain(
        config, task, backbone, data, dataset, fingerprint, steps, identity, run_id(identity, *words)
    )


def _fit_videos(dataset: Dataset) -> list[Any]:
    from vssl_core.data.splits import fit_val

    return list(fit_val(dataset)["fit"])
