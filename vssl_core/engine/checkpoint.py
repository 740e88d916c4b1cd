"""Checkpoints and exported encoders: safetensors for tensors, JSON for the rest; nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vssl_core.errors import CheckpointError
from vssl_core.store.runs import atomic_folder, read_json, write_json

__all__ = [
    "has_checkpoint",
    "latest_checkpoint",
    "load_checkpoint",
    "load_weights",
    "save_checkpoint",
    "save_weights",
    "weights_sha",
]

_KEEP = 2  # the newest, and the one before it should the newest turn out damaged


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy to contiguous CPU tensors: safetensors takes neither shared storage nor other memory formats."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _flatten_optimizer(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split an optimiser's state: tensors (some optimisers keep one in a group, too) and numbers."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    groups: list[dict[str, Any]] = []
    for index, values in state["state"].items():
        for key, value in values.items():
            (tensors if isinstance(value, Tensor) else numbers)[f"state/{index}/{key}"] = value
    for index, group in enumerate(state["param_groups"]):
        tensors |= {f"group/{index}/{key}": value for key, value in group.items() if isinstance(value, Tensor)}
        groups.append({key: value for key, value in group.items() if not isinstance(value, Tensor)})
    return _plain(tensors), {"numbers": numbers, "param_groups": groups}


def _unflatten_optimizer(tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {}
    groups = [dict(group) for group in rest["param_groups"]]
    for name, value in {**tensors, **rest["numbers"]}.items():
        where, index, key = name.split("/", 2)
        (groups[int(index)] if where == "group" else state.setdefault(int(index), {}))[key] = value
    return {"state": state, "param_groups": groups}


def save_checkpoint(
    folder: Path, run_id: str, step: int, task: nn.Module, optimizer: torch.optim.Optimizer, extra: Mapping[str, Any]
) -> Path:
    """Write ``folder/step-NNNNNNNN`` whole or not at all, and remove all but the newest two.

    Args:
        folder: the run's checkpoint folder.
        run_id: whose checkpoint it is.
        step: optimiser steps done.
        task: its ``state_dict`` holds all that training changed.
        optimizer: its state, tensors and numbers.
        extra: JSON that ``load_checkpoint`` hands back (costs so far, quarantine, gradient scaler).
    """
    path = folder / f"step-{step:08d}"
    tensors, rest = _flatten_optimizer(optimizer.state_dict())
    with atomic_folder(path) as temporary:
        save_file(_plain(task.state_dict()), temporary / "model.safetensors")
        save_file(tensors, temporary / "optim.safetensors")
        state = {"run_id": run_id, "step": step, "optim": rest, "extra": dict(extra)}
        (temporary / "state.json").write_text(json.dumps(state, allow_nan=False), encoding="utf-8")
    for old in sorted(folder.glob("step-*"))[:-_KEEP]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint, or None."""
    whole = [path for path in sorted(folder.glob("step-*")) if (path / "state.json").exists()]
    return whole[-1] if whole else None


def has_checkpoint(folder: Path, run_id: str) -> bool:
    """Return whether a run can go on from a checkpoint in its folder.

    Raises:
        CheckpointError: the newest one is of another run.
    """
    newest = latest_checkpoint(folder)
    if newest is None:
        return False
    _read_state(newest, run_id)
    return True


def load_checkpoint(path: Path, task: nn.Module, optimizer: torch.optim.Optimizer, run_id: str) -> dict[str, Any]:
    """Bring task and optimiser to a checkpoint; returns the ``extra`` that was saved.

    Raises:
        CheckpointError: the checkpoint is damaged, or of another run.
    """
    state = _read_state(path, run_id)
    try:
        task.load_state_dict(load_file(path / "model.safetensors"))
        optimizer.load_state_dict(_unflatten_optimizer(load_file(path / "optim.safetensors"), state["optim"]))
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be loaded: {error}; delete that folder to go on from the one before it"
        ) from error
    return dict(state["extra"])


def _read_state(path: Path, run_id: str) -> Mapping[str, Any]:
    state = read_json(path / "state.json")
    owner = state.get("run_id")
    if owner != run_id:
        raise CheckpointError(
            f"checkpoint {path} is of run {owner!r}, this run is {run_id!r}: another task, option, budget or seed; "
            f"give another folder, or delete {path.parent} to start this run there"
        )
    return state


def weights_sha(module: nn.Module) -> str:
    """Return SHA-256 over a module's state: names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(_plain(module.state_dict()).items()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


def save_weights(weights: Path, info: Path, module: nn.Module, description: Mapping[str, Any]) -> str:
    """Write a module's state and, beside it, JSON that says what it is; returns the state's SHA-256."""
    sha = weights_sha(module)
    temporary = weights.with_name(f".{weights.name}.tmp")
    save_file(_plain(module.state_dict()), temporary)
    temporary.replace(weights)
    write_json(info, {**description, "weights_sha": sha})
    return sha


def load_weights(weights: Path, module: nn.Module, expected_sha: str) -> None:
    """Load a module's state.

    Raises:
        CheckpointError: the file is missing, damaged, of another network, or not the one that was recorded.
    """
    try:
        module.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"encoder {weights} cannot be loaded: {error}; run its pretraining again") from error
    found = weights_sha(module)
    if found != expected_sha:
        raise CheckpointError(
            f"encoder {weights} has hash {found[:12]}, its run wrote {expected_sha[:12]}; changed since: pretrain again"
        )
