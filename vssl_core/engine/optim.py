"""Optimisers and learning-rate schedules: timm's, chosen by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from timm.optim import create_optimizer_v2, list_optimizers
from timm.scheduler import CosineLRScheduler, MultiStepLRScheduler
from timm.scheduler.scheduler import Scheduler

from vssl_core.config.schema import OptimConfig
from vssl_core.errors import ConfigError, near_names

__all__ = ["make_optimizer", "make_schedule"]


def _without_decay_on_vectors(groups: Sequence[dict[str, Any]], weight_decay: float) -> list[dict[str, Any]]:
    """Split each group: biases, norms and other vectors are not decayed (a group that sets its own decay keeps it)."""
    split: list[dict[str, Any]] = []
    for group in groups:
        if "weight_decay" in group:
            split.append(dict(group))
            continue
        rest = {key: value for key, value in group.items() if key != "params"}
        parameters = list(group["params"])
        matrices = [parameter for parameter in parameters if parameter.ndim > 1]
        vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
        split.append({**rest, "params": matrices, "weight_decay": weight_decay})
        split.append({**rest, "params": vectors, "weight_decay": 0.0})
    return split


def _trained(group: Mapping[str, Any]) -> dict[str, Any]:
    return {**group, "params": [parameter for parameter in group["params"] if parameter.requires_grad]}


def make_optimizer(groups: Sequence[dict[str, Any]], config: OptimConfig) -> torch.optim.Optimizer:
    """Return timm's optimiser ``config.name`` over a task's parameter groups.

    Raises:
        ConfigError: timm has no optimiser of that name, or nothing is left to train.
    """
    known = list_optimizers()
    if config.name.lower() not in known:
        near = near_names(config.name.lower(), known)
        raise ConfigError(f"optim.name={config.name} is no optimiser of timm{near} (all: timm.optim.list_optimizers())")
    # Without a decay of its own a group has that of the whole.
    split = list(groups) if config.decayed == "all" else _without_decay_on_vectors(groups, config.weight_decay)
    split = [group for group in map(_trained, split) if group["params"]]
    if not split:
        raise ConfigError("the task has no parameters to train; a floor without training has trains=False in its Spec")
    return create_optimizer_v2(
        split, opt=config.name, lr=config.lr, weight_decay=config.weight_decay, momentum=config.momentum
    )


def make_schedule(optimizer: torch.optim.Optimizer, config: OptimConfig, total_steps: int) -> Scheduler:
    """Return timm's schedule; ``step_update(k)`` sets the rate of step k (from 0), so that resuming needs no state."""
    warmup = round(config.warmup * total_steps)
    shared: dict[str, Any] = {
        "t_in_epochs": False,
        "warmup_t": warmup,
        # The first step is not wasted on a rate of zero.
        "warmup_lr_init": config.lr / (warmup + 1),
    }
    if config.schedule == "cosine":
        after = max(1, total_steps - warmup)
        return CosineLRScheduler(optimizer, t_initial=after, lr_min=config.min_lr, warmup_prefix=True, **shared)
    decay_at = [round(part * total_steps) for part in config.decay_at] if config.schedule == "step" else []
    return MultiStepLRScheduler(optimizer, decay_t=decay_at, decay_rate=0.1, **shared)
