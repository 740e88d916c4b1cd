"""One transfer measurement, from its configuration to a record."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from vssl_core.config.compose import save_yaml, to_plain
from vssl_core.config.schema import TransferConfig
from vssl_core.contracts import Dataset, Metric, RunInfo, TransferProtocol
from vssl_core.data.splits import check_overlap, check_splits, fit_val
from vssl_core.engine.encoders import load_encoder
from vssl_core.engine.loop import Progress
from vssl_core.engine.measure import count_parameters, flops_per_clip
from vssl_core.engine.precision import pick_device
from vssl_core.errors import DataError, PluginError
from vssl_core.plugins import Registry
from vssl_core.store.environment import environment
from vssl_core.store.records import SCHEMA, component_record, config_record, error_record, no_cost, now, write_record
from vssl_core.store.tracking import Trackers
from vssl_core.transfer.context import Context
from vssl_core.transfer.features import FeatureStore
from vssl_core.transfer.planned import PlannedTransfer, plan_transfer
from vssl_core.transfer.pretext import open_pretext

__all__ = ["run_transfer"]


def run_transfer(
    config: TransferConfig, registry: Registry, *, suite: str = "", progress: Progress | None = None
) -> dict[str, Any]:
    """Measure the encoder of a pretraining run under a protocol; write and return the record.

    A measurement that is done already is returned as it is. A failure leaves a record with its reason before it is
    raised. Torch's global generator is left as it was found.

    Raises:
        CheckpointError: the run has no finished encoder.
        ConfigError: an option is wrong, or the protocol does not take this label.
        DataError: pretraining and test videos or the set's own splits overlap, or too many videos are unreadable.
        PluginError: the protocol or the encoder does not keep its contract.
    """
    planned = plan_transfer(config, registry)
    folder = planned.folder
    done = folder.read_record()
    if done is not None and done["status"] == "done" and done["run_id"] == planned.run_id:
        return dict(done)

    config = planned.config
    device = pick_device(config.device)
    folder.path.mkdir(parents=True, exist_ok=True)
    save_yaml(to_plain(config), folder.config)
    record = _record(planned, suite, device, started=now())
    info = RunInfo(
        run_id=planned.run_id,
        name=planned.run_id,
        suite=suite,
        job_type="transfer",
        folder=folder.path,
        config={key: record[key] for key in ("config", "components", "data", "label", "seed")},
        tags=(planned.protocol.name, planned.pretrain["components"]["task"]["name"]),
    )
    trackers = Trackers(config.trackers, registry, info)
    trackers.start()
    wall, cpu = time.perf_counter(), time.process_time()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(config.seed)
            _measure(planned, registry, record, device, progress)
        record["status"] = "done"
    except Exception as error:
        record["error"] = error_record(error)
        raise
    except KeyboardInterrupt:
        trackers.finish("interrupted")
        raise
    finally:
        if record["status"] == "done" or record["error"] is not None:
            seconds = round(time.perf_counter() - wall, 3)
            record["cost"] |= {"wall_s": seconds, "device_s": seconds, "cpu_s": round(time.process_time() - cpu, 3)}
            record["finished"] = now()
            write_record(folder.record, record)
            values = {metric["name"]: metric["value"] for metric in record["metrics"]}
            trackers.summary({**values, "cost": record["cost"], "status": record["status"]})
            trackers.finish(record["status"])
    return record


def _measure(
    planned: PlannedTransfer,
    registry: Registry,
    record: dict[str, Any],
    device: torch.device,
    progress: Progress | None,
) -> None:
    """Run the protocol and fill in what it measured."""
    config = planned.config
    encoder, description = load_encoder(planned.source.path, registry)
    record["encoder"] = {key: description[key] for key in ("embed_dim", "input_mode", "sampling", "weights_sha")}
    _refuse_overlap(planned, registry)
    protocol: TransferProtocol = registry.build("protocols", planned.protocol)
    context = Context(
        encoder,
        description["weights_sha"],
        planned.dataset,
        config.label,
        device=device,
        seed=config.seed,
        batch_size=config.batch_size,
        loader=config.loader,
        work_dir=planned.folder.path / "work",
        store=FeatureStore(planned.source.path / "features"),
        source=planned.pretrain["run_id"],
        open_pretext=lambda: open_pretext(planned, registry, device=device, progress=progress),
        progress=progress,
    )
    classes = context.targets("train").classes
    record["data"] |= {
        "n_train": context.n_videos["train"],
        "n_test": context.n_videos["test"],
        "classes": list(classes),
        "provenance": dict(planned.dataset.provenance),
    }
    try:
        record["metrics"] = _checked(protocol.run(context), planned.protocol.name)
    finally:
        context.close()
        record["unreadable"] = context.unreadable
        record["recipes"] = context.recipes
        record["cost"] |= asdict(context.cost)
    record["cost"] |= {
        "parameters": count_parameters(encoder),
        "flops_per_clip": _flops(encoder, context.recipes, device),
    }


def _refuse_overlap(planned: PlannedTransfer, registry: Registry) -> None:
    """Raise where the measured set's splits overlap, or a pretraining video stands in its test split.

    The first concerns everyone, since every protocol fits and chooses on that set; floors that are not trained saw no
    pretraining video.

    Raises:
        DataError: an overlap, or the pretraining set is no longer what it was.
    """
    check_splits(planned.dataset)
    if not planned.pretrain["trains"]:
        return
    component = planned.pretrain["components"]["data"]
    value = {"name": component["name"], **component["options"]}
    same = component["name"] == planned.data.name and component["options"] == planned.data.options
    dataset: Dataset = planned.dataset if same else registry.build("datasets", value)
    expected = planned.pretrain["data"]["fingerprint"]
    if dataset.fingerprint() != expected:
        raise DataError(
            f"pretraining set {component['name']!r} has changed since {planned.pretrain['run_id']} (fingerprint "
            f"{dataset.fingerprint()[:12]}, was {expected[:12]}), so whether test videos were pretrained on cannot be "
            "told; restore the set or pretrain again"
        )
    splits = fit_val(dataset)
    # The held-out videos taught the encoder nothing, but figures were taken on them: they stay out of the test too.
    check_overlap(dataset, [*splits["fit"], *splits["val"]], planned.dataset)


def _checked(metrics: Sequence[Metric], protocol: str) -> list[dict[str, Any]]:
    """Return metrics as records hold them.

    Raises:
        PluginError: there is not exactly one primary metric, two share a name, or a value is not finite.
    """
    names = [metric.name for metric in metrics]
    if sum(metric.primary for metric in metrics) != 1 or len(set(names)) != len(names):
        raise PluginError(
            f"protocol {protocol!r} returned metrics {names}, of which primary: "
            f"{[metric.name for metric in metrics if metric.primary]}; "
            "expected different names and exactly one primary"
        )
    bad = [metric.name for metric in metrics if not math.isfinite(metric.value)]
    if bad:
        raise PluginError(f"protocol {protocol!r} returned values that are not finite for {', '.join(bad)}")
    return [_plain(metric) for metric in metrics]


def _plain(metric: Metric) -> dict[str, Any]:
    """Return a metric as JSON; a standard error stands in it where there is one."""
    plain = {**asdict(metric), "value": float(metric.value), "n": int(metric.n)}
    error = plain.pop("standard_error")
    return plain if error is None else {**plain, "standard_error": float(error)}


def _flops(encoder: nn.Module, recipes: Sequence[Mapping[str, Any]], device: torch.device) -> int | None:
    """Operations of the encoder on one clip as this protocol reads it; None where it read none."""
    if not recipes:
        return None
    return flops_per_clip(encoder, int(recipes[0]["frames"]), int(recipes[0]["size"]), device)


def _record(planned: PlannedTransfer, suite: str, device: torch.device, started: str) -> dict[str, Any]:
    pretrain = planned.pretrain
    return {
        "schema": SCHEMA,
        "run_id": planned.run_id,
        "kind": "transfer",
        "status": "failed",
        "suite": suite,
        "name": f"{planned.protocol.reference} of {planned.task_reference}",
        "identity": dict(planned.identity),
        "config": config_record(to_plain(planned.config)),
        "components": {
            "task": pretrain["components"]["task"],
            "backbone": pretrain["components"]["backbone"],
            "data": component_record(planned.data),
            "protocol": component_record(planned.protocol),
        },
        "pretrain_run_id": pretrain["run_id"],
        "data": {
            "name": planned.dataset.name,
            "fingerprint": planned.fingerprint,
            "n_train": 0,
            "n_test": 0,
            "classes": [],
        },
        "needs_labels": pretrain["needs_labels"],
        "trains": pretrain["trains"],
        "label": planned.config.label,
        "encoder": None,
        "recipes": [],
        "metrics": [],
        "seed": planned.config.seed,
        "cost": no_cost(),
        "unreadable": [],
        "error": None,
        "environment": environment(device),
        "started": started,
        "finished": started,
    }
