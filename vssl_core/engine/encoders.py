"""Exporting an encoder from a run and building it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from vssl_core.engine.checkpoint import load_weights, save_weights
from vssl_core.errors import CheckpointError
from vssl_core.store.runs import RunFolder, read_json

if TYPE_CHECKING:
    from vssl_core.components import Resolved
    from vssl_core.plugins import Registry

__all__ = ["encoder_description", "export_encoder", "load_encoder"]


def encoder_description(encoder: nn.Module) -> dict[str, Any]:
    """Return what records say of an encoder besides its weights."""
    return {
        "embed_dim": int(encoder.embed_dim),  # type: ignore[arg-type]
        "input_mode": str(encoder.input_mode),
        "sampling": dict(encoder.sampling),  # type: ignore[arg-type]
    }


def _component(resolved: Resolved) -> dict[str, Any]:
    return {"name": resolved.name, "version": resolved.version, "options": resolved.options}


def export_encoder(folder: RunFolder, encoder: nn.Module, task: Resolved, backbone: Resolved | None) -> str:
    """Write an encoder into its run folder; returns the SHA-256 of its weights.

    What is needed to build it again goes with it: the backbone, or for floors without one the task.
    """
    description = {
        "format": 1,
        "task": _component(task),
        "backbone": _component(backbone) if backbone is not None else None,
        **encoder_description(encoder),
    }
    return save_weights(folder.encoder, folder.encoder_info, encoder, description)


def _rebuild(registry: Registry, kind: str, component: Mapping[str, Any], where: Path, *args: Any) -> Any:
    resolved = registry.resolve(kind, {"name": component["name"], **component["options"]})
    if resolved.version != component["version"]:
        raise CheckpointError(
            f"{where} is of {component['name']} version {component['version']}, installed is {resolved.version}: "
            "install the version it was made with, or pretrain again"
        )
    return registry.build(kind, {"name": component["name"], **component["options"]}, *args)


def load_encoder(run: Path, registry: Registry) -> tuple[nn.Module, dict[str, Any]]:
    """Build the encoder of a run folder, in eval mode on the CPU; returns it and its description.

    Raises:
        CheckpointError: the folder holds no finished encoder, or its weights do not fit.
    """
    folder = RunFolder(run)
    if not folder.encoder_info.exists():
        raise CheckpointError(
            f"{run} holds no encoder; its pretraining has not finished: run it, or give another folder"
        )
    info = read_json(folder.encoder_info)
    encoder: nn.Module
    if info["backbone"] is not None:
        encoder = _rebuild(registry, "backbones", info["backbone"], folder.encoder_info)
        encoder.sampling = info["sampling"]
    else:
        encoder = _rebuild(registry, "tasks", info["task"], folder.encoder_info, None).encoder()
    load_weights(folder.encoder, encoder, info["weights_sha"])
    return encoder.eval(), info
