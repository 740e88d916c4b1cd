"""From a pretraining run to a transfer record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import vssl_backbones.plugin
import vssl_baselines.plugin
import vssl_heads.plugin
import vssl_protocols.plugin
from vssl_core.config.compose import typed
from vssl_core.config.schema import PretrainConfig, TransferConfig
from vssl_core.contracts import Metric, Spec, Targets, TransferContext
from vssl_core.engine.pretrain import run_pretrain
from vssl_core.errors import CheckpointError, ConfigError, DataError, PluginError
from vssl_core.hookspecs import hookimpl
from vssl_core.plugins import Registry
from vssl_core.store.records import read_record
from vssl_core.testing.fakes import FakeDataset
from vssl_core.transfer.evaluate import run_transfer

NETWORK = {"name": "r2plus1d-tiny", "widths": [4, 8], "input_mode": "raw"}
CLIPS = {"frames": 4, "stride": 2, "clips": 2, "size": 16, "settle_batches": 1}
NO_CACHE = {"workers": 0, "cache": "never", "max_bad": 0.2}


class Small(FakeDataset):
    """A fake set whose size tests can afford."""

    name = "small"

    def __init__(self) -> None:
        super().__init__(n_train=24, n_test=10)


class Broken(FakeDataset):
    """Two of its test videos cannot be read."""

    name = "broken"

    def __init__(self) -> None:
        super().__init__(n_train=24, n_test=10, unreadable=2)


class Leaking(Small):
    """One of its test videos has the content of a training video of ``small``."""

    name = "leaking"

    def fingerprint(self) -> str:
        return "leaking"

    def content_hashes(self, split: str) -> Sequence[str]:
        hashes = list(super().content_hashes(split))
        return [hashes[0], "fake://3", *hashes[2:]] if split == "test" else [f"other-{h}" for h in hashes]


class Repeating(Small):
    """One of its test videos is of the group of a training video of its own."""

    name = "repeating"

    def fingerprint(self) -> str:
        return "repeating"

    def content_hashes(self, split: str) -> Sequence[str]:
        return [f"repeating-{h}" for h in super().content_hashes(split)]

    def groups(self, split: str) -> Sequence[str]:
        return ["tape", *list(super().groups(split))[1:]]


class Unlabelled(Small):
    name = "unlabelled"

    def labels(self) -> Sequence[str]:
        return ()

    def targets(self, split: str, label: str) -> Targets:
        raise AssertionError("it has no labels")


class Returns:
    """A protocol that returns what a test puts here."""

    metrics: Sequence[Metric] = ()

    def run(self, context: TransferContext) -> Sequence[Metric]:
        return self.metrics


class Fakes:
    @hookimpl
    def vssl_datasets(self) -> list[Spec]:
        return [
            Spec(name=cls.name, target=f"{__name__}:{cls.__name__}", summary="fake")
            for cls in (Small, Broken, Leaking, Repeating, Unlabelled)
        ]

    @hookimpl
    def vssl_protocols(self) -> list[Spec]:
        return [Spec(name="returns", target=f"{__name__}:Returns", summary="fake")]


@pytest.fixture(scope="module")
def registry() -> Registry:
    plugins: Mapping[str, object] = {
        "backbones": vssl_backbones.plugin,
        "baselines": vssl_baselines.plugin,
        "heads": vssl_heads.plugin,
        "protocols": vssl_protocols.plugin,
        "fakes": Fakes(),
    }
    return Registry.discover(plugins=plugins, entry_points=False)


def _pretrain(folder: Path, registry: Registry, task: Any = "random-init", **options: Any) -> Path:
    config = typed(
        PretrainConfig,
        {
            "task": task,
            "backbone": NETWORK,
            "data": "small",
            "trackers": [],
            "out": str(folder),
            "loader": NO_CACHE,
            **options,
        },
    )
    return run_pretrain(config, registry).folder


def _transfer(run: Path, registry: Registry, protocol: Any = "linear-probe", **options: Any) -> dict[str, Any]:
    value = {"name": protocol, **CLIPS} if protocol != "returns" else protocol
    config = typed(TransferConfig, {"run": str(run), "protocol": value, "trackers": [], "loader": NO_CACHE, **options})
    return run_transfer(config, registry)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    return _pretrain(tmp_path_factory.mktemp("run"), registry)


def test_a_measurement_leaves_a_whole_record(run: Path, registry: Registry) -> None:
    state = torch.get_rng_state()
    record = _transfer(run, registry)
    assert torch.equal(torch.get_rng_state(), state)
    folder = run / "transfer" / record["run_id"]
    assert read_record(folder / "record.json") == json.loads(json.dumps(record))
    assert (folder / "config.yaml").exists()
    assert record["status"] == "done"
    assert record["pretrain_run_id"] == read_record(run / "record.json")["run_id"]
    assert record["label"] == "kind"
    assert record["data"] == record["data"] | {"name": "small", "n_train": 24, "n_test": 10}
    assert record["data"]["classes"] == ["kind-0", "kind-1", "kind-2"]
    assert [metric["name"] for metric in record["metrics"] if metric["primary"]] == ["top1"]
    assert record["components"]["protocol"]["version"] == 1
    assert record["components"]["task"]["name"] == "random-init"
    # 34 videos of 2 clips, and the 32 clips on which batch norm settled; 4 frames each.
    assert record["cost"]["clips"] == 34 * 2 + 32
    assert record["cost"]["frames_decoded"] == record["cost"]["clips"] * 4
    assert record["cost"]["parameters"] > 0
    assert record["cost"]["flops_per_clip"] > 0
    assert {recipe["split"] for recipe in record["recipes"]} == {"fit", "val", "test"}


def test_a_second_call_returns_the_first_record(run: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _transfer(run, registry)
    monkeypatch.setattr("vssl_core.transfer.evaluate.load_encoder", lambda *args: pytest.fail("measured again"))
    assert _transfer(run, registry) == json.loads(json.dumps(first))


def test_numbers_depend_on_neither_batch_size_nor_shared_features(tmp_path: Path, registry: Registry) -> None:
    runs = [_pretrain(tmp_path / name, registry) for name in ("a", "b")]
    records = [
        _transfer(runs[0], registry, out=str(tmp_path / "0"), batch_size=64),
        _transfer(runs[0], registry, out=str(tmp_path / "1"), batch_size=64),  # features from the store
        _transfer(runs[1], registry, out=str(tmp_path / "2"), batch_size=3),
    ]
    assert records[0]["metrics"] == records[1]["metrics"]
    assert len(list((runs[0] / "features").glob("*.safetensors"))) == 3
    assert len({record["run_id"] for record in records}) == 1
    top1s = [record["metrics"][0]["value"] for record in records]
    assert top1s[0] == pytest.approx(top1s[2])


def test_settling_changes_no_exported_weight(run: Path, registry: Registry) -> None:
    before = (run / "encoder.safetensors").read_bytes()
    _transfer(run, registry, "knn")
    assert (run / "encoder.safetensors").read_bytes() == before


def test_unreadable_test_videos_are_named(run: Path, registry: Registry) -> None:
    record = _transfer(run, registry, data="broken")
    assert [(bad["video_id"], bad["split"]) for bad in record["unreadable"]] == [
        ("fake-24", "test"),
        ("fake-25", "test"),
    ]
    assert record["metrics"][0]["n"] == 10
    assert record["metrics"][0]["value"] <= 0.8


def test_a_failure_leaves_a_record(run: Path, registry: Registry) -> None:
    with pytest.raises(ConfigError, match="number"):
        _transfer(run, registry, label="speed")
    (record,) = (
        found
        for found in (read_record(path) for path in (run / "transfer").glob("*/record.json"))
        if found["label"] == "speed"
    )
    assert record["status"] == "failed"
    assert record["metrics"] == []
    assert record["error"]["type"] == "ConfigError"


def test_a_failed_measurement_can_be_repeated(run: Path, registry: Registry, tmp_path: Path) -> None:
    Returns.metrics = ()
    with pytest.raises(PluginError, match="exactly one primary"):
        _transfer(run, registry, "returns", out=str(tmp_path))
    Returns.metrics = [Metric(name="m", value=0.5, n=10, primary=True)]
    assert _transfer(run, registry, "returns", out=str(tmp_path))["status"] == "done"


@pytest.mark.parametrize(
    "metrics",
    [
        [Metric(name="m", value=float("nan"), n=10, primary=True)],
        [Metric(name="m", value=0.5, n=10, primary=True), Metric(name="n", value=0.5, n=10, primary=True)],
        [Metric(name="m", value=0.5, n=10, primary=True), Metric(name="m", value=0.5, n=10)],
    ],
)
def test_metrics_that_break_the_contract_are_refused(
    run: Path, registry: Registry, tmp_path: Path, metrics: list[Metric]
) -> None:
    Returns.metrics = metrics
    with pytest.raises(PluginError, match="protocol 'returns'"):
        _transfer(run, registry, "returns", out=str(tmp_path))


def test_overlap_between_pretraining_and_test_is_an_error(tmp_path: Path, registry: Registry) -> None:
    task = {"name": "supervised", "frames": 4, "stride": 2, "size": 16}
    trained = _pretrain(tmp_path / "run", registry, task, label="kind", steps=1, batch_size=4, heldout_batches=0)
    with pytest.raises(DataError, match="same file"):
        _transfer(trained, registry, data="leaking")
    assert _transfer(trained, registry)["status"] == "done"


def test_floors_without_training_overlap_with_nothing(run: Path, registry: Registry) -> None:
    assert _transfer(run, registry, data="leaking")["status"] == "done"


def test_splits_that_overlap_are_an_error_for_everyone(run: Path, registry: Registry, tmp_path: Path) -> None:
    """For a floor that saw nothing, and where something else was pretrained on."""
    with pytest.raises(DataError, match=r"test videos of 'repeating' overlap with its other splits.*group 'tape'"):
        _transfer(run, registry, data="repeating")
    task = {"name": "supervised", "frames": 4, "stride": 2, "size": 16}
    trained = _pretrain(tmp_path / "run", registry, task, label="kind", steps=1, batch_size=4, heldout_batches=0)
    with pytest.raises(DataError, match="overlap with its other splits"):
        _transfer(trained, registry, data="repeating")


def test_floors_with_their_own_sampling_are_measured(tmp_path: Path, registry: Registry) -> None:
    folder = _pretrain(tmp_path, registry, {"name": "motion-energy", "frames": 8})
    record = _transfer(folder, registry, "temporal-sensitivity")
    assert {(recipe["whole"], recipe["frames"], recipe["clips"]) for recipe in record["recipes"]} == {(True, 8, 1)}
    assert record["components"]["backbone"] is None


def test_mistakes_in_the_configuration_are_explained(run: Path, registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="kind"):
        _transfer(run, registry, label="kinds")
    with pytest.raises(ConfigError, match="no labels"):
        _transfer(run, registry, data="unlabelled")
    with pytest.raises(ConfigError, match="run is empty"):
        run_transfer(typed(TransferConfig, {}), registry)
    with pytest.raises(CheckpointError, match="no record"):
        _transfer(tmp_path / "nowhere", registry)
