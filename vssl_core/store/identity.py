"""What decides a result, and the ``run_id`` made from it.

Two runs with one ``run_id`` give the same numbers on one machine; whatever cannot change a number (workers, device,
trackers, folders) is left out, so that moving a sweep to another machine repeats nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vssl_core.config.schema import OptimConfig, PretrainConfig, TransferConfig, unchanged
from vssl_core.data.fit import DECODING
from vssl_core.weighted import parse_weighted

if TYPE_CHECKING:
    from vssl_core.components import Resolved

__all__ = ["component_identity", "identity_hash", "pretrain_identity", "run_id", "transfer_identity"]


def identity_hash(identity: Mapping[str, Any]) -> str:
    """Return 64 hex digits of SHA-256 over canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def component_identity(resolved: Resolved) -> dict[str, Any]:
    """Return name, version and complete options: the recipe's name is left out, its options are in.

    Components inside it (the task of a placebo, the head of a classifier) stand under ``inner`` as what they resolve
    to, so that a new version of one of them is a new run, and another spelling is not. Of a weighted sum the weights
    are left among the options. An option that was added later is left out while it changes nothing.
    """
    left = {*resolved.inner, *resolved.unchanged}
    options = {name: value for name, value in resolved.options.items() if name not in left}
    for name in {key.partition(".")[0] for key in resolved.inner if "." in key}:
        options[name] = {part.name: part.weight for part in parse_weighted(options[name], where=name)}
    identity: dict[str, Any] = {"name": resolved.name, "version": resolved.version, "options": options}
    if resolved.inner:
        identity["inner"] = {name: component_identity(inner) for name, inner in resolved.inner.items()}
    return identity


def _pixels(data: Resolved, fingerprint: str, pixels: str = "rgb24") -> dict[str, Any]:
    """Return what decides the pixels: the files, and how frames are made of them."""
    # Conversion on the device rounds otherwise than that of the decoder.
    other = {"pixels": pixels} if pixels != "rgb24" else {}
    return {"name": data.name, "fingerprint": fingerprint, "decoding": DECODING, **other}


def _optim(config: OptimConfig) -> dict[str, Any]:
    known = dataclasses.fields(config)
    values = {field.name: getattr(config, field.name) for field in known}
    left = unchanged(known, values)
    return {name: value for name, value in values.items() if name not in left}


def pretrain_identity(
    config: PretrainConfig, task: Resolved, backbone: Resolved | None, data: Resolved, fingerprint: str, steps: int
) -> dict[str, Any]:
    """Return what decides the weights that a pretraining run ends with.

    Floors that are not trained depend on no budget, optimiser or data: only on options, the network's and the seed.
    """
    identity: dict[str, Any] = {
        "kind": "pretrain",
        "task": component_identity(task),
        "backbone": component_identity(backbone) if backbone is not None else None,
        "seed": config.seed,
    }
    if task.spec.trains:
        identity |= {
            "data": _pixels(data, fingerprint, config.pixels),
            "label": config.label if task.spec.needs_labels else "",
            "steps": steps,
            "batch_size": config.batch_size,
            "optim": _optim(config.optim),
            "precision": config.precision,
            "heldout_batches": config.heldout_batches,
        }
    return identity


def transfer_identity(
    config: TransferConfig, pretrain_run_id: str, protocol: Resolved, data: Resolved, fingerprint: str, label: str
) -> dict[str, Any]:
    """Return what decides the numbers of a transfer measurement."""
    return {
        "kind": "transfer",
        "pretrain": pretrain_run_id,
        "protocol": component_identity(protocol),
        "data": _pixels(data, fingerprint),
        "label": label,
        "seed": config.seed,
    }


def run_id(identity: Mapping[str, Any], *words: str) -> str:
    """Return ``kind-words-hash``: readable in a listing, unique through 12 hex digits of the identity's hash."""
    slug = "-".join(re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in (identity["kind"], *words) if word)
    return f"{slug[:72]}-{identity_hash(identity)[:12]}"
