"""A data set and protocols that cost nothing, and a job that only writes its record."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vssl_backbones.plugin
import vssl_baselines.plugin
import vssl_contrast.plugin
import vssl_heads.plugin
import vssl_launchers.plugin
import vssl_masked.plugin
import vssl_speed.plugin
from vssl_core.config.schema import option
from vssl_core.contracts import Job, JobState, Spec
from vssl_core.errors import DataError
from vssl_core.hookspecs import hookimpl
from vssl_core.plugins import Registry
from vssl_core.store.records import now, write_record


@dataclass(kw_only=True, slots=True)
class FakeSetConfig:
    """Options of ``fake-set``."""

    root: str = option("here", "where the videos are")


@dataclass(kw_only=True, slots=True)
class FakeProtocolConfig:
    """Options of the protocols."""

    k: int = option(20, "neighbours", minimum=1)


class FakeSet:
    """Two labels and no video."""

    name = "fake-set"

    def __init__(self, *, root: str = "here") -> None:
        self.root = root

    def splits(self) -> Sequence[str]:
        return ("train", "test")

    def videos(self, split: str) -> Sequence[Any]:
        if self.root == "nowhere":
            raise DataError("there is no folder nowhere")
        return []

    def labels(self) -> Sequence[str]:
        return ("motion", "appearance")

    def fingerprint(self) -> str:
        return f"fingerprint of {self.root}"


class FakeProtocol:
    """Only ever described, never run."""


class FakePlugin:
    """Offers the fakes."""

    @hookimpl
    def vssl_datasets(self) -> Iterable[Spec]:
        yield Spec(name="fake-set", target=f"{__name__}:FakeSet", config=f"{__name__}:FakeSetConfig")

    @hookimpl
    def vssl_protocols(self) -> Iterable[Spec]:
        for name in ("linear-probe", "knn"):
            yield Spec(
                name=name,
                target=f"{__name__}:FakeProtocol",
                config=f"{__name__}:FakeProtocolConfig",
                recipes={"tiny": {"k": 5}},
            )


def fake_registry() -> Registry:
    """First-party tasks, networks and launchers; fake data and protocols."""
    modules = (vssl_backbones, vssl_baselines, vssl_contrast, vssl_heads, vssl_launchers, vssl_masked, vssl_speed)
    plugins: dict[str, object] = {module.__name__: module.plugin for module in modules}
    return Registry.discover(plugins={**plugins, "fake": FakePlugin()}, entry_points=False, disable=())


def write_done(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Do a job: write a finished record and a line that counts the call."""
    config = payload["config"]
    out = Path(config["out"])
    with (out.parent / "calls.txt").open("a") as calls:
        calls.write(f"{out.name}\n")
    if (out.parent / f"fail-{payload['kind']}").exists():
        raise RuntimeError("asked to fail")
    if (out.parent / f"crash-{payload['kind']}").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    record = {
        "schema": 1, "run_id": out.name, "kind": payload["kind"], "status": "done", "suite": payload["suite"],
        "name": "x",
        "identity": {}, "config": config, "components": {}, "seed": config["seed"], "cost": {"wall_s": 0.1},
        "unreadable": [], "error": None, "environment": {}, "started": now(), "finished": now(),
    }  # fmt: skip
    if payload["kind"] == "transfer":
        run = Path(config["run"])
        record["pretrain_run_id"] = run.name
        if not (run / "encoder.json").exists():
            raise RuntimeError(f"{run} holds no encoder")
    else:
        (out / "encoder.json").write_text("{}")
    write_record(out / "record.json", record)
    return {"run_id": out.name}


def prepare(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Build the set as the real one does."""
    options = payload["data"] if isinstance(payload["data"], Mapping) else {}
    return {"train": len(FakeSet(root=options.get("root", "here")).videos("train"))}


class InlineLauncher:
    """Runs a job in this process when it is submitted."""

    capacity = 2

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self._states: dict[str, JobState] = {}

    def submit(self, job: Job) -> None:
        self.jobs.append(job.job_id)
        call = {"write_done": write_done, "prepare": prepare}[job.target.rpartition(":")[2]]
        try:
            self._states[job.job_id] = JobState(status="done", result=call(job.payload))
        except Exception as error:
            self._states[job.job_id] = JobState(status="failed", message=f"{type(error).__name__}: {error}")

    def poll(self) -> Mapping[str, JobState]:
        return self._states

    def cancel(self, job_id: str) -> None:
        raise AssertionError("nothing waits here")

    def close(self) -> None:
        pass
