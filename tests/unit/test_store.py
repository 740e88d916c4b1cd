"""Run folders and records: whole or not at all; run_ids from what decides a result."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from vssl_core.config.schema import PretrainConfig
from vssl_core.contracts import Spec
from vssl_core.errors import RecordError
from vssl_core.store.identity import identity_hash, pretrain_identity, run_id
from vssl_core.store.records import config_record, error_record, read_record, read_records, write_record
from vssl_core.store.runs import atomic_folder, write_json, write_text


def record(
    run: str = "pretrain-x-1", status: str = "done", finished: str = "2026-01-02T00:00:00+00:00", **more: Any
) -> dict[str, Any]:
    base: dict[str, Any] = {
        "schema": 1, "run_id": run, "kind": "pretrain", "status": status, "suite": "", "name": "x", "identity": {},
        "config": {}, "components": {}, "seed": 0, "cost": {}, "unreadable": [], "error": None, "environment": {},
        "started": "2026-01-01T00:00:00+00:00", "finished": finished,
    }  # fmt: skip
    return base | more


def test_write_is_atomic_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a" / "file.json"
    write_json(target, {"value": 1})

    def full(source: Any, destination: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(target, "half")
    monkeypatch.undo()
    assert json.loads(target.read_text()) == {"value": 1}
    assert [path.name for path in target.parent.iterdir()] == ["file.json"]


def test_not_a_number_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="finite"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_atomic_folder_replaces_or_vanishes(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with atomic_folder(place) as folder:
        (folder / "one").write_text("1")
    with atomic_folder(place) as folder:
        (folder / "two").write_text("2")
    assert [path.name for path in place.iterdir()] == ["two"]
    with pytest.raises(RuntimeError), atomic_folder(place) as folder:
        (folder / "three").write_text("3")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["place"]
    assert [path.name for path in place.iterdir()] == ["two"]


def test_records_must_be_whole(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="lacks cost"):
        write_record(tmp_path / "record.json", {key: value for key, value in record().items() if key != "cost"})


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "record.json", record(schema=99))
    with pytest.raises(RecordError, match="schema 99"):
        read_record(tmp_path / "record.json")


def test_reading_folders_finds_runs_and_flat_records_once(tmp_path: Path) -> None:
    write_record(tmp_path / "runs" / "a" / "record.json", record("pretrain-a-1", status="failed"))
    write_record(tmp_path / "flat" / "pretrain-a-1.json", record("pretrain-a-1", finished="2025-01-01T00:00:00+00:00"))
    write_record(tmp_path / "flat" / "pretrain-b-1.json", record("pretrain-b-1"))
    write_json(tmp_path / "runs" / "a" / "encoder.json", {"format": 1})
    (tmp_path / "flat" / "broken.json").write_text("{")
    found, problems = read_records([tmp_path / "runs", tmp_path / "flat"])
    assert {entry["run_id"]: entry["status"] for entry in found} == {"pretrain-a-1": "done", "pretrain-b-1": "done"}
    assert len(problems) == 1 and "broken.json" in problems[0]
    with pytest.raises(RecordError, match="does not exist"):
        read_records([tmp_path / "nowhere"])


class FakeResolved:
    """What identity needs of a resolved component."""

    def __init__(self, name: str, options: dict[str, Any], version: int = 1, **spec: Any) -> None:
        self.name, self.options, self.version = name, options, version
        self.inner: dict[str, FakeResolved] = {}
        self.unchanged: frozenset[str] = frozenset()
        self.spec = Spec(name=name, target="a:b", **spec)


def identity(
    config: PretrainConfig, *, steps: int = 10, version: int = 1, trains: bool = True, fingerprint: str = "f"
) -> str:
    task = FakeResolved("rtt", {"frames": 8}, version, trains=trains)
    backbone, data = FakeResolved("net", {}), FakeResolved("toy", {})
    return identity_hash(pretrain_identity(config, task, backbone, data, fingerprint, steps))  # type: ignore[arg-type]


def test_identity_follows_what_decides_the_result() -> None:
    base = identity(PretrainConfig())
    assert identity(PretrainConfig()) == base
    assert identity(PretrainConfig(device="cuda", out="elsewhere", trackers=[], checkpoint_every_s=1.0)) == base
    others = [
        identity(PretrainConfig(seed=1)),
        identity(PretrainConfig(batch_size=4)),
        identity(PretrainConfig(), steps=11),
        identity(PretrainConfig(), version=2),
        identity(PretrainConfig(), fingerprint="g"),
    ]
    assert len({base, *others}) == 6


def test_untrained_floors_depend_on_no_budget() -> None:
    floor = identity(PretrainConfig(), trains=False)
    assert floor == identity(PretrainConfig(batch_size=2), steps=99, trains=False, fingerprint="g")
    assert floor != identity(PretrainConfig(seed=1), trains=False)


def test_run_id_is_readable_and_a_file_name() -> None:
    made = run_id({"kind": "pretrain", "a": 1}, "rtt@tiny", "timm/resnet18", "", "s0")
    assert made.startswith("pretrain-rtt-tiny-timm-resnet18-s0-") and "/" not in made
    assert made != run_id({"kind": "pretrain", "a": 2}, "rtt@tiny", "timm/resnet18", "", "s0")


def test_own_errors_are_recorded_without_traceback() -> None:
    assert error_record(RecordError("why")) == {"type": "RecordError", "message": "why", "traceback": ""}
    try:
        raise ValueError("bug")
    except ValueError as error:
        assert "Traceback" in error_record(error)["traceback"]


def test_records_do_not_say_where_they_were_made() -> None:
    assert config_record({"task": "rtt", "out": "/home/me/runs", "run": "/home/me/runs/x"}) == {"task": "rtt"}
